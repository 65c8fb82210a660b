// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestMarshalNameOrdersAndTypes(t *testing.T) {
	name, err := pki.MarshalName(models.Name{
		CommonName: "Prüfstand", SerialNumber: "4711", Organization: "Plant", OrganizationalUnit: "Press shop",
		Country: "DE", State: "Bayern", Locality: "Hof",
	})
	if err != nil {
		t.Fatal(err)
	}
	var sets []asn1.RawValue
	if _, err := asn1.Unmarshal(name, &sets); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, set := range sets {
		var pair struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		if _, err := asn1.Unmarshal(set.Bytes, &pair); err != nil {
			t.Fatal(err)
		}
		kind := map[int]string{asn1.TagUTF8String: "utf8", asn1.TagPrintableString: "printable"}[pair.Value.Tag]
		got = append(got, pair.Type.String()+" "+kind+" "+string(pair.Value.Bytes))
	}
	want := []string{"2.5.4.6 printable DE", "2.5.4.8 utf8 Bayern", "2.5.4.7 utf8 Hof", "2.5.4.10 utf8 Plant",
		"2.5.4.11 utf8 Press shop", "2.5.4.3 utf8 Prüfstand", "2.5.4.5 printable 4711"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMarshalNameRefuses(t *testing.T) {
	cases := map[string]struct {
		name models.Name
		says string
	}{
		"a long common name":            {models.Name{CommonName: strings.Repeat("x", 65)}, "at most 64"},
		"a long organization":           {models.Name{Organization: strings.Repeat("x", 65)}, "at most 64"},
		"a long locality":               {models.Name{Locality: strings.Repeat("x", 129)}, "at most 128"},
		"a country in words":            {models.Name{Country: "Germany"}, "at most 2"},
		"a country in small letters":    {models.Name{Country: "de"}, "capitals"},
		"a serialNumber with an umlaut": {models.Name{SerialNumber: "ü1"}, "letters, digits"},
		"a newline":                     {models.Name{State: "a\nb"}, "control"},
		"a space at the end":            {models.Name{OrganizationalUnit: "x "}, "begins or ends"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := pki.MarshalName(c.name)
			wantError(t, err, models.KindInvalid, c.says)
		})
	}
	if empty, err := pki.MarshalName(models.Name{}); err != nil || len(empty) != 2 {
		t.Errorf("%x, %v", empty, err)
	}
}

func TestSameSubjectAndSAN(t *testing.T) {
	key := newKey(models.ECP256)
	template := leafTemplate(t, "press-01")
	template.DNSNames, template.IPAddresses = []string{"press-01.example", "press-01"}, []net.IP{net.IPv4(10, 0, 0, 7)}
	template.URIs = []*url.URL{must(url.Parse("urn:press-01"))}
	cert := issue(t, template, key.Public(), newRoot(t, models.ECP256))
	honest := func() *x509.CertificateRequest {
		return &x509.CertificateRequest{
			Subject:  pkix.Name{CommonName: "press-01", SerialNumber: "4711"}, // PrintableString where the certificate has UTF8String
			DNSNames: []string{"press-01", "PRESS-01.example"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 7)}, URIs: template.URIs,
		}
	}
	cases := map[string]struct {
		change func(*x509.CertificateRequest)
		says   string // empty: accepted
	}{
		"the same, in another order and type": {func(*x509.CertificateRequest) {}, ""},
		"the very bytes of the subject":       {func(r *x509.CertificateRequest) { r.RawSubject = cert.RawSubject }, ""},
		"another common name":                 {func(r *x509.CertificateRequest) { r.Subject.CommonName = "press-02" }, "press-02"},
		"one attribute less":                  {func(r *x509.CertificateRequest) { r.Subject.SerialNumber = "" }, "subject"},
		"one attribute more":                  {func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"x"} }, "subject"},
		"one name more":                       {func(r *x509.CertificateRequest) { r.DNSNames = append(r.DNSNames, "evil.example") }, "dns:evil.example"},
		"one name less":                       {func(r *x509.CertificateRequest) { r.URIs = nil }, "uri:urn:press-01"},
		"another address":                     {func(r *x509.CertificateRequest) { r.IPAddresses[0] = net.IPv4(10, 0, 0, 8) }, "ip:10.0.0.8"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			request := honest()
			c.change(request)
			csr, err := pki.ParseCSR(must(x509.CreateCertificateRequest(rand.Reader, request, key)))
			if err != nil {
				t.Fatal(err)
			}
			err = pki.SameSubjectAndSAN(csr, cert)
			if c.says == "" && err != nil {
				t.Fatal(err)
			}
			if c.says != "" {
				wantError(t, err, models.KindDenied, c.says)
			}
		})
	}
}

func TestSubjectSerialNumberIsNeverAmbiguous(t *testing.T) {
	oid := asn1.ObjectIdentifier{2, 5, 4, 5}
	named := func(values ...string) *x509.Certificate {
		cert := &x509.Certificate{}
		for _, v := range values {
			cert.Subject.Names = append(cert.Subject.Names, pkix.AttributeTypeAndValue{Type: oid, Value: v})
		}
		return cert
	}
	for want, cert := range map[string]*x509.Certificate{"4711": named("4711"), "": named("4711", "4712")} {
		if got := pki.SubjectSerialNumber(cert); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := pki.SubjectSerialNumber(named()); got != "" {
		t.Error(got)
	}
}
