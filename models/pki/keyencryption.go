// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The attributes of a request for a key that is made on the server (RFC 7030
// §4.4.1, RFC 4108 §2.2.5, RFC 8551 §2.5.2).
var (
	oidSMIMECapabilities = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	oidDecryptKeyID      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 37}
	oidAsymmDecryptKeyID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 54}
)

// KeyEncryption is how a client wants the key encrypted that is made for it;
// the zero value asks for no encryption beyond that of TLS.
type KeyEncryption struct {
	Symmetric  []byte // names a secret that both sides know
	Asymmetric []byte // names a key whose private half the client has
	AES256     bool   // its capabilities, if it tells any, have AES-256-CBC
}

// Wanted reports whether encryption is asked for.
func (k KeyEncryption) Wanted() bool { return k.Symmetric != nil || k.Asymmetric != nil }

// maxKeyIdentifier bounds the name of a key, in octets.
const maxKeyIdentifier = 64

// KeyEncryption returns how the requester wants a key encrypted that the server
// makes (RFC 7030 §4.4.1). It is KindInvalid for attributes that cannot be
// understood: what was to be encrypted must not go out in clear because of a
// mistake.
func (c *CSR) KeyEncryption() (KeyEncryption, error) {
	var wish KeyEncryption
	_, _, attributes, ok := splitRequest(c.DER)
	if !ok {
		return wish, invalid("the request is not a PKCS #10 certification request of version 1")
	}
	told := false
	for !attributes.Empty() {
		var pair, values, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		var tag der.Tag
		if !attributes.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) || !pair.ReadASN1(&values, der.SET) ||
			!values.ReadAnyASN1Element(&value, &tag) {
			return wish, invalid("the attributes of the request are malformed")
		}
		switch {
		case oid.Equal(oidDecryptKeyID):
			wish.Symmetric, ok = keyIdentifier(value)
		case oid.Equal(oidAsymmDecryptKeyID):
			wish.Asymmetric, ok = keyIdentifier(value)
		case oid.Equal(oidSMIMECapabilities):
			told = true
			wish.AES256, ok = hasAES256(value)
		}
		if !ok {
			return wish, invalid("the attribute %s of the request is malformed: it says how the key is to be encrypted", oid)
		}
	}
	if wish.Symmetric != nil && wish.Asymmetric != nil {
		return wish, invalid("the request names two keys to encrypt to; one is possible")
	}
	wish.AES256 = wish.AES256 || !told
	return wish, nil
}

// keyIdentifier reads an OCTET STRING of at least one octet.
func keyIdentifier(value cryptobyte.String) ([]byte, bool) {
	var id cryptobyte.String
	ok := value.ReadASN1(&id, der.OCTET_STRING) && len(id) > 0 && len(id) <= maxKeyIdentifier
	return id, ok
}

// hasAES256 looks for AES-256-CBC among SMIMECapabilities.
func hasAES256(value cryptobyte.String) (found, ok bool) {
	var list cryptobyte.String
	if !value.ReadASN1(&list, der.SEQUENCE) {
		return false, false
	}
	for !list.Empty() {
		var capability cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !list.ReadASN1(&capability, der.SEQUENCE) || !capability.ReadASN1ObjectIdentifier(&oid) {
			return false, false
		}
		found = found || oid.Equal(oidAES256CBC)
	}
	return found, true
}

// KeyBelongs reports whether a private key is that of a certificate.
func KeyBelongs(key crypto.PrivateKey, cert *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	return ok && samePublicKey(signer.Public(), cert.PublicKey)
}

// WithKeyEncryption returns a request for serverkeygen, in DER, that asks for
// the key to be encrypted with AES-256-CBC to the certificate whose subject key
// identifier is given (AsymmetricDecryptKeyIdentifier and SMIMECapabilities,
// RFC 7030 §4.4.1.2), signed anew with the key that it is for. It is
// KindInvalid for what is no request, and if the key is another one.
func WithKeyEncryption(request []byte, key crypto.Signer, keyID []byte) ([]byte, error) {
	parsed, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, invalid("the request is not a PKCS #10 certification request in DER").Because(err)
	}
	if !samePublicKey(key.Public(), parsed.PublicKey) {
		return nil, invalid("the request is not for this key")
	}
	_, kept, algorithm := withoutChallenge(request)
	var set [][]byte
	for rest := cryptobyte.String(kept); !rest.Empty(); {
		var element cryptobyte.String
		if !rest.ReadASN1Element(&element, der.SEQUENCE) {
			return nil, invalid("the attributes of the request are malformed")
		}
		set = append(set, element)
	}
	wishes, err := built("the attributes", func(b *cryptobyte.Builder) {
		signedAttribute(b, oidAsymmDecryptKeyID, func(b *cryptobyte.Builder) { b.AddASN1OctetString(keyID) })
	})
	if err != nil {
		return nil, err
	}
	able, err := built("the attributes", func(b *cryptobyte.Builder) {
		signedAttribute(b, oidSMIMECapabilities, func(b *cryptobyte.Builder) {
			sequence(b, func(b *cryptobyte.Builder) { algorithmID(b, oidAES256CBC, nil) })
		})
	})
	if err != nil {
		return nil, err
	}
	set = append(set, wishes, able)
	slices.SortFunc(set, bytes.Compare) // DER, X.690 §11.6
	info, err := requestInfo(parsed, slices.Concat(set...))
	if err != nil {
		return nil, err
	}
	signature, err := signInfo(key, parsed.SignatureAlgorithm, info)
	if err != nil {
		return nil, err
	}
	return built("the request", func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			b.AddBytes(info)
			b.AddBytes(algorithm)
			b.AddASN1BitString(signature)
		})
	})
}
