// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// markCritical returns the fields of a TBSCertificate from the issuer on (RFC
// 5280 §4.1), with the extensions as critical as wanted asks for. The values
// of wanted are not looked at, and neither are extensions of it that the
// certificate does not have. Those of fixed stay as they are.
func markCritical(fields cryptobyte.String, wanted, fixed []pkix.Extension) ([]byte, error) {
	rest := fields
	var issuer, validity, subject, key, extensions cryptobyte.String
	ok := rest.ReadASN1(&issuer, der.SEQUENCE) && rest.ReadASN1(&validity, der.SEQUENCE) &&
		rest.ReadASN1(&subject, der.SEQUENCE) && rest.ReadASN1(&key, der.SEQUENCE)
	before := fields[:len(fields)-len(rest)]
	ok = ok && rest.ReadASN1(&extensions, der.Tag(3).ContextSpecific().Constructed()) && rest.Empty() &&
		extensions.ReadASN1(&extensions, der.SEQUENCE)
	var b cryptobyte.Builder
	b.AddBytes(before)
	b.AddASN1(der.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			for ok && !extensions.Empty() {
				var e pkix.Extension
				if e, ok = readExtension(&extensions); ok {
					addExtension(b, e, criticality(e, wanted, fixed, subject.Empty()))
				}
			}
		})
	})
	marked, err := b.Bytes()
	if !ok || err != nil {
		return nil, fault("the extensions of the encoded certificate cannot be read back").Because(err)
	}
	return marked, nil
}

func readExtension(in *cryptobyte.String) (e pkix.Extension, ok bool) {
	var fields cryptobyte.String
	var oid asn1.ObjectIdentifier
	ok = in.ReadASN1(&fields, der.SEQUENCE) && fields.ReadASN1ObjectIdentifier(&oid) &&
		(!fields.PeekASN1Tag(der.BOOLEAN) || fields.ReadASN1Boolean(&e.Critical)) &&
		fields.ReadASN1Bytes(&e.Value, der.OCTET_STRING) && fields.Empty()
	e.Id = oid
	return e, ok
}

func addExtension(b *cryptobyte.Builder, e pkix.Extension, critical bool) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(e.Id)
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1OctetString(e.Value)
	})
}

func criticality(e pkix.Extension, wanted, fixed []pkix.Extension, subjectIsEmpty bool) bool {
	same := func(other pkix.Extension) bool { return other.Id.Equal(e.Id) }
	i := slices.IndexFunc(wanted, same)
	if i < 0 || slices.ContainsFunc(fixed, same) {
		return e.Critical
	}
	return wanted[i].Critical || mustBeCritical(e.Id, subjectIsEmpty)
}

// mustBeCritical reports whether the extension alone says whose certificate
// it is (RFC 5280 §4.2.1.6).
func mustBeCritical(oid asn1.ObjectIdentifier, subjectIsEmpty bool) bool {
	return subjectIsEmpty && oid.Equal(oidSubjectAltName)
}
