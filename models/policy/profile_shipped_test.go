// SPDX-License-Identifier: MIT

package policy_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
)

func shippedProfile(t testing.TB, name string) *policy.Profile {
	t.Helper()
	p, err := policy.ParseProfile(policy.Shipped()[name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

func TestShippedProfilesAreComplete(t *testing.T) {
	want := map[string]string{
		"domain_credential": policy.TypeDomain, "tls_server": policy.TypeApplication, "tls_client": policy.TypeApplication,
		"opc_ua": policy.TypeApplication, "generic": policy.TypeApplication,
	}
	got := map[string]string{}
	for name := range policy.Shipped() {
		p := shippedProfile(t, name)
		got[name] = p.Type()
		if p.Name() != name || p.DisplayName() == "" || p.DisplayName() == name {
			t.Errorf("%s: Name %q, DisplayName %q", name, p.Name(), p.DisplayName())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

const (
	signs     = x509.KeyUsageDigitalSignature
	enciphers = x509.KeyUsageKeyEncipherment
)

var (
	isServer = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	isClient = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	isBoth   = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
)

func TestShippedProfiles(t *testing.T) {
	greedy := request{
		subject: pkix.Name{CommonName: "ceo", SerialNumber: "9999", Organization: []string{"Evil"}, OrganizationalUnit: []string{"A", "B"}},
		dns:     []string{"ceo.example"}, ips: []string{"192.0.2.1"}, uris: []string{"urn:ceo"}, emails: []string{"ceo@example.com"},
		extKeyUsages: []asn1.ObjectIdentifier{codeSigning, ocspSigning},
	}
	// own asks for what is the device's, and for a subject that is not.
	own := greedy
	own.dns, own.uris, own.emails = []string{"press-01.example"}, []string{"urn:plant:press-01"}, nil
	ownSANs := []string{"dns:press-01.example", "ip:192.0.2.1", "uri:urn:plant:press-01"}
	tests := map[string]struct {
		profile string
		request request
		who     policy.Subject
		want    summary
	}{
		"the domain credential says who the device is, whatever it asks for": {
			"domain_credential", greedy, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01", KeyUsage: signs, ExtKeyUsage: isClient}},
		"a domain credential for an empty subject": {
			"domain_credential", request{}, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01", KeyUsage: signs, ExtKeyUsage: isClient}},
		"a device without a serial number has none in its certificate": {
			"domain_credential", greedy, nameless,
			summary{Subject: "CN=press_02", KeyUsage: signs, ExtKeyUsage: isClient}},
		"a server that asks for nothing gets its device's name": {
			"tls_server", request{}, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01", SANs: []string{"dns:press-01"}, KeyUsage: signs, ExtKeyUsage: isServer}},
		"a device name that is no DNS name is not made one": {
			"tls_server", request{}, nameless,
			summary{Subject: "CN=press_02", KeyUsage: signs, ExtKeyUsage: isServer}},
		"a server has its names, and no other identity": {
			"tls_server", own, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01", SANs: []string{"dns:press-01.example", "ip:192.0.2.1"}, KeyUsage: signs, ExtKeyUsage: isServer}},
		"a server has the names that its operator noted": {
			"tls_server", request{subject: pkix.Name{CommonName: "web.plant.example"}, dns: []string{"hmi.plant.example"}, ips: []string{"192.0.2.7"}}, shippedKnown,
			summary{Subject: "SERIALNUMBER=4711,CN=web.plant.example", SANs: []string{"dns:hmi.plant.example", "ip:192.0.2.7"}, KeyUsage: signs, ExtKeyUsage: isServer}},
		"an RSA server may also encipher keys": {
			"tls_server", request{key: rsaKey(), dns: []string{"Press-01.HMI.example"}}, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01", SANs: []string{"dns:press-01.hmi.example"}, KeyUsage: signs | enciphers, ExtKeyUsage: isServer}},
		"a client is named after its device": {
			"tls_client", own, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01", SANs: ownSANs, KeyUsage: signs, ExtKeyUsage: isClient}},
		"an OPC UA application keeps its organization and URI": {
			"opc_ua", request{key: rsaKey(), subject: pkix.Name{CommonName: "UA Server", Organization: []string{"Plant"}, SerialNumber: "9999"},
				uris: []string{"urn:press-01:ua"}, dns: []string{"press-01"}, emails: []string{"a@example.com"}}, press,
			summary{Subject: "SERIALNUMBER=4711,CN=UA Server,O=Plant", SANs: []string{"dns:press-01", "uri:urn:press-01:ua"},
				KeyUsage: signs | enciphers | x509.KeyUsageContentCommitment | x509.KeyUsageDataEncipherment, ExtKeyUsage: isBoth}},
		"an OPC UA application with an elliptic key does not encipher": {
			"opc_ua", request{uris: []string{"urn:press-01:ua"}}, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01", SANs: []string{"uri:urn:press-01:ua"},
				KeyUsage: signs | x509.KeyUsageContentCommitment, ExtKeyUsage: isBoth}},
		"a generic certificate has any organization, but the device's name and serial number": {
			"generic", own, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01,OU=A+OU=B,O=Evil", SANs: ownSANs, KeyUsage: signs, ExtKeyUsage: isBoth}},
		"a generic certificate has the purposes that were asked for": {
			"generic", request{extKeyUsages: []asn1.ObjectIdentifier{clientAuth, codeSigning}, key: edKey()}, press,
			summary{Subject: "SERIALNUMBER=4711,CN=press-01", KeyUsage: signs, ExtKeyUsage: isClient}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			csr := test.request.csr(t)
			template, reasons, err := shippedProfile(t, test.profile).Template(csr, test.who, today)
			if err != nil {
				t.Fatal(err)
			}
			got := summarize(t, template)
			// One attribute per RDN: the plus sign is not what we expect to see.
			test.want.Subject = strings.ReplaceAll(test.want.Subject, "OU=A+OU=B", "OU=B,OU=A")
			if test.want.SANs == nil {
				test.want.SANs = []string{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s\nreasons: %s", diff, strings.Join(reasons, "\n"))
			}
			cert := build(t, template, csr.Request.PublicKey)
			if cert.IsCA || !cert.BasicConstraintsValid || !criticalOf(cert, "2.5.29.15") || criticalOf(cert, "2.5.29.37") {
				t.Errorf("CA %v, extensions %v", cert.IsCA, cert.Extensions)
			}
		})
	}
}

func criticalOf(cert *x509.Certificate, dotted string) bool {
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.String() == dotted })
	return i >= 0 && cert.Extensions[i].Critical
}

// shippedKnown is a device whose names an operator noted.
var shippedKnown = policy.Subject{Domain: press.Domain, Device: models.Device{Name: "press-01", SerialNumber: "4711", Metadata: map[string]string{
	"dns_names": "hmi.plant.example, web.plant.example", "ip_addresses": "192.0.2.7",
}}}

func TestShippedProfilesRefuse(t *testing.T) {
	tests := map[string]struct {
		profile string
		request request
		who     policy.Subject
		want    string
	}{
		"an OPC UA application without its URI": {"opc_ua", request{dns: []string{"press-01"}}, press,
			"Invalid: subject_alternative_name uris is required; ask for it in the request"},
		"a server with the name of another": {"tls_server", request{dns: []string{"press-02.example"}}, press,
			`Denied: subject_alternative_name dns_names "press-02.example" is refused: the profile allows "press-01", "press-01.*" only`},
		"a server with another address than is known": {"tls_server", request{ips: []string{"192.0.2.8"}}, shippedKnown,
			`Denied: subject_alternative_name ip_addresses "192.0.2.8" is refused: the profile allows "192.0.2.7" only`},
		"a client with the URI of another": {"tls_client", request{uris: []string{"urn:plant:press-02"}}, press,
			`Denied: subject_alternative_name uris "urn:plant:press-02" is refused: the profile allows "urn:press-01", "urn:press-01:*", "urn:press-01.*", "urn:*:press-01", "urn:*:press-01:*" only`},
		"an e-mail address that nobody noted": {"generic", request{emails: []string{"ceo@example.com"}}, press,
			`Denied: subject_alternative_name rfc822_names "ceo@example.com" is refused: the profile names none that is allowed for the device`},
		"an OPC UA application with the URI of another": {"opc_ua", request{uris: []string{"urn:press-02:ua"}}, press,
			`Denied: subject_alternative_name uris "urn:press-02:ua" is refused: the profile allows "urn:press-01", "urn:press-01:*", "urn:press-01.*", "urn:*:press-01", "urn:*:press-01:*" only`},
		"a serial number that the certificate cannot have": {"tls_client", request{},
			policy.Subject{Device: models.Device{Name: "press-01", SerialNumber: "SN_1"}},
			`Invalid: subject serial_number cannot be "SN_1", which the profile makes of "{{device.serial_number}}": ` +
				`the serialNumber "SN_1" may have letters, digits, spaces and '()+,-./:=? only`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := shippedProfile(t, test.profile).Template(test.request.csr(t), test.who, today)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestShippedValidity(t *testing.T) {
	for name, days := range map[string]int{"domain_credential": 365, "tls_server": 90, "tls_client": 90, "opc_ua": 365, "generic": 90} {
		t.Run(name, func(t *testing.T) {
			notBefore, notAfter := shippedProfile(t, name).Validity(today.Add(time.Millisecond))
			if !notBefore.Equal(today.Add(-time.Hour)) || !notAfter.Equal(today.Add(time.Duration(days)*24*time.Hour)) {
				t.Errorf("from %s to %s", notBefore, notAfter)
			}
		})
	}
}

func TestReasonsSayWhatWasChanged(t *testing.T) {
	csr := request{
		subject:      pkix.Name{CommonName: "x", Organization: []string{"Evil"}, SerialNumber: "1"},
		dns:          []string{"x.example"},
		extKeyUsages: []asn1.ObjectIdentifier{serverAuth},
	}.csr(t)
	_, reasons, err := shippedProfile(t, "domain_credential").Template(csr, press, today)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`subject organization_name "Evil" left out: the profile does not have it`,
		`subject common_name "x" replaced by "press-01": the profile sets it`,
		`subject serial_number "1" replaced by "4711": the profile sets it`,
		`subject_alternative_name dns_names "x.example" left out: the profile forbids it`,
		`extended_key_usage "server_auth" replaced by "client_auth": the profile sets it`,
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
}

func TestRenew(t *testing.T) {
	profile := shippedProfile(t, "generic")
	first := request{subject: pkix.Name{CommonName: "press-01.hmi"}, dns: []string{"press-01.example"}, extKeyUsages: []asn1.ObjectIdentifier{serverAuth}}.csr(t)
	template, _, err := profile.Template(first, press, today.AddDate(0, -1, 0))
	if err != nil {
		t.Fatal(err)
	}
	old := build(t, template, first.Request.PublicKey)

	t.Run("subject, names and purposes stay, validity is new", func(t *testing.T) {
		again := request{subject: old.Subject, dns: []string{"press-01.example"}, key: rsaKey()}.csr(t)
		renewed, reasons, err := profile.Renew(again, old, press, today)
		if err != nil {
			t.Fatal(err)
		}
		want := summary{Subject: "SERIALNUMBER=4711,CN=press-01.hmi", SANs: []string{"dns:press-01.example"}, KeyUsage: signs, ExtKeyUsage: isServer}
		if diff := cmp.Diff(want, summarize(t, renewed)); diff != "" || len(reasons) > 0 {
			t.Errorf("%s\nreasons: %q", diff, reasons)
		}
		if cert := build(t, renewed, again.Request.PublicKey); !cert.NotAfter.Equal(today.Add(90 * 24 * time.Hour)) {
			t.Errorf("ends %s", cert.NotAfter)
		}
	})
	t.Run("another subject in the request changes nothing", func(t *testing.T) {
		again := request{subject: pkix.Name{CommonName: "ceo"}, emails: []string{"ceo@example.com"}}.csr(t)
		renewed, reasons, err := profile.Renew(again, old, press, today)
		if err != nil {
			t.Fatal(err)
		}
		if got := summarize(t, renewed); got.Subject != "SERIALNUMBER=4711,CN=press-01.hmi" || len(got.SANs) != 1 || len(reasons) != 1 {
			t.Errorf("%+v, reasons %q", got, reasons)
		}
	})
	t.Run("the extensions are those of the profile of today", func(t *testing.T) {
		renewed, _, err := shippedProfile(t, "tls_client").Renew(first, old, press, today)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(isClient, renewed.ExtKeyUsage); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTheDocumentedExample keeps docs/operations/profiles.md true.
func TestTheDocumentedExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```jsonc\n")
	example, _, _ = strings.Cut(example, "```")
	p, err := policy.ParseProfile(regexp.MustCompile(` +//.*`).ReplaceAll([]byte(example), nil))
	if err != nil {
		t.Fatal(err)
	}
	r := named("2.5.4.6", "DE", org, "Acme", "2.5.4.12", "Dr")
	r.dns, r.uris = []string{"press-01.plant.example"}, []string{"urn:x"}
	template, _, err := p.Template(r.csr(t), press, today)
	if err != nil {
		t.Fatal(err)
	}
	want := summary{Subject: "SERIALNUMBER=4711,CN=press-01,OU=Line 3,OU=Press shop,O=Acme,C=DE", SANs: []string{"dns:press-01.plant.example"},
		KeyUsage: signs, ExtKeyUsage: isServer}
	if diff := cmp.Diff(want, summarize(t, template)); diff != "" {
		t.Error(diff)
	}
}
