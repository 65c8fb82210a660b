// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	encodingasn1 "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// maxBundleParts bounds the elements of a file of certificates.
const maxBundleParts = 1 << 18

// parseBundle is ParseCertsOnly for the files of operators, which may be as
// large as ParseCertificates takes them. It reads the message from its
// beginning to its end once, without the library, and stops at the limit of
// certificates.
func parseBundle(der []byte, limit int) ([]*x509.Certificate, error) {
	if len(der) <= maxCMS {
		return ParseCertsOnly(der)
	}
	if err := strictDER(der, maxBundleParts); err != nil {
		return nil, invalid("the PKCS #7 message is not in DER: %s", err)
	}
	set, err := bundledCertificates(der)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for !set.Empty() {
		if len(certs) == limit {
			return nil, invalid("the PKCS #7 message has more than %d certificates; send them in several files", limit)
		}
		var one cryptobyte.String
		if !set.ReadASN1Element(&one, asn1.SEQUENCE) || len(one) > maxCMS {
			return nil, invalid("the PKCS #7 message has something else than certificates of up to %d KiB in it", maxCMS>>10)
		}
		cert, err := x509.ParseCertificate(one)
		if err != nil {
			return nil, invalid("certificate %d of the PKCS #7 message is malformed", len(certs)+1).Because(err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// bundledCertificates returns the content of the certificates field of a
// degenerate SignedData.
func bundledCertificates(der []byte) (set cryptobyte.String, err error) {
	in := cryptobyte.String(der)
	var info, explicit, data, signers cryptobyte.String
	var kind encodingasn1.ObjectIdentifier
	var version int
	tag := func(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific().Constructed() }
	ok := in.ReadASN1(&info, asn1.SEQUENCE) && info.ReadASN1ObjectIdentifier(&kind) && kind.Equal(oidSignedData) &&
		info.ReadASN1(&explicit, tag(0)) && info.Empty() && explicit.ReadASN1(&data, asn1.SEQUENCE) && explicit.Empty() &&
		data.ReadASN1Integer(&version) && data.SkipASN1(asn1.SET) && data.SkipASN1(asn1.SEQUENCE) &&
		data.ReadOptionalASN1(&set, nil, tag(0)) && data.SkipOptionalASN1(tag(1)) && data.ReadASN1(&signers, asn1.SET) && data.Empty()
	switch {
	case !ok:
		return nil, invalid("the PKCS #7 message is malformed")
	case !signers.Empty() || set.Empty():
		return nil, invalid("the PKCS #7 message must have certificates and no signers")
	}
	return set, nil
}
