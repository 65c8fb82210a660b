// SPDX-License-Identifier: MIT

package cmp

import (
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// someCertificate returns a certificate from the messages of OpenSSL.
func someCertificate(t testing.TB) *x509.Certificate {
	t.Helper()
	m, err := ParseMessage(files(t, "openssl/cp.der")["cp"])
	if err != nil {
		t.Fatal(err)
	}
	certs, err := parseCertificates(m.ExtraCerts)
	if err != nil || len(certs) == 0 {
		t.Fatalf("%d certificates, %v", len(certs), err)
	}
	return certs[0]
}

// sent takes a value through a message.
func sent(t *testing.T, info Attribute, err error) *Attribute {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	m := &Message{Header: Header{Version: Version2, Sender: NullDN, Recipient: NullDN}, Body: Body{Type: BodyGenP, Infos: []Attribute{info}}}
	der, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseMessage(der)
	if err != nil {
		t.Fatal(err)
	}
	return &got.Body.Infos[0]
}

func TestGeneralMessagesComeBack(t *testing.T) {
	cert := someCertificate(t)
	must := func(name string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := CertificatesInfo(OIDCACerts, []*x509.Certificate{cert, cert})
	certs, parsed := sent(t, info, err).Certificates()
	must("caCerts", len(certs) == 2 && certs[1].Equal(cert), parsed)
	info, err = CertificatesInfo(OIDCACerts, nil)
	certs, parsed = sent(t, info, err).Certificates()
	must("no caCerts", certs == nil, parsed)
	one, parsed := sent(t, CertificateInfo(OIDRootCACert, cert), nil).Certificate()
	must("rootCaCert", one.Equal(cert), parsed)
	one, parsed = sent(t, CertificateInfo(OIDRootCACert, nil), nil).Certificate()
	must("no rootCaCert", one == nil, parsed)
	info, err = CRLsInfo([][]byte{{0x30, 0}})
	crls, parsed := sent(t, info, err).Elements()
	must("crls", len(crls) == 1, parsed)
	for _, u := range []*RootUpdate{nil, {NewWithNew: cert}, {NewWithNew: cert, NewWithOld: cert}, {NewWithNew: cert, OldWithNew: cert}} {
		info, err = RootUpdateInfo(u)
		got, parsed := sent(t, info, err).RootUpdate()
		must("rootCaKeyUpdate", cmp.Equal(u, got), parsed)
	}
	known := []CRLStatus{{Issuer: cert.RawIssuer}, {Points: []string{"http://x/1.crl", "http://x/2.crl"}, ThisUpdate: time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)}}
	info, err = CRLStatusInfo(known)
	statuses, parsed := sent(t, info, err).CRLStatuses()
	must("crlStatusList "+cmp.Diff(known, statuses), cmp.Equal(known, statuses), parsed)
	algorithms := []Algorithm{{OID: []int{1, 2, 840, 10045, 2, 1}, Parameters: []byte{6, 1, 42}}, {OID: []int{1, 3, 101, 112}}}
	info, err = AlgorithmsInfo(OIDSignKeyPairTypes, algorithms)
	list, parsed := sent(t, info, err).Algorithms()
	must("signKeyPairTypes", cmp.Equal(algorithms, list), parsed)
	info, err = AlgorithmInfo(OIDPreferredSymmAlg, algorithms[1])
	alg, parsed := sent(t, info, err).Algorithm()
	must("preferredSymmAlg", cmp.Equal(&algorithms[1], alg), parsed)
	info, err = CertProfileInfo("tls_server")
	names, parsed := sent(t, info, err).Texts()
	must("certProfile", cmp.Equal([]string{"tls_server"}, names), parsed)
}

func TestAdviceComesBack(t *testing.T) {
	for name, want := range map[string]*CertTemplateAdvice{
		"none":                nil,
		"nothing in it":       {},
		"a curve":             {Attrs: pki.CSRAttrs{Key: models.ECP384}},
		"a size":              {Attrs: pki.CSRAttrs{Key: models.RSA3072}, RSABits: 3072},
		"a size without name": {RSABits: 2049},
		"names and extensions": {Attrs: pki.CSRAttrs{
			Subject:    []pki.Attribute{{OID: "2.5.4.3"}, {OID: "2.5.4.11", Value: "myDept"}, {OID: "2.5.4.6", Value: "DE"}},
			Extensions: []pki.ExtensionTemplate{{OID: "2.5.29.15", Critical: true, Value: []byte{3, 2, 3, 0x88}}, {OID: "2.5.29.37"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			info, err := TemplateInfo(want)
			got, parsed := sent(t, info, err).Template()
			if diff := cmp.Diff(want, got); diff != "" || parsed != nil {
				t.Error(diff, parsed)
			}
		})
	}
}

// TestExampleOfRFC9483 takes the CertReqTemplateContent of RFC 9483 appendix A
// to the same octets again (testdata/rfc9483/README.md).
func TestExampleOfRFC9483(t *testing.T) {
	var octets []byte
	for line := range strings.Lines(string(files(t, "rfc9483/certreqtemplate.hex")["certreqtemplate.hex"])) {
		part, err := hex.DecodeString(strings.Join(strings.Fields(strings.Split(line, "#")[0]), ""))
		if err != nil {
			t.Fatal(err)
		}
		octets = append(octets, part...)
	}
	info := &Attribute{OID: OIDCertReqTemplate, Value: octets}
	if got := sent(t, *info, nil); string(got.Value) != string(octets) {
		t.Error("it is another value when it comes back")
	}
	advice, err := info.Template()
	if err != nil {
		t.Fatal(err)
	}
	want := &CertTemplateAdvice{RSABits: 2048, Attrs: pki.CSRAttrs{Key: models.ECP256,
		Subject: []pki.Attribute{{OID: "2.5.4.3"}, {OID: "2.5.4.11", Value: "myDept"}, {OID: "2.5.4.11", Value: "myGroup"}},
	}}
	if diff := cmp.Diff(want.Attrs.Subject, advice.Attrs.Subject); diff != "" || advice.Attrs.Key != want.Attrs.Key || advice.RSABits != want.RSABits || len(advice.Attrs.Extensions) != 3 {
		t.Errorf("%+v %s", advice, diff)
	}
	d := newDecoder(octets)
	in := d.sequence("the example")
	template := in.template()
	template.Raw = nil
	again, err := encoded(func(b *builder) {
		addSequence(b, func(b *builder) {
			template.encode(b)
			b.AddBytes(in.in)
		})
	})
	if err != nil || string(again) != string(octets) {
		t.Errorf("its fields encode to %x, %v", again, err)
	}
}
