// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
)

// encode returns the certificate as crypto/x509 writes it, signed by signer,
// with the criticality that wanted asks for. The values of wanted are not
// looked at: extensions are written from the fields of the template only.
func encode(template, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer, wanted []pkix.Extension) ([]byte, error) {
	usual, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil || len(wanted) == 0 {
		return usual, err
	}
	parsed, err := x509.ParseCertificate(usual)
	if err != nil {
		return nil, err
	}
	changed := *template
	changed.ExtraExtensions = slices.Clone(template.ExtraExtensions)
	for _, w := range wanted {
		i := slices.IndexFunc(parsed.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(w.Id) })
		if i < 0 || slices.ContainsFunc(changed.ExtraExtensions, func(e pkix.Extension) bool { return e.Id.Equal(w.Id) }) {
			continue
		}
		extension := parsed.Extensions[i]
		extension.Critical = w.Critical || mustBeCritical(w.Id, len(parsed.Subject.Names) == 0)
		changed.ExtraExtensions = append(changed.ExtraExtensions, extension)
	}
	return x509.CreateCertificate(rand.Reader, &changed, parent, pub, signer)
}

// mustBeCritical reports whether the extension alone says whose certificate
// it is (RFC 5280 §4.2.1.6).
func mustBeCritical(oid asn1.ObjectIdentifier, subjectIsEmpty bool) bool {
	return subjectIsEmpty && oid.Equal(oidSubjectAltName)
}
