// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	"encoding/pem"
)

// Format names a way to write certificates into a file.
type Format string

// The formats. FormatDER holds one certificate; the PKCS #7 ones are
// certs-only messages (RFC 5652 §5.1), in PEM (RFC 7468 §9) or DER.
const (
	FormatPEM      Format = "pem"
	FormatDER      Format = "der"
	FormatPKCS7    Format = "pkcs7"
	FormatPKCS7DER Format = "pkcs7-der"
)

// Formats lists the formats, in the order of the help texts.
var Formats = []Format{FormatPEM, FormatDER, FormatPKCS7, FormatPKCS7DER}

// File is content that is handed out, with what it is and a name for it.
type File struct {
	MediaType string
	Extension string // with its dot
	Content   []byte
}

// EncodeCertificates writes certificates in a format, the empty one being PEM.
// It is KindInvalid for an unknown format, and for several certificates where
// the format holds one.
func EncodeCertificates(format Format, certs ...*x509.Certificate) (*File, error) {
	switch format {
	case "", FormatPEM:
		return &File{"application/x-pem-file", ".pem", EncodePEM(certs...)}, nil
	case FormatDER:
		if len(certs) != 1 {
			return nil, invalid("there are %d certificates, and a file in DER holds one: ask for the format %s or %s", len(certs), FormatPEM, FormatPKCS7)
		}
		return &File{"application/pkix-cert", ".cer", certs[0].Raw}, nil
	case FormatPKCS7, FormatPKCS7DER:
		message, err := CertsOnly(certs...)
		if err != nil {
			return nil, err
		}
		if format == FormatPKCS7DER {
			return &File{"application/pkcs7-mime", ".p7c", message}, nil
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message})
		return &File{"application/x-pem-file", ".p7b", text}, nil
	}
	return nil, invalid("format %q is not one of %s, %s, %s, %s", string(format), FormatPEM, FormatDER, FormatPKCS7, FormatPKCS7DER)
}
