// SPDX-License-Identifier: MIT

package policy_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
)

// parse returns a profile with the given subject, extensions and further
// members of the document.
func parse(t testing.TB, subject, extensions, more string) *policy.Profile {
	t.Helper()
	p, err := policy.ParseProfile([]byte(document(subject, extensions, more)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func document(subject, extensions, more string) string {
	if more == "" {
		more = `"validity":{"duration":"30d"}`
	}
	return `{"type":"cert_profile","version":1,"name":"p","subject":` + subject + `,"extensions":` + extensions + `,` + more + `}`
}

func named(names ...string) request {
	r := request{}
	for i := 0; i < len(names); i += 2 {
		r.attributes = append(r.attributes, pkix.AttributeTypeAndValue{Type: oid(names[i]), Value: names[i+1]})
	}
	return r
}

const (
	cn     = "2.5.4.3"
	serial = "2.5.4.5"
	org    = "2.5.4.10"
	unit   = "2.5.4.11"
	uid    = "0.9.2342.19200300.100.1.1"
	dc     = "0.9.2342.19200300.100.1.25"
	email  = "1.2.840.113549.1.9.1"
)

// Each subject gets no serialNumber unless the rule says otherwise, to keep
// the table readable.
func TestSubjectKeywords(t *testing.T) {
	tests := map[string]struct {
		rules   string
		request request
		want    string // subject, or the error
		reason  string // the first one
	}{
		"allow: what no rule names is left out": {`{"CN":{}}`, named(cn, "x", org, "Acme"), "CN=x",
			`subject organization_name "Acme" left out: the profile does not have it`},
		"allow: a listed attribute passes": {`{"allow":["organizationName"]}`, named(cn, "x", org, "Acme"), "O=Acme",
			`subject common_name "x" left out: the profile does not have it`},
		"allow: the star lets every known attribute pass":       {`{"allow":"*"}`, named(cn, "x", org, "Acme"), "CN=x,O=Acme", ""},
		"allow: the star does not let unknown attributes pass":  {`{"allow":"*"}`, named(cn, "x", "1.2.3.4", "y"), "CN=x", `subject attribute 1.2.3.4 "y" left out: it is not one that is issued`},
		"allow: a listed value passes":                          {`{"CN":{"allow":["a","x"]}}`, named(cn, "x"), "CN=x", ""},
		"allow: another value is left out":                      {`{"CN":{"allow":["a","b"],"default":"a"}}`, named(cn, "x"), "CN=a", `subject common_name "x" left out: the profile allows "a", "b" only`},
		"allow: a value with a variable is the device's":        {`{"CN":{"allow":["{{device.name}}"]}}`, named(cn, "press-01"), "CN=press-01", ""},
		"allow: an empty list lets nothing pass":                {`{"CN":{"allow":[],"default":"a"}}`, named(cn, "x"), "CN=a", `subject common_name "x" left out: the profile names none that is allowed for the device`},
		"value: it is set":                                      {`{"CN":"a"}`, named(), "CN=a", ""},
		"value: it wins":                                        {`{"CN":{"value":"a"}}`, named(cn, "x"), "CN=a", `subject common_name "x" replaced by "a": the profile sets it`},
		"value: the same in the request is no change":           {`{"CN":"a"}`, named(cn, "a"), "CN=a", ""},
		"value: a list keeps its order":                         {`{"OU":["b","a"],"2.5.4.10":["O1"]}`, named(), "OU=a,OU=b,O=O1", ""},
		"value: variables are resolved":                         {`{"CN":"{{device.name}}.{{ domain.name }}"}`, named(), "CN=press-01.press-shop", ""},
		"default: it fills a gap":                               {`{"CN":{"default":"a"}}`, named(), "CN=a", ""},
		"default: the requester wins":                           {`{"CN":{"default":"a"}}`, named(cn, "x"), "CN=x", ""},
		"required: there":                                       {`{"CN":{"required":true}}`, named(cn, "x"), "CN=x", ""},
		"required: missing":                                     {`{"CN":{"required":true}}`, named(), "Invalid: subject common_name is required; ask for it in the request", ""},
		"required: not allowed is missing":                      {`{"CN":{"required":true,"allow":["a"]}}`, named(cn, "x"), "Invalid: subject common_name is required; ask for it in the request", ""},
		"mutable: the requester replaces the value":             {`{"CN":{"value":"a","mutable":true}}`, named(cn, "x"), "CN=x", ""},
		"mutable: the value stands without a request":           {`{"CN":{"value":"a","mutable":true}}`, named(), "CN=a", ""},
		"mutable: inherited":                                    {`{"mutable":true,"CN":"a"}`, named(cn, "x"), "CN=x", ""},
		"mutable: overridden below":                             {`{"mutable":true,"CN":{"value":"a","mutable":false}}`, named(cn, "x"), "CN=a", `subject common_name "x" replaced by "a": the profile sets it`},
		"reject_mods: a different value is refused":             {`{"CN":{"value":"a","reject_mods":true}}`, named(cn, "x"), `Denied: subject common_name "x" is refused: the profile sets "a"`, ""},
		"reject_mods: the same value is not":                    {`{"CN":{"value":"a","reject_mods":true}}`, named(cn, "a"), "CN=a", ""},
		"reject_mods: inherited, an extra attribute is refused": {`{"reject_mods":true,"CN":{}}`, named(cn, "x", org, "Acme"), `Denied: subject organization_name "Acme" is refused: the profile does not have it`, ""},
		"reject_mods: an unknown attribute is refused":          {`{"reject_mods":true,"allow":"*"}`, named(cn, "x", "1.2.3.4", "y"), `Denied: subject attribute 1.2.3.4 "y" is refused: it is not one that is issued`, ""},
		"null: left out":                                        {`{"allow":"*","O":null}`, named(cn, "x", org, "Acme"), "CN=x", `subject organization_name "Acme" left out: the profile forbids it`},
		"null: refused under reject_mods":                       {`{"allow":"*","reject_mods":true,"O":null}`, named(cn, "x", org, "Acme"), `Denied: subject organization_name "Acme" is refused: the profile forbids it`, ""},
		"multi-valued OU and DC are kept in their order":        {`{"allow":"*"}`, named(dc, "example", dc, "plant", unit, "b", unit, "a", cn, "x"), "CN=x,OU=a,OU=b,0.9.2342.19200300.100.1.25=plant,0.9.2342.19200300.100.1.25=example", ""},
		"a requester's template is text":                        {`{"CN":{}}`, named(cn, "{{device.serial_number}}"), "CN={{device.serial_number}}", ""},
		"another user ID than the device's name is left out":    {`{"allow":"*"}`, named(cn, "x", uid, "press-02"), "CN=x", `subject user_id "press-02" left out: it is not the one of device press-01`},
		"the device's name as user ID passes":                   {`{"allow":"*"}`, named(uid, "press-01"), "0.9.2342.19200300.100.1.1=press-01", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rules := strings.Replace(test.rules, "{", `{"serial_number":null,`, 1)
			template, reasons, err := parse(t, rules, `{}`, "").Template(test.request.csr(t), press, today)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = summarize(t, template).Subject
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if first := append(reasons, "")[0]; first != test.reason {
				t.Errorf("reasons %q, want first %q", reasons, test.reason)
			}
		})
	}
}

func TestSerialNumberIsTheDevices(t *testing.T) {
	tests := map[string]struct {
		rules string
		who   policy.Subject
		asked string
		want  string
	}{
		"set without a rule":                       {`{"CN":"a"}`, press, "", "SERIALNUMBER=4711,CN=a"},
		"set in place of another":                  {`{"CN":"a","allow":"*"}`, press, "1", "SERIALNUMBER=4711,CN=a"},
		"absent if the device has none":            {`{"CN":"a","allow":"*"}`, nameless, "1", "CN=a"},
		"not the requester's even where it may be": {`{"CN":"a","serialNumber":{}}`, press, "1", "CN=a"},
		"not the requester's even where mutable":   {`{"CN":"a","mutable":true,"serialNumber":"{{device.serial_number}}"}`, press, "1", "SERIALNUMBER=4711,CN=a"},
		"kept if it is the device's":               {`{"CN":"a","serialNumber":{}}`, press, "4711", "SERIALNUMBER=4711,CN=a"},
		"forbidden by null":                        {`{"CN":"a","serialNumber":null}`, press, "4711", "CN=a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := named()
			if test.asked != "" {
				r = named(serial, test.asked)
			}
			template, _, err := parse(t, test.rules, `{}`, "").Template(r.csr(t), test.who, today)
			if err != nil {
				t.Fatal(err)
			}
			if got := summarize(t, template).Subject; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	t.Run("required of a device without one is refused", func(t *testing.T) {
		p := parse(t, `{"CN":"a","serialNumber":{"value":"{{device.serial_number}}","required":true}}`, `{}`, "")
		_, _, err := p.Template(request{}.csr(t), nameless, today)
		if models.KindOf(err) != models.KindInvalid {
			t.Error(err)
		}
	})
}

func TestExtensionKeywords(t *testing.T) {
	ca := extension("2.5.29.19", struct{ IsCA bool }{true})
	custom := extension("1.2.3.4", "x")
	both := []asn1.ObjectIdentifier{serverAuth, clientAuth}
	tests := map[string]struct {
		rules   string
		request request
		want    summary
		refusal string
		reason  string
	}{
		"nothing said: a signing key without purposes and names": {`{}`, request{dns: []string{"a.example"}, extKeyUsages: both, keyUsage: 0x80}, summary{KeyUsage: signs}, "",
			`subject_alternative_name dns_names "a.example" left out: the profile does not have it`},
		"key usage: allowed by its list": {`{"KU":{"allow":["digitalSignature","keyAgreement"],"default":["digitalSignature"]}}`, request{keyUsage: 0x88},
			summary{KeyUsage: signs | x509.KeyUsageKeyAgreement}, "", ""},
		"key usage: null leaves it out":          {`{"key_usage":null}`, request{keyUsage: 0x80}, summary{}, "", `key_usage "digital_signature" left out: the profile forbids it`},
		"key usage: one the key cannot serve":    {`{"key_usage":{"value":["key_encipherment"]}}`, request{}, summary{}, "Denied: the key of the request cannot be used for any key_usage of the profile; use another kind of key", ""},
		"key usage: keyCertSign is never taken":  {`{"allow":"*"}`, request{keyUsage: 0x86}, summary{KeyUsage: signs}, "", `key_usage "key_cert_sign" left out: it gives power over other certificates`},
		"key usage: keyCertSign is refused":      {`{"allow":"*","reject_mods":true}`, request{keyUsage: 0x86}, summary{}, `Denied: key_usage "key_cert_sign" is refused: it gives power over other certificates`, ""},
		"purposes: the star takes ordinary ones": {`{"allow":"*"}`, request{extKeyUsages: both}, summary{KeyUsage: signs, ExtKeyUsage: isBoth}, "", ""},
		"purposes: the star takes no privileged ones": {`{"allow":"*"}`, request{extKeyUsages: []asn1.ObjectIdentifier{cmcRA, clientAuth, ocspSigning}},
			summary{KeyUsage: signs, ExtKeyUsage: isClient}, "", `extended_key_usage "cmc_ra" left out: it gives power over other certificates`},
		"purposes: a privileged one that is named": {`{"EKU":{"allow":["cmcRA"]}}`, request{extKeyUsages: []asn1.ObjectIdentifier{cmcRA}},
			summary{KeyUsage: signs, Unknown: []string{"1.3.6.1.5.5.7.3.28"}}, "", ""},
		"purposes: a dotted one":     {`{"EKU":["1.3.6.1.4.1.311.20.2.2","1.3.6.1.5.5.7.3.2"]}`, request{}, summary{KeyUsage: signs, ExtKeyUsage: isClient, Unknown: []string{"1.3.6.1.4.1.311.20.2.2"}}, "", ""},
		"names: the star":            {`{"SAN":{"allow":"*"}}`, request{dns: []string{"A.example"}, emails: []string{"a@example.com"}}, summary{KeyUsage: signs, SANs: []string{"dns:a.example", "email:a@example.com"}}, "", ""},
		"names: a list of kinds":     {`{"SAN":{"allow":["ip"]}}`, request{dns: []string{"a.example"}, ips: []string{"2001:db8::1"}}, summary{KeyUsage: signs, SANs: []string{"ip:2001:db8::1"}}, "", `subject_alternative_name dns_names "a.example" left out: the profile does not have it`},
		"names: a list of values":    {`{"SAN":{"dns":{"allow":["{{device.name}}","{{device.name}}.Plant.example"]}}}`, request{dns: []string{"press-01.plant.example", "b.example"}}, summary{KeyUsage: signs, SANs: []string{"dns:press-01.plant.example"}}, "", `subject_alternative_name dns_names "b.example" left out: the profile allows "press-01", "press-01.plant.example" only`},
		"names: null":                {`{"SAN":null}`, request{ips: []string{"192.0.2.1"}}, summary{KeyUsage: signs}, "", `subject_alternative_name ip_addresses "192.0.2.1" left out: the profile forbids it`},
		"names: null, refused":       {`{"SAN":null,"reject_mods":true}`, request{ips: []string{"192.0.2.1"}}, summary{}, `Denied: subject_alternative_name ip_addresses "192.0.2.1" is refused: the profile forbids it`, ""},
		"names: one is required":     {`{"SAN":{"required":true,"allow":"*"}}`, request{}, summary{}, "Invalid: subject_alternative_name is required; ask for a name that the profile allows", ""},
		"names: a value":             {`{"SAN":{"uris":"urn:{{domain.name}}:{{device.name}}","ip":["2001:DB8::1"]}}`, request{uris: []string{"urn:x"}}, summary{KeyUsage: signs, SANs: []string{"ip:2001:db8::1", "uri:urn:press-shop:press-01"}}, "", `subject_alternative_name uris "urn:x" replaced by "urn:press-shop:press-01": the profile sets it`},
		"CA:TRUE is never copied":    {`{"allow":"*"}`, request{extensions: []pkix.Extension{ca}}, summary{KeyUsage: signs}, "", `basic_constraints "CA:TRUE" left out: profiles are for end entities`},
		"CA:TRUE is refused":         {`{"reject_mods":true}`, request{extensions: []pkix.Extension{ca}}, summary{}, `Denied: basic_constraints "CA:TRUE" is refused: profiles are for end entities`, ""},
		"others are never copied":    {`{"allow":"*"}`, request{extensions: []pkix.Extension{custom}}, summary{KeyUsage: signs}, "", `extension "1.2.3.4" left out: the profile does not have it`},
		"others are refused":         {`{"reject_mods":true}`, request{extensions: []pkix.Extension{custom}}, summary{}, `Denied: extension "1.2.3.4" is refused: the profile does not have it`, ""},
		"a malformed one":            {`{}`, request{extensions: []pkix.Extension{extension("2.5.29.37", "x")}}, summary{}, "Invalid: the requested extension extended_key_usage is malformed: asn1: structure error: tags don't match", ""},
		"the key identifier is ours": {`{"reject_mods":true}`, request{extensions: []pkix.Extension{extension("2.5.29.14", []byte{1})}}, summary{KeyUsage: signs}, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			csr := test.request.csr(t)
			template, reasons, err := parse(t, `{"CN":"a","serial_number":null}`, test.rules, "").Template(csr, press, today)
			if test.refusal != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.refusal) {
					t.Fatalf("got  %v\nwant %s", err, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			test.want.Subject = "CN=a"
			if test.want.SANs == nil {
				test.want.SANs = []string{}
			}
			if diff := cmp.Diff(test.want, summarize(t, template)); diff != "" {
				t.Error(diff)
			}
			if first := append(reasons, "")[0]; first != test.reason {
				t.Errorf("reasons %q, want first %q", reasons, test.reason)
			}
			build(t, template, csr.Request.PublicKey)
		})
	}
}

func TestCriticality(t *testing.T) {
	extensions := `{"key_usage":{"value":["digital_signature"],"critical":false},"EKU":{"value":["client_auth"],"critical":true},
		"SAN":{"dns":"a.example","critical":%s},"basic_constraints":{"critical":false}}`
	tests := map[string]struct {
		subject string
		san     string
		want    map[string]bool
	}{
		"as the document says": {`{"CN":"a"}`, "true",
			map[string]bool{"2.5.29.15": false, "2.5.29.37": true, "2.5.29.17": true, "2.5.29.19": false}},
		"the names of an empty subject are critical": {`{"serial_number":null}`, "false",
			map[string]bool{"2.5.29.15": false, "2.5.29.37": true, "2.5.29.17": true, "2.5.29.19": false}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			csr := request{}.csr(t)
			template, _, err := parse(t, test.subject, strings.Replace(extensions, "%s", test.san, 1), "").Template(csr, press, today)
			if err != nil {
				t.Fatal(err)
			}
			cert := build(t, template, csr.Request.PublicKey)
			got := map[string]bool{}
			for _, e := range cert.Extensions {
				if _, asked := test.want[e.Id.String()]; asked {
					got[e.Id.String()] = e.Critical
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestACertificateNamesSomebody(t *testing.T) {
	_, _, err := parse(t, `{"serial_number":null}`, `{}`, "").Template(request{}.csr(t), press, today)
	if models.KindOf(err) != models.KindInvalid {
		t.Error(err)
	}
}

func TestTooManyValues(t *testing.T) {
	_, _, err := parse(t, `{"allow":"*"}`, `{}`, "").Template(named("2.5.4.12", "a", "2.5.4.12", "b").csr(t), press, today)
	if err == nil || err.Error() != "Invalid: subject title is asked for with 2 values; ask for one" {
		t.Error(err)
	}
}

func TestCheckKey(t *testing.T) {
	p := parse(t, `{}`, `{}`, `"validity":{"duration":"1d"},"key":{"algorithms":["ec-p256","Ed25519"]}`)
	if err := p.CheckKey(request{}.csr(t)); err != nil {
		t.Error(err)
	}
	csr := request{key: rsaKey()}.csr(t)
	err := p.CheckKey(csr)
	if err == nil || err.Error() != "Denied: the key is RSA-2048; profile p permits EC-P256, Ed25519" {
		t.Error(err)
	}
	if _, _, again := p.Template(csr, press, today); models.KindOf(again) != models.KindDenied {
		t.Errorf("Template: %v", again)
	}
	if err := parse(t, `{}`, `{}`, "").CheckKey(csr); err != nil {
		t.Error(err)
	}
}

func TestValidity(t *testing.T) {
	p := parse(t, `{}`, `{}`, `"validity":{"duration":"30d","backdate":"5m","min":"10d","max":"31d"}`)
	notBefore, notAfter := p.Validity(today)
	if !notBefore.Equal(today.Add(-5*time.Minute)) || !notAfter.Equal(today.AddDate(0, 0, 30)) {
		t.Errorf("from %s to %s", notBefore, notAfter)
	}
	for days, want := range map[int]string{
		30: "", 10: "", 31: "",
		9:  "Denied: the certificate would end at 2026-03-10T12:00:00Z, sooner than the 10d that profile p asks for",
		32: "Denied: the certificate would end at 2026-04-02T12:00:00Z, later than the 31d that profile p permits",
	} {
		got := ""
		if err := p.CheckValidity(today, today, today.AddDate(0, 0, days)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d days: got %q, want %q", days, got, want)
		}
	}
}
