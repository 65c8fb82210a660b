// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The fields of a CertTemplate (RFC 4211 §5).
const (
	templateVersion = iota
	templateSerialNumber
	templateSigningAlg
	templateIssuer
	templateValidity
	templateSubject
	templatePublicKey
	templateIssuerUID
	templateSubjectUID
	templateExtensions
	templateFields
)

// unsigned stands in for the signature of a request that proves the possession
// of its key elsewhere: id-alg-unsigned, and no bits.
var unsigned = []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x06, 0x24, 0x03, 0x01, 0x00}

// ParseRequest parses what is stored of a request: a PKCS #10 certification
// request, whose signature is verified, or a CertTemplate, whose proof of
// possession was verified by whoever took it.
func ParseRequest(request []byte) (*CSR, error) {
	if IsTemplate(request) {
		return ParseTemplate(request)
	}
	return ParseCSR(request)
}

// IsTemplate reports whether a request is a CertTemplate: all its fields are
// tagged, and the first one of a certification request is not.
func IsTemplate(request []byte) bool {
	in := cryptobyte.String(request)
	var fields cryptobyte.String
	return in.ReadASN1(&fields, der.SEQUENCE) && len(fields) > 0 && fields[0]&0xc0 == 0x80
}

// ParseTemplate checks a CertTemplate (RFC 4211 §5) as ParseCSR checks a
// certification request, with the same bounds. What a CA alone decides, and
// what RFC 4211 demands to be left out, is refused. An issuer is a wish: clients
// name that of the certificate that they have. The proof of possession is
// no part of a template: the caller has verified it.
func ParseTemplate(template []byte) (*CSR, error) {
	parsed, err := readTemplate(template, presentKey)
	if err != nil {
		return nil, err
	}
	csr := newCSR(parsed)
	csr.DER, csr.SHA256 = template, templateDigest(template)
	return csr, nil
}

// presentKey returns the SubjectPublicKeyInfo of a template, which has to be
// that of a permitted key.
func presentKey(field cryptobyte.String) ([]byte, error) {
	if field == nil {
		return nil, invalid("the certificate template has no public key")
	}
	spki, err := inSequence(field)
	if err != nil {
		return nil, err
	}
	_, err = parseSPKI(spki)
	return spki, err
}

func templateDigest(template []byte) string {
	digest := sha256.Sum256(template)
	return hex.EncodeToString(digest[:])
}

// readTemplate checks a template and returns what it asks for as a
// certification request. key makes a SubjectPublicKeyInfo for that of the
// field publicKey, which is nil if there is none.
func readTemplate(template []byte, key func(field cryptobyte.String) ([]byte, error)) (*x509.CertificateRequest, error) {
	if len(template) > MaxCSR {
		return nil, invalid("the certificate template is larger than %d KiB", MaxCSR>>10)
	}
	if err := strictDER(template, maxCSRElements); err != nil {
		return nil, invalid("the certificate template is not in DER: %s", err)
	}
	fields, err := splitTemplate(template)
	if err != nil {
		return nil, err
	}
	subject, err := templateName(fields[templateSubject])
	if err != nil {
		return nil, err
	}
	spki, err := key(fields[templatePublicKey])
	if err != nil {
		return nil, err
	}
	if err := checkName(subject); err != nil {
		return nil, err
	}
	attributes, err := extensionAttribute(fields[templateExtensions])
	if err != nil {
		return nil, err
	}
	if err := checkAttributes(attributes); err != nil {
		return nil, err
	}
	request, err := unsignedRequest(subject, spki, attributes)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, invalid("the certificate template is malformed").Because(err)
	}
	return parsed, nil
}

// splitTemplate returns the contents of the fields of a template by tag, nil
// for those that are not there.
func splitTemplate(template []byte) (fields [templateFields]cryptobyte.String, err error) {
	in := cryptobyte.String(template)
	var all cryptobyte.String
	if !in.ReadASN1(&all, der.SEQUENCE) || !in.Empty() {
		return fields, invalid("the certificate template is malformed")
	}
	for next := 0; !all.Empty(); {
		var content cryptobyte.String
		var tag der.Tag
		if !all.ReadAnyASN1(&content, &tag) || tag&0xc0 != 0x80 {
			return fields, invalid("the certificate template is malformed")
		}
		number := int(tag & 0x1f)
		if number < next || number >= templateFields {
			return fields, invalid("the fields of the certificate template are unknown, out of order or twice")
		}
		if content == nil {
			content = cryptobyte.String{}
		}
		fields[number], next = content, number+1
	}
	if v := fields[templateVersion]; v != nil && string(v) != "\x02" {
		return fields, invalid("the certificate template asks for another version than 3; leave the version out")
	}
	for number, name := range map[int]string{templateSerialNumber: "serialNumber", templateSigningAlg: "signingAlg",
		templateIssuerUID: "issuerUID", templateSubjectUID: "subjectUID"} {
		if fields[number] != nil {
			return fields, invalid("the certificate template has the field %s, which RFC 4211 section 5 demands to be left out", name)
		}
	}
	return fields, nil
}

// templateName returns the Name inside an explicit tag, the empty one if there
// is none.
func templateName(field cryptobyte.String) ([]byte, error) {
	if field == nil {
		return []byte{tagSequence, 0}, nil
	}
	var name cryptobyte.String
	if !field.ReadASN1Element(&name, der.SEQUENCE) || !field.Empty() {
		return nil, invalid("the subject of the certificate template is malformed")
	}
	return name, nil
}

// extensionAttribute returns the extensions of a template as the attributes of
// a certification request.
func extensionAttribute(extensions cryptobyte.String) (cryptobyte.String, error) {
	if extensions == nil {
		return nil, nil
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidExtensionRequest)
		b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(extensions) })
		})
	})
	return b.Bytes()
}

// inSequence gives contents the tag that an implicit one had replaced.
func inSequence(content cryptobyte.String) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.Bytes()
}

// unsignedRequest returns what a template asks for as a certification request
// without a signature, for the parser of the standard library.
func unsignedRequest(subject, spki, attributes []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddBytes(subject)
			b.AddBytes(spki)
			b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
		})
		b.AddBytes(unsigned)
	})
	return b.Bytes()
}
