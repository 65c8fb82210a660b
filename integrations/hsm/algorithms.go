// SPDX-License-Identifier: MIT

package hsm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mldsa"
	"crypto/rand"
	"crypto/rsa"

	"github.com/ThalesGroup/crypto11"

	"github.com/trustloom/trustloom/models"
)

// algorithm says how a key of one models.KeyAlgorithm is made and recognised.
// A new algorithm is one more row of algorithms.
type algorithm struct {
	name     models.KeyAlgorithm
	is       func(crypto.PublicKey) bool
	software func() (crypto.Signer, error)
	// token is nil where crypto11 has no way to make such a key.
	token func(t *crypto11.Context, public, private crypto11.AttributeSet) (crypto11.Signer, error)
}

func algorithms() []algorithm {
	return []algorithm{
		ecAlgorithm(models.ECP256, elliptic.P256()),
		ecAlgorithm(models.ECP384, elliptic.P384()),
		ecAlgorithm(models.ECP521, elliptic.P521()),
		rsaAlgorithm(models.RSA2048, 2048),
		rsaAlgorithm(models.RSA3072, 3072),
		rsaAlgorithm(models.RSA4096, 4096),
		rsaAlgorithm(models.RSA8192, 8192),
		{
			name: models.Ed25519,
			is:   func(pub crypto.PublicKey) bool { _, ok := pub.(ed25519.PublicKey); return ok },
			software: func() (crypto.Signer, error) {
				_, key, err := ed25519.GenerateKey(rand.Reader)
				return key, err
			},
		},
		mldsaAlgorithm(models.MLDSA44, mldsa.MLDSA44()),
		mldsaAlgorithm(models.MLDSA65, mldsa.MLDSA65()),
		mldsaAlgorithm(models.MLDSA87, mldsa.MLDSA87()),
	}
}

// mldsaAlgorithm is ML-DSA (FIPS 204), which PKCS #11 has from version 3.2 on
// and crypto11 does not.
func mldsaAlgorithm(name models.KeyAlgorithm, parameters mldsa.Parameters) algorithm {
	return algorithm{
		name: name,
		is: func(pub crypto.PublicKey) bool {
			key, ok := pub.(*mldsa.PublicKey)
			return ok && key.Parameters() == parameters
		},
		software: func() (crypto.Signer, error) { return mldsa.GenerateKey(parameters) },
	}
}

func ecAlgorithm(name models.KeyAlgorithm, curve elliptic.Curve) algorithm {
	return algorithm{
		name: name,
		is: func(pub crypto.PublicKey) bool {
			key, ok := pub.(*ecdsa.PublicKey)
			return ok && key.Curve == curve
		},
		software: func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) },
		token: func(t *crypto11.Context, public, private crypto11.AttributeSet) (crypto11.Signer, error) {
			return t.GenerateECDSAKeyPairWithAttributes(public, private, curve)
		},
	}
}

func rsaAlgorithm(name models.KeyAlgorithm, bits int) algorithm {
	return algorithm{
		name: name,
		is: func(pub crypto.PublicKey) bool {
			key, ok := pub.(*rsa.PublicKey)
			return ok && key.N.BitLen() == bits
		},
		software: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) },
		token: func(t *crypto11.Context, public, private crypto11.AttributeSet) (crypto11.Signer, error) {
			return t.GenerateRSAKeyPairWithAttributes(public, private, bits)
		},
	}
}

// findAlgorithm returns the row of name, and KindInvalid for any other.
func findAlgorithm(name models.KeyAlgorithm) (algorithm, error) {
	for _, a := range algorithms() {
		if a.name == name {
			return a, nil
		}
	}
	return algorithm{}, models.Errorf(models.KindInvalid, "key algorithm %q is not known to the key stores", name)
}

// accept returns pub, the public key of the existing key id, if it is of
// algorithm a, and KindConflict otherwise.
func (a algorithm) accept(id string, pub crypto.PublicKey) (crypto.PublicKey, error) {
	if a.is(pub) {
		return pub, nil
	}
	return nil, models.Errorf(models.KindConflict, "key %q exists and is not of algorithm %s", id, a.name)
}
