// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestMarshalAttributesChoosesTheStringType(t *testing.T) {
	cases := map[string]struct {
		attribute pki.Attribute
		want      string // hex
	}{
		"serialNumber is PrintableString": {pki.Attribute{OID: "2.5.4.5", Value: "4"}, "300c310a3008" + "0603550405" + "130134"},
		"DC is IA5String":                 {pki.Attribute{OID: "0.9.2342.19200300.100.1.25", Value: "x"}, "301331113" + "00f" + "060a0992268993f22c640119" + "160178"},
		"others are UTF8String":           {pki.Attribute{OID: "1.2.3", Value: "ü"}, "300c310a3008" + "06022a03" + "0c02c3bc"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := pki.MarshalAttributes([]pki.Attribute{c.attribute})
			if err != nil || hex.EncodeToString(got) != c.want {
				t.Errorf("%x, %v", got, err)
			}
		})
	}
	_, err := pki.MarshalAttributes(make([]pki.Attribute, 31))
	wantError(t, err, models.KindInvalid, "more than 30")
	wantError(t, pki.CheckAttribute(pki.Attribute{OID: "1.2.840.113549.1.9.1", Value: "ü@x"}), models.KindInvalid, "ASCII")
}

func TestCanonicalSAN(t *testing.T) {
	accepted := map[string]string{
		"dns:Press-01.Example": "dns:press-01.example", "ip:10.0.0.7": "ip:10.0.0.7", "ip:FD00:0::7": "ip:fd00::7",
		"uri:urn:press-01:app": "uri:urn:press-01:app", "email:a@b.example": "email:a@b.example",
	}
	for name, want := range accepted {
		if got, err := pki.CanonicalSAN(name); err != nil || got != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "dns:*", "ip:1.2.3", "ip:fe80::1%eth0", "ip:::ffff:10.0.0.7", "uri:x", "email:x", "other:x"} {
		if _, err := pki.CanonicalSAN(name); models.KindOf(err) != models.KindInvalid || err == nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestCriticalityIsTheTemplates(t *testing.T) {
	root := newRoot(t, models.ECP256)
	usages, names := asn1.ObjectIdentifier{2, 5, 29, 37}, asn1.ObjectIdentifier{2, 5, 29, 17}
	template := leafTemplate(t, "press-01")
	template.RawSubject, template.DNSNames = []byte{0x30, 0}, []string{"press-01"}
	template.Extensions = []pkix.Extension{
		{Id: usages, Critical: true, Value: []byte("does not count")},
		{Id: names, Critical: false},                              // must be critical: the subject is empty
		{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true}, // not there
	}
	cert := issue(t, template, newKey(models.ECP256).Public(), root)
	critical := map[string]bool{}
	for _, e := range cert.Extensions {
		critical[e.Id.String()] = e.Critical
	}
	if !critical[usages.String()] || !critical[names.String()] || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("%v", critical)
	}
	template.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Critical: true}}
	_, err := builder.BuildTBS(template, newKey(models.ECP256).Public(), root.issuer())
	wantError(t, err, models.KindDenied, "e_ext_authority_key_identifier_critical")
}
