// SPDX-License-Identifier: MIT

package policy_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
)

const whole = `{"type":"cert_profile","version":1,"validity":{"duration":"1d"}`

func TestParseProfileRefuses(t *testing.T) {
	tests := map[string]struct {
		document string
		want     string // the error begins with it
	}{
		"nothing":                  {``, "the profile document ends too early or is empty"},
		"half an object":           {`{"type":`, "the profile document ends too early or is empty"},
		"no object":                {`[]`, "the profile document must be a JSON object, not a list"},
		"two objects":              {whole + `}{}`, "there is something after the profile document"},
		"no JSON":                  {`type: x`, "the profile document is not valid JSON"},
		"invalid UTF-8":            {whole + `,"display_name":"` + "\xff" + `"}`, "the profile document is not valid JSON"},
		"a member twice":           {whole + `,"type":"cert_profile"}`, "a member occurs twice in an object of the profile document"},
		"too large":                {whole + strings.Repeat(" ", 64<<10) + `}`, "the profile document is larger than 64 KiB"},
		"too deep":                 {strings.Repeat(`{"a":`, 9) + "1", "the profile document is nested deeper than 8 levels"},
		"far too deep":             {strings.Repeat(`[`, 60000), "the profile document is nested deeper than 8 levels"},
		"a long list":              {whole + `,"subject":{"OU":[` + strings.Repeat(`"a",`, 100) + `"b"]}}`, "subject.OU: a list has at most 100 items"},
		"another type":             {`{"type":"profile"}`, "type: must be cert_profile"},
		"no type":                  {`{"version":1,"validity":{"duration":"1d"}}`, "type: missing"},
		"another version":          {`{"version":2}`, "version: must be 1"},
		"a version as text":        {`{"version":"1"}`, "version: must be 1"},
		"no validity":              {`{"type":"cert_profile","version":1}`, "validity: missing"},
		"a bad name":               {`{"name":"No Name"}`, `name: profile name "No Name": use 1 to 63`},
		"an empty name":            {`{"name":""}`, "name: must not be empty"},
		"a control character":      {`{"display_name":"a\u0000"}`, "display_name: must have at most 128 characters, all of them visible"},
		"another credential type":  {`{"credential_type":"root"}`, `credential_type: must be application, domain or ca, not "root"`},
		"an unknown member":        {`{"foo":1}`, "foo: unknown member; known are type, version, name"},
		"an odd unknown member":    {`{"a\nb":1}`, `"a\nb": unknown member`},
		"allow at the root":        {`{"allow":["CN"]}`, `allow: must be "*"`},
		"an unknown attribute":     {`{"subject":{"foo":"x"}}`, "subject.foo: unknown member; known are allow, mutable, reject_mods, domain_component"},
		"an empty attribute":       {`{"subject":{"":"x"}}`, `subject."": unknown member`},
		"an unknown keyword":       {`{"subject":{"CN":{"foo":1}}}`, "subject.CN.foo: unknown member; known are value, default, allow"},
		"critical on an attribute": {`{"subject":{"CN":{"critical":true}}}`, "subject.CN.critical: unknown member"},
		"an attribute twice":       {`{"subject":{"CN":"a","commonName":"b"}}`, "subject.commonName: there are two rules for common_name"},
		"a subject as text":        {`{"subject":"CN=a"}`, "subject: must be an object, not a string"},
		"null for the subject":     {`{"subject":null}`, "subject: must be an object, not null"},
		"a number as value":        {`{"subject":{"CN":5}}`, "subject.CN: must be a string, not a number"},
		"an empty value":           {`{"subject":{"CN":""}}`, "subject.CN: must not be empty"},
		"an empty list":            {`{"subject":{"OU":[]}}`, "subject.OU: must not be empty; forbid the field with null"},
		"a list for one value":     {`{"subject":{"CN":["a","b"]}}`, "subject.CN: must be one value, not a list of 2"},
		"a value twice":            {`{"subject":{"OU":["a","a"]}}`, `subject.OU[1]: "a" is there twice`},
		"a value that is too long": {`{"subject":{"CN":"` + strings.Repeat("a", 65) + `"}}`, "subject.CN: the common name (CN) of the subject has 65 characters"},
		"a country that is none":   {`{"subject":{"C":"Germany"}}`, "subject.C: "},
		"value and default":        {`{"subject":{"CN":{"value":"a","default":"b"}}}`, "subject.CN: value and default exclude each other"},
		"an unknown name allowed":  {`{"subject":{"allow":["CN","foo"]}}`, `subject.allow[1]: unknown name "foo"`},
		"a boolean as text":        {`{"subject":{"CN":{"required":"yes"}}}`, "subject.CN.required: must be true or false, not a string"},
		"allow as another text":    {`{"subject":{"CN":{"allow":"a"}}}`, `subject.CN.allow: must be "*" or a list of values`},
		"an unknown variable":      {`{"subject":{"CN":"{{time.now}}"}}`, "subject.CN: unknown variable time.now; known are device.id, device.metadata.KEY, device.name, device.serial_number, domain.name"},
		"an open template":         {`{"subject":{"CN":"{{device.name"}}`, "subject.CN: malformed template"},
		"a stray brace":            {`{"subject":{"CN":{"default":"a}}"}}}`, "subject.CN.default: malformed template"},
		"a template in allow":      {`{"subject":{"CN":{"allow":["{{Device.Name}}"]}}}`, "subject.CN.allow[0]: malformed template"},
		"an unknown extension":     {`{"extensions":{"1.2.3":{}}}`, "extensions.1.2.3: unknown member"},
		"an unknown key usage":     {`{"extensions":{"key_usage":["sign"]}}`, `extensions.key_usage[0]: unknown key usage "sign"; known are digital_signature`},
		"keyCertSign":              {`{"extensions":{"key_usage":["keyCertSign"]}}`, "extensions.key_usage[0]: key_cert_sign: only CAs sign certificates"},
		"a template as key usage":  {`{"extensions":{"key_usage":"{{device.name}}"}}`, "extensions.key_usage: unknown key usage"},
		"an unknown purpose":       {`{"extensions":{"EKU":["tls"]}}`, `extensions.EKU[0]: unknown extended key usage "tls"`},
		"an impossible purpose":    {`{"extensions":{"EKU":["1.40.1"]}}`, "extensions.EKU[0]: unknown extended key usage"},
		"any purpose":              {`{"extensions":{"EKU":["2.5.29.37.0"]}}`, "extensions.EKU[0]: any: name the purposes"},
		"the OCSP responder's":     {`{"extensions":{"EKU":{"allow":["OCSPSigning"]}}}`, "extensions.EKU.allow[0]: ocsp_signing: OCSP responders"},
		"an extension twice":       {`{"extensions":{"EKU":null,"extKeyUsage":null}}`, "extensions.extKeyUsage: there are two rules for extended_key_usage"},
		"a CA":                     {`{"extensions":{"basic_constraints":{"ca":true}}}`, "extensions.basic_constraints.ca: must be false"},
		"a path length":            {`{"extensions":{"basic_constraints":{"path_length":0}}}`, "extensions.basic_constraints.path_length: is for profiles of the credential_type ca"},
		"an unknown kind of name":  {`{"extensions":{"SAN":{"directory_names":{}}}}`, "extensions.SAN.directory_names: unknown member"},
		"a kind of name twice":     {`{"extensions":{"SAN":{"dns":{},"dns_names":{}}}}`, "extensions.SAN.dns_names: there are two rules for dns_names"},
		"a wildcard":               {`{"extensions":{"SAN":{"dns":"*.example"}}}`, "extensions.SAN.dns: wildcards"},
		"an address that is none":  {`{"extensions":{"SAN":{"ip":["10.0.0.300"]}}}`, `extensions.SAN.ip[0]: "10.0.0.300" is not an IP address`},
		"a relative URI":           {`{"extensions":{"SAN":{"uris":["a/b"]}}}`, "extensions.SAN.uris[0]: the URI"},
		"no duration":              {`{"validity":{}}`, "validity: duration is missing or zero"},
		"a number of days":         {`{"validity":{"days":30}}`, "validity.days: unknown member; known are duration, backdate, offset, min, max"},
		"a bad duration":           {`{"validity":{"duration":"P30D"}}`, `validity.duration: duration "P30D" is not an integer`},
		"a long backdate":          {`{"validity":{"duration":"30d","backdate":"8d"}}`, "validity: backdate is longer than 7d"},
		"min above duration":       {`{"validity":{"duration":"30d","min":"31d"}}`, "validity: min is longer than duration"},
		"max below duration":       {`{"validity":{"duration":"30d","max":"29d"}}`, "validity: max is shorter than duration"},
		"an unknown key algorithm": {`{"key":{"algorithms":["RSA-1024"]}}`, `key.algorithms[0]: key algorithm "RSA-1024" is not one of`},
		"no key algorithm":         {`{"key":{"algorithms":[]}}`, "key.algorithms: must be a list of key algorithms"},
		"an unknown member of key": {`{"key":{"min_bits":1}}`, "key.min_bits: unknown member; known are algorithms"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := policy.ParseProfile([]byte(test.document))
			if p != nil || models.KindOf(err) != models.KindInvalid {
				t.Fatalf("got %v, %v", p, err)
			}
			if got := models.PublicText(err); !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestParseProfileAccepts(t *testing.T) {
	tests := map[string]string{
		"the smallest document":     whole + `}`,
		"every spelling of a name":  whole + `,"subject":{"commonName":"a","2.5.4.10":"b","OU":"c","localityName":{},"UID":null,"emailAddress":{}}}`,
		"keywords at the root":      whole + `,"allow":"*","mutable":true,"reject_mods":true}`,
		"extensions by any name":    whole + `,"extensions":{"keyUsage":null,"2.5.29.37":null,"subjectAltName":{"dNSName":{},"iPAddress":{},"uniformResourceIdentifier":{},"rfc822Name":{}},"basicConstraints":null}}`,
		"usages by any name":        whole + `,"extensions":{"KU":["digitalSignature","contentCommitment","data_encipherment"],"EKU":["serverAuth","1.3.6.1.5.5.7.3.2"]}}`,
		"a zero backdate":           `{"type":"cert_profile","version":1,"validity":{"duration":"1d","backdate":"0s"}}`,
		"a template with no spaces": whole + `,"subject":{"CN":"{{device.name}}-{{  domain.name  }}"}}`,
	}
	for name, document := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := policy.ParseProfile([]byte(document)); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzParseProfile checks that no document makes the parser panic, and that
// what it accepts can be applied to a request without one.
func FuzzParseProfile(f *testing.F) {
	for _, document := range policy.Shipped() {
		f.Add(document)
	}
	f.Add([]byte(whole + `,"allow":"*","subject":{"CN":{"allow":["{{device.name}}"],"required":true}},"extensions":{"SAN":{"dns":"{{device.serial_number}}.example"}}}`))
	f.Add([]byte(whole + `,"reject_mods":true,"extensions":{"EKU":{"allow":["1.2.3"],"default":["cmcRA"],"critical":true}}}`))
	f.Add([]byte(whole + `,"extensions":{"policies":[{"oid":"1.2.3","cps":"http://a.example"}],"microsoft_template":"1.2.3:1:2","custom":{"1.2.3.4":{"allow":["utf8:{{device.name}}"]}},
		"SAN":{"upn":{"allow":["*@a.example"]},"hardware_module_names":"1.2.3:0a","other_names":{"default":"1.2.3:x"}},"CDP":["http://a/{{issuer.key_id}}"],"AIA":null}}`))
	f.Add([]byte(`{"type":"cert_profile","version":1,"credential_type":"ca","validity":{"not_after":"2030-01-01T00:00:00Z","min":"1d"},"signature":{"hash":"SHA-512"},
		"extensions":{"basic_constraints":{"ca":true,"path_length":1},"name_constraints":{"permitted":{"ip":["10.0.0.0/8"],"dns":[".a.example"]}}}}`))
	f.Add([]byte(whole + `,"binding":{"CN":["{{device.name}}.*"]},"uniqueness":["subject","ip"],"maximum_active":2,"renewal":{"window":"50%"},"key":{"algorithms":["EC"],"rsa_bits":{"min":3072}}}`))
	for _, theirs := range trustpointProfiles {
		f.Add([]byte(theirs))
	}
	greedy := named(cn, "ceo", serial, "1", org, "Evil", unit, "a", unit, "b", uid, "x", dc, "example", email, "a@example.com")
	greedy.dns, greedy.uris, greedy.keyUsage = []string{"a.example"}, []string{"urn:a"}, 0xff
	csr := greedy.csr(f)
	f.Fuzz(func(t *testing.T, document []byte) {
		if c, err := policy.FromTrustpoint(document); err == nil {
			document = c.Document // which must be a profile, or the conversion would have failed
		} else if models.KindOf(err) != models.KindInvalid {
			t.Errorf("%v is not KindInvalid", err)
		}
		p, err := policy.ParseProfile(document)
		if err != nil {
			if models.KindOf(err) != models.KindInvalid {
				t.Errorf("%v is not KindInvalid", err)
			}
			return
		}
		p.Explain()
		template, _, err := p.Apply(policy.Application{CSR: csr, Who: press, Now: today, NotAfter: today.AddDate(1, 0, 0)})
		if err == nil {
			p.Limits(template)
			err = p.Locate(template, "http://pki.example", press)
		}
		if err != nil {
			if kind := models.KindOf(err); kind != models.KindInvalid && kind != models.KindDenied {
				t.Errorf("%v is neither KindInvalid nor KindDenied", err)
			}
			return
		}
		if got := summarize(t, template); p.Type() != policy.TypeAuthority && template.IsCA || p.Type() != policy.TypeAuthority && got.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
			t.Errorf("a CA: %+v", got)
		}
	})
}
