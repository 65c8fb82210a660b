// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fullTemplate has every field that encodeTBS knows.
func fullTemplate() *x509.Certificate {
	u, _ := url.Parse("urn:plant:press-01?x=1")
	return &x509.Certificate{
		SerialNumber: new(big.Int).Lsh(big.NewInt(0xff), 150), RawSubject: []byte{0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x02, 'p', '1'},
		NotBefore: time.Date(2026, 11, 21, 3, 4, 5, 6, time.FixedZone("x", 3600)), NotAfter: time.Date(2051, 1, 1, 0, 0, 0, 0, time.UTC),
		SubjectKeyId: []byte{1, 2, 3}, AuthorityKeyId: []byte{4, 5, 6},
		DNSNames: []string{"press-01.plant.example"}, EmailAddresses: []string{"press@plant.example"},
		IPAddresses: []net.IP{net.IPv4(10, 1, 2, 3), net.ParseIP("2001:db8::1")}, URIs: []*url.URL{u},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageOCSPSigning}, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 99999, 1}},
		BasicConstraintsValid: true, MaxPathLen: -1,
		CRLDistributionPoints: []string{"http://a/1.crl", "http://a/2.crl"}, IssuingCertificateURL: []string{"http://a/1.cer"}, OCSPServer: []string{"http://a/ocsp"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}},
	}
}

// TestEncodeTBSAgreesWithTheStandardLibrary byte for byte, or leaves the
// template to it.
func TestEncodeTBSAgreesWithTheStandardLibrary(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	edKey, standIn, _ := ed25519.GenerateKey(rand.Reader)
	cases := map[string]struct {
		change func(*x509.Certificate)
		wanted []pkix.Extension
		pub    crypto.PublicKey
		left   bool // to the standard library
	}{
		"everything":     {},
		"an RSA key":     {pub: rsaKey.Public()},
		"an Ed25519 key": {pub: edKey},
		"no extensions but the key's": {change: func(c *x509.Certificate) {
			*c = x509.Certificate{SerialNumber: c.SerialNumber, RawSubject: c.RawSubject, SubjectKeyId: c.SubjectKeyId}
		}},
		"an empty subject":               {change: func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} }},
		"the last second of UTCTime":     {change: func(c *x509.Certificate) { c.NotAfter = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC) }},
		"a time before 1950":             {change: func(c *x509.Certificate) { c.NotBefore = time.Date(1949, 1, 1, 0, 0, 0, 0, time.UTC) }},
		"a serial number of one":         {change: func(c *x509.Certificate) { c.SerialNumber = big.NewInt(1) }},
		"a serial number of 128":         {change: func(c *x509.Certificate) { c.SerialNumber = big.NewInt(128) }},
		"a CA":                           {change: func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign }},
		"a CA with a path length":        {change: func(c *x509.Certificate) { c.IsCA, c.MaxPathLen = true, 3 }},
		"a CA with path length 0":        {change: func(c *x509.Certificate) { c.IsCA, c.MaxPathLen, c.MaxPathLenZero = true, 0, true }},
		"a CA whose 0 means none":        {change: func(c *x509.Certificate) { c.IsCA, c.MaxPathLen = true, 0 }},
		"decipherOnly":                   {change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDecipherOnly }},
		"decipherOnly and keyAgreement":  {change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDecipherOnly | x509.KeyUsageKeyAgreement }},
		"criticality as asked":           {wanted: []pkix.Extension{{Id: oidExtKeyUsage, Critical: true}, {Id: oidKeyUsage}, {Id: asn1.ObjectIdentifier{1, 2, 3, 4}}}},
		"names that the subject needs":   {change: func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} }, wanted: []pkix.Extension{{Id: oidSubjectAltName}}},
		"a policy":                       {left: true, change: func(c *x509.Certificate) { c.Policies = []x509.OID{{}} }},
		"a name constraint":              {left: true, change: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"a.example"} }},
		"a name that is not ASCII":       {left: true, change: func(c *x509.Certificate) { c.DNSNames = []string{"prässe.example"} }},
		"a usage without an OID here":    {left: true, change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }},
		"a path length of no CA":         {left: true, change: func(c *x509.Certificate) { c.MaxPathLen = 2 }},
		"an extension written elsewhere": {left: true, change: func(c *x509.Certificate) { c.ExtraExtensions[0].Id = oidKeyUsage }},
		"a year of five digits":          {left: true, change: func(c *x509.Certificate) { c.NotAfter = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) }},
	}
	issuer := &x509.Certificate{RawSubject: []byte{0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x02, 'c', 'a'}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			template := fullTemplate()
			if c.change != nil {
				c.change(template)
			}
			if c.pub == nil {
				c.pub = p256.Public()
			}
			got, ok := encodeTBS(template, issuer.RawSubject, ecdsaSHA256.identifier, c.pub, c.wanted)
			if ok == c.left {
				t.Fatalf("encoded: %t", ok)
			}
			if c.left {
				return
			}
			signed, err := x509.CreateCertificate(rand.Reader, template, issuer, c.pub, standIn)
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := recast(signed, ecdsaSHA256.identifier, c.wanted, template.ExtraExtensions)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
