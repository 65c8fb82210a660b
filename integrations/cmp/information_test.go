// SPDX-License-Identifier: MIT

package cmp

import (
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuestionsAreAnswered(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	by := &party{id: s.credential("press-01")}
	known := sure(CRLStatusInfo([]CRLStatus{{Issuer: s.issuing.cert.RawSubject}}))
	strange := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
	for name, c := range map[string]struct {
		path     string
		question Attribute
		check    func(t *testing.T, answer Attribute)
	}{
		"the CA certificates": {"/getcacerts", Attribute{OID: OIDCACerts}, func(t *testing.T, a Attribute) {
			if certs := sure(a.Certificates()); len(certs) != 2 || !certs[0].Equal(s.issuing.cert) {
				t.Errorf("%d certificates", len(certs))
			}
		}},
		"the update of a root CA": {"/getrootupdate", CertificateInfo(OIDRootCACert, s.root.cert), func(t *testing.T, a Attribute) {
			if u := sure(a.RootUpdate()); !a.OID.Equal(OIDRootCAKeyUpdate) || !u.NewWithNew.Equal(s.other.cert) || !u.OldWithNew.Equal(s.vendor.cert) {
				t.Errorf("%v: %+v", a.OID, u)
			}
		}},
		"the template of requests": {"/getcertreqtemplate", Attribute{OID: OIDCertReqTemplate}, func(t *testing.T, a Attribute) {
			if advice := sure(a.Template()); advice.Attrs.Key != "EC-P256" {
				t.Errorf("%+v", advice)
			}
		}},
		"newer CRLs": {"/getcrls", known, func(t *testing.T, a Attribute) {
			if crls := sure(a.Elements()); !a.OID.Equal(OIDCRLs) || len(crls) != 1 {
				t.Errorf("%v: %d CRLs", a.OID, len(crls))
			}
		}},
		"the current CRL": {"", Attribute{OID: OIDCurrentCRL}, func(t *testing.T, a Attribute) {
			if len(a.Value) == 0 {
				t.Error("there is none")
			}
		}},
		"the keys to sign with": {"", Attribute{OID: OIDSignKeyPairTypes}, func(t *testing.T, a Attribute) {
			if got := sure(a.Algorithms()); len(got) != 8 {
				t.Errorf("%d kinds of keys", len(got))
			}
		}},
		"the keys to encrypt to": {"", Attribute{OID: OIDEncKeyPairTypes}, func(t *testing.T, a Attribute) {
			if got := sure(a.Algorithms()); len(got) != 4 {
				t.Errorf("%d kinds of keys", len(got))
			}
		}},
		"the preferred algorithm": {"", Attribute{OID: OIDPreferredSymmAlg}, func(t *testing.T, a Attribute) {
			if got := sure(a.Algorithm()); got.OID.String() != "2.16.840.1.101.3.4.1.42" {
				t.Errorf("%v", got)
			}
		}},
		"a key to encrypt to the CA": {"", Attribute{OID: OIDCAProtEncCert}, func(t *testing.T, a Attribute) {
			if a.Value != nil {
				t.Errorf("%x", a.Value)
			}
		}},
		"something strange": {"", Attribute{OID: strange}, func(t *testing.T, a Attribute) {
			var oids []asn1.ObjectIdentifier
			if _, err := asn1.Unmarshal(a.Value, &oids); err != nil || !a.OID.Equal(OIDUnsupportedOIDs) || cmp.Diff([]asn1.ObjectIdentifier{strange}, oids) != "" {
				t.Errorf("%v: %v %v", a.OID, oids, err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := ask(t, h, shop+c.path, by.protect(request(Body{Type: BodyGenM, Infos: []Attribute{c.question}})))
			by.checks(t, s, answer)
			if answer.Body.Type != BodyGenP || len(answer.Body.Infos) != 1 {
				t.Fatalf("the answer is %s: %+v", answer.Body.Type, answer.Body.Error)
			}
			c.check(t, answer.Body.Infos[0])
		})
	}
}

func TestOpenSSLAsks(t *testing.T) {
	s := newSite()
	o := newTool(t, s)
	for _, arguments := range [][]string{{"-infotype", "caCerts"}, {"-infotype", "signKeyPairTypes"}, {}} {
		out, err := o.cmp("genm", shop, append(arguments, "-ref", "press-01", "-secret", "pass:"+s.secrets["press-01"])...)
		if err != nil || !strings.Contains(out, "received GENP") {
			t.Errorf("%v: %v\n%s", arguments, err, out)
		}
	}
}
