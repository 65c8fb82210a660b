// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/x509"
	"unicode/utf8"

	"software.sslmate.com/src/go-pkcs12"
)

// The encryption of the PKCS #12 files that we make. Windows refuses more than
// 600,000 iterations, and small devices take seconds for that many.
const (
	encodeIterations = 100_000
	minPassword      = 8 // characters
	maxPassword      = 1024
)

// EncodePKCS12 returns a PKCS #12 file (RFC 7292) in DER with a private key,
// its certificate and the certificates above it, encrypted under a password:
// AES-256-CBC with PBKDF2-HMAC-SHA-256, integrity by HMAC-SHA-256, 100,000
// iterations each. OpenSSL 1.1.1, GnuTLS, NSS, Java 12, Windows Server 2019 and
// later read it.
//
// key is an *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey. It is
// KindInvalid for a key that is not the certificate's, and for a password of
// fewer than 8 characters or with characters outside of the Basic Multilingual
// Plane, which the format cannot hold. Each call takes a tenth of a second.
func EncodePKCS12(key crypto.PrivateKey, cert *x509.Certificate, chain []*x509.Certificate, password string) ([]byte, error) {
	if utf8.RuneCountInString(password) < minPassword {
		return nil, invalid("the password of the PKCS #12 file has fewer than %d characters", minPassword)
	}
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, invalid("a key of type %T cannot be put into a PKCS #12 file", key)
	}
	if !samePublicKey(signer.Public(), cert.PublicKey) {
		return nil, invalid("the private key does not belong to the certificate")
	}
	file, err := pkcs12.Modern2023.WithIterations(encodeIterations).Encode(key, cert, chain, password)
	if err != nil {
		return nil, fault("encode the PKCS #12 file").Because(err)
	}
	return file, nil
}

// checkPassword refuses what cannot be the password of a PKCS #12 file: its
// BMPString (RFC 7292 appendix B.1) has two octets for each character.
func checkPassword(password string) error {
	if len(password) > maxPassword || !utf8.ValidString(password) {
		return invalid("the password is longer than %d octets, or not in UTF-8", maxPassword)
	}
	for _, r := range password {
		if r > 0xffff {
			return invalid("the password has a character that PKCS #12 cannot hold (outside of the Basic Multilingual Plane, such as an emoji)")
		}
	}
	return nil
}

// samePublicKey reports whether two public keys are the same.
func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
