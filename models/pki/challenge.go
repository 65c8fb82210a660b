// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	stdasn1 "encoding/asn1"
	"encoding/hex"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// maxChallenge is the bound of a challenge password (RFC 2985, appendix A:
// pkcs-9-ub-challengePassword), in octets.
const maxChallenge = 255

var oidChallengePassword = stdasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}

// ChallengePassword returns the challenge password of a request (RFC 2985
// §5.4.1), and whether there is one that can be read: 1 to 255 octets of
// PrintableString, UTF8String or IA5String.
func (c *CSR) ChallengePassword() (string, bool) {
	_, _, attributes, ok := splitRequest(c.DER)
	for ok && !attributes.Empty() {
		var pair, values, value cryptobyte.String
		var oid stdasn1.ObjectIdentifier
		var tag der.Tag
		if !attributes.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) || !pair.ReadASN1(&values, der.SET) {
			return "", false
		}
		if !oid.Equal(oidChallengePassword) {
			continue
		}
		readable := values.ReadAnyASN1(&value, &tag) && slices.Contains([]der.Tag{der.PrintableString, der.UTF8String, der.IA5String}, tag)
		if !readable || len(value) == 0 || len(value) > maxChallenge || !utf8.Valid(value) {
			return "", false
		}
		return string(value), true
	}
	return "", false
}

// UnboundSHA256 returns a digest of everything that is asked for, without the
// challenge password: lower-case hex. A client that binds its request to the
// connection has to make another one for each connection, and it is still the
// same request (RFC 7030 §4.2.3). It never equals the SHA256 of a request.
func (c *CSR) UnboundSHA256() string {
	h := sha256.New()
	h.Write([]byte("trustloom unbound request\n")) //nolint:errcheck // a hash never fails to write
	info, _, _ := withoutChallenge(c.DER)
	h.Write(info) //nolint:errcheck // as above
	return hex.EncodeToString(h.Sum(nil))
}

// withoutChallenge splits a request, which must have been parsed before, into
// the encoded fields of its CertificationRequestInfo before the attributes
// together with the attributes other than the challenge password, those
// attributes alone, and the signature algorithm.
func withoutChallenge(request []byte) (info, attributes, algorithm []byte) {
	in := cryptobyte.String(request)
	var outer, fields, kept cryptobyte.String
	var version, subject, spki, alg cryptobyte.String
	_ = in.ReadASN1(&outer, der.SEQUENCE) && outer.ReadASN1(&fields, der.SEQUENCE) && outer.ReadASN1Element(&alg, der.SEQUENCE) &&
		fields.ReadASN1Element(&version, der.INTEGER) && fields.ReadASN1Element(&subject, der.SEQUENCE) && fields.ReadASN1Element(&spki, der.SEQUENCE) &&
		fields.ReadOptionalASN1(&kept, nil, der.Tag(0).ContextSpecific().Constructed())
	for !kept.Empty() {
		var element cryptobyte.String
		if !kept.ReadASN1Element(&element, der.SEQUENCE) {
			break
		}
		inner, pair := element, cryptobyte.String{}
		var oid stdasn1.ObjectIdentifier
		if inner.ReadASN1(&pair, der.SEQUENCE) && pair.ReadASN1ObjectIdentifier(&oid) && oid.Equal(oidChallengePassword) {
			continue
		}
		attributes = append(attributes, element...)
	}
	return slices.Concat(version, subject, spki, attributes), attributes, alg
}

// WithChallengePassword returns a request in DER with this challenge password
// instead of the one that it had, signed anew with the key that it is for. It
// is KindInvalid for what is no request, and if the key is another one.
func WithChallengePassword(request []byte, key crypto.Signer, password string) ([]byte, error) {
	parsed, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, invalid("the request is not a PKCS #10 certification request in DER").Because(err)
	}
	public, comparable := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !comparable || !public.Equal(parsed.PublicKey) {
		return nil, invalid("the request is not for this key")
	}
	if len(password) == 0 || len(password) > maxChallenge {
		return nil, invalid("a challenge password has 1 to %d octets", maxChallenge)
	}
	_, attributes, algorithm := withoutChallenge(request)
	var set [][]byte
	for rest := cryptobyte.String(attributes); !rest.Empty(); {
		var element cryptobyte.String
		if !rest.ReadASN1Element(&element, der.SEQUENCE) {
			return nil, invalid("the attributes of the request are malformed")
		}
		set = append(set, element)
	}
	set = append(set, challengeAttribute(password))
	slices.SortFunc(set, bytes.Compare) // DER, X.690 §11.6
	info, err := requestInfo(parsed, slices.Concat(set...))
	if err != nil {
		return nil, err
	}
	signature, err := signInfo(key, parsed.SignatureAlgorithm, info)
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(info)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// challengeAttribute encodes the attribute; base64 fits into a PrintableString.
func challengeAttribute(password string) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidChallengePassword)
		b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(der.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(password)) })
		})
	})
	encoded, _ := b.Bytes() // an attribute of a bounded length cannot fail
	return encoded
}

func requestInfo(parsed *x509.CertificateRequest, attributes []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(parsed.RawSubject)
		b.AddBytes(parsed.RawSubjectPublicKeyInfo)
		b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
	})
	return b.Bytes()
}

// requestHashes are the hashes of the algorithms that requests are signed with
// here; Ed25519 has none.
var requestHashes = map[x509.SignatureAlgorithm]crypto.Hash{
	x509.ECDSAWithSHA256: crypto.SHA256, x509.ECDSAWithSHA384: crypto.SHA384, x509.ECDSAWithSHA512: crypto.SHA512,
	x509.SHA256WithRSA: crypto.SHA256, x509.SHA384WithRSA: crypto.SHA384, x509.SHA512WithRSA: crypto.SHA512,
	x509.PureEd25519: 0,
}

func signInfo(key crypto.Signer, algorithm x509.SignatureAlgorithm, info []byte) ([]byte, error) {
	hash, known := requestHashes[algorithm]
	if !known {
		return nil, models.Errorf(models.KindInvalid, "a request signed with %s cannot be signed anew", algorithm)
	}
	return crypto.SignMessage(key, rand.Reader, info, hash)
}
