// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func cidr(s string) *net.IPNet {
	_, r, err := net.ParseCIDR(s)
	if err != nil {
		panic(err)
	}
	return r
}

// TestACAInheritsWhatBindsItsIssuer: with a path length and constraints of its
// own it is checked without the certificates above it.
func TestACAInheritsWhatBindsItsIssuer(t *testing.T) {
	issuer := &x509.Certificate{
		MaxPathLen: 2, PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"plant.example"}, ExcludedDNSDomains: []string{"vault.plant.example"},
		PermittedURIDomains: []string{".plant.example", "one.example"}, PermittedEmailAddresses: []string{"plant.example", "a@b.example"},
		PermittedIPRanges: []*net.IPNet{cidr("10.0.0.0/8")},
	}
	plain := &x509.Certificate{}
	if reasons, err := pki.Inherit(plain, issuer); err != nil || reasons != nil {
		t.Fatal(reasons, err)
	}
	want := *issuer
	want.MaxPathLen = 1
	if diff := cmp.Diff(&want, plain); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct {
		own  x509.Certificate
		text string
	}{
		"a domain below":              {x509.Certificate{PermittedDNSDomains: []string{"hall3.plant.example"}}, ""},
		"the same domain":             {x509.Certificate{PermittedDNSDomains: []string{".Plant.example"}}, ""},
		"a domain beside":             {x509.Certificate{PermittedDNSDomains: []string{"aplant.example"}}, `DNS name "aplant.example"`},
		"a domain above":              {x509.Certificate{PermittedDNSDomains: []string{"example"}}, `DNS name "example"`},
		"hosts below":                 {x509.Certificate{PermittedURIDomains: []string{"a.plant.example", ".b.plant.example", "one.example"}}, ""},
		"hosts below one host":        {x509.Certificate{PermittedURIDomains: []string{".one.example"}}, "URI"},
		"a mailbox":                   {x509.Certificate{PermittedEmailAddresses: []string{"x@plant.example", "a@b.example", "plant.example"}}, ""},
		"another mailbox":             {x509.Certificate{PermittedEmailAddresses: []string{"b@b.example"}}, "e-mail address"},
		"mailboxes of hosts below":    {x509.Certificate{PermittedEmailAddresses: []string{".plant.example"}}, "e-mail address"},
		"a narrower range":            {x509.Certificate{PermittedIPRanges: []*net.IPNet{cidr("10.3.0.0/16")}}, ""},
		"a wider range":               {x509.Certificate{PermittedIPRanges: []*net.IPNet{cidr("10.0.0.0/7")}}, "range of addresses"},
		"a range of the other family": {x509.Certificate{PermittedIPRanges: []*net.IPNet{cidr("2001:db8::/32")}}, "range of addresses"},
	} {
		_, err := pki.Inherit(&c.own, issuer)
		if (err == nil) != (c.text == "") || err != nil && (models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), c.text)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := &x509.Certificate{MaxPathLen: 5, ExcludedDNSDomains: []string{"x.example", "vault.plant.example"}}
	if reasons, err := pki.Inherit(long, issuer); err != nil || len(reasons) != 1 || long.MaxPathLen != 1 || len(long.ExcludedDNSDomains) != 2 {
		t.Errorf("%v %v %+v", reasons, err, long)
	}
	last := &x509.Certificate{MaxPathLen: -1}
	if _, err := pki.Inherit(last, &x509.Certificate{MaxPathLen: 1}); err != nil || last.MaxPathLen != 0 || !last.MaxPathLenZero {
		t.Errorf("%v %+v", err, last)
	}
}
