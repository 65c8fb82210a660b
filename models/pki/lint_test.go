// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zmap/zlint/v3/lint"

	"github.com/trustloom/trustloom/models"
)

// TestLintsAreWhatTheyClaim fails when a new zlint renames an excluded lint,
// or when so many lints vanish that the choice must have broken.
func TestLintsAreWhatTheyClaim(t *testing.T) {
	for name, reason := range lintExclusions {
		if lint.GlobalRegistry().CertificateLints().ByName(name) == nil {
			t.Errorf("%s is excluded but does not exist", name)
		}
		if len(reason) < 20 {
			t.Errorf("%s is excluded without a reason", name)
		}
	}
	l := newLinter()
	lints := l.single
	for _, s := range l.shared {
		lints = append(lints, s.CertificateLint)
	}
	if len(lints) < 80 {
		t.Errorf("only %d lints run", len(lints))
	}
	for _, l := range lints {
		if !strings.HasPrefix(l.Name, "e_") || !slices.Contains(lintSources, l.Source) {
			t.Errorf("%s of %s runs", l.Name, l.Source)
		}
	}
}

func TestTinyECPrivateKeysAreRefused(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, d := range []int64{1, 2, 200, 255} {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), big.NewInt(d).FillBytes(make([]byte, 48)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewBuilder().BuildTBS(&x509.Certificate{
			SerialNumber: NewSerial(), NotBefore: now, NotAfter: now.AddDate(1, 0, 0), DNSNames: []string{"a.example"},
			BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		}, key.Public(), Issuer{})
		if models.KindOf(err) != models.KindInvalid || !strings.Contains(err.Error(), "anybody can guess") {
			t.Errorf("private key %d: %v", d, err)
		}
	}
}

func TestMalformedCertificatesAreRefusedByTheLinter(t *testing.T) {
	if err := newLinter().run([]byte{0x30, 0}, false); models.KindOf(err) != models.KindDenied {
		t.Error(err)
	}
}
