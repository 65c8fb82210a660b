// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// KeyTemplate says how a kind of key is asked for in a certificate request
// template (RFC 9483 §4.3.3): by the DER of its AlgorithmIdentifier, or by the
// bits of an RSA modulus. Both are zero for kinds without a name.
func KeyTemplate(key models.KeyAlgorithm) (algorithm []byte, rsaBits int) {
	if bits := wantedRSA[key]; bits != 0 {
		return nil, bits
	}
	if wantedCurves[key] == nil && wantedPlain[key] == nil {
		return nil, 0
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		if curve := wantedCurves[key]; curve != nil {
			b.AddASN1ObjectIdentifier(oidECPublicKey)
			b.AddASN1ObjectIdentifier(curve)
			return
		}
		b.AddASN1ObjectIdentifier(wantedPlain[key])
	})
	algorithm, _ = b.Bytes() // it is one of our tables
	return algorithm, 0
}

// TemplateKey is the inverse of KeyTemplate; "" for what has no name.
func TemplateKey(algorithm []byte, rsaBits int) models.KeyAlgorithm {
	for _, key := range models.KeyAlgorithms {
		alg, bits := KeyTemplate(key)
		if algorithm != nil && bytes.Equal(alg, algorithm) || algorithm == nil && bits != 0 && bits == rsaBits {
			return key
		}
	}
	return ""
}
