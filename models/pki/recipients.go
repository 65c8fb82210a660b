// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

var oidData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}

// Recipient is who can open an EnvelopedData: the holder of the key of a
// certificate for which CanEnvelope is true, or of a password.
type Recipient struct {
	Certificate *x509.Certificate
	ByKeyID     bool         // named by its subject key identifier, which it has, instead of issuer and serial number
	Password    *PasswordKey // instead of Certificate
}

// PasswordKey is a key that was derived from a password, once: whoever has it
// needs the password no longer.
type PasswordKey struct {
	algorithm []byte // KeyDerivationAlgorithmIdentifier in DER
	key       []byte
}

// passwordIterations is the effort of PBKDF2 for a key in an EnvelopedData.
// The passwords of devices are not guessable; people's might be.
const passwordIterations = 100_000

// NewPasswordKey derives a key with a fresh salt (PBKDF2 with HMAC-SHA-256).
func NewPasswordKey(password []byte) (*PasswordKey, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	key, err := pbkdf2.Key(sha256.New, string(password), salt, passwordIterations, 32)
	if err != nil {
		return nil, fault("derive a key from a password").Because(err)
	}
	algorithm, err := built("the key derivation", func(b *cryptobyte.Builder) {
		// The tag is that of the RecipientInfo's member (RFC 5652 §6.2.4).
		b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidPBKDF2)
			sequence(b, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(salt)
				b.AddASN1Int64(passwordIterations)
				b.AddASN1Int64(32)
				algorithmID(b, oidHMACWithSHA256, null)
			})
		})
	})
	return &PasswordKey{algorithm: algorithm, key: key}, err
}

// EnvelopedKey returns a private key for a recipient as CMP has it (RFC 9483
// §4.1.6): like EnvelopeKey, but the EnvelopedData is not in a ContentInfo. It
// is KindInvalid for a recipient to whose key nothing can be encrypted.
func EnvelopedKey(key crypto.PrivateKey, to Recipient, signedBy *x509.Certificate, signer crypto.Signer) ([]byte, error) {
	return sealKey(key, signedBy, signer, func(signed []byte) ([]byte, error) { return envelopedData(oidSignedData, signed, to) })
}

// EnvelopedCertificate returns a certificate that only the holder of its key
// can read, as an EnvelopedData that is not in a ContentInfo (RFC 9810
// §5.2.8.3.2). It is KindInvalid if CanEnvelope is false.
func EnvelopedCertificate(cert *x509.Certificate) ([]byte, error) {
	return envelopedData(oidData, cert.Raw, Recipient{Certificate: cert, ByKeyID: len(cert.SubjectKeyId) > 0})
}

// envelopedData encrypts content (RFC 5652 §6.1).
func envelopedData(contentType asn1.ObjectIdentifier, content []byte, to Recipient) ([]byte, error) {
	secret, iv := make([]byte, 32), make([]byte, aes.BlockSize)
	rand.Read(secret)
	rand.Read(iv)
	defer func() { clear(secret) }()
	encrypted, err := encryptCBC(secret, iv, content)
	if err != nil {
		return nil, err
	}
	info, version, err := recipientInfo(secret, to)
	if err != nil {
		return nil, err
	}
	return built("the enveloped data", func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(version)
			b.AddASN1(der.SET, func(b *cryptobyte.Builder) { b.AddBytes(info) })
			sequence(b, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(contentType)
				algorithmID(b, oidAES256CBC, func(b *cryptobyte.Builder) { b.AddASN1OctetString(iv) })
				b.AddASN1(der.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(encrypted) })
			})
		})
	})
}

// recipientInfo wraps the content key. version is the EnvelopedData's.
func recipientInfo(secret []byte, to Recipient) (info []byte, version int64, err error) {
	if to.Password != nil {
		info, err = to.Password.recipient(secret)
		return info, 3, err
	}
	switch k := to.Certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		if to.ByKeyID {
			version = 2
		}
		info, err = transport(secret, to, k)
	case *ecdsa.PublicKey:
		version = 2
		info, err = agreement(secret, to, k)
	default:
		err = invalid("nothing can be encrypted to a key of type %T; use one of RSA or EC", k)
	}
	return info, version, err
}

// recipient is a PasswordRecipientInfo (RFC 5652 §6.2.4) whose key encryption
// is the AES key wrap (RFC 9481 §4.3, §4.4).
func (p *PasswordKey) recipient(secret []byte) ([]byte, error) {
	wrapped, err := wrapKey(p.key, secret)
	if err != nil {
		return nil, err
	}
	return built("the recipient", func(b *cryptobyte.Builder) {
		b.AddASN1(der.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddBytes(p.algorithm)
			algorithmID(b, oidAES256Wrap, nil)
			b.AddASN1OctetString(wrapped)
		})
	})
}
