// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func rsaModulus() *big.Int { return rsa2048().Public().(*rsa.PublicKey).N }

func bigPrime() *big.Int { return must(rand.Prime(rand.Reader, 1024)) }

func nextPrime(p *big.Int) *big.Int {
	next := new(big.Int).Add(p, big.NewInt(2))
	for !next.ProbablyPrime(10) {
		next.Add(next, big.NewInt(2))
	}
	return next
}

// closePrimes returns the product of two neighbouring primes. rand.Prime sets
// the two highest bits, so that it has 2048 bits.
func closePrimes() *big.Int {
	p := bigPrime()
	return new(big.Int).Mul(p, nextPrime(p))
}

func squareOfPrime() *big.Int {
	p := bigPrime()
	return new(big.Int).Mul(p, p)
}

// withSmallFactor returns a modulus of 2048 bits that 751 divides.
func withSmallFactor() *big.Int {
	n := modulus(2048)
	n.Sub(n, new(big.Int).Mod(n, big.NewInt(751*2)))
	return n.Add(n, big.NewInt(751))
}

// rocaModulus makes a key as the weak library did: primes k*M + 65537^a mod M,
// M the product of the first primes.
func rocaModulus() *big.Int {
	m := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(p))
		}
	}
	prime := func() *big.Int {
		for {
			a := must(rand.Int(rand.Reader, m))
			k := modulus(1024)
			k.SetBit(k, 1022, 1).Div(k, m)
			p := new(big.Int).Exp(big.NewInt(65537), a, m)
			p.Add(p, k.Mul(k, m))
			if p.BitLen() == 1024 && p.ProbablyPrime(10) {
				return p
			}
		}
	}
	n := new(big.Int)
	for n.BitLen() != 2048 {
		n.Mul(prime(), prime())
	}
	return n
}

func TestKeyAlgorithmOf(t *testing.T) {
	cases := map[string]struct {
		pub  any
		want models.KeyAlgorithm
	}{
		"a size with a name":       {&rsa.PublicKey{N: modulus(3072), E: 65537}, models.RSA3072},
		"a size without a name":    {&rsa.PublicKey{N: modulus(2560), E: 65537}, "RSA-2560"},
		"the largest":              {&rsa.PublicKey{N: modulus(8192), E: 65537}, models.RSA8192},
		"an odd size":              {&rsa.PublicKey{N: modulus(2049), E: 65537}, ""},
		"an empty RSA key":         {&rsa.PublicKey{}, ""},
		"a short Ed25519 key":      {ed25519.PublicKey{1, 2}, ""},
		"something that is no key": {"key", ""},
		"nothing":                  {nil, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := pki.KeyAlgorithmOf(c.pub)
			if got != c.want || (c.want == "") != (models.KindOf(err) == models.KindInvalid && err != nil) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestHonestRSAKeysPass(t *testing.T) {
	for range 200 { // moduli without small factors look like keys to these checks
		n := modulus(2048)
		err := pki.CheckPublicKey(&rsa.PublicKey{N: n, E: 65537})
		if err != nil && models.PublicText(err) != "the RSA modulus has a small factor; make a new key with another generator" {
			t.Fatal(err)
		}
	}
	if err := pki.CheckPublicKey(rsa2048().Public()); err != nil {
		t.Fatal(err)
	}
}

func TestKeyIDIsMethodOneOfRFC7093(t *testing.T) {
	for _, algorithm := range []models.KeyAlgorithm{models.ECP256, models.RSA2048, models.Ed25519} {
		pub := newKey(algorithm).Public()
		var spki struct {
			Algorithm asn1.RawValue
			Key       asn1.BitString
		}
		if _, err := asn1.Unmarshal(must(x509.MarshalPKIXPublicKey(pub)), &spki); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(spki.Key.Bytes)
		if got := must(pki.KeyID(pub)); got != hex.EncodeToString(sum[:20]) {
			t.Errorf("%s: %s", algorithm, got)
		}
	}
	if _, err := pki.KeyID("no key"); models.KindOf(err) != models.KindInvalid {
		t.Error(err)
	}
}

func TestSerialNumbers(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		n := pki.NewSerial()
		printed := pki.SerialHex(n)
		if n.Sign() != 1 || len(printed) != 40 || n.BitLen() > 159 || seen[printed] {
			t.Fatal(printed)
		}
		seen[printed] = true
	}
	if got := pki.SerialHex(big.NewInt(0xabc)); got != "0abc" {
		t.Error(got)
	}
}
