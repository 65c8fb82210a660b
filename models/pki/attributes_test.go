// SPDX-License-Identifier: MIT

package pki_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestMarshalAttributes(t *testing.T) {
	const (
		cn, c, dc, unknown = "2.5.4.3", "2.5.4.6", "0.9.2342.19200300.100.1.25", "1.2.3.4"
	)
	tests := map[string]struct {
		attributes []pki.Attribute
		want       string // RFC 4514
		tags       []byte
	}{
		"none is the empty sequence":   {nil, "", nil},
		"each type as RFC 5280 has it": {[]pki.Attribute{{OID: dc, Value: "plant"}, {OID: c, Value: "DE"}, {OID: cn, Value: "Prüfstand"}, {OID: unknown, Value: "x"}}, "1.2.3.4=x,CN=Prüfstand,C=DE,0.9.2342.19200300.100.1.25=plant", []byte{asn1.TagIA5String, asn1.TagPrintableString, asn1.TagUTF8String, asn1.TagUTF8String}},
		"a lower-case country":         {[]pki.Attribute{{OID: c, Value: "de"}}, "Invalid", nil},
		"IA5String without umlauts":    {[]pki.Attribute{{OID: dc, Value: "prüf"}}, "Invalid", nil},
		"PrintableString without _":    {[]pki.Attribute{{OID: "2.5.4.5", Value: "SN_1"}}, "Invalid", nil},
		"an empty value":               {[]pki.Attribute{{OID: cn}}, "Invalid", nil},
		"more than thirty attributes":  {make([]pki.Attribute, 31), "Invalid", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			encoded, err := pki.MarshalAttributes(test.attributes)
			if err != nil {
				if models.KindOf(err).String() != test.want {
					t.Error(err)
				}
				return
			}
			var rdns pkix.RDNSequence
			if _, err := asn1.Unmarshal(encoded, &rdns); err != nil || rdns.String() != test.want {
				t.Errorf("%s, %v", rdns, err)
			}
			var raw []asn1.RawValue
			if _, err := asn1.Unmarshal(encoded, &raw); err != nil || len(raw) != len(test.tags) {
				t.Fatalf("%d RDNs, %v", len(raw), err)
			}
			for i, rdn := range raw {
				var set []struct {
					Type  asn1.ObjectIdentifier
					Value asn1.RawValue
				}
				if _, err := asn1.UnmarshalWithParams(rdn.FullBytes, &set, "set"); err != nil || set[0].Value.Tag != int(test.tags[i]) {
					t.Errorf("RDN %d: %+v, %v", i, set, err)
				}
			}
		})
	}
}

func TestCanonicalSAN(t *testing.T) {
	for name, want := range map[string]string{
		"dns:Press-01.Example": "dns:press-01.example", "ip:2001:DB8:0::1": "ip:2001:db8::1", "ip:192.0.2.1": "ip:192.0.2.1",
		"uri:urn:Press:01": "uri:urn:Press:01", "email:A@example.com": "email:A@example.com",
		"dns:*.example": "", "dns:a_b": "", "ip:fe80::1%eth0": "", "ip:::ffff:192.0.2.1": "", "ip:300.1.1.1": "", "uri:a": "", "email:a": "", "x:a": "", "": "",
	} {
		got, err := pki.CanonicalSAN(name)
		if (err == nil) != (want != "") || err == nil && got != want || err != nil && models.KindOf(err) != models.KindInvalid {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
}

// TestCriticalityIsAllThatExtensionsSay hands in extensions with values of
// their own, which must not come through.
func TestCriticalityIsAllThatExtensionsSay(t *testing.T) {
	ca := newRoot(t, models.ECP256)
	key := newKey(models.ECP256)
	ku, eku, san := asn1.ObjectIdentifier{2, 5, 29, 15}, asn1.ObjectIdentifier{2, 5, 29, 37}, asn1.ObjectIdentifier{2, 5, 29, 17}
	template := leafTemplate(t, "press-01")
	template.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.Extensions = []pkix.Extension{
		{Id: ku, Critical: false, Value: []byte{3, 2, 1, 6}}, // keyCertSign, cRLSign
		{Id: eku, Critical: true}, {Id: san, Critical: true},
		{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}},
	}
	tbs, err := builder.BuildTBS(template, key.Public(), ca.issuer())
	if err != nil {
		t.Fatal(err)
	}
	der, err := pki.SignTBS(tbs.DER, ca.cert, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	cert := must(x509.ParseCertificate(der))
	critical := map[string]bool{}
	for _, e := range cert.Extensions {
		critical[e.Id.String()] = e.Critical
	}
	if cert.KeyUsage != x509.KeyUsageDigitalSignature || critical[ku.String()] || !critical[eku.String()] || !critical[san.String()] {
		t.Errorf("key usage %b, critical %v", cert.KeyUsage, critical)
	}
	if _, smuggled := critical["1.2.3"]; smuggled || !bytes.Equal(cert.RawTBSCertificate, tbs.DER) {
		t.Error("an extension that no field has came through")
	}
}
