// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
)

// maxFile bounds the octets that ParseCertificates looks at.
const maxFile = 4 << 20

// EncodePEM returns the certificates as PEM (RFC 7468 §5), in their order.
func EncodePEM(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, cert := range certs {
		// Writing to a buffer does not fail, and there are no headers.
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return out.Bytes()
}

// ParseCertificates parses what people call a certificate file: one or more
// PEM certificates, one certificate in DER, or a PKCS #7 "certs-only" message
// in PEM or DER. It returns 1 to limit certificates in their order, and
// KindInvalid for anything else; a private key in the file is refused by name.
func ParseCertificates(data []byte, limit int) ([]*x509.Certificate, error) {
	if len(data) > maxFile {
		return nil, invalid("the certificates are larger than %d MiB", maxFile>>20)
	}
	var certs []*x509.Certificate
	var err error
	switch {
	case len(data) > 0 && data[0] == tagSequence:
		certs, err = parseDER(data, limit)
	default:
		certs, err = parsePEM(data, limit)
	}
	if err != nil {
		return nil, err
	}
	if len(certs) > limit {
		return nil, invalid("there are %d certificates; at most %d are permitted", len(certs), limit)
	}
	return certs, nil
}

// parseDER tells a certificate from a CMS message: a Certificate begins with
// another SEQUENCE, a ContentInfo with an OBJECT IDENTIFIER.
func parseDER(data []byte, limit int) ([]*x509.Certificate, error) {
	if _, body, _, err := readElement(data); err == nil && len(body) > 0 && body[0] == tagOID {
		return parseBundle(data, limit)
	}
	if len(data) > maxCMS {
		return nil, invalid("the certificate is larger than %d KiB", maxCMS>>10)
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, invalid("the certificate is malformed").Because(err)
	}
	return []*x509.Certificate{cert}, nil
}

func parsePEM(data []byte, limit int) ([]*x509.Certificate, error) {
	blocks := bytes.Count(data, []byte("-----BEGIN "))
	if blocks == 0 {
		return nil, invalid("there is no certificate; send PEM, DER or a PKCS #7 certs-only message")
	}
	if blocks > limit {
		return nil, invalid("there are %d PEM blocks; at most %d are permitted", blocks, limit)
	}
	var certs []*x509.Certificate
	for range blocks {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, invalid("a PEM block is malformed")
		}
		parsed, err := parseBlock(block, limit)
		if err != nil {
			return nil, err
		}
		certs = append(certs, parsed...)
	}
	return certs, nil
}

func parseBlock(block *pem.Block, limit int) ([]*x509.Certificate, error) {
	switch {
	case block.Type == "CERTIFICATE" || block.Type == "X509 CERTIFICATE":
		if len(block.Bytes) == 0 || block.Bytes[0] != tagSequence {
			return nil, invalid("a PEM block has no certificate in it")
		}
		return parseDER(block.Bytes, limit)
	case block.Type == "PKCS7" || block.Type == "CMS":
		return parseBundle(block.Bytes, limit)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, invalid("the file has a private key in it; send certificates only, and treat that key as disclosed")
	default:
		return nil, invalid("a PEM block is a %q, not a CERTIFICATE", block.Type)
	}
}
