// SPDX-License-Identifier: MIT

package pki

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
	"encoding/hex"
	"fmt"
	"slices"
)

// signatureAlgorithm is one way in which our CAs sign.
type signatureAlgorithm struct {
	standard   x509.SignatureAlgorithm
	identifier []byte      // DER of the AlgorithmIdentifier
	hash       crypto.Hash // 0: the message itself is signed
}

// The algorithms: RSA PKCS #1 v1.5 (RFC 4055 §5), ECDSA (RFC 5758 §3.2),
// Ed25519 (RFC 8410 §3) and ML-DSA (RFC 9881 §2).
var (
	rsaSHA256   = signatureAlgorithm{x509.SHA256WithRSA, unhex("300d06092a864886f70d01010b0500"), crypto.SHA256}
	rsaSHA384   = signatureAlgorithm{x509.SHA384WithRSA, unhex("300d06092a864886f70d01010c0500"), crypto.SHA384}
	rsaSHA512   = signatureAlgorithm{x509.SHA512WithRSA, unhex("300d06092a864886f70d01010d0500"), crypto.SHA512}
	ecdsaSHA256 = signatureAlgorithm{x509.ECDSAWithSHA256, unhex("300a06082a8648ce3d040302"), crypto.SHA256}
	ecdsaSHA384 = signatureAlgorithm{x509.ECDSAWithSHA384, unhex("300a06082a8648ce3d040303"), crypto.SHA384}
	ecdsaSHA512 = signatureAlgorithm{x509.ECDSAWithSHA512, unhex("300a06082a8648ce3d040304"), crypto.SHA512}
	pureEd25519 = signatureAlgorithm{x509.PureEd25519, unhex("300506032b6570"), 0}
	pureMLDSA44 = signatureAlgorithm{x509.MLDSA44, unhex("300b0609608648016503040311"), 0}
	pureMLDSA65 = signatureAlgorithm{x509.MLDSA65, unhex("300b0609608648016503040312"), 0}
	pureMLDSA87 = signatureAlgorithm{x509.MLDSA87, unhex("300b0609608648016503040313"), 0}
)

func unhex(s string) []byte {
	decoded, _ := hex.DecodeString(s)
	return decoded
}

// strongModulus is the RSA size in bits from which SHA-256 would be the weaker
// part of a signature.
const strongModulus = 4096

// signatureAlgorithmOf returns how the CA with the given public key signs: a
// digest as strong as the key.
func signatureAlgorithmOf(pub crypto.PublicKey) (*signatureAlgorithm, error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= strongModulus {
			return &rsaSHA512, nil
		}
		return &rsaSHA256, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return &ecdsaSHA256, nil
		case elliptic.P384():
			return &ecdsaSHA384, nil
		case elliptic.P521():
			return &ecdsaSHA512, nil
		}
	case ed25519.PublicKey:
		return &pureEd25519, nil
	case *mldsa.PublicKey:
		switch k.Parameters() {
		case mldsa.MLDSA44():
			return &pureMLDSA44, nil
		case mldsa.MLDSA65():
			return &pureMLDSA65, nil
		case mldsa.MLDSA87():
			return &pureMLDSA87, nil
		}
	}
	return nil, invalid("a key of type %T cannot sign certificates; %s", pub, keyChoices)
}

// families are the algorithms that one kind of key can sign with.
var families = [][]*signatureAlgorithm{{&rsaSHA256, &rsaSHA384, &rsaSHA512}, {&ecdsaSHA256, &ecdsaSHA384, &ecdsaSHA512}}

// withHash returns the algorithm of the same kind of key with another digest.
func (a *signatureAlgorithm) withHash(hash crypto.Hash) (*signatureAlgorithm, error) {
	for _, family := range families {
		if !slices.Contains(family, a) {
			continue
		}
		for _, other := range family {
			if other.hash == hash {
				return other, nil
			}
		}
	}
	return nil, denied("the issuer's key cannot sign with %s: its algorithm has a digest of its own", hash)
}

// named returns the algorithm that a TBSCertificate names, if a key that
// customarily signs with a may.
func (a *signatureAlgorithm) named(identifier []byte) (*signatureAlgorithm, bool) {
	if bytes.Equal(identifier, a.identifier) {
		return a, true
	}
	for _, family := range families {
		if !slices.Contains(family, a) {
			continue
		}
		for _, other := range family {
			if bytes.Equal(identifier, other.identifier) {
				return other, true
			}
		}
	}
	return nil, false
}

// sign signs a message with a key that may be in a token.
func (a *signatureAlgorithm) sign(message []byte, signer crypto.Signer) ([]byte, error) {
	if a.hash != 0 {
		h := a.hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	return signer.Sign(rand.Reader, message, a.hash)
}

// SignTBS signs exactly the bytes of tbs and returns the certificate in DER.
// issuer is the certificate of the signing CA, nil for a self-signed one.
//
// The result is parsed, compared with tbs byte for byte, and verified with the
// issuer's public key before anybody gets it: a token that lost its session
// may sign with another key, or wrongly. Such faults are KindInternal; errors
// of the signer keep their kind. Signing again is harmless: it is the same
// certificate with, at most, another signature.
func SignTBS(tbs []byte, issuer *x509.Certificate, signer crypto.Signer) ([]byte, error) {
	pub := signer.Public()
	if issuer != nil {
		pub = issuer.PublicKey
	}
	algorithm, err := signatureAlgorithmOf(pub)
	if err != nil {
		return nil, err
	}
	_, identifier, _, ok := splitTBS(tbs)
	algorithm, known := algorithm.named(identifier)
	if !ok || !known {
		return nil, fault("the stored certificate was not built for this issuer's key")
	}
	signature, err := algorithm.sign(tbs, signer)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	certificate, err := assemble(tbs, algorithm.identifier, signature)
	if err != nil {
		return nil, err
	}
	if err := verifySigned(certificate, tbs, issuer); err != nil {
		return nil, fault("the signer did not return a valid signature").Because(err)
	}
	return certificate, nil
}

// verifySigned checks a fresh certificate as a relying party would.
func verifySigned(certificate, tbs []byte, issuer *x509.Certificate) error {
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return err
	}
	if issuer == nil {
		issuer = parsed
	}
	if !bytes.Equal(parsed.RawTBSCertificate, tbs) {
		return fmt.Errorf("the signed bytes are not the ones that were stored")
	}
	if !bytes.Equal(parsed.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("the certificate names another issuer")
	}
	return issuer.CheckSignature(parsed.SignatureAlgorithm, parsed.RawTBSCertificate, parsed.Signature)
}
