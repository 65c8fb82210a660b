// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"github.com/trustloom/trustloom/models/pki"
)

func TestARequestGetsAChallengePassword(t *testing.T) {
	for name, make := range map[string]func() (crypto.Signer, error){
		"RSA":     func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"P-256":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"P-384":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"Ed25519": func() (crypto.Signer, error) { _, key, err := ed25519.GenerateKey(rand.Reader); return key, err },
	} {
		t.Run(name, func(t *testing.T) {
			key, err := make()
			if err != nil {
				t.Fatal(err)
			}
			for _, template := range []*x509.CertificateRequest{
				{Subject: pkix.Name{CommonName: "press-01"}},
				{Subject: pkix.Name{CommonName: "press-01"}, DNSNames: []string{"press-01.example"}},
			} {
				request, err := x509.CreateCertificateRequest(rand.Reader, template, key)
				if err != nil {
					t.Fatal(err)
				}
				with, err := pki.WithChallengePassword(request, key, "AAAAAAAAAAAAAAAA")
				if err != nil {
					t.Fatal(err)
				}
				csr, err := pki.ParseCSR(with) // the signature, too
				if err != nil {
					t.Fatal(err)
				}
				if got, ok := csr.ChallengePassword(); !ok || got != "AAAAAAAAAAAAAAAA" || len(csr.Request.DNSNames) != len(template.DNSNames) {
					t.Errorf("%q, %v, %v", got, ok, csr.Request.DNSNames)
				}
			}
			if _, err := pki.WithChallengePassword([]byte("x"), key, "A"); err == nil {
				t.Error("what is no request gets a challenge password")
			}
		})
	}
}
