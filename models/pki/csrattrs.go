// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	stdasn1 "encoding/asn1"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// CSRAttrs is what a server wants to see in a certification request (RFC 7030
// §4.5.2, RFC 9908). The zero value wants nothing.
type CSRAttrs struct {
	ChallengePassword bool                // the request must be bound to its connection
	Key               models.KeyAlgorithm // the kind of key; empty: any
	Subject           []Attribute         // in this order; an empty value is the device's to fill in
	Extensions        []ExtensionTemplate
}

// ExtensionTemplate is an extension that a request should have; without a
// value, the device fills it in.
type ExtensionTemplate struct {
	OID      string // dotted
	Critical bool
	Value    []byte // DER
}

// Empty reports whether nothing is wanted.
func (c CSRAttrs) Empty() bool {
	return !c.ChallengePassword && c.Key == "" && len(c.Subject) == 0 && len(c.Extensions) == 0
}

// The object identifiers of RFC 9908 §3.4 and of the kinds of key.
var (
	oidRequestTemplate   = stdasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 61} // id-aa-certificationRequestInfoTemplate
	oidExtensionTemplate = stdasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 62} // id-aa-extensionReqTemplate
	oidRSAEncryption     = stdasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidECPublicKey       = stdasn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
)

// wantedPlain are the keys whose algorithm says everything (RFC 8410 §3,
// RFC 9881 §2).
var wantedPlain = map[models.KeyAlgorithm]stdasn1.ObjectIdentifier{
	models.Ed25519: {1, 3, 101, 112},
	models.MLDSA44: {2, 16, 840, 1, 101, 3, 4, 3, 17}, models.MLDSA65: {2, 16, 840, 1, 101, 3, 4, 3, 18}, models.MLDSA87: {2, 16, 840, 1, 101, 3, 4, 3, 19},
}

// plainNamed returns the key whose algorithm has an identifier, or "".
func plainNamed(oid stdasn1.ObjectIdentifier) models.KeyAlgorithm {
	for name, known := range wantedPlain {
		if oid.Equal(known) {
			return name
		}
	}
	return ""
}

var wantedCurves = map[models.KeyAlgorithm]stdasn1.ObjectIdentifier{
	models.ECP256: {1, 2, 840, 10045, 3, 1, 7}, models.ECP384: {1, 3, 132, 0, 34}, models.ECP521: {1, 3, 132, 0, 35},
}

var wantedRSA = map[models.KeyAlgorithm]int{models.RSA2048: 2048, models.RSA3072: 3072, models.RSA4096: 4096, models.RSA8192: 8192}

// MarshalCSRAttrs encodes c in DER twice in one: as the unstructured list that
// clients of RFC 7030 understand, which has no subject and only complete
// extensions, and as the template of RFC 9908, which others take instead.
func MarshalCSRAttrs(c CSRAttrs) ([]byte, error) {
	template, err := requestTemplate(c)
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		if c.Empty() {
			return
		}
		if c.ChallengePassword {
			b.AddASN1ObjectIdentifier(oidChallengePassword)
		}
		addKeyAttribute(b, c.Key)
		complete := slices.DeleteFunc(slices.Clone(c.Extensions), func(e ExtensionTemplate) bool { return e.Value == nil })
		if len(complete) > 0 {
			b.AddBytes(csrAttribute(oidExtensionRequest, extensionTemplates(complete)))
		}
		b.AddBytes(csrAttribute(oidRequestTemplate, template))
	})
	return b.Bytes()
}

// csrAttribute encodes an Attribute; without values its set is empty.
func csrAttribute(oid stdasn1.ObjectIdentifier, values ...[]byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(der.SET, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(values...)) })
	})
	encoded, _ := b.Bytes() // the lengths are those of a profile
	return encoded
}

// addKeyAttribute adds the kind of key in the form of RFC 9908 §3.2.
func addKeyAttribute(b *cryptobyte.Builder, key models.KeyAlgorithm) {
	value := cryptobyte.NewBuilder(nil)
	switch {
	case wantedCurves[key] != nil:
		value.AddASN1ObjectIdentifier(wantedCurves[key])
		encoded, _ := value.Bytes()
		b.AddBytes(csrAttribute(oidECPublicKey, encoded))
	case wantedRSA[key] != 0:
		value.AddASN1Int64(int64(wantedRSA[key]))
		encoded, _ := value.Bytes()
		b.AddBytes(csrAttribute(oidRSAEncryption, encoded))
	case wantedPlain[key] != nil:
		b.AddBytes(csrAttribute(wantedPlain[key]))
	}
}

// requestTemplate encodes a CertificationRequestInfoTemplate (RFC 9908 §3.4).
func requestTemplate(c CSRAttrs) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	var failure error
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		if len(c.Subject) > 0 {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, a := range c.Subject {
					if err := addRDNTemplate(b, a); err != nil {
						failure = err
					}
				}
			})
		}
		addKeyTemplate(b, c.Key)
		b.AddASN1(der.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(templateAttributes(c)) })
	})
	if failure != nil {
		return nil, failure
	}
	return b.Bytes()
}

func addRDNTemplate(b *cryptobyte.Builder, a Attribute) error {
	oid, ok := ParseOID(a.OID)
	if !ok {
		return invalid("%q is not an object identifier", a.OID)
	}
	var value []byte
	if a.Value != "" {
		name, err := MarshalAttributes([]Attribute{a})
		if err != nil {
			return err
		}
		in := cryptobyte.String(name)
		var rdns, rdn, pair, element cryptobyte.String
		var tag der.Tag
		if !in.ReadASN1(&rdns, der.SEQUENCE) || !rdns.ReadASN1(&rdn, der.SET) || !rdn.ReadASN1(&pair, der.SEQUENCE) ||
			!pair.SkipASN1(der.OBJECT_IDENTIFIER) || !pair.ReadAnyASN1Element(&element, &tag) {
			return invalid("the attribute %s cannot be encoded", a.OID)
		}
		value = element
	}
	b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddBytes(value)
		})
	})
	return nil
}

// addKeyTemplate adds the kind of key; the size of an RSA key is that of a
// modulus which means nothing else.
func addKeyTemplate(b *cryptobyte.Builder, key models.KeyAlgorithm) {
	if wantedCurves[key] == nil && wantedRSA[key] == 0 && wantedPlain[key] == nil {
		return
	}
	b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			switch {
			case wantedCurves[key] != nil:
				b.AddASN1ObjectIdentifier(oidECPublicKey)
				b.AddASN1ObjectIdentifier(wantedCurves[key])
			case wantedRSA[key] != 0:
				b.AddASN1ObjectIdentifier(oidRSAEncryption)
				b.AddASN1NULL()
			default:
				b.AddASN1ObjectIdentifier(wantedPlain[key])
			}
		})
		if bits := wantedRSA[key]; bits != 0 {
			b.AddASN1BitString(placeholder(bits))
		}
	})
}

func placeholder(bits int) []byte {
	one := big.NewInt(1)
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).Sub(new(big.Int).Lsh(one, uint(bits)), one))
		b.AddASN1Int64(65537)
	})
	encoded, _ := b.Bytes()
	return encoded
}

// templateAttributes encodes the attributes: never both kinds of extension
// request (RFC 9908 §3.4).
func templateAttributes(c CSRAttrs) []byte {
	var set [][]byte
	if c.ChallengePassword {
		set = append(set, csrAttribute(oidChallengePassword))
	}
	if len(c.Extensions) > 0 {
		oid := oidExtensionRequest
		if slices.ContainsFunc(c.Extensions, func(e ExtensionTemplate) bool { return e.Value == nil }) {
			oid = oidExtensionTemplate
		}
		set = append(set, csrAttribute(oid, extensionTemplates(c.Extensions)))
	}
	slices.SortFunc(set, bytes.Compare) // DER, X.690 §11.6
	return slices.Concat(set...)
}

func extensionTemplates(extensions []ExtensionTemplate) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, e := range extensions {
			oid, ok := ParseOID(e.OID)
			if !ok {
				continue // it is one of a profile, which was checked
			}
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oid)
				if e.Critical {
					b.AddASN1Boolean(true)
				}
				if e.Value != nil {
					b.AddASN1OctetString(e.Value)
				}
			})
		}
	})
	encoded, _ := b.Bytes()
	return encoded
}
