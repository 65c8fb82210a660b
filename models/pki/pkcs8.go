// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"

	"github.com/trustloom/trustloom/models"
)

// GenerateKey makes a private key in memory, for a device that cannot make its
// own: an *ecdsa.PrivateKey, *rsa.PrivateKey or ed25519.PrivateKey. It is
// KindInvalid, naming the choices, for algorithms that are not in
// models.DeliveryKeys. RSA takes up to seconds.
func GenerateKey(algorithm models.KeyAlgorithm) (key crypto.Signer, err error) {
	switch algorithm {
	case models.ECP256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case models.ECP384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case models.ECP521:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case models.RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case models.RSA3072:
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case models.RSA4096:
		key, err = rsa.GenerateKey(rand.Reader, 4096)
	case models.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, invalid("keys of the algorithm %q are not made for devices; choose one of %v", algorithm, models.DeliveryKeys)
	}
	if err != nil {
		return nil, fault("make a key").Because(err)
	}
	return key, nil
}

// The parts of an encrypted private key (RFC 5958 §3, RFC 8018 §6.2).
type (
	encryptedPrivateKeyInfo struct {
		Algorithm pbes2Algorithm
		Data      []byte
	}
	pbes2Algorithm struct {
		OID    asn1.ObjectIdentifier
		Params pbes2Params
	}
	pbes2Params struct {
		KeyDerivation pbkdf2Algorithm
		Encryption    cipherAlgorithm
	}
	pbkdf2Algorithm struct {
		OID    asn1.ObjectIdentifier
		Params pbkdf2Params
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		PRF        prfAlgorithm
	}
	prfAlgorithm struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue
	}
	cipherAlgorithm struct {
		OID asn1.ObjectIdentifier
		IV  []byte
	}
)

var (
	oidPBES2          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// EncryptPKCS8 returns a private key as an EncryptedPrivateKeyInfo in PEM (RFC
// 5958 §3, RFC 7468 §11): PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA-256,
// 100,000 iterations. OpenSSL, GnuTLS and Java read it. Each call takes a
// tenth of a second.
func EncryptPKCS8(key crypto.PrivateKey, password string) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, invalid("a key of type %T cannot be encoded", key).Because(err)
	}
	defer func() { clear(plain) }()
	salt, iv := make([]byte, 16), make([]byte, aes.BlockSize)
	rand.Read(salt)
	rand.Read(iv)
	secret, err := pbkdf2.Key(sha256.New, password, salt, encodeIterations, 32)
	if err != nil {
		return nil, fault("derive a key").Because(err)
	}
	data, err := encryptCBC(secret, iv, plain)
	if err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(encryptedPrivateKeyInfo{
		Algorithm: pbes2Algorithm{OID: oidPBES2, Params: pbes2Params{
			KeyDerivation: pbkdf2Algorithm{OID: oidPBKDF2, Params: pbkdf2Params{
				Salt: salt, Iterations: encodeIterations, PRF: prfAlgorithm{OID: oidHMACWithSHA256, Params: asn1.NullRawValue},
			}},
			Encryption: cipherAlgorithm{OID: oidAES256CBC, IV: iv},
		}},
		Data: data,
	})
	if err != nil {
		return nil, fault("encode the encrypted key").Because(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), nil
}

// encryptCBC encrypts with AES in CBC mode and the padding of RFC 5652 §6.3.
func encryptCBC(secret, iv, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fault("set up AES").Because(err)
	}
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	data := make([]byte, len(plain), len(plain)+padding)
	copy(data, plain)
	for range padding {
		data = append(data, byte(padding))
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	return data, nil
}
