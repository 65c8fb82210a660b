// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mldsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// signatureScheme is one way to sign a message or a request.
type signatureScheme struct {
	standard  x509.SignatureAlgorithm
	algorithm Algorithm
	hash      crypto.Hash // 0: the message itself is signed
}

func (s *signatureScheme) is(a Algorithm) bool {
	return s.algorithm.OID.Equal(a.OID) && bytes.Equal(s.algorithm.Parameters, a.Parameters)
}

// schemes returns those of RFC 9481 §3 and RFC 9881 §2: PKCS #1 v1.5, ECDSA,
// Ed25519, ML-DSA, and PSS whose salt is as long as the digest (RFC 4055
// §3.1). An algorithm has one form of its parameters; PKCS #1 v1.5 without the
// NULL is wrong (RFC 4055 §5), but common.
func schemes() []signatureScheme {
	rsaOID := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, n} }
	ecOID := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, n} }
	nist := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, n} }
	list := []signatureScheme{
		{x509.SHA256WithRSA, Algorithm{rsaOID(11), derNull}, crypto.SHA256},
		{x509.SHA384WithRSA, Algorithm{rsaOID(12), derNull}, crypto.SHA384},
		{x509.SHA512WithRSA, Algorithm{rsaOID(13), derNull}, crypto.SHA512},
		{x509.SHA256WithRSA, Algorithm{rsaOID(11), nil}, crypto.SHA256},
		{x509.SHA384WithRSA, Algorithm{rsaOID(12), nil}, crypto.SHA384},
		{x509.SHA512WithRSA, Algorithm{rsaOID(13), nil}, crypto.SHA512},
		{x509.ECDSAWithSHA256, Algorithm{ecOID(2), nil}, crypto.SHA256},
		{x509.ECDSAWithSHA384, Algorithm{ecOID(3), nil}, crypto.SHA384},
		{x509.ECDSAWithSHA512, Algorithm{ecOID(4), nil}, crypto.SHA512},
		{x509.PureEd25519, Algorithm{asn1.ObjectIdentifier{1, 3, 101, 112}, nil}, 0},
		{x509.MLDSA44, Algorithm{nist(17), nil}, 0},
		{x509.MLDSA65, Algorithm{nist(18), nil}, 0},
		{x509.MLDSA87, Algorithm{nist(19), nil}, 0},
	}
	// RSASSA-PSS-params. The parameters of the digests are NULL or absent, and
	// RFC 4055 §2.1 wants both accepted.
	for i, standard := range []x509.SignatureAlgorithm{x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS} {
		digest := unhex("0609608648016503040201")
		digest[len(digest)-1] += byte(i)
		hash := []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}[i]
		for _, end := range [][]byte{derNull, nil} {
			named := element(0x30, digest, end)
			list = append(list, signatureScheme{standard, Algorithm{rsaOID(10), element(0x30, element(0xa0, named),
				element(0xa1, element(0x30, unhex("06092a864886f70d010108"), named)), element(0xa2, []byte{2, 1, byte(hash.Size())}))}, hash})
		}
	}
	return list
}

// element encodes something of less than 128 octets.
func element(tag byte, contents ...[]byte) []byte {
	joined := bytes.Join(contents, nil)
	return append([]byte{tag, byte(len(joined))}, joined...)
}

func unhex(s string) []byte {
	decoded, _ := hex.DecodeString(s)
	return decoded
}

// schemeOf returns the scheme that an AlgorithmIdentifier names.
func schemeOf(algorithm Algorithm) (signatureScheme, error) {
	for _, s := range known {
		if s.is(algorithm) {
			return s, nil
		}
	}
	return signatureScheme{}, badAlg("the signature algorithm %s is weak, unknown or has other parameters than usual; "+
		"use SHA-256, SHA-384 or SHA-512 with RSA or ECDSA, Ed25519 or ML-DSA", algorithm.OID)
}

var known = schemes()

// verifySignature checks a signature of a key that was checked before to be of
// a size that costs little. It is badAlg for other schemes than ours, and the
// given failure if the signature is wrong.
func verifySignature(algorithm Algorithm, pub crypto.PublicKey, message, signature []byte, wrong error) error {
	scheme, err := schemeOf(algorithm)
	if err != nil {
		return err
	}
	if err := pki.CheckPublicKey(pub); err != nil {
		return WithFailInfo(err, FailBadAlg)
	}
	if err := (&x509.Certificate{PublicKey: pub}).CheckSignature(scheme.standard, message, signature); err != nil {
		return wrong
	}
	return nil
}

// strongModulus is the RSA size in bits from which SHA-256 would be the weaker
// part of a signature.
const strongModulus = 4096

// schemeFor returns how a key of ours signs: with a digest as strong as it.
func schemeFor(pub crypto.PublicKey) (signatureScheme, error) {
	want := x509.UnknownSignatureAlgorithm
	switch k := pub.(type) {
	case *rsa.PublicKey:
		want = x509.SHA256WithRSA
		if k.N.BitLen() >= strongModulus {
			want = x509.SHA512WithRSA
		}
	case *ecdsa.PublicKey:
		want = map[elliptic.Curve]x509.SignatureAlgorithm{elliptic.P256(): x509.ECDSAWithSHA256,
			elliptic.P384(): x509.ECDSAWithSHA384, elliptic.P521(): x509.ECDSAWithSHA512}[k.Curve]
	case ed25519.PublicKey:
		want = x509.PureEd25519
	case *mldsa.PublicKey:
		want = map[mldsa.Parameters]x509.SignatureAlgorithm{mldsa.MLDSA44(): x509.MLDSA44,
			mldsa.MLDSA65(): x509.MLDSA65, mldsa.MLDSA87(): x509.MLDSA87}[k.Parameters()]
	}
	for _, s := range known {
		if s.standard == want {
			return s, nil
		}
	}
	return signatureScheme{}, models.Errorf(models.KindInternal, "a key of type %T cannot sign messages", pub)
}

// signing protects messages with a private key.
type signing struct {
	scheme signatureScheme
	signer crypto.Signer
}

func newSigning(signer crypto.Signer) (*signing, error) {
	scheme, err := schemeFor(signer.Public())
	return &signing{scheme, signer}, err
}

func (s *signing) algorithm() Algorithm { return s.scheme.algorithm }

// protect signs a message. Errors of the signer keep their kind.
func (s *signing) protect(message []byte) ([]byte, error) {
	if s.scheme.hash != 0 {
		h := s.scheme.hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	return s.signer.Sign(rand.Reader, message, s.scheme.hash)
}

// certHashOf returns how certHash is made if hashAlg does not say (RFC 9810
// §5.3.18, RFC 9481 §3.3); 0 if it has to say.
func certHashOf(cert *x509.Certificate) crypto.Hash {
	switch cert.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		return crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512, x509.PureEd25519:
		return crypto.SHA512
	}
	return 0
}

func fixedHash(hash crypto.Hash) func(*x509.Certificate) crypto.Hash {
	return func(*x509.Certificate) crypto.Hash { return hash }
}

// hashNamed returns a hash by its identifier; 0 if it is not accepted.
func hashNamed(a Algorithm) crypto.Hash { return named(hashes, a) }
