// SPDX-License-Identifier: MIT

// Package pfx reads what strangers encrypted under a password: PKCS #12 files
// (RFC 7292; PBMAC1 of RFC 9579) and encrypted PKCS #8 keys (RFC 5958), with
// the algorithms of PKCS #5 (RFC 8018) and of PKCS #12 appendix B. It reads
// what OpenSSL, GnuTLS, NSS, Java and Windows write, in BER as well.
//
// Both formats let their author say how much work it is to find the key, and
// nest what is encrypted. So everything is bounded before it is done: octets,
// depth, elements, bags, and the iterations of every single key derivation,
// also of those that show only once the layer around them is decrypted.
//
// The package is pure, and it must not know certificates beyond their DER:
// what a key or a certificate is good for is decided in package pki.
package pfx

import (
	"crypto"
	"crypto/hmac"
	"crypto/x509"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// The bounds of a file. A chain of four RSA-8192 certificates with its key has
// 20 KiB.
const (
	MaxFile  = 512 << 10
	maxKey   = 8 << 10 // octets of one private key; RSA-8192 has 5 KiB
	maxSafes = 32
	maxBags  = 512
)

// Contents are what a PKCS #12 file holds, in its order. Certificates are DER
// and not looked at. Whoever takes the keys has to check them.
type Contents struct {
	Keys         []crypto.PrivateKey
	Certificates [][]byte
}

var (
	errMalformed = errors.New("it is malformed")
	errPassword  = errors.New("the password is wrong, or the file was changed")
	errNoMAC     = errors.New("it has no MAC, so that nobody can tell whether it was changed; write it anew with a password, for example by openssl pkcs12 -export")
)

// Decode reads a PKCS #12 file. Without keys, private keys are skipped and
// stay encrypted. It is KindInvalid, saying what to do, for a wrong password,
// for a file without MAC, for one that asks for more than 1,000,000 iterations
// of a key derivation (before they are done; OpenSSL writes 2,048, GnuTLS and
// NSS 600,000), and for anything that is not such a file.
func Decode(file []byte, password string, keys bool) (*Contents, error) {
	if len(file) > MaxFile {
		return nil, models.Errorf(models.KindInvalid, "the PKCS #12 file is larger than %d KiB", MaxFile>>10)
	}
	d := decoder{secret: newSecret(password), left: maxWork, keys: keys}
	if err := d.file(file); err != nil {
		return nil, models.Errorf(models.KindInvalid, "the PKCS #12 file cannot be used: %s", err)
	}
	return &d.contents, nil
}

// DecodeKey reads an EncryptedPrivateKeyInfo in DER. It is KindInvalid as
// Decode is; a wrong password and a damaged key cannot be told apart.
func DecodeKey(der []byte, password string) (crypto.PrivateKey, error) {
	d := decoder{secret: newSecret(password), left: maxWork}
	if len(der) > maxKey {
		return nil, models.Errorf(models.KindInvalid, "the private key is larger than %d KiB", maxKey>>10)
	}
	key, err := d.encryptedKey(der)
	if err != nil {
		return nil, models.Errorf(models.KindInvalid, "the encrypted private key cannot be used: %s", err)
	}
	return key, nil
}

// decoder is one reading of one file.
type decoder struct {
	secret   secret
	left     int // of the work that key derivations may cause together
	keys     bool
	bags     int
	contents Contents
}

// file reads a PFX: version 3, an AuthenticatedSafe in Data, a MAC over it.
func (d *decoder) file(file []byte) error {
	if len(file) > 0 && file[0] != byte(asn1.SEQUENCE) {
		return errors.New("it is not a PKCS #12 file")
	}
	der, err := normalise(file)
	if err != nil {
		return err
	}
	in := cryptobyte.String(der)
	var fields, safe, mac cryptobyte.String
	var version int
	if !in.ReadASN1(&fields, asn1.SEQUENCE) || !in.Empty() || !fields.ReadASN1Integer(&version) || version != 3 {
		return errors.New("it is not a PKCS #12 file of version 3")
	}
	if !fields.ReadASN1(&safe, asn1.SEQUENCE) {
		return errMalformed
	}
	if fields.Empty() {
		return errNoMAC
	}
	if !fields.ReadASN1(&mac, asn1.SEQUENCE) || !fields.Empty() {
		return errMalformed
	}
	kind, content, err := contentInfo(safe)
	if err != nil {
		return err
	}
	if !kind.Equal(oidData) {
		return errors.New("it is protected by a signature instead of a password, which is not supported")
	}
	octets, err := octetString(content)
	if err != nil {
		return err
	}
	if err := d.verify(mac, octets); err != nil {
		return err
	}
	return d.authenticatedSafe(octets)
}

// verify checks the MAC (RFC 7292 §4, RFC 9579) and thereby the password.
func (d *decoder) verify(mac cryptobyte.String, message []byte) error {
	var info, algorithm cryptobyte.String
	var digest, salt []byte
	ok := mac.ReadASN1(&info, asn1.SEQUENCE) && info.ReadASN1(&algorithm, asn1.SEQUENCE) &&
		info.ReadASN1Bytes(&digest, asn1.OCTET_STRING) && info.Empty() && mac.ReadASN1Bytes(&salt, asn1.OCTET_STRING)
	iterations := 1
	if ok && !mac.Empty() {
		var err error
		if iterations, err = readCount(&mac); err != nil {
			return err
		}
	}
	if !ok || !mac.Empty() {
		return errMalformed
	}
	// An empty password is written as two zero octets, or as none at all.
	for _, secret := range d.secret.variants() {
		expected, err := d.mac(secret, algorithm, salt, iterations, message)
		if err != nil {
			return err
		}
		if hmac.Equal(digest, expected) {
			d.secret = secret
			return nil
		}
	}
	return errPassword
}

// contentInfo splits the fields of a ContentInfo (RFC 5652 §3).
func contentInfo(fields cryptobyte.String) (kind oid, content cryptobyte.String, err error) {
	if !fields.ReadASN1ObjectIdentifier(&kind) || !fields.ReadASN1(&content, explicit0) || !fields.Empty() {
		return nil, nil, errMalformed
	}
	return kind, content, nil
}

// octetString reads the one OCTET STRING of in.
func octetString(in cryptobyte.String) ([]byte, error) {
	var octets []byte
	if !in.ReadASN1Bytes(&octets, asn1.OCTET_STRING) || !in.Empty() {
		return nil, errMalformed
	}
	return octets, nil
}

// authenticatedSafe reads the SafeContents of a file, in the clear or
// encrypted under the password.
func (d *decoder) authenticatedSafe(octets []byte) error {
	safes, err := sequence(octets)
	if err != nil {
		return err
	}
	for count := 1; !safes.Empty(); count++ {
		var fields cryptobyte.String
		if !safes.ReadASN1(&fields, asn1.SEQUENCE) || count > maxSafes {
			return errMalformed
		}
		kind, content, err := contentInfo(fields)
		if err != nil {
			return err
		}
		var contents []byte
		switch {
		case kind.Equal(oidData):
			contents, err = octetString(content)
		case kind.Equal(oidEncryptedData):
			contents, err = d.encryptedData(content)
		default:
			err = errors.New("it is encrypted for a certificate instead of under a password, which is not supported")
		}
		if err != nil {
			return err
		}
		if err := d.safeContents(contents); err != nil {
			return err
		}
	}
	return nil
}

// sequence reads the one SEQUENCE that octets are in BER.
func sequence(octets []byte) (cryptobyte.String, error) {
	der, err := normalise(octets)
	if err != nil {
		return nil, err
	}
	in := cryptobyte.String(der)
	var fields cryptobyte.String
	if !in.ReadASN1(&fields, asn1.SEQUENCE) || !in.Empty() {
		return nil, errMalformed
	}
	return fields, nil
}

// encryptedData decrypts an EncryptedData (RFC 5652 §8).
func (d *decoder) encryptedData(content cryptobyte.String) ([]byte, error) {
	var fields, info, algorithm, encrypted cryptobyte.String
	var version int
	var kind oid
	var tag asn1.Tag
	ok := content.ReadASN1(&fields, asn1.SEQUENCE) && fields.ReadASN1Integer(&version) &&
		fields.ReadASN1(&info, asn1.SEQUENCE) && info.ReadASN1ObjectIdentifier(&kind) && kind.Equal(oidData) &&
		info.ReadASN1(&algorithm, asn1.SEQUENCE) && info.ReadAnyASN1(&encrypted, &tag) && info.Empty()
	if !ok {
		return nil, errMalformed
	}
	octets := []byte(encrypted)
	switch tag {
	case implicit0:
	case explicit0: // in BER, the parts of an implicitly tagged OCTET STRING
		octets = nil
		for !encrypted.Empty() {
			var part []byte
			if !encrypted.ReadASN1Bytes(&part, asn1.OCTET_STRING) {
				return nil, errMalformed
			}
			octets = append(octets, part...)
		}
	default:
		return nil, errMalformed
	}
	return d.decrypt(algorithm, octets)
}

// safeContents reads the bags of one SafeContents. CRLs and secrets are
// skipped.
func (d *decoder) safeContents(octets []byte) error {
	bags, err := sequence(octets)
	if err != nil {
		return err
	}
	for !bags.Empty() {
		var bag, value cryptobyte.String
		var kind oid
		if !bags.ReadASN1(&bag, asn1.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&kind) || !bag.ReadASN1(&value, explicit0) {
			return errMalformed
		}
		if d.bags++; d.bags > maxBags {
			return errors.New("it holds more keys and certificates than we accept")
		}
		if err := d.bag(kind, value); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) bag(kind oid, value cryptobyte.String) error {
	switch {
	case kind.Equal(oidCertBag):
		return d.certificate(value)
	case kind.Equal(oidSafeBag):
		return errors.New("it has bags within bags; write it anew without them")
	case kind.Equal(oidKeyBag), kind.Equal(oidShroudedKeyBag):
		if !d.keys {
			return nil
		}
		read := d.encryptedKey
		if kind.Equal(oidKeyBag) {
			read = parseKey
		}
		key, err := read(value)
		if err == nil {
			d.contents.Keys = append(d.contents.Keys, key)
		}
		return err
	}
	return nil
}

func (d *decoder) certificate(value cryptobyte.String) error {
	var bag, inner cryptobyte.String
	var kind oid
	var der []byte
	if !value.ReadASN1(&bag, asn1.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&kind) || !bag.ReadASN1(&inner, explicit0) || !bag.Empty() {
		return errMalformed
	}
	if !kind.Equal(oidX509) {
		return nil // an SDSI certificate
	}
	if !inner.ReadASN1Bytes(&der, asn1.OCTET_STRING) || !inner.Empty() {
		return errMalformed
	}
	d.contents.Certificates = append(d.contents.Certificates, der)
	return nil
}

// encryptedKey reads an EncryptedPrivateKeyInfo (RFC 5958 §3).
func (d *decoder) encryptedKey(der []byte) (crypto.PrivateKey, error) {
	in := cryptobyte.String(der)
	var fields, algorithm cryptobyte.String
	var encrypted []byte
	if !in.ReadASN1(&fields, asn1.SEQUENCE) || !in.Empty() || !fields.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!fields.ReadASN1Bytes(&encrypted, asn1.OCTET_STRING) || !fields.Empty() {
		return nil, errMalformed
	}
	plain, err := d.decrypt(algorithm, encrypted)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return parseKey(plain)
}

// parseKey reads a PrivateKeyInfo. The reasons of the standard library may
// quote the key: they are left out.
func parseKey(der []byte) (crypto.PrivateKey, error) {
	if len(der) > maxKey {
		return nil, errors.New("a private key in it is larger than any that is supported")
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("its private key is damaged, or of a kind that is not supported")
	}
	return key, nil
}
