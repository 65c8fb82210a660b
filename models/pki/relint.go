// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto/x509"
)

// Lint runs the lints that BuildTBS runs over a finished certificate (DER). It
// is KindDenied, with the names of the lints that report an error, for one
// that would not be issued today.
func (b *Builder) Lint(certificate []byte) error {
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return denied("the certificate is malformed").Because(err)
	}
	lints, _ := b.setup()
	return lints.run(certificate, bytes.Equal(parsed.RawSubject, parsed.RawIssuer) && parsed.CheckSignatureFrom(parsed) == nil)
}
