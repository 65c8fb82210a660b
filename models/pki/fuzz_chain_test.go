// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
)

// idevidPath is a device's certificate, the one between, and the root.
func idevidPath(f *testing.F) (leaf, between, root *x509.Certificate) {
	f.Helper()
	var parent *x509.Certificate
	var parentKey *ecdsa.PrivateKey
	for n, name := range []string{"Manufacturer Root", "Manufacturer Line 7", "press"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: name, SerialNumber: "4711"},
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(4e9, 0), BasicConstraintsValid: true, IsCA: n < 2,
			KeyUsage: x509.KeyUsageDigitalSignature,
		}
		if n < 2 {
			template.KeyUsage = x509.KeyUsageCertSign
		} else { // hardwareModuleName, RFC 4108 §5
			name, _ := asn1.Marshal(struct {
				Type   asn1.ObjectIdentifier
				Serial []byte
			}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, []byte("4711")})
			template.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Value: append([]byte{0x30, byte(len(name))}, name...)}}
		}
		issuer, signer := parent, parentKey
		if issuer == nil {
			issuer, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
		if err != nil {
			f.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			f.Fatal(err)
		}
		parentKey = key
		switch n {
		case 0:
			root = parent
		case 1:
			between = parent
		}
	}
	return parent, between, root
}

// FuzzIDevIDChain sends certificates as a stranger's TLS client does: the leaf
// first, then whatever else. What is accepted ends at the anchor and nobody
// else's word is taken for it.
func FuzzIDevIDChain(f *testing.F) {
	leaf, between, root := idevidPath(f)
	f.Add(append(append([]byte{}, leaf.Raw...), between.Raw...))
	f.Add(leaf.Raw)
	f.Add(append(append(append([]byte{}, leaf.Raw...), between.Raw...), root.Raw...))
	f.Add(root.Raw)
	at := time.Unix(1e9, 0)
	f.Fuzz(func(t *testing.T, presented []byte) {
		certs, err := x509.ParseCertificates(presented)
		if err != nil || len(certs) == 0 {
			return
		}
		_, _ = SubjectSerialNumber(certs[0]), SANs(certs[0])
		chain, err := VerifyClient(certs[0], certs[1:], []*x509.Certificate{root}, at)
		if err != nil {
			if models.KindOf(err) != models.KindUnauthenticated {
				t.Errorf("a stranger's certificate is %v", err)
			}
			return
		}
		if !chain[len(chain)-1].Equal(root) || chain[0].IsCA || chain[0].CheckSignatureFrom(chain[1]) != nil {
			t.Errorf("accepted: %s", chain[0].Subject)
		}
	})
}
