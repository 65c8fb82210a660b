// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	stdasn1 "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// noKey is an Ed25519 public key of zeros, for the standard library's
// parser, which knows no request without one. It is taken out again.
var noKey = append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, make([]byte, 32)...)

// ParseKeylessTemplate checks, like ParseTemplate, a CertTemplate whose key the
// CA is to make (RFC 9483 §4.1.6): it has no public key, or an empty one that
// says which kind of key is wanted. The result has neither a public key nor
// SPKISHA256; KeyAlgorithm is the kind that is wanted, empty if any will do. The
// size of an RSA key cannot be said here: it is 3072, which every preset admits.
func ParseKeylessTemplate(template []byte) (*CSR, error) {
	var wanted models.KeyAlgorithm
	parsed, err := readTemplate(template, func(field cryptobyte.String) (_ []byte, err error) {
		wanted, err = wantedAlgorithm(field)
		return noKey, err
	})
	if err != nil {
		return nil, err
	}
	parsed.PublicKey, parsed.RawSubjectPublicKeyInfo, parsed.PublicKeyAlgorithm = nil, nil, x509.UnknownPublicKeyAlgorithm
	return &CSR{DER: template, Request: parsed, SHA256: templateDigest(template), KeyAlgorithm: wanted}, nil
}

// wantedAlgorithm reads the publicKey of a template whose bits are empty.
func wantedAlgorithm(key cryptobyte.String) (models.KeyAlgorithm, error) {
	if key == nil {
		return "", nil
	}
	var algorithm cryptobyte.String
	var bits stdasn1.BitString
	var oid, curve stdasn1.ObjectIdentifier
	if !key.ReadASN1(&algorithm, der.SEQUENCE) || !key.ReadASN1BitString(&bits) || !key.Empty() || bits.BitLength != 0 ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) {
		return "", invalid("the public key of the certificate template is neither a key nor empty")
	}
	switch {
	case oid.Equal(oidRSAEncryption):
		return models.RSA3072, nil
	case oid.Equal(oidECPublicKey) && algorithm.ReadASN1ObjectIdentifier(&curve):
		for name, known := range wantedCurves {
			if curve.Equal(known) {
				return name, nil
			}
		}
	default:
		if name := plainNamed(oid); name != "" {
			return name, nil
		}
	}
	return "", invalid("keys of the kind that the certificate template asks for are not made here; %s", keyChoices)
}
