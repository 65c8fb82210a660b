// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The object identifiers of CMS messages with keys in them.
var (
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidKeyPackage    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 2, 1, 2, 78, 5} // id-ct-KP-aKeyPackage, RFC 5958 §2
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidECDSAWithSHA2 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidRSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidRSAOAEP       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidECDHSHA256KDF = asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}             // dhSinglePass-stdDH-sha256kdf-scheme, RFC 5753 §7.1.4
	oidAES256Wrap    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45} // RFC 3394, RFC 3565 §2.3.2
)

// CanEnvelope reports whether a key can be encrypted to the holder of a
// certificate: an RSA key by key transport, an EC key by key agreement.
func CanEnvelope(recipient *x509.Certificate) bool {
	switch k := recipient.PublicKey.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minModulus
	case *ecdsa.PublicKey:
		_, err := k.ECDH()
		return err == nil
	}
	return false
}

// EnvelopeKey returns a private key for the holder of a certificate, as RFC
// 7030 §4.4.2 and RFC 5958 §4 have it: an AsymmetricKeyPackage in a SignedData
// in an EnvelopedData (RFC 5652), the whole a ContentInfo in DER. The content
// is encrypted with AES-256-CBC; its key by RSAES-OAEP with SHA-256 (RFC 3560),
// or with ephemeral-static ECDH and the X9.63 key derivation with SHA-256 (RFC
// 5753). signer, an RSA or ECDSA key, belongs to the certificate signedBy,
// which goes along. It is KindInvalid if CanEnvelope is false.
func EnvelopeKey(key crypto.PrivateKey, recipient, signedBy *x509.Certificate, signer crypto.Signer) ([]byte, error) {
	if !CanEnvelope(recipient) {
		return nil, invalid("nothing can be encrypted to the key of the client certificate (%T); use one with an RSA or EC key", recipient.PublicKey)
	}
	return sealKey(key, signedBy, signer, func(signed []byte) ([]byte, error) { return envelop(signed, recipient) })
}

// sealKey has a private key encrypted in a signed key package, and clears both.
func sealKey(key crypto.PrivateKey, signedBy *x509.Certificate, signer crypto.Signer, encrypt func(signed []byte) ([]byte, error)) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, invalid("a key of type %T cannot be encoded", key).Because(err)
	}
	defer func() { clear(plain) }()
	signed, err := signKeyPackage(plain, signedBy, signer)
	if err != nil {
		return nil, err
	}
	defer func() { clear(signed) }()
	return encrypt(signed)
}

// built returns the octets of a builder.
func built(what string, fill func(b *cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	fill(&b)
	out, err := b.Bytes()
	if err != nil {
		return nil, fault("encode %s", what).Because(err)
	}
	return out, nil
}

func sequence(b *cryptobyte.Builder, fill cryptobyte.BuilderContinuation) {
	b.AddASN1(der.SEQUENCE, fill)
}

func algorithmID(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, parameters cryptobyte.BuilderContinuation) {
	sequence(b, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if parameters != nil {
			parameters(b)
		}
	})
}

func null(b *cryptobyte.Builder) { b.AddASN1NULL() }

// issuerAndSerial is the IssuerAndSerialNumber of RFC 5652 §10.2.4.
func issuerAndSerial(b *cryptobyte.Builder, cert *x509.Certificate) {
	sequence(b, func(b *cryptobyte.Builder) {
		b.AddBytes(cert.RawIssuer)
		b.AddASN1BigInt(cert.SerialNumber)
	})
}

// signKeyPackage returns a SignedData (RFC 5652 §5.1) over a key package, not
// in a ContentInfo.
func signKeyPackage(pkcs8 []byte, cert *x509.Certificate, signer crypto.Signer) ([]byte, error) {
	content, err := built("the key package", func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) { b.AddBytes(pkcs8) })
	})
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(content)
	attributes, err := built("the signed attributes", func(b *cryptobyte.Builder) {
		b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
			signedAttribute(b, oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidKeyPackage) })
			signedAttribute(b, oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest[:]) })
		})
	})
	if err != nil {
		return nil, err
	}
	hashed := sha256.Sum256(attributes)
	signature, err := signer.Sign(rand.Reader, hashed[:], crypto.SHA256)
	if err != nil {
		return nil, fault("sign the key package").Because(err)
	}
	algorithm, parameters := oidECDSAWithSHA2, cryptobyte.BuilderContinuation(nil)
	if _, isRSA := signer.Public().(*rsa.PublicKey); isRSA {
		algorithm, parameters = oidRSAWithSHA256, null
	}
	return built("the signed key package", func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(3)
			b.AddASN1(der.SET, func(b *cryptobyte.Builder) { algorithmID(b, oidSHA256, nil) })
			sequence(b, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidKeyPackage)
				b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
			})
			b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(cert.Raw) })
			b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
				sequence(b, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(1)
					issuerAndSerial(b, cert)
					algorithmID(b, oidSHA256, nil)
					b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(inside(attributes)) })
					algorithmID(b, algorithm, parameters)
					b.AddASN1OctetString(signature)
				})
			})
		})
	})
}

// inside returns the contents of an element of our own.
func inside(element []byte) []byte {
	in := cryptobyte.String(element)
	var contents cryptobyte.String
	var tag der.Tag
	if !in.ReadAnyASN1(&contents, &tag) {
		return nil
	}
	return contents
}

func signedAttribute(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, value cryptobyte.BuilderContinuation) {
	sequence(b, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(der.SET, value)
	})
}

// envelop returns a ContentInfo with an EnvelopedData (RFC 5652 §6.1).
func envelop(signed []byte, recipient *x509.Certificate) ([]byte, error) {
	enveloped, err := envelopedData(oidSignedData, signed, Recipient{Certificate: recipient})
	if err != nil {
		return nil, err
	}
	return built("the enveloped key", func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidEnvelopedData)
			b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(enveloped) })
		})
	})
}

// transport is a KeyTransRecipientInfo (RFC 5652 §6.2.1) with RSAES-OAEP.
func transport(secret []byte, to Recipient, key *rsa.PublicKey) ([]byte, error) {
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key, secret, nil)
	if err != nil {
		return nil, fault("encrypt to the RSA key").Because(err)
	}
	return built("the recipient", func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			if to.ByKeyID {
				b.AddASN1Int64(2)
				b.AddASN1(der.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(to.Certificate.SubjectKeyId) })
			} else {
				b.AddASN1Int64(0)
				issuerAndSerial(b, to.Certificate)
			}
			algorithmID(b, oidRSAOAEP, func(b *cryptobyte.Builder) {
				sequence(b, func(b *cryptobyte.Builder) {
					b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { algorithmID(b, oidSHA256, null) })
					b.AddASN1(der.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
						algorithmID(b, oidMGF1, func(b *cryptobyte.Builder) { algorithmID(b, oidSHA256, null) })
					})
				})
			})
			b.AddASN1OctetString(wrapped)
		})
	})
}

// agreement is a KeyAgreeRecipientInfo (RFC 5652 §6.2.2, RFC 5753 §3.1) with
// an ephemeral key.
func agreement(secret []byte, to Recipient, key *ecdsa.PublicKey) ([]byte, error) {
	static, err := key.ECDH()
	if err != nil {
		return nil, invalid("nothing can be encrypted to the EC key of the client certificate").Because(err)
	}
	wrapped, ephemeral, err := wrapFor(static, secret)
	if err != nil {
		return nil, err
	}
	return built("the recipient", func(b *cryptobyte.Builder) {
		b.AddASN1(der.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(3)
			b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { // originator
				b.AddASN1(der.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { // originatorKey
					algorithmID(b, oidECPublicKey, nil)
					b.AddASN1BitString(ephemeral)
				})
			})
			algorithmID(b, oidECDHSHA256KDF, func(b *cryptobyte.Builder) { algorithmID(b, oidAES256Wrap, nil) })
			sequence(b, func(b *cryptobyte.Builder) {
				sequence(b, func(b *cryptobyte.Builder) {
					if to.ByKeyID {
						b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(to.Certificate.SubjectKeyId) })
					} else {
						issuerAndSerial(b, to.Certificate)
					}
					b.AddASN1OctetString(wrapped)
				})
			})
		})
	})
}

// wrapFor wraps a content key for the holder of an EC key and returns the
// public key that was made for it.
func wrapFor(static *ecdh.PublicKey, secret []byte) (wrapped, ephemeral []byte, err error) {
	own, err := static.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fault("make an ephemeral key").Because(err)
	}
	shared, err := own.ECDH(static)
	if err != nil {
		return nil, nil, fault("agree on a key").Because(err)
	}
	defer func() { clear(shared) }()
	// ECC-CMS-SharedInfo, RFC 5753 §7.2
	info, err := built("the shared information", func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			algorithmID(b, oidAES256Wrap, nil)
			b.AddASN1(der.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte{0, 0, 1, 0}) })
		})
	})
	if err != nil {
		return nil, nil, err
	}
	// ANSI X9.63 with one round: SHA-256 gives what AES-256 takes.
	kek := sha256.Sum256(bytes.Join([][]byte{shared, {0, 0, 0, 1}, info}, nil))
	defer clear(kek[:])
	wrapped, err = wrapKey(kek[:], secret)
	return wrapped, own.PublicKey().Bytes(), err
}

// wrapKey is the AES key wrap of RFC 3394 §2.2.1, for keys of a multiple of
// eight octets.
func wrapKey(kek, secret []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fault("set up AES").Because(err)
	}
	out := append(bytes.Repeat([]byte{0xa6}, 8), secret...)
	n := len(secret) / 8
	var buffer [16]byte
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(buffer[:8], out[:8])
			copy(buffer[8:], out[8*i:8*i+8])
			block.Encrypt(buffer[:], buffer[:])
			copy(out[8*i:], buffer[8:])
			binary.BigEndian.PutUint64(out[:8], binary.BigEndian.Uint64(buffer[:8])^uint64(n*j+i))
		}
	}
	clear(buffer[:])
	return out, nil
}
