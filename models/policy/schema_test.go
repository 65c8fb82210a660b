// SPDX-License-Identifier: MIT

package policy_test

import (
	"encoding/json/v2"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/trustloom/trustloom/models/policy"
)

// validator returns what another implementation of JSON Schema makes of ours.
func validator(t testing.TB) func(document string) error {
	t.Helper()
	var schema jsonschema.Schema
	if err := json.Unmarshal(policy.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(document string) error {
		var value any
		if err := json.Unmarshal([]byte(document), &value); err != nil {
			return err
		}
		return resolved.Validate(value)
	}
}

// TestSchemaAndParserAgree: what is a profile is valid by the schema; and what
// the schema refuses is none.
func TestSchemaAndParserAgree(t *testing.T) {
	validate := validator(t)
	documents := slices.Collect(maps.Values(acceptedDocuments()))
	for _, document := range policy.Shipped() {
		documents = append(documents, string(document))
	}
	for name := range trustpointProfiles {
		_, c := convert(t, name)
		documents = append(documents, string(c.Document))
	}
	// The tables of the other tests: everything between backquotes that is a
	// document, or the rules of one.
	for _, file := range []string{"profile_extras_test.go", "profile_rules_test.go", "profile_binding_test.go", "profile_parse_test.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile("`(\\{[^`]*\\})`").FindAllStringSubmatch(string(source), -1) {
			documents = append(documents, match[1], document(match[1], `{}`, ""), document(`{}`, match[1], ""), document(`{}`, `{"SAN":`+match[1]+`}`, ""),
				document(`{}`, `{}`, `"validity":`+match[1]), document(`{}`, `{}`, `"validity":{"duration":"1d"},"binding":`+match[1]),
				document(`{}`, `{}`, `"validity":{"duration":"1d"},"key":`+match[1]))
		}
	}
	accepted, refused := 0, 0
	for _, document := range documents {
		_, err := policy.ParseProfile([]byte(document))
		invalid := validate(document)
		switch {
		case err == nil && invalid != nil:
			t.Errorf("a profile is not valid by the schema: %s\n%v", document, invalid)
		case err == nil:
			accepted++
		case invalid != nil:
			refused++
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("%d documents are accepted and %d refused by both; the tables were not found", accepted, refused)
	}
}

func acceptedDocuments() map[string]string {
	page, _ := os.ReadFile("../../docs/operations/profiles.md")
	_, example, _ := strings.Cut(string(page), "```jsonc\n")
	example, _, _ = strings.Cut(example, "```")
	return map[string]string{"the documented example": regexp.MustCompile(` +//.*`).ReplaceAllString(example, "")}
}

func TestSchemaRefuses(t *testing.T) {
	validate := validator(t)
	for name, document := range map[string]string{
		"no validity":           `{"type":"cert_profile","version":1}`,
		"an unknown member":     whole + `,"foo":1}`,
		"an unknown attribute":  whole + `,"subject":{"foo":"x"}}`,
		"an unknown keyword":    whole + `,"subject":{"CN":{"foo":"x"}}}`,
		"a number as a value":   whole + `,"subject":{"CN":5}}`,
		"an unknown extension":  whole + `,"extensions":{"1.2.3":{}}}`,
		"custom without an OID": whole + `,"extensions":{"custom":{"foo":"hex:00"}}}`,
		"a bad duration":        `{"type":"cert_profile","version":1,"validity":{"duration":"P30D"}}`,
		"a bad key":             whole + `,"key":{"algorithms":["RSA-1024"]}}`,
		"a maximum of none":     whole + `,"maximum_active":0}`,
	} {
		if validate(document) == nil {
			t.Errorf("%s: the schema finds nothing wrong", name)
		}
		if _, err := policy.ParseProfile([]byte(document)); err == nil {
			t.Errorf("%s: the parser finds nothing wrong", name)
		}
	}
}

func TestExplain(t *testing.T) {
	p := parse(t, `{"allow":["O"],"CN":"{{device.name}}","C":{"allow":["DE","AT"],"required":true},"OU":{"default":["Press shop"]}}`,
		`{"SAN":{"required":true,"dns":{"allow":["{{device.name}}.*"],"allow_unknown":true}},"crl_distribution_points":null,"certificate_policies":["1.2.3"]}`,
		`"validity":{"duration":"30d","min":"1d"},"binding":{"CN":"{{device.name}}"},"uniqueness":["CN","subject"],"maximum_active":2,"renewal":{"window":"10d"},
		"signature":{"hash":"SHA-384"},"key":{"algorithms":["EC"]}`)
	x := p.Explain()
	all := strings.Join(slices.Concat(x.Summary, x.Fixed, []string{"|"}, x.Open, []string{"|"}, x.Closed), "\n")
	for _, want := range []string{
		"Keys: EC of any size.", "They are signed with SHA-384.",
		`subject common_name is "{{device.name}}"; another one in a request is replaced`,
		`certificate_policies is "1.2.3"; another one in a request is replaced`,
		"there is no URL of the CRL", "basic_constraints say CA:FALSE",
		`subject country_name: the request may have one of "DE", "AT"; one is required`,
		`subject organizational_unit_name is "Press shop" unless the request has any values`,
		"subject organization_name: the request may have any values",
		`subject_alternative_name dns_names: the request may have any of "{{device.name}}.*", or any if the device has none of these`,
		"a certificate is valid from 1h before it is issued, for 30d, and not longer than its issuer; the request may choose from 1d to 30d",
		"refused unless subject common_name of the certificate is one of \"{{device.name}}\"",
		"refused if another device of the domain has a valid certificate with the same common_name",
		"refused if the device has 2 valid certificates of the profile already; a renewal replaces one",
		"a renewal is refused earlier than 10d before the end",
		"a request that ends up without any subject_alternative_name is refused",
		"never there, and left out if asked for: subject domain_component, ",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	for name := range policy.Shipped() {
		if x := shippedProfile(t, name).Explain(); len(x.Summary) == 0 || len(x.Fixed) == 0 || len(x.Closed) == 0 {
			t.Errorf("%s: %+v", name, x)
		}
	}
}
