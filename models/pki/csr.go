// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	stdasn1 "encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// The bounds of a certification request.
const (
	MaxCSR           = 64 << 10 // octets, in whatever form it is sent
	maxCSRElements   = 2048     // of the request, and of each requested extension
	maxCSRAttributes = 16
	maxExtensions    = 32
)

// CSR is a certification request (RFC 2986) that was checked: its encoding is
// strict, its key permitted, its names well formed, and its signature proves
// the possession of the private key. What it asks for is a wish: whether a
// certificate has it is decided by policy, extension by extension.
type CSR struct {
	DER          []byte
	Request      *x509.CertificateRequest
	SHA256       string              // lower-case hex, of DER
	SPKISHA256   string              // lower-case hex, of the SubjectPublicKeyInfo
	KeyAlgorithm models.KeyAlgorithm // empty for permitted RSA sizes without a name in models
}

// DecodeCSR returns the DER of a request sent as PEM, as base64 with any white
// space (RFC 8951 §3.1), or as DER. It is KindInvalid for anything else, for
// more than one request, and for more than MaxCSR octets.
func DecodeCSR(body []byte) ([]byte, error) {
	if len(body) > MaxCSR {
		return nil, invalid("the request is larger than %d KiB", MaxCSR>>10)
	}
	trimmed := bytes.TrimSpace(body)
	switch {
	case len(trimmed) == 0:
		return nil, invalid("the request is empty; send a PKCS #10 certification request")
	case body[0] == tagSequence:
		return bytes.Clone(body), nil
	case bytes.Contains(trimmed, []byte("-----BEGIN ")):
		return decodePEMRequest(trimmed)
	}
	return decodeBase64(trimmed)
}

func decodePEMRequest(body []byte) ([]byte, error) {
	block, rest := pem.Decode(body)
	switch {
	case block == nil:
		return nil, invalid("the PEM of the request is malformed")
	case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST":
		return nil, invalid("the PEM block is a %q, not a CERTIFICATE REQUEST", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, invalid("there is something after the PEM block; send one request")
	}
	return block.Bytes, nil
}

func decodeBase64(body []byte) ([]byte, error) {
	packed := strings.Join(strings.Fields(string(body)), "")
	if padding := len(packed) - len(strings.TrimRight(packed, "=")); padding <= 2 {
		packed = packed[:len(packed)-padding]
	}
	decoded, err := base64.RawStdEncoding.Strict().DecodeString(packed)
	if err != nil {
		return nil, invalid("the request is neither PEM nor base64 nor DER").Because(err)
	}
	return decoded, nil
}

// ParseCSR parses and verifies a request in DER. Size, nesting, key and names
// are bounded and checked before the signature is, so that a hostile request
// costs less than an honest one. It is KindInvalid, saying what to change, for
// whatever it does not accept.
func ParseCSR(request []byte) (*CSR, error) {
	if len(request) > MaxCSR {
		return nil, invalid("the request is larger than %d KiB", MaxCSR>>10)
	}
	if err := strictDER(request, maxCSRElements); err != nil {
		return nil, invalid("the request is not a PKCS #10 certification request in DER: %s", err)
	}
	subject, spki, attributes, ok := splitRequest(request)
	if !ok {
		return nil, invalid("the request is not a PKCS #10 certification request of version 1")
	}
	pub, err := parseSPKI(spki)
	if err != nil {
		return nil, err
	}
	if err := checkName(subject); err != nil {
		return nil, err
	}
	if err := checkAttributes(attributes); err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificateRequest(bytes.Clone(request))
	if err != nil {
		return nil, invalid("the request is malformed").Because(err)
	}
	if err := checkPossession(parsed, pub); err != nil {
		return nil, err
	}
	return newCSR(parsed), nil
}

func newCSR(parsed *x509.CertificateRequest) *CSR {
	digest, keyDigest := sha256.Sum256(parsed.Raw), sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
	csr := &CSR{
		DER: parsed.Raw, Request: parsed,
		SHA256: hex.EncodeToString(digest[:]), SPKISHA256: hex.EncodeToString(keyDigest[:]),
	}
	if algorithm, err := KeyAlgorithmOf(parsed.PublicKey); err == nil && slices.Contains(models.KeyAlgorithms, algorithm) {
		csr.KeyAlgorithm = algorithm
	}
	return csr
}

// splitRequest returns the encoded parts of a CertificationRequest.
func splitRequest(request []byte) (subject, spki, attributes cryptobyte.String, ok bool) {
	in := cryptobyte.String(request)
	var outer, info cryptobyte.String
	var version int
	ok = in.ReadASN1(&outer, der.SEQUENCE) && in.Empty() &&
		outer.ReadASN1(&info, der.SEQUENCE) &&
		outer.SkipASN1(der.SEQUENCE) && outer.SkipASN1(der.BIT_STRING) && outer.Empty() &&
		info.ReadASN1Integer(&version) && version == 0 &&
		info.ReadASN1Element(&subject, der.SEQUENCE) &&
		info.ReadASN1Element(&spki, der.SEQUENCE) &&
		info.ReadOptionalASN1(&attributes, nil, der.Tag(0).ContextSpecific().Constructed()) && info.Empty()
	return subject, spki, attributes, ok
}

// checkPossession verifies the proof of possession. Algorithms are admitted by
// name: whatever the standard library learns to verify stays refused.
func checkPossession(request *x509.CertificateRequest, pub crypto.PublicKey) error {
	var permitted []x509.SignatureAlgorithm
	switch pub.(type) {
	case *rsa.PublicKey:
		permitted = []x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
			x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS}
	case *ecdsa.PublicKey:
		permitted = []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512}
	case ed25519.PublicKey:
		permitted = []x509.SignatureAlgorithm{x509.PureEd25519}
	case *mldsa.PublicKey:
		permitted = []x509.SignatureAlgorithm{x509.MLDSA44, x509.MLDSA65, x509.MLDSA87}
	}
	if !slices.Contains(permitted, request.SignatureAlgorithm) {
		return invalid("the request is signed with an algorithm that is weak, unknown, or not one of its key; sign with SHA-256, SHA-384, SHA-512, Ed25519 or ML-DSA")
	}
	if err := request.CheckSignature(); err != nil {
		return invalid("the signature of the request is not made by its key; sign the request with the private key that belongs to it").Because(err)
	}
	return nil
}

// Attributes of a request (RFC 2985 §5.4).
var (
	oidExtensionRequest = stdasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidSubjectAltName   = stdasn1.ObjectIdentifier{2, 5, 29, 17}
)

// checkAttributes checks that each attribute occurs once, with one value, and
// looks into the requested extensions.
func checkAttributes(attributes cryptobyte.String) error {
	seen := map[string]bool{}
	for !attributes.Empty() {
		var pair, values, value cryptobyte.String
		var oid stdasn1.ObjectIdentifier
		var tag der.Tag
		if !attributes.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) ||
			!pair.ReadASN1(&values, der.SET) || !pair.Empty() || len(seen) == maxCSRAttributes {
			return invalid("the attributes of the request are malformed or too many")
		}
		if seen[oid.String()] {
			return invalid("the attribute %s occurs twice in the request", oid)
		}
		seen[oid.String()] = true
		if !values.ReadAnyASN1Element(&value, &tag) || !values.Empty() {
			return invalid("the attribute %s of the request must have exactly one value", oid)
		}
		if oid.Equal(oidExtensionRequest) {
			if err := checkExtensions(value); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkExtensions(value cryptobyte.String) error {
	var extensions cryptobyte.String
	if !value.ReadASN1(&extensions, der.SEQUENCE) || !value.Empty() {
		return invalid("the requested extensions are malformed")
	}
	seen := map[string]bool{}
	for !extensions.Empty() {
		var extension, contents cryptobyte.String
		var oid stdasn1.ObjectIdentifier
		if !extensions.ReadASN1(&extension, der.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) ||
			!extension.SkipOptionalASN1(der.BOOLEAN) || !extension.ReadASN1(&contents, der.OCTET_STRING) ||
			!extension.Empty() || len(seen) == maxExtensions {
			return invalid("the requested extensions are malformed or too many")
		}
		if seen[oid.String()] {
			return invalid("the extension %s is requested twice", oid)
		}
		seen[oid.String()] = true
		if err := strictDER(contents, maxCSRElements); err != nil {
			return invalid("the requested extension %s is not in DER: %s", oid, err)
		}
		if oid.Equal(oidSubjectAltName) {
			if err := checkSANExtension(contents); err != nil {
				return err
			}
		}
	}
	return nil
}
