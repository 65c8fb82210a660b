// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mldsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// The bounds of RSA keys: moduli in bits, and the smallest public exponent; the
// largest is what every implementation can hold.
const (
	minModulus  = 2048
	maxModulus  = 8192
	minExponent = 65537
)

// maxKeyBits bounds the subjectPublicKey, in octets: the largest is that of
// ML-DSA-87, with 2592 (FIPS 204, table 2).
const maxKeyBits = 2592

// keyChoices ends the sentences that refuse a key.
const keyChoices = "use RSA with 2048 to 8192 bits, EC on P-256, P-384 or P-521, Ed25519, or ML-DSA-44, -65 or -87"

// KeyAlgorithmOf returns the algorithm and size of pub. RSA moduli of 2048 to
// 8192 bits in steps of 8 are permitted and reported as "RSA-<bits>", also
// where models has no name for that size. It is KindInvalid for any other key.
func KeyAlgorithmOf(pub crypto.PublicKey) (models.KeyAlgorithm, error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k == nil || k.N == nil {
			return "", invalid("the RSA key is empty; %s", keyChoices)
		}
		bits := k.N.BitLen()
		if bits < minModulus || bits > maxModulus || bits%8 != 0 {
			return "", invalid("an RSA key of %d bits is not permitted; %s", bits, keyChoices)
		}
		return models.KeyAlgorithm(fmt.Sprintf("RSA-%d", bits)), nil
	case *ecdsa.PublicKey:
		return curveAlgorithm(k)
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return "", invalid("the Ed25519 key is not %d octets long", ed25519.PublicKeySize)
		}
		return models.Ed25519, nil
	case *mldsa.PublicKey:
		if k == nil {
			return "", invalid("the ML-DSA key is empty; %s", keyChoices)
		}
		return models.KeyAlgorithm(k.Parameters().String()), nil
	default:
		return "", invalid("a public key of type %T is not permitted; %s", pub, keyChoices)
	}
}

func curveAlgorithm(k *ecdsa.PublicKey) (models.KeyAlgorithm, error) {
	if k != nil {
		switch k.Curve {
		case elliptic.P256():
			return models.ECP256, nil
		case elliptic.P384():
			return models.ECP384, nil
		case elliptic.P521():
			return models.ECP521, nil
		}
	}
	return "", invalid("the elliptic curve is not permitted; %s", keyChoices)
}

// CheckPublicKey returns KindInvalid unless pub is a key that a certificate
// may be issued for: size and curve as in KeyAlgorithmOf, RSA exponents odd
// and at least 65537, RSA moduli without the known weaknesses that show in the
// public key alone, EC points on their curve and of no tiny private key, Ed25519 points of full order.
func CheckPublicKey(pub crypto.PublicKey) error {
	if _, err := KeyAlgorithmOf(pub); err != nil {
		return err
	}
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return checkRSA(k)
	case *ecdsa.PublicKey:
		return checkSmallKey(k)
	case ed25519.PublicKey:
		if smallOrder(k) {
			return invalid("the Ed25519 key is a point of small order, which anybody can sign for; make a new key")
		}
	}
	return nil
}

// SubjectKeyID returns the key identifier of RFC 7093 §2 method 1: the
// leftmost 160 bits of the SHA-256 digest of the subjectPublicKey bits.
func SubjectKeyID(pub crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, invalid("the public key cannot be encoded; %s", keyChoices).Because(err)
	}
	_, bits, ok := splitSPKI(spki)
	if !ok {
		return nil, fault("the encoded public key cannot be read back")
	}
	sum := sha256.Sum256(bits)
	return sum[:20], nil
}

// KeyID returns SubjectKeyID in lower-case hex, as it appears in URLs.
func KeyID(pub crypto.PublicKey) (string, error) {
	id, err := SubjectKeyID(pub)
	return hex.EncodeToString(id), err
}

// splitSPKI returns the algorithm and the key bits of a SubjectPublicKeyInfo.
func splitSPKI(spki []byte) (algorithm cryptobyte.String, bits []byte, ok bool) {
	in := cryptobyte.String(spki)
	var seq cryptobyte.String
	ok = in.ReadASN1(&seq, asn1.SEQUENCE) && in.Empty() &&
		seq.ReadASN1(&algorithm, asn1.SEQUENCE) &&
		seq.ReadASN1BitStringAsBytes(&bits) && seq.Empty()
	return algorithm, bits, ok
}

// parseSPKI parses and checks a SubjectPublicKeyInfo that a stranger sent. The
// size of an RSA key is looked at before the key is built, let alone used.
func parseSPKI(spki []byte) (crypto.PublicKey, error) {
	_, bits, ok := splitSPKI(spki)
	if !ok {
		return nil, invalid("the public key is malformed")
	}
	if len(bits) > maxKeyBits {
		return nil, invalid("the public key is too large; %s", keyChoices)
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, invalid("the public key is not supported or not valid: %s, EC points uncompressed and on a named curve", keyChoices).Because(err)
	}
	return pub, CheckPublicKey(pub)
}

// smallOrderY are the y coordinates, little-endian, of the Ed25519 points
// whose order divides eight, canonical or not. The sign of x does not matter.
var smallOrderY = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func smallOrder(key ed25519.PublicKey) bool {
	y := [ed25519.PublicKeySize]byte(key)
	y[31] &= 0x7f
	printed := hex.EncodeToString(y[:])
	for _, known := range smallOrderY {
		if printed == known {
			return true
		}
	}
	return false
}
