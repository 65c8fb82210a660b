// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/dsa" //lint:ignore SA1019 an attacker does not mind that DSA is deprecated
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// foreign signs a template as a manufacturer's CA would: without our rules.
func foreign(t *testing.T, template *x509.Certificate, pub any, by authority) *x509.Certificate {
	t.Helper()
	if template.SerialNumber == nil {
		template.SerialNumber = pki.NewSerial()
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, by.cert, pub, by.key))))
}

func idevid() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{SerialNumber: "4711", CommonName: "controller"}, NotBefore: start,
		NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // IEEE 802.1AR §8.7: no end
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func manufacturer(t *testing.T) (root, sub authority) {
	t.Helper()
	key := newKey(models.ECP256)
	template := &x509.Certificate{
		SerialNumber: pki.NewSerial(), Subject: pkix.Name{CommonName: "Manufacturer Root"}, NotBefore: start, NotAfter: idevid().NotAfter,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root = authority{foreign(t, template, key.Public(), authority{template, key}), key}
	return root, foreignCA(t, "Manufacturer Devices", root)
}

func foreignCA(t *testing.T, name string, by authority) authority {
	t.Helper()
	key := newKey(models.ECP256)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: start, NotAfter: idevid().NotAfter,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return authority{foreign(t, template, key.Public(), by), key}
}

func TestVerifyClientReturnsThePath(t *testing.T) {
	root, sub := manufacturer(t)
	leaf := foreign(t, idevid(), newKey(models.ECP256).Public(), sub)
	at := start.Add(40 * 365 * day)
	cases := map[string]struct{ intermediates, anchors, want []*x509.Certificate }{
		"to a root":                              {[]*x509.Certificate{sub.cert}, []*x509.Certificate{root.cert}, []*x509.Certificate{leaf, sub.cert, root.cert}},
		"to a CA that is trusted directly":       {nil, []*x509.Certificate{sub.cert}, []*x509.Certificate{leaf, sub.cert}},
		"to that CA although it was sent, too":   {[]*x509.Certificate{sub.cert}, []*x509.Certificate{sub.cert}, []*x509.Certificate{leaf, sub.cert}},
		"with more than was needed in any order": {[]*x509.Certificate{leaf, root.cert, sub.cert}, []*x509.Certificate{newRoot(t, models.ECP256).cert, root.cert}, []*x509.Certificate{leaf, sub.cert, root.cert}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := pki.VerifyClient(leaf, c.intermediates, c.anchors, at)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(raws(c.want), raws(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func raws(certs []*x509.Certificate) (out [][]byte) {
	for _, c := range certs {
		out = append(out, c.Raw)
	}
	return out
}

// TestVerifyClientRefuses is A22 and what E01, E05 and E06 say of the path.
func TestVerifyClientRefuses(t *testing.T) {
	root, sub := manufacturer(t)
	twin, twinSub := manufacturer(t) // same names, other keys
	leafWith := func(change func(*x509.Certificate)) *x509.Certificate {
		template := idevid()
		change(template)
		return foreign(t, template, newKey(models.ECP256).Public(), sub)
	}
	limited := foreignCAWithEKU(t, root, x509.ExtKeyUsageServerAuth)
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	honest := leafWith(func(*x509.Certificate) {})
	issuingKey := newKey(models.ECP256)
	issuing := authority{foreign(t, idevid(), issuingKey.Public(), sub), issuingKey}
	chain := func(certs ...*x509.Certificate) []*x509.Certificate { return certs }
	cases := map[string]struct {
		leaf          *x509.Certificate
		intermediates []*x509.Certificate
		anchors       []*x509.Certificate
		at            time.Time
		says          string
	}{
		"E01 expired":                    {leafWith(func(c *x509.Certificate) { c.NotAfter = start.Add(day) }), chain(sub.cert), chain(root.cert), start.Add(2 * day), "expired at 2026-01-02T00:00:00Z"},
		"E01 not valid yet":              {honest, chain(sub.cert), chain(root.cert), start.Add(-day), "not valid before"},
		"E01 from another anchor":        {honest, chain(sub.cert), chain(newRoot(t, models.ECP256).cert), start.Add(day), "does not chain"},
		"E06 from a CA of the same name": {honest, chain(twinSub.cert), chain(twin.cert), start.Add(day), "does not chain"},
		"no anchors at all":              {honest, chain(sub.cert, root.cert), nil, start.Add(day), "does not chain"},
		"the intermediate is missing":    {honest, nil, chain(root.cert), start.Add(day), "does not chain"},
		"E05 a server certificate":       {leafWith(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), chain(sub.cert), chain(root.cert), start.Add(day), "clientAuth"},
		"E05 only for encryption":        {leafWith(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), chain(sub.cert), chain(root.cert), start.Add(day), "digitalSignature"},
		"a CA for servers only":          {foreign(t, idevid(), newKey(models.ECP256).Public(), limited), chain(limited.cert), chain(root.cert), start.Add(day), "clientAuth"},
		"a CA as a client":               {sub.cert, nil, chain(root.cert), start.Add(day), "that of a CA"},
		"a pinned leaf":                  {honest, nil, chain(honest), start.Add(day), "itself a trust anchor"},
		"a leaf that issues":             {foreign(t, idevid(), newKey(models.ECP256).Public(), issuing), chain(issuing.cert, sub.cert), chain(root.cert), start.Add(day), "does not chain"},
		"an unknown critical extension": {leafWith(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), chain(sub.cert), chain(root.cert), start.Add(day), "critical extension 1.2.3"},
		"A22 nine intermediates":            {honest, chain(sub.cert, sub.cert, sub.cert, sub.cert, sub.cert, sub.cert, sub.cert, sub.cert, sub.cert), chain(root.cert), start.Add(day), "at most 8"},
		"A22 a weak key":                    {foreign(t, idevid(), weak.Public(), sub), chain(sub.cert), chain(root.cert), start.Add(day), "not permitted"},
		"A22 a key of an unknown algorithm": {&x509.Certificate{PublicKey: &dsa.PublicKey{Y: big.NewInt(1)}}, nil, chain(root.cert), start.Add(day), "not permitted"},
		"A22 a thousand policies":           {honest, chain(manyPolicies(t, root)), chain(root.cert), start.Add(day), "larger"},
		"A22 a name-constraint bomb":        {honest, chain(manyConstraints(t, root)), chain(root.cert), start.Add(day), "larger"},
		"A22 cross-signed loops":            {honest, loops(t), chain(root.cert), start.Add(day), "does not chain"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := pki.VerifyClient(c.leaf, c.intermediates, c.anchors, c.at)
			wantError(t, err, models.KindUnauthenticated, c.says)
			if took := time.Since(began); took > slow {
				t.Errorf("the refusal took %s", took)
			}
		})
	}
}

func foreignCAWithEKU(t *testing.T, by authority, usage x509.ExtKeyUsage) authority {
	key := newKey(models.ECP256)
	return authority{foreign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Servers"}, NotBefore: start, NotAfter: idevid().NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}, key.Public(), by), key}
}

func manyPolicies(t *testing.T, by authority) *x509.Certificate {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "Policies"}, NotBefore: start, NotAfter: idevid().NotAfter, BasicConstraintsValid: true, IsCA: true}
	for i := range 1000 {
		template.Policies = append(template.Policies, must(x509.OIDFromInts([]uint64{1, 2, uint64(i)})))
	}
	return foreign(t, template, newKey(models.ECP256).Public(), by)
}

func manyConstraints(t *testing.T, by authority) *x509.Certificate {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "Constraints"}, NotBefore: start, NotAfter: idevid().NotAfter, BasicConstraintsValid: true, IsCA: true}
	for i := range 500 {
		template.ExcludedDNSDomains = append(template.ExcludedDNSDomains, fmt.Sprintf("c%d.example", i))
	}
	return foreign(t, template, newKey(models.ECP256).Public(), by)
}

// loops returns eight CAs of the devices' CA name that sign each other.
func loops(t *testing.T) []*x509.Certificate {
	a, b := newKey(models.ECP256), newKey(models.ECP256)
	var certs []*x509.Certificate
	for i := range 8 {
		mine, other := a, b
		if i%2 == 1 {
			mine, other = b, a
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "Manufacturer Devices"}, NotBefore: start, NotAfter: idevid().NotAfter,
			BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		}
		certs = append(certs, foreign(t, template, mine.Public(), authority{template, other}))
	}
	return certs
}
