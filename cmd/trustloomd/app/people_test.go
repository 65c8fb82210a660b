// SPDX-License-Identifier: MIT

package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/trustloom/trustloom/test/fixture"
)

// What does not speak for all cards must not stand for a list that does: a
// revoked card would be let in.
func TestCRLsOfOperatorsThatAreNone(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SubjectKeyId: []byte{1}, Subject: pkix.Name{CommonName: "People"}, KeyUsage: x509.KeyUsageCRLSign}
	crl := func(extra ...pkix.Extension) []byte {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(2), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour), ExtraExtensions: extra}, ca, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	endless := fixture.EndlessCRL(t, ca, key, time.Now())
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl()})
	for what, c := range map[string]struct {
		file []byte
		good bool
	}{
		"a CRL":                     {crl(), true},
		"one without nextUpdate":    {endless, false},
		"one in PEM":                {inPEM, true},
		"half of one in PEM":        {inPEM[:len(inPEM)-20], false},
		"the first line of one":     {inPEM[:30], false},
		"half of one":               {crl()[:50], false},
		"one and half of another":   {append(append([]byte{}, inPEM...), inPEM[:100]...), false},
		"nothing":                   {nil, false},
		"a delta":                   {crl(pkix.Extension{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}), false},
		"one for CAs only":          {crl(pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xff}}), false},
		"one that nobody can judge": {crl(pkix.Extension{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}), false},
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "crl")
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			if lists, err := readCRLs(path); (err == nil) != c.good || (c.good && len(lists) != 1) {
				t.Errorf("%d lists, %v", len(lists), err)
			}
		})
	}
}
