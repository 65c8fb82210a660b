// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"strings"
	"unicode/utf8"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki/pfx"
)

// maxKeyFile bounds a file with a private key, maxKeyDER the key in it, in
// octets: RSA-8192 has 5 KiB. maxCredential bounds the certificates beside it.
const (
	maxKeyFile    = 64 << 10
	maxKeyDER     = 8 << 10
	maxCredential = 32
)

// Credential is a private key that came from elsewhere, with its certificate
// and others that came with it.
type Credential struct {
	Key         crypto.Signer
	Algorithm   models.KeyAlgorithm
	Certificate *x509.Certificate
	Others      []*x509.Certificate // in their order
}

// ParsePKCS12 reads a PKCS #12 file with one private key and its certificate.
// Its bounds and errors are those of package pfx; a weak key, several keys and
// a key without its certificate are KindInvalid as well.
func ParsePKCS12(file []byte, password string) (*Credential, error) {
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	contents, err := pfx.Decode(file, password, true)
	if err != nil {
		return nil, err
	}
	if len(contents.Keys) != 1 {
		return nil, invalid("the PKCS #12 file holds %d private keys instead of one", len(contents.Keys))
	}
	certificates, err := parseAll(contents.Certificates, maxCredential)
	if err != nil {
		return nil, err
	}
	key, err := usableKey(contents.Keys[0])
	if err != nil {
		return nil, err
	}
	return NewCredential(key, certificates)
}

// PKCS12Certificates returns the certificates of a PKCS #12 file, 1 to limit of
// them. Private keys in it stay encrypted.
func PKCS12Certificates(file []byte, password string, limit int) ([]*x509.Certificate, error) {
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	contents, err := pfx.Decode(file, password, false)
	if err != nil {
		return nil, err
	}
	if len(contents.Certificates) == 0 {
		return nil, invalid("the PKCS #12 file holds no certificate")
	}
	return parseAll(contents.Certificates, limit)
}

// IsPKCS12 reports whether data begins as a PKCS #12 file does: a SEQUENCE, in
// DER or BER, whose first element is the version 3. No certificate, CMS message
// or key begins so.
func IsPKCS12(data []byte) bool {
	if len(data) < 8 || data[0] != tagSequence {
		return false
	}
	header := 2
	if data[1] > 0x80 {
		header += int(data[1] & 0x7f)
	}
	return header+3 <= len(data) && bytes.Equal(data[header:header+3], []byte{tagInteger, 1, 3})
}

func parseAll(ders [][]byte, limit int) ([]*x509.Certificate, error) {
	if len(ders) > limit {
		return nil, invalid("there are %d certificates; at most %d are permitted", len(ders), limit)
	}
	certificates := make([]*x509.Certificate, 0, len(ders))
	for i, der := range ders {
		certificate, err := x509.ParseCertificate(der)
		if err != nil || len(der) > maxCMS {
			return nil, invalid("certificate %d of %d is malformed", i+1, len(ders)).Because(err)
		}
		certificates = append(certificates, certificate)
	}
	return certificates, nil
}

// ParsePrivateKey reads one private key: PKCS #8 (RFC 5958), also encrypted,
// PKCS #1 (RFC 8017) or SEC 1 (RFC 5915), in PEM or DER. It is KindInvalid for
// anything else, for a weak key, and for a wrong or missing password.
func ParsePrivateKey(data []byte, password string) (crypto.Signer, error) {
	if len(data) > maxKeyFile {
		return nil, invalid("the private key is larger than %d KiB", maxKeyFile>>10)
	}
	kind, der := "", data
	for rest := data; bytes.Contains(rest, []byte("-----BEGIN ")); {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, invalid("the PEM of the private key is malformed")
		}
		if block.Type == "EC PARAMETERS" || block.Type == "CERTIFICATE" {
			continue
		}
		if kind != "" {
			return nil, invalid("the file has more than one private key in it")
		}
		if block.Headers["Proc-Type"] != "" {
			return nil, invalid("the private key is encrypted in a way of the nineties; convert it: openssl pkcs8 -topk8 -in OLD.pem -out NEW.pem")
		}
		kind, der = block.Type, block.Bytes
	}
	key, err := parseKeyDER(kind, der, password)
	if err != nil {
		return nil, err
	}
	return usableKey(key)
}

// parseKeyDER reads a key of the given PEM type, or of any if that is empty.
// The reasons of the parsers may quote the key: they are left out.
func parseKeyDER(kind string, der []byte, password string) (crypto.PrivateKey, error) {
	if len(der) == 0 || der[0] != tagSequence {
		return nil, invalid("there is no private key; send PKCS #8, PKCS #1 or SEC 1, in PEM or DER")
	}
	if len(der) > maxKeyDER {
		return nil, invalid("the private key is larger than any that is supported; %s", keyChoices)
	}
	if kind == "" || kind == "PRIVATE KEY" {
		if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
			return key, nil
		}
	}
	if kind == "" || kind == "RSA PRIVATE KEY" {
		if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
			return key, nil
		}
	}
	if kind == "" || kind == "EC PRIVATE KEY" {
		if key, err := x509.ParseECPrivateKey(der); err == nil {
			return key, nil
		}
	}
	if kind == "ENCRYPTED PRIVATE KEY" || kind == "" && looksEncrypted(der) {
		if password == "" {
			return nil, invalid("the private key is encrypted; send its password")
		}
		return pfx.DecodeKey(der, password)
	}
	if expandedMLDSA(der) {
		return nil, invalid("the ML-DSA key is in the expanded form; send the seed alone: openssl pkey -in OLD.pem -provparam ml-dsa.output_formats=seed-only -out NEW.pem")
	}
	return nil, invalid("the private key is damaged, or of a kind that is not supported; %s", keyChoices)
}

// expandedMLDSA reports whether a PKCS #8 key is of ML-DSA and not its seed
// alone (RFC 9881 §6), as OpenSSL writes it unless it is told otherwise.
func expandedMLDSA(der []byte) bool {
	var key struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
	}
	_, err := asn1.Unmarshal(der, &key)
	number, isMLDSA := strings.CutPrefix(key.Algorithm.Algorithm.String(), "2.16.840.1.101.3.4.3.")
	isMLDSA = isMLDSA && slices.Contains([]string{"17", "18", "19"}, number)
	return err == nil && isMLDSA && len(key.PrivateKey) > 0 && key.PrivateKey[0] != 0x80
}

// looksEncrypted tells an EncryptedPrivateKeyInfo, which begins with an
// AlgorithmIdentifier, from the other forms, which begin with a version.
func looksEncrypted(der []byte) bool {
	_, body, _, err := readElement(der)
	return err == nil && len(body) > 0 && body[0] == tagSequence
}

// usableKey refuses keys that no certificate may be issued for.
func usableKey(key crypto.PrivateKey) (crypto.Signer, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, invalid("a private key of type %T does not sign; %s", key, keyChoices)
	}
	if err := CheckPublicKey(signer.Public()); err != nil {
		return nil, err
	}
	if k, ok := key.(*rsa.PrivateKey); ok && len(k.Primes) != 2 {
		return nil, invalid("the RSA key has %d primes instead of two, which nothing else supports", len(k.Primes))
	}
	return signer, nil
}

// NewCredential finds the certificate of a key among others, and proves by a
// signature that they belong together. It is KindInvalid if there is none.
func NewCredential(key crypto.Signer, certificates []*x509.Certificate) (*Credential, error) {
	if len(certificates) == 0 {
		return nil, invalid("there is no certificate for the private key")
	}
	own := slices.IndexFunc(certificates, func(c *x509.Certificate) bool { return samePublicKey(key.Public(), c.PublicKey) })
	if own < 0 {
		return nil, invalid("the private key does not belong to the certificate of %q", certificates[0].Subject.String())
	}
	c := &Credential{Key: key, Certificate: certificates[own]}
	c.Others = append(c.Others, certificates[:own]...)
	c.Others = append(c.Others, certificates[own+1:]...)
	var err error
	if c.Algorithm, err = KeyAlgorithmOf(key.Public()); err != nil {
		return nil, err
	}
	return c, ProveKey(key, c.Certificate)
}

// ProveKey signs something without meaning with a key, wherever that is, and
// verifies it with the certificate. It is KindInvalid if they do not belong
// together; errors of the signer keep their kind.
func ProveKey(signer crypto.Signer, certificate *x509.Certificate) error {
	algorithm, err := signatureAlgorithmOf(certificate.PublicKey)
	if err != nil {
		return err
	}
	proof := make([]byte, 64)
	_, _ = rand.Read(proof) // it never fails: the program is ended instead
	proof = append([]byte("trustloom proof of possession\x00"), proof...)
	signature, err := algorithm.sign(proof, signer)
	if err != nil {
		return err
	}
	if err := certificate.CheckSignature(algorithm.standard, proof, signature); err != nil {
		return invalid("the private key does not belong to the certificate of %q", certificate.Subject.String()).Because(err)
	}
	return nil
}

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
