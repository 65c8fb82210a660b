// SPDX-License-Identifier: MIT

package policy_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Requests for extensions that x509 has no fields for.
func asksFor(dotted, valueHex string) request {
	value := must(hex.DecodeString(valueHex))
	return request{extensions: []pkix.Extension{{Id: oid(dotted), Value: value}}}
}

func asksForNames(names ...string) request {
	return request{extensions: []pkix.Extension{{Id: oid("2.5.29.17"), Value: must(pki.MarshalSANs(names))}}}
}

// opensslText is what OpenSSL says about a certificate, white space collapsed.
func opensslText(t testing.TB, cert *x509.Certificate) string {
	t.Helper()
	cmd := exec.Command("openssl", "x509", "-noout", "-text")
	cmd.Stdin = strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl x509 -text: %v\n%s", err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func valueOf(cert *x509.Certificate, dotted string) string {
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.String() == dotted })
	if i < 0 {
		return "absent"
	}
	if cert.Extensions[i].Critical {
		return "critical " + hex.EncodeToString(cert.Extensions[i].Value)
	}
	return hex.EncodeToString(cert.Extensions[i].Value)
}

const (
	oidPolicies = "2.5.29.32"
	oidTemplate = "1.3.6.1.4.1.311.21.7"
	oidName     = "1.3.6.1.4.1.311.20.2"
	oidOwn      = "1.3.6.1.4.1.99999.1"
	oidCDP      = "2.5.29.31"
	oidAIA      = "1.3.6.1.5.5.7.1.1"

	policyA  = "300630040602" + "2a03"            // 1.2.3
	policyB  = "300630040602" + "2a04"            // 1.2.4
	msOne    = "300b06032a0304020164020103"       // 1.2.3.4, version 100.3
	msTwo    = "300506032a0305"                   // 1.2.3.5
	machine  = "1e0e004d0061006300680069006e0065" // BMPString "Machine"
	utf8Text = "0c05" + "68656c6c6f"              // "hello"
)

// TestExtensions has for each extension a request that is accepted, one that
// is changed and one that is refused.
func TestExtensions(t *testing.T) {
	tests := map[string]struct {
		rules   string
		request request
		oid     string
		want    string // of the extension: hex of its value
		refusal string
		reason  string
		text    string // OpenSSL prints it
	}{
		"policies: set":                {`{"certificate_policies":["1.2.3"]}`, request{}, oidPolicies, policyA, "", "", "X509v3 Certificate Policies: Policy: 1.2.3"},
		"policies: the same asked for": {`{"certificatePolicies":{"value":["1.2.3"],"reject_mods":true}}`, asksFor(oidPolicies, policyA), oidPolicies, policyA, "", "", ""},
		"policies: another replaced": {`{"policies":["1.2.3"]}`, asksFor(oidPolicies, policyB), oidPolicies, policyA, "",
			`certificate_policies "1.2.4" replaced by "1.2.3": the profile sets it`, ""},
		"policies: another refused": {`{"2.5.29.32":{"value":["1.2.3"],"reject_mods":true}}`, asksFor(oidPolicies, policyB), oidPolicies, "",
			`Denied: certificate_policies "1.2.4" is refused: the profile sets "1.2.3"`, "", ""},
		"policies: allowed by name":            {`{"certificate_policies":{"allow":["1.2.3","1.2.4"],"critical":true}}`, asksFor(oidPolicies, policyB), oidPolicies, "critical " + policyB, "", "", "Policies: critical"},
		"policies: the star allows none":       {`{"certificate_policies":{"allow":"*"}}`, asksFor(oidPolicies, policyB), oidPolicies, "absent", "", `certificate_policies "1.2.4" left out: the profile names none that is allowed for the device`, ""},
		"policies: nothing said, never copied": {`{"allow":"*"}`, asksFor(oidPolicies, policyB), oidPolicies, "absent", "", `certificate_policies "1.2.4" left out: the profile does not have it`, ""},
		"policies: required":                   {`{"certificate_policies":{"allow":["1.2.3"],"required":true}}`, request{}, oidPolicies, "", "Invalid: certificate_policies is required; ask for it in the request", "", ""},
		"policies: malformed":                  {`{}`, asksFor(oidPolicies, "0c0141"), oidPolicies, "", "Invalid: the requested extension certificate_policies is malformed", "", ""},
		"policies: with CPS and notice": {`{"certificate_policies":{"default":[{"oid":"1.2.3","cps":"http://pki.example/cps","user_notice":"Prüfstand"}]}}`, request{}, oidPolicies,
			"3046304406022a03303e302206082b060105050702011616" + hex.EncodeToString([]byte("http://pki.example/cps")) +
				"301806082b06010505070202300c0c0a" + hex.EncodeToString([]byte("Prüfstand")), "", "", "CPS: http://pki.example/cps"},

		"template: set, version 2":       {`{"microsoft_template":"1.2.3.4:100:3"}`, request{}, oidTemplate, "300b06032a030402016402" + "0103", "", "", ""},
		"template: set, by name":         {`{"microsoft_template":"Machine"}`, request{}, oidName, machine, "", "", ""},
		"template: the same asked for":   {`{"microsoft_template":{"value":"1.2.3.4:100:3","reject_mods":true}}`, asksFor(oidTemplate, msOne), oidTemplate, msOne, "", "", ""},
		"template: another replaced":     {`{"microsoft_template":"1.2.3.4:100:3"}`, asksFor(oidTemplate, msTwo), oidTemplate, msOne, "", `microsoft_template "1.2.3.5" replaced by "1.2.3.4:100:3": the profile sets it`, ""},
		"template: another refused":      {`{"microsoft_template":{"value":"Machine","reject_mods":true}}`, asksFor(oidTemplate, msTwo), oidTemplate, "", `Denied: microsoft_template "1.2.3.5" is refused: the profile sets "Machine"`, "", ""},
		"template: allowed by name":      {`{"microsoft_template":{"allow":["1.2.3.5","Machine"]}}`, asksFor(oidName, machine), oidName, machine, "", "", ""},
		"template: the star allows none": {`{"allow":"*","microsoft_template":{}}`, asksFor(oidTemplate, msTwo), oidTemplate, "absent", "", `microsoft_template "1.2.3.5" left out: the profile names none that is allowed for the device`, ""},

		"custom: hex":                     {`{"custom":{"1.3.6.1.4.1.99999.1":{"value":"hex:0C0568656C6C6F","critical":true}}}`, request{}, oidOwn, "critical " + utf8Text, "", "", "1.3.6.1.4.1.99999.1: critical"},
		"custom: base64":                  {`{"custom":{"1.3.6.1.4.1.99999.1":"base64:DAVoZWxsbw=="}}`, request{}, oidOwn, utf8Text, "", "", ""},
		"custom: text of the device":      {`{"custom":{"1.3.6.1.4.1.99999.1":"utf8:{{device.name}}"}}`, request{}, oidOwn, "0c08" + hex.EncodeToString([]byte("press-01")), "", "", ""},
		"custom: no value for the device": {`{"custom":{"1.3.6.1.4.1.99999.1":"utf8:{{device.metadata.hall}}"}}`, request{}, oidOwn, "absent", "", "", ""},
		"custom: the same asked for":      {`{"custom":{"1.3.6.1.4.1.99999.1":{"value":"hex:0c0568656c6c6f","reject_mods":true}}}`, asksFor(oidOwn, utf8Text), oidOwn, utf8Text, "", "", ""},
		"custom: another replaced": {`{"custom":{"1.3.6.1.4.1.99999.1":"hex:0500"}}`, asksFor(oidOwn, utf8Text), oidOwn, "0500", "",
			`extension 1.3.6.1.4.1.99999.1 "hex:0c0568656c6c6f" replaced by "hex:0500": the profile sets it`, ""},
		"custom: another refused": {`{"custom":{"1.3.6.1.4.1.99999.1":{"value":"hex:0500","reject_mods":true}}}`, asksFor(oidOwn, utf8Text), oidOwn, "",
			`Denied: extension 1.3.6.1.4.1.99999.1 "hex:0c0568656c6c6f" is refused: the profile sets "hex:0500"`, "", ""},
		"custom: one of a list":         {`{"custom":{"1.3.6.1.4.1.99999.1":{"allow":["hex:0500","utf8:hello"]}}}`, asksFor(oidOwn, utf8Text), oidOwn, utf8Text, "", "", ""},
		"custom: the default":           {`{"custom":{"1.3.6.1.4.1.99999.1":{"default":"utf8:hello"}}}`, request{}, oidOwn, utf8Text, "", "", ""},
		"custom: a default is a limit":  {`{"custom":{"1.3.6.1.4.1.99999.1":{"default":"utf8:hello"}}}`, asksFor(oidOwn, "0500"), oidOwn, utf8Text, "", `extension 1.3.6.1.4.1.99999.1 "hex:0500" left out: the profile allows "hex:0c0568656c6c6f" only`, ""},
		"custom: null":                  {`{"custom":{"1.3.6.1.4.1.99999.1":null}}`, asksFor(oidOwn, "0500"), oidOwn, "absent", "", `extension 1.3.6.1.4.1.99999.1 "hex:0500" left out: the profile forbids it`, ""},
		"custom: never with a template": {`{"custom":{"1.3.6.1.4.1.99999.1":{"default":"utf8:{{device.name}}"}}}`, asksFor(oidOwn, "0c0f7b7b6465766963652e6e616d657d7d"), oidOwn, "0c08" + hex.EncodeToString([]byte("press-01")), "", `extension 1.3.6.1.4.1.99999.1 "hex:0c0f7b7b6465766963652e6e616d657d7d" left out: the profile allows "hex:0c0870726573732d3031" only`, ""},

		"CRL: the issuer's":      {`{}`, request{}, oidCDP, "", "", "", "http://pki.example/crl/01.crl"},
		"CRL: another":           {`{"crl_distribution_points":["http://cdn.example/{{issuer.key_id}}.crl"]}`, request{}, oidCDP, "", "", "", "URI:http://cdn.example/01.crl"},
		"CRL: as Trustpoint has": {`{"CDP":{"uris":["ldap://dir.example/cn=ca"]}}`, request{}, oidCDP, "", "", "", "URI:ldap://dir.example/cn=ca"},
		"CRL: none":              {`{"crl_distribution_points":null}`, request{}, oidCDP, "absent", "", "", ""},
		"CRL: asked for":         {`{}`, asksFor(oidCDP, "0500"), oidCDP, "", "", `extension "2.5.29.31" left out: the profile does not have it`, "http://pki.example/crl/01.crl"},
		"AIA: another responder": {`{"AIA":{"ocsp":"http://ocsp.example/"}}`, request{}, oidAIA, "", "", "", "OCSP - URI:http://ocsp.example/ CA Issuers - URI:http://pki.example/ca/01.cer"},
		"AIA: no issuers":        {`{"authority_info_access":{"ca_issuers":null}}`, request{}, oidAIA, "", "", "", "OCSP - URI:http://pki.example/ocsp/01"},
		"AIA: none":              {`{"authority_info_access":null}`, request{}, oidAIA, "absent", "", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			csr := test.request.csr(t)
			profile := parse(t, `{"CN":"a","serial_number":null}`, test.rules, "")
			template, reasons, err := profile.Template(csr, press, today)
			if test.refusal != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.refusal) {
					t.Fatalf("got  %v\nwant %s", err, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if first := append(reasons, "")[0]; first != test.reason {
				t.Errorf("reasons %q, want first %q", reasons, test.reason)
			}
			cert := buildUnder(t, profile, template, csr.Request.PublicKey)
			if got := valueOf(cert, test.oid); got != test.want && (test.text == "" || test.want != "" && test.oid != oidCDP) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if text := opensslText(t, cert); !strings.Contains(text, test.text) {
				t.Errorf("OpenSSL does not print %q:\n%s", test.text, text)
			}
		})
	}
}

func TestOtherNames(t *testing.T) {
	const module = "hwmodule:1.3.6.1.4.1.99999.2:0a1b"
	tests := map[string]struct {
		rules   string
		request request
		want    []string
		refusal string
		reason  string
		text    string
	}{
		"a user principal name": {`{"SAN":{"upn":"{{device.name}}@plant.example"}}`, request{}, []string{"upn:press-01@plant.example"}, "", "", "UPN"},
		"one that is allowed":   {`{"SAN":{"upn":{"allow":["*@plant.example"]}}}`, asksForNames("upn:press-01@plant.example"), []string{"upn:press-01@plant.example"}, "", "", ""},
		"one that is replaced": {`{"SAN":{"upn":"a@plant.example"}}`, asksForNames("upn:root@plant.example"), []string{"upn:a@plant.example"}, "",
			`subject_alternative_name user_principal_names "root@plant.example" replaced by "a@plant.example": the profile sets it`, ""},
		"one that is refused": {`{"SAN":{"upn":{"allow":["{{device.name}}@plant.example"],"reject_mods":true}}}`, asksForNames("upn:root@plant.example"), nil,
			`Denied: subject_alternative_name user_principal_names "root@plant.example" is refused: the profile allows "press-01@plant.example" only`, "", ""},
		"a hardware module": {`{"SAN":{"hardware_module_names":{"value":"1.3.6.1.4.1.99999.2:0A1B"}}}`, request{}, []string{module}, "", "", ""},
		"a hardware module beside a host, as asked for": {`{"SAN":{"allow":["hardware_module_name","dns"]}}`, asksForNames(module, "dns:a.example", "ip:192.0.2.1"), []string{"dns:a.example", module}, "",
			`subject_alternative_name ip_addresses "192.0.2.1" left out: the profile does not have it`, "DNS:a.example"},
		"a hardware module without a rule": {`{"SAN":{"dns":{}}}`, asksForNames(module, "dns:a.example"), []string{"dns:a.example"}, "",
			`subject_alternative_name hardware_module_names "1.3.6.1.4.1.99999.2:0a1b" left out: the profile does not have it`, ""},
		"any other name": {`{"SAN":{"other_names":{"allow":["1.2.3.4:*"]}}}`, asksForNames("other:1.2.3.4:Prüfstand 3"), []string{"other:1.2.3.4:Prüfstand 3"}, "", "", ""},
		"another type is not allowed": {`{"SAN":{"other_names":{"allow":["1.2.3.4:*"],"reject_mods":true}}}`, asksForNames("other:1.2.3.5:x"), nil,
			`Denied: subject_alternative_name other_names "1.2.3.5:x" is refused: the profile allows "1.2.3.4:*" only`, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			csr := test.request.csr(t)
			template, reasons, err := parse(t, `{"CN":"a"}`, test.rules, "").Template(csr, press, today)
			if test.refusal != "" {
				if err == nil || err.Error() != test.refusal {
					t.Fatalf("got  %v\nwant %s", err, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if first := append(reasons, "")[0]; first != test.reason {
				t.Errorf("reasons %q, want first %q", reasons, test.reason)
			}
			cert := build(t, template, csr.Request.PublicKey)
			if diff := cmp.Diff(test.want, pki.SANs(cert)); diff != "" {
				t.Error(diff)
			}
			if text := opensslText(t, cert); !strings.Contains(text, test.text) {
				t.Errorf("OpenSSL does not print %q:\n%s", test.text, text)
			}
		})
	}
	t.Run("a renewal keeps them", func(t *testing.T) {
		p := parse(t, `{"CN":"a"}`, `{"SAN":{"allow":"*"}}`, "")
		csr := asksForNames(module, "dns:a.example").csr(t)
		template, _, err := p.Template(csr, press, today)
		if err != nil {
			t.Fatal(err)
		}
		old := build(t, template, csr.Request.PublicKey)
		if err := pki.SameSubjectAndSAN(csr, old); err == nil || !strings.Contains(err.Error(), "subject") {
			t.Errorf("another subject: %v", err)
		}
		renewed, _, err := p.Renew(csr, old, press, today)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pki.SANs(old), pki.SANs(build(t, renewed, csr.Request.PublicKey))); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProfilesForCAs(t *testing.T) {
	const ca = `"credential_type":"ca","validity":{"duration":"3650d"}`
	p := parse(t, `{"allow":"*","O":"Plant","CN":{"required":true}}`, `{
		"basic_constraints":{"ca":true,"path_length":0,"critical":true},
		"certificate_policies":["1.2.3"],
		"name_constraints":{"permitted":{"dns_names":["Plant.example"],"ip_addresses":["10.0.0.0/8","2001:db8::/32"],"uris":[".plant.example"],"rfc822_names":["plant.example"]},
			"excluded":{"dns_names":["vault.plant.example"]},"critical":true}}`, ca)
	csr := named(cn, "Hall 3", serial, "7", "2.5.4.6", "DE").csr(t)
	template, _, err := p.Template(csr, press, today)
	if err != nil {
		t.Fatal(err)
	}
	text := opensslText(t, build(t, template, csr.Request.PublicKey))
	for _, want := range []string{"Subject: C=DE, O=Plant, CN=Hall 3, serialNumber=7", "X509v3 Basic Constraints: critical CA:TRUE, pathlen:0",
		"X509v3 Key Usage: critical Certificate Sign, CRL Sign", "X509v3 Name Constraints: critical",
		"Permitted: DNS:plant.example IP:10.0.0.0/255.0.0.0", "Excluded: DNS:vault.plant.example", "Policy: 1.2.3"} {
		if !strings.Contains(strings.ReplaceAll(text, " = ", "="), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for rules, want := range map[string]string{
		`{"basic_constraints":{"ca":false}}`:                       "extensions.basic_constraints.ca: must be true",
		`{"basic_constraints":{"path_length":11}}`:                 "extensions.basic_constraints.path_length: must be a number from 0 to 10",
		`{"name_constraints":{"permitted":{"upn":["x"]}}}`:         "extensions.name_constraints.permitted.upn: unknown member",
		`{"name_constraints":{"permitted":{"ip":["10.0.0.1/8"]}}}`: `extensions.name_constraints.permitted.ip[0]: "10.0.0.1/8" is not a range`,
		`{"name_constraints":{"permitted":{"dns":["a_b"]}}}`:       "extensions.name_constraints.permitted.dns[0]: the DNS name",
	} {
		if _, err := parseText(document(`{}`, rules, ca)); !strings.HasPrefix(models.PublicText(err), want) {
			t.Errorf("%s: got %v, want %s", rules, err, want)
		}
	}
}
