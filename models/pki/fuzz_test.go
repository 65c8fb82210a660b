// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// seedRequests are honest requests for the fuzzers to begin with.
func seedRequests(f *testing.F) [][]byte {
	f.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	var requests [][]byte
	for _, key := range []any{ec, ed} {
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "press-01", Country: []string{"DE"}}, DNSNames: []string{"a.example", "xn--mller-kva.example"},
		}, key)
		if err != nil {
			f.Fatal(err)
		}
		requests = append(requests, request)
	}
	return requests
}

func seedCertificate(f *testing.F) *x509.Certificate {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(5), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0), Subject: pkix.Name{CommonName: "x"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	return cert
}

func seedMessage(f *testing.F, cert *x509.Certificate) []byte {
	f.Helper()
	message, err := CertsOnly(cert, cert)
	if err != nil {
		f.Fatal(err)
	}
	return message
}

// mustBeInvalid fails unless a refusal blames the input and has a text.
func mustBeInvalid(t *testing.T, err error) {
	t.Helper()
	if err != nil && (models.KindOf(err) != models.KindInvalid || models.PublicText(err) == "") {
		t.Fatalf("%v", err)
	}
}

func FuzzDecodeCSR(f *testing.F) {
	for _, request := range seedRequests(f) {
		f.Add(request)
		f.Add([]byte(base64.StdEncoding.EncodeToString(request)))
		f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	}
	f.Add([]byte("-----BEGIN "))
	f.Fuzz(func(t *testing.T, body []byte) {
		der, err := DecodeCSR(body)
		mustBeInvalid(t, err)
		if len(der) > len(body) {
			t.Fatal("it grew")
		}
	})
}

func FuzzParseCSR(f *testing.F) {
	for _, request := range seedRequests(f) {
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		csr, err := ParseCSR(der)
		mustBeInvalid(t, err)
		if err == nil && (!bytes.Equal(csr.DER, der) || csr.Request.CheckSignature() != nil) {
			t.Fatal("something else was accepted")
		}
	})
}

// FuzzNames looks at subjects and alternative names without a signature in
// the way: whatever passes, the standard library must read, too.
func FuzzNames(f *testing.F) {
	subject, err := MarshalName(models.Name{CommonName: "x", Country: "DE"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(subject)
	f.Add([]byte("\x30\x0b\x82\x09a.example"))
	f.Fuzz(func(t *testing.T, der []byte) {
		mustBeInvalid(t, checkName(der))
		mustBeInvalid(t, checkSANExtension(der))
		mustBeInvalid(t, checkDNSName(string(der)))
		mustBeInvalid(t, checkURI(string(der)))
		mustBeInvalid(t, checkEmail(string(der)))
	})
}

func FuzzParseCertificates(f *testing.F) {
	cert := seedCertificate(f)
	f.Add(cert.Raw)
	f.Add(EncodePEM(cert, cert))
	f.Add(seedMessage(f, cert))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := ParseCertificates(data, 3)
		mustBeInvalid(t, err)
		if err == nil && (len(certs) == 0 || len(certs) > 3) {
			t.Fatalf("%d certificates", len(certs))
		}
	})
}

func FuzzParseCertsOnly(f *testing.F) {
	f.Add(seedMessage(f, seedCertificate(f)))
	f.Fuzz(func(t *testing.T, der []byte) {
		certs, err := ParseCertsOnly(der)
		mustBeInvalid(t, err)
		if err == nil && len(certs) == 0 {
			t.Fatal("no certificates")
		}
	})
}

// FuzzStrictDER holds the walker against the DER reader of x/crypto: what it
// accepts, that one accepts at the top.
func FuzzStrictDER(f *testing.F) {
	for _, request := range seedRequests(f) {
		f.Add(request)
	}
	f.Add(seedMessage(f, seedCertificate(f)))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if strictDER(data, 1000) != nil {
			return
		}
		in := cryptobyte.String(data)
		var element cryptobyte.String
		var tag asn1.Tag
		if !in.ReadAnyASN1Element(&element, &tag) || !in.Empty() {
			t.Fatalf("%x is not DER", data)
		}
	})
}
