// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"

	"github.com/smallstep/pkcs7"
)

// The bounds of a CMS message, and of a single certificate. The library reads
// its input recursively and with quadratic effort.
const (
	maxCMS         = 64 << 10
	maxCMSElements = 16384
)

// CertsOnly returns a degenerate SignedData in DER: certificates, no content
// and no signers (RFC 5652 §5.1, RFC 7030 §4.1.3). The order is kept.
func CertsOnly(certs ...*x509.Certificate) ([]byte, error) {
	if len(certs) == 0 {
		return nil, fault("a certs-only message needs a certificate")
	}
	var raw []byte
	for _, cert := range certs {
		raw = append(raw, cert.Raw...)
	}
	message, err := pkcs7.DegenerateCertificate(raw)
	if err != nil {
		return nil, fault("encode the certs-only message").Because(err)
	}
	return message, nil
}

// ParseCertsOnly returns the certificates of a degenerate SignedData, in their
// order. It is KindInvalid for more than 64 KiB, for BER, and for messages
// with signers or without certificates.
func ParseCertsOnly(der []byte) ([]*x509.Certificate, error) {
	if len(der) > maxCMS {
		return nil, invalid("the PKCS #7 message is larger than %d KiB", maxCMS>>10)
	}
	if err := strictDER(der, maxCMSElements); err != nil {
		return nil, invalid("the PKCS #7 message is not in DER: %s", err)
	}
	message, err := pkcs7.Parse(der)
	if err != nil {
		return nil, invalid("the PKCS #7 message is malformed").Because(err)
	}
	if len(message.Signers) > 0 || len(message.Certificates) == 0 {
		return nil, invalid("the PKCS #7 message must have certificates and no signers")
	}
	return message.Certificates, nil
}
