// SPDX-License-Identifier: MIT

package policy_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

// known is a device about which more is known.
var known = policy.Subject{
	Device: models.Device{ID: "01999999-0000-7000-8000-000000000001", Name: "press-01", SerialNumber: "4711", Metadata: map[string]string{
		"dns": "hmi.plant.example, web.plant.example", "ip_addresses": "192.0.2.7,2001:db8::7", "odd": "*", "empty": ",",
	}},
	Domain: press.Domain,
}

func TestAllowedPatternsAndMetadata(t *testing.T) {
	tests := map[string]struct {
		rules  string
		who    policy.Subject
		asked  request
		want   []string
		reason string
	}{
		"a name below the device's":          {`{"dns":{"allow":["{{device.name}}","{{device.name}}.*"]}}`, press, request{dns: []string{"press-01.hall.example"}}, []string{"dns:press-01.hall.example"}, ""},
		"letters of any case":                {`{"dns":{"allow":["{{device.name}}.*.EXAMPLE"]}}`, press, request{dns: []string{"Press-01.Hall.example"}}, []string{"dns:press-01.hall.example"}, ""},
		"nothing is not something":           {`{"dns":{"allow":["a*b.example"]}}`, press, request{dns: []string{"ab.example"}}, nil, `subject_alternative_name dns_names "ab.example" left out: the profile allows "a*b.example" only`},
		"two asterisks":                      {`{"uris":{"allow":["urn:*:{{device.name}}:*"]}}`, press, request{uris: []string{"urn:acme:press-01:ua:1"}}, []string{"uri:urn:acme:press-01:ua:1"}, ""},
		"another device's name":              {`{"dns":{"allow":["{{device.name}}.*"]}}`, press, request{dns: []string{"press-02.example"}}, nil, `subject_alternative_name dns_names "press-02.example" left out: the profile allows "press-01.*" only`},
		"one of several in metadata":         {`{"dns":{"allow":["{{device.metadata.dns}}"]}}`, known, request{dns: []string{"web.plant.example"}}, []string{"dns:web.plant.example"}, ""},
		"all of several in metadata":         {`{"ip":{"value":"{{device.metadata.ip_addresses}}"}}`, known, request{}, []string{"ip:192.0.2.7", "ip:2001:db8::7"}, ""},
		"an asterisk in metadata is no star": {`{"uris":{"allow":["urn:{{device.metadata.odd}}:x"]}}`, known, request{uris: []string{"urn:a:x"}}, nil, `subject_alternative_name uris "urn:a:x" left out: the profile allows "urn:*:x" only`},
		"metadata that is not there":         {`{"ip":{"allow":["{{device.metadata.ip_addresses}}"]}}`, press, request{ips: []string{"192.0.2.7"}}, nil, `subject_alternative_name ip_addresses "192.0.2.7" left out: the profile names none that is allowed for the device`},
		"unknown is open where it may be":    {`{"ip":{"allow":["{{device.metadata.ip_addresses}}"],"allow_unknown":true}}`, press, request{ips: []string{"192.0.2.9"}}, []string{"ip:192.0.2.9"}, ""},
		"known is not open":                  {`{"ip":{"allow":["{{device.metadata.ip_addresses}}"],"allow_unknown":true}}`, known, request{ips: []string{"192.0.2.9"}}, nil, `subject_alternative_name ip_addresses "192.0.2.9" left out: the profile allows "192.0.2.7", "2001:db8::7" only`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			template, reasons, err := parse(t, `{"CN":"a"}`, `{"SAN":`+test.rules+`}`, "").Template(test.asked.csr(t), test.who, today)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{}, test.want...), pki.SANs(template)); diff != "" {
				t.Error(diff)
			}
			if first := append(reasons, "")[0]; first != test.reason {
				t.Errorf("reasons %q, want first %q", reasons, test.reason)
			}
		})
	}
}

func TestBinding(t *testing.T) {
	const open = `{"SAN":{"allow":"*"}}`
	tests := map[string]struct {
		binding string
		who     policy.Subject
		asked   request
		refusal string
	}{
		"the device's name":    {`{"common_name":"{{device.name}}"}`, press, named(cn, "press-01"), ""},
		"another name":         {`{"common_name":"{{device.name}}"}`, press, named(cn, "press-02"), `Denied: subject common_name "press-02" is refused: the profile binds it to device press-01, for which it must be "press-01"`},
		"no name is no other":  {`{"common_name":"{{device.name}}"}`, press, named(org, "Acme"), ""},
		"one of several":       {`{"CN":["{{device.name}}","{{device.serial_number}}"]}`, press, named(cn, "4711"), ""},
		"a DNS name below":     {`{"dns_names":{"allow":["{{device.name}}.*"]}}`, press, request{dns: []string{"press-01.example"}}, ""},
		"a DNS name elsewhere": {`{"dns":["{{device.name}}.*"]}`, press, request{dns: []string{"x.example", "press-01.example"}}, `Denied: subject_alternative_name dns_names "x.example" is refused: the profile binds it to device press-01, for which it must be "press-01.*"`},
		"a known address":      {`{"ip":"{{device.metadata.ip_addresses}}"}`, known, request{ips: []string{"192.0.2.7"}}, ""},
		"an unknown address":   {`{"ip":"{{device.metadata.ip_addresses}}"}`, press, request{ips: []string{"192.0.2.7"}}, `Denied: subject_alternative_name ip_addresses "192.0.2.7" is refused: the profile binds it to the device, and device press-01 has no such value`},
		"an unknown one, open": {`{"ip":{"allow":["{{device.metadata.ip_addresses}}"],"allow_unknown":true}}`, press, request{ips: []string{"192.0.2.7"}}, ""},
		"a URI":                {`{"uris":["urn:*:{{device.name}}"]}`, press, request{uris: []string{"urn:plant:press-02"}}, `Denied: subject_alternative_name uris "urn:plant:press-02" is refused: the profile binds it to device press-01, for which it must be "urn:*:press-01"`},
		"the serial number":    {`{"serial_number":"{{device.serial_number}}"}`, press, request{dns: []string{"a.example"}}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := parse(t, `{"allow":"*"}`, open, `"validity":{"duration":"30d"},"binding":`+test.binding)
			_, _, err := p.Template(test.asked.csr(t), test.who, today)
			if got := textOf(err); got != test.refusal {
				t.Errorf("got  %s\nwant %s", got, test.refusal)
			}
		})
	}
	t.Run("the profile's own value is bound as well, and a renewal", func(t *testing.T) {
		p := parse(t, `{"CN":"plc"}`, open, `"validity":{"duration":"30d"},"binding":{"CN":"{{device.name}}"}`)
		csr := request{}.csr(t)
		if _, _, err := p.Template(csr, press, today); models.KindOf(err) != models.KindDenied {
			t.Error(err)
		}
		template, _, err := parse(t, `{"CN":"plc"}`, open, "").Template(csr, press, today)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Renew(csr, build(t, template, csr.Request.PublicKey), press, today); models.KindOf(err) != models.KindDenied {
			t.Error(err)
		}
	})
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestLimits(t *testing.T) {
	p := parse(t, `{"allow":"*"}`, `{"SAN":{"allow":"*"}}`, `"validity":{"duration":"30d"},"uniqueness":["subject","CN","subject_alternative_name","ip"],"maximum_active":2`)
	asked := named(cn, "a", org, "Acme")
	asked.dns, asked.ips = []string{"a.example"}, []string{"192.0.2.1"}
	template, _, err := p.Template(asked.csr(t), press, today)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Limits{MaximumActive: 2, Claims: []string{"2.5.4.3:a", "dns:a.example", "ip:192.0.2.1", "subject:SERIALNUMBER=4711,CN=a,O=Acme"}}
	if diff := cmp.Diff(want, p.Limits(template)); diff != "" {
		t.Error(diff)
	}
	if limits := parse(t, `{"allow":"*"}`, `{}`, "").Limits(template); !limits.None() {
		t.Errorf("%+v", limits)
	}
}

func TestRenewalWindow(t *testing.T) {
	csr := named(cn, "a").csr(t)
	at := func(days int) time.Time { return today.AddDate(0, 0, days) }
	tests := map[string]struct {
		window string
		now    time.Time
		want   string
	}{
		"inside":                   {`"10d"`, at(21), ""},
		"at its beginning":         {`"10d"`, at(20), ""},
		"too early":                {`"10d"`, at(19), "Denied: the certificate can be renewed from 2026-03-21T12:00:00Z on: profile p has a renewal window"},
		"a share, inside":          {`"50%"`, at(16), ""},
		"a share, too early":       {`"50%"`, at(14), "Denied: the certificate can be renewed from 2026-03-16T11:30:00Z on: profile p has a renewal window"},
		"the whole lifetime is it": {`"100%"`, at(0), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := parse(t, `{"CN":{}}`, `{}`, `"validity":{"duration":"30d"},"renewal":{"window":`+test.window+`}`)
			template, _, err := p.Template(csr, press, today)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = p.Renew(csr, build(t, template, csr.Request.PublicKey), press, test.now)
			if got := textOf(err); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestRequestedValidity(t *testing.T) {
	at := func(d time.Duration) time.Time { return today.Add(d) }
	const day = 24 * time.Hour
	tests := map[string]struct {
		validity      string
		before, after time.Time
		from, to      time.Time
		refusal       string
		reason        string
	}{
		"nothing asked for":                 {`{"duration":"30d"}`, time.Time{}, time.Time{}, at(-time.Hour), at(30 * day), "", ""},
		"fixed: another end is replaced":    {`{"duration":"30d"}`, time.Time{}, at(20 * day), at(-time.Hour), at(30 * day), "", "validity not_after 2026-03-21T12:00:00Z replaced by 2026-03-31T12:00:00Z: the profile sets it"},
		"fixed: another end is refused":     {`{"duration":"30d","reject_mods":true}`, time.Time{}, at(20 * day), at(-time.Hour), at(30 * day), "Denied: validity not_after 2026-03-21T12:00:00Z is refused: it would be 2026-03-31T12:00:00Z; the profile sets it", ""},
		"fixed: the same end is fine":       {`{"duration":"30d","reject_mods":true}`, time.Time{}, at(30 * day), at(-time.Hour), at(30 * day), "", ""},
		"within min and max":                {`{"duration":"30d","min":"1d","max":"60d"}`, time.Time{}, at(45 * day), at(-time.Hour), at(45 * day), "", ""},
		"longer than max":                   {`{"duration":"30d","min":"1d","max":"60d"}`, time.Time{}, at(36500 * day), at(-time.Hour), at(60 * day), "", "validity not_after 2126-02-05T12:00:00Z replaced by 2026-04-30T12:00:00Z: the profile does not permit a later one"},
		"longer than duration, without max": {`{"duration":"30d","min":"1d"}`, time.Time{}, at(31 * day), at(-time.Hour), at(30 * day), "", "validity not_after 2026-04-01T12:00:00Z replaced by 2026-03-31T12:00:00Z: the profile does not permit a later one"},
		"shorter than min":                  {`{"duration":"30d","min":"7d"}`, time.Time{}, at(day), at(-time.Hour), at(7 * day), "", "validity not_after 2026-03-02T12:00:00Z replaced by 2026-03-08T12:00:00Z: the profile does not permit an earlier one"},
		"longer than max, refused":          {`{"duration":"30d","max":"60d","reject_mods":true}`, time.Time{}, at(61 * day), time.Time{}, time.Time{}, "Denied: validity not_after 2026-05-01T12:00:00Z is refused: it would be 2026-04-30T12:00:00Z; the profile does not permit a later one", ""},
		"from 1970":                         {`{"duration":"30d","max":"30d"}`, time.Unix(0, 0), time.Time{}, at(-time.Hour), at(30 * day), "", "validity not_before 1970-01-01T00:00:00Z replaced by 2026-03-01T11:00:00Z: the profile does not permit an earlier one"},
		"from next week":                    {`{"duration":"30d","max":"30d"}`, at(7 * day), at(36 * day), at(7 * day), at(36 * day), "", ""},
		"from next year":                    {`{"duration":"60d","max":"60d"}`, at(365 * day), time.Time{}, at(30 * day), at(60 * day), "", "validity not_before 2027-03-01T12:00:00Z replaced by 2026-03-31T12:00:00Z: the profile does not permit a later one"},
		"an offset":                         {`{"duration":"30d","offset":"2d"}`, time.Time{}, time.Time{}, at(2 * day), at(32 * day), "", ""},
		"absolute":                          {`{"not_before":"2026-01-01T00:00:00Z","not_after":"2027-01-01T00:00:00+01:00"}`, time.Time{}, time.Time{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC), "", ""},
		"for ever":                          {`{"not_after":"9999-12-31T23:59:59Z"}`, time.Time{}, time.Time{}, at(-time.Hour), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "", ""},
		"over before it begins":             {`{"duration":"30d","mutable":true}`, time.Time{}, at(-365 * day), at(-time.Hour), at(0), "", "validity not_after 2025-03-01T12:00:00Z replaced by 2026-03-01T12:00:00Z: the profile does not permit an earlier one"},
	}
	csr := named(cn, "a").csr(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := parse(t, `{"CN":{}}`, `{}`, `"validity":`+test.validity)
			template, reasons, err := p.Apply(policy.Application{CSR: csr, Who: press, Now: today, NotBefore: test.before, NotAfter: test.after})
			if got := textOf(err); got != test.refusal {
				t.Fatalf("got  %s\nwant %s", got, test.refusal)
			}
			if err != nil {
				return
			}
			if !template.NotBefore.Equal(test.from) || !template.NotAfter.Equal(test.to) {
				t.Errorf("from %s to %s, want %s to %s", template.NotBefore, template.NotAfter, test.from, test.to)
			}
			if first := append(reasons, "")[0]; first != test.reason {
				t.Errorf("reasons %q, want first %q", reasons, test.reason)
			}
		})
	}
}

func TestPermittedKeys(t *testing.T) {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	odd := must(rsa.GenerateKey(rand.Reader, 2304))
	tests := map[string]struct {
		key  string
		with crypto.Signer
		want string
	}{
		"any elliptic curve":            {`{"algorithms":["EC"]}`, p384, ""},
		"no elliptic curve":             {`{"algorithms":["rsa"]}`, p384, "Denied: the key is EC-P384; profile p permits RSA of any size"},
		"an odd RSA size of a family":   {`{"algorithms":["RSA"]}`, odd, ""},
		"a bound on RSA":                {`{"rsa_bits":{"min":3072}}`, odd, "Denied: the key is RSA-2304; profile p permits every kind of key, RSA from 3072 bits"},
		"a bound on RSA binds no curve": {`{"rsa_bits":{"min":3072}}`, p384, ""},
		"an upper bound":                {`{"algorithms":["RSA"],"rsa_bits":{"min":2048,"max":2048}}`, odd, "Denied: the key is RSA-2304; profile p permits RSA of any size, RSA from 2048 bits, RSA to 2048 bits"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := parse(t, `{}`, `{}`, `"validity":{"duration":"1d"},"key":`+test.key)
			if got := textOf(p.CheckKey(request{key: test.with}.csr(t))); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestDraft makes what would be signed for a case, as issuing does.
func TestDraft(t *testing.T) {
	ca := &models.CA{KeyID: "01020304"}
	draft := func(more string, now time.Time) (*policy.Draft, error) {
		return policy.NewDraft(builder, policy.Case{
			Application: policy.Application{CSR: named(cn, "a").csr(t), Who: press, Now: now},
			Profile:     parse(t, `{"CN":{}}`, `{}`, more), CA: ca, Issuer: issuer().Certificate, PublicURL: "http://pki.example",
		})
	}
	for hash, want := range map[string]x509.SignatureAlgorithm{
		"SHA-256": x509.ECDSAWithSHA256, "sha-384": x509.ECDSAWithSHA384, "SHA-512": x509.ECDSAWithSHA512,
	} {
		d, err := draft(`"validity":{"duration":"30d"},"signature":{"hash":"`+hash+`"}`, today)
		if err != nil {
			t.Fatal(err)
		}
		if got := readBack(t, d.TBS.DER, want).SignatureAlgorithm; got != want {
			t.Errorf("%s: signed with %s", hash, got)
		}
	}
	d, err := draft(`"validity":{"duration":"3650d"}`, today)
	if err != nil {
		t.Fatal(err)
	}
	if cert := readBack(t, d.TBS.DER, x509.ECDSAWithSHA256); !cert.NotAfter.Equal(d.Template.NotAfter) || cert.CRLDistributionPoints[0] != "http://pki.example/crl/01020304.crl" {
		t.Errorf("ends %s, %q", cert.NotAfter, cert.CRLDistributionPoints)
	}
	late := issuer().Certificate.NotAfter.AddDate(0, 0, -5)
	d, err = draft(`"validity":{"duration":"30d"}`, late)
	if err != nil || len(d.Reasons) != 1 || !strings.HasPrefix(d.Reasons[0], "the certificate ends with its issuer") {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := draft(`"validity":{"duration":"30d","min":"6d"}`, late); models.KindOf(err) != models.KindDenied {
		t.Errorf("min: %v", err)
	}
}
