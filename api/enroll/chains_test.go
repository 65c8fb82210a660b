// SPDX-License-Identifier: MIT

package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// TestARememberedPathIsValidAsLongAsItsCertificates and not a moment longer.
func TestARememberedPathIsValidAsLongAsItsCertificates(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	make := func(name string, isCA bool, until time.Duration, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: now, NotAfter: now.Add(until), IsCA: isCA, BasicConstraintsValid: true}
		if parent == nil {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	root, rootKey := make("root", true, 3*time.Hour, nil, nil)
	issuing, issuingKey := make("issuing", true, time.Hour, root, rootKey)
	leaf, _ := make("leaf", false, 2*time.Hour, issuing, issuingKey)
	stranger, strangerKey := make("issuing", true, 3*time.Hour, nil, nil)
	forged, _ := make("leaf", false, 2*time.Hour, stranger, strangerKey)

	var p paths
	above := []*x509.Certificate{issuing, root}
	for range 2 {
		if err := p.verify(leaf, above, now.Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if err := p.verify(forged, above, now.Add(time.Minute)); err == nil {
			t.Error("a certificate of another key is valid")
		}
		if err := p.verify(leaf, []*x509.Certificate{stranger}, now.Add(time.Minute)); err == nil {
			t.Error("a certificate is valid under another root")
		}
	}
	if len(p.valid) != 1 {
		t.Errorf("%d paths are remembered", len(p.valid))
	}
	for name, at := range map[string]time.Time{"before all": now.Add(-time.Second), "after the issuer": now.Add(time.Hour + time.Second), "after the leaf": now.Add(2*time.Hour + time.Second)} {
		if err := p.verify(leaf, above, at); err == nil {
			t.Errorf("%s it is valid", name)
		}
	}
}
