// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// O07.
func TestCRLsOfOthers(t *testing.T) {
	made := func(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	root, rootKey := made("Root")
	twin, twinKey := made("Root")
	now := time.Now()
	extension := func(oid asn1.ObjectIdentifier, critical bool, value ...byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: oid, Critical: critical, Value: value}}
		}
	}
	idp := asn1.ObjectIdentifier{2, 5, 29, 28}
	tests := map[string]struct {
		change func(*x509.RevocationList)
		by     string
		spoil  func([]byte) []byte
		want   string // what the refusal says; empty: none
	}{
		"a complete one":                    {},
		"in PEM":                            {spoil: func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}) }},
		"one that says where it is":         {change: extension(idp, true, 0x30, 0x04, 0xa0, 0x02, 0xa0, 0x00)},
		"of a CA of the same name":          {by: "twin", want: "not signed by a CA"},
		"with a broken signature":           {spoil: func(der []byte) []byte { der[len(der)-1] ^= 1; return der }, want: "not signed by a CA"},
		"out of date":                       {change: func(l *x509.RevocationList) { l.NextUpdate = now.Add(-time.Minute) }, want: "was current until"},
		"from the future":                   {change: func(l *x509.RevocationList) { l.ThisUpdate = now.Add(time.Hour) }, want: "from the future"},
		"a delta":                           {change: extension(asn1.ObjectIdentifier{2, 5, 29, 27}, true, 0x02, 0x01, 0x01), want: "delta"},
		"for CA certificates only":          {change: extension(idp, true, 0x30, 0x03, 0x82, 0x01, 0xff), want: "some certificates"},
		"an indirect one":                   {change: extension(idp, true, 0x30, 0x03, 0x84, 0x01, 0xff), want: "some certificates"},
		"with an unknown critical":          {change: extension(asn1.ObjectIdentifier{1, 2, 3}, true, 0x05, 0x00), want: "not understood"},
		"with an unknown one":               {change: extension(asn1.ObjectIdentifier{1, 2, 3}, false, 0x05, 0x00)},
		"500 MB would be refused at 700 KB": {spoil: func([]byte) []byte { return make([]byte, 701<<10) }, want: "larger than"},
		"garbage":                           {spoil: func([]byte) []byte { return []byte{0x30, 0x80} }, want: "malformed"},
		"a certificate":                     {spoil: func([]byte) []byte { return pki.EncodePEM(root) }, want: "not an X509 CRL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			template := &x509.RevocationList{Number: big.NewInt(3), ThisUpdate: now.Add(-2 * time.Hour), NextUpdate: now.Add(2 * time.Hour)}
			if tt.change != nil {
				tt.change(template)
			}
			if template.NextUpdate.Before(template.ThisUpdate) {
				template.NextUpdate = template.ThisUpdate.Add(time.Hour)
			}
			issuer, key := root, rootKey
			if tt.by == "twin" {
				issuer, key = twin, twinKey
			}
			der, err := x509.CreateRevocationList(rand.Reader, template, issuer, key)
			if err != nil {
				t.Fatal(err)
			}
			if tt.spoil != nil {
				der = tt.spoil(der)
			}
			list, by, err := pki.ReadForeignCRL(der, []*x509.Certificate{root}, now)
			switch {
			case tt.want == "" && (err != nil || list.Number.Int64() != 3 || by != root):
				t.Errorf("the answer is %v", err)
			case tt.want != "" && (models.KindOf(err) != models.KindInvalid || err == nil || !strings.Contains(models.PublicText(err), tt.want)):
				t.Errorf("the refusal is %v, want %q", err, tt.want)
			}
		})
	}
}
