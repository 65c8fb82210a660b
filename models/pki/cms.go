// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"

	"github.com/smallstep/pkcs7"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
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
	size := 0
	for _, cert := range certs {
		size += len(cert.Raw)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, size+certsOnlyFrame))
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(pkcs7.OIDSignedData)
		b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { addDegenerate(b, certs) })
		})
	})
	message, err := b.Bytes()
	if err != nil {
		return nil, fault("encode the certs-only message").Because(err)
	}
	return message, nil
}

// certsOnlyFrame is room for what is around the certificates.
const certsOnlyFrame = 64

// addDegenerate adds the contents of a SignedData with nothing but
// certificates, as pkcs7.DegenerateCertificate does by reflection.
func addDegenerate(b *cryptobyte.Builder, certs []*x509.Certificate) {
	b.AddASN1Int64(1)
	b.AddASN1(der.SET, func(*cryptobyte.Builder) {})
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(pkcs7.OIDData) })
	b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		for _, cert := range certs {
			b.AddBytes(cert.Raw)
		}
	})
	b.AddASN1(der.Tag(1).ContextSpecific().Constructed(), func(*cryptobyte.Builder) {})
	b.AddASN1(der.SET, func(*cryptobyte.Builder) {})
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
