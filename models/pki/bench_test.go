// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// benchmarked are the issuers' algorithms that the figures are taken for.
var benchmarked = []models.KeyAlgorithm{models.ECP256, models.RSA2048}

func BenchmarkCreateCertificate(b *testing.B) {
	for _, algorithm := range benchmarked {
		b.Run(string(algorithm), func(b *testing.B) {
			root, template, pub := newRoot(b, algorithm), leafTemplate(b, "press-01"), newKey(models.ECP256).Public()
			for b.Loop() {
				must(x509.CreateCertificate(rand.Reader, template, root.cert, pub, root.key))
			}
		})
	}
}

func BenchmarkBuildTBS(b *testing.B) {
	for _, algorithm := range benchmarked {
		b.Run(string(algorithm), func(b *testing.B) {
			root, template, pub := newRoot(b, algorithm), leafTemplate(b, "press-01"), newKey(models.ECP256).Public()
			for b.Loop() {
				must(builder.BuildTBS(template, pub, root.issuer()))
			}
		})
	}
}

func BenchmarkSignTBS(b *testing.B) {
	for _, algorithm := range benchmarked {
		b.Run(string(algorithm), func(b *testing.B) {
			root := newRoot(b, algorithm)
			tbs := must(builder.BuildTBS(leafTemplate(b, "press-01"), newKey(models.ECP256).Public(), root.issuer()))
			for b.Loop() {
				must(pki.SignTBS(tbs.DER, root.cert, root.key))
			}
		})
	}
}

func BenchmarkParseCSR(b *testing.B) {
	for _, algorithm := range benchmarked {
		b.Run(string(algorithm), func(b *testing.B) {
			request := honestCSR(b, newKey(algorithm))
			for b.Loop() {
				must(pki.ParseCSR(request))
			}
		})
	}
}
