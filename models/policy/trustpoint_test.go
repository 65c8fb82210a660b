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
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

// trustpointProfiles say, in Trustpoint's format, what its documentation says
// of the profiles that it ships.
var trustpointProfiles = map[string]string{
	"domain_credential": `{"type":"cert_profile","display_name":"Domain Credential","credential_type":"domain","subj":{"allow":"*","cn":{"value":"Trustpoint Domain Credential","mutable":true}},
		"ext":{"basic_constraints":{"ca":false}},"validity":{"days":30}}`,
	"devownerid_domain_credential": `{"type":"cert_profile","credential_type":"domain","subj":{"cn":{"value":"DevOwnerID Domain Credential","mutable":true},"allow":"*"},
		"ext":{"basic_constraints":{"ca":false}},"validity":{"days":30}}`,
	"tls_client": `{"type":"cert_profile","subj":{"allow":"*","cn":{"default":"Example TLS Client"}},"ext":{"subject_alternative_name":{"allow":"*"},
		"key_usage":{"digital_signature":true,"key_encipherment":true,"key_agreement":true},"extended_key_usage":{"usages":["client_auth"]}},"validity":{"days":10}}`,
	"tls_server": `{"type":"cert_profile","subj":{"allow":"*","common_name":{"default":"tls_server.local"}},"ext":{"san":{"critical":true,"dns_names":{"default":["localhost"]},
		"ip_addresses":{"default":["127.0.0.1","::1"]}},"extended_key_usage":{"usages":{"value":["server_auth"]}}},"validity":{"days":10}}`,
	"opc_ua": `{"type":"cert_profile","subj":{"allow":"*","cn":{"default":"OPC-UA"}},"ext":{"key_usage":{"digitalSignature":true,"non_repudiation":true,"keyEncipherment":true,
		"data_encipherment":true,"critical":true},"extended_key_usage":{"usages":["server_auth","1.3.6.1.5.5.7.3.2"]},
		"subject_alternative_name":{"critical":true,"uris":{"required":true,"default":["urn"]},"allow":"*"}},"validity":{"duration":"P10D"}}`,
	"idevid": `{"type":"cert_profile","subj":{"allow":"*","serial_number":{"required":true}},"ext":{"basic_constraints":{"ca":false,"critical":true},"key_usage":{"digital_signature":true,"critical":true},
		"subject_alternative_name":{"allow":"*"}},"validity":{"not_before":"{{ time.now }}","not_after":"9999-12-31T23:59:59Z"}}`,
	"dev_owner_id": `{"type":"cert_profile","subj":{"allow":"*","cn":{"required":true}},"ext":{"basic_constraints":{"ca":true,"critical":true},
		"subject_alternative_name":{"critical":true,"uris":{"required":true}}},"validity":{"days":3650}}`,
	"issuing_ca": `{"type":"cert_profile","subj":{"allow":"*","cn":{"required":true},"O":{"required":true},"C":{"required":true},"ST":{"required":true}},
		"ext":{"basic_constraints":{"ca":true,"path_length":0,"critical":true},"key_usage":{"key_cert_sign":true,"crl_sign":true,"critical":true}},"validity":{"days":3650}}`,
}

func convert(t testing.TB, name string) (*policy.Profile, *policy.Conversion) {
	t.Helper()
	c, err := policy.FromTrustpoint([]byte(trustpointProfiles[name]))
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.ParseProfile(c.Document)
	if err != nil {
		t.Fatalf("%v in %s", err, c.Document)
	}
	return p, c
}

func TestShippedProfilesOfTrustpoint(t *testing.T) {
	const agrees = x509.KeyUsageKeyAgreement
	signsAll := signs | enciphers | x509.KeyUsageContentCommitment | x509.KeyUsageDataEncipherment
	tests := map[string]struct {
		profile  string
		request  request
		want     summary
		critical []string // extensions
		days     int
		lost     string
	}{
		"a domain credential that asks for nothing": {"domain_credential", request{}, summary{Subject: "CN=Trustpoint Domain Credential", KeyUsage: signs | agrees}, nil, 30, ""},
		"a domain credential with a name":           {"domain_credential", named(cn, "plc", org, "Acme", serial, "4711"), summary{Subject: "SERIALNUMBER=4711,CN=plc,O=Acme", KeyUsage: signs | agrees}, nil, 30, ""},
		"a domain credential of an owner":           {"devownerid_domain_credential", request{}, summary{Subject: "CN=DevOwnerID Domain Credential", KeyUsage: signs | agrees}, nil, 30, ""},
		"a TLS client":                              {"tls_client", request{key: rsaKey(), dns: []string{"a.example"}, extKeyUsages: isServerOID}, summary{Subject: "CN=Example TLS Client", SANs: []string{"dns:a.example"}, KeyUsage: signs | enciphers, ExtKeyUsage: isClient}, nil, 10, ""},
		"a TLS client with an elliptic key":         {"tls_client", named(cn, "x"), summary{Subject: "CN=x", KeyUsage: signs | agrees, ExtKeyUsage: isClient}, nil, 10, ""},
		"a TLS server that asks for nothing":        {"tls_server", request{}, summary{Subject: "CN=tls_server.local", SANs: []string{"dns:localhost", "ip:127.0.0.1", "ip:::1"}, KeyUsage: signs | agrees, ExtKeyUsage: isServer}, []string{"2.5.29.17"}, 10, ""},
		"a TLS server with names":                   {"tls_server", request{subject: pkix.Name{CommonName: "hmi"}, dns: []string{"hmi.example"}, ips: []string{"192.0.2.1"}}, summary{Subject: "CN=hmi", SANs: []string{"dns:hmi.example", "ip:192.0.2.1"}, KeyUsage: signs | agrees, ExtKeyUsage: isServer}, []string{"2.5.29.17"}, 10, ""},
		"an OPC UA application":                     {"opc_ua", request{key: rsaKey(), uris: []string{"urn:a:b"}, dns: []string{"a.example"}}, summary{Subject: "CN=OPC-UA", SANs: []string{"dns:a.example", "uri:urn:a:b"}, KeyUsage: signsAll, ExtKeyUsage: isBoth}, []string{"2.5.29.17", "2.5.29.15"}, 10, `ext.subject_alternative_name.uris.default: "urn" is left out: the URI "urn" is not absolute, such as urn:example:press-01`},
		"an IDevID":                                 {"idevid", named(serial, "4711"), summary{Subject: "SERIALNUMBER=4711", KeyUsage: signs}, []string{"2.5.29.15", "2.5.29.19"}, 0, ""},
		"an owner": {"dev_owner_id", request{subject: pkix.Name{CommonName: "Owner"}, uris: []string{"dev-owner:4711.a.b"}}, summary{Subject: "CN=Owner", SANs: []string{"uri:dev-owner:4711.a.b"}, KeyUsage: signs | agrees}, []string{"2.5.29.17", "2.5.29.19"}, 3650,
			"ext.basic_constraints.ca: devices get no certificates of CAs, and this one does not even sign certificates (no key_cert_sign); it is issued with CA:FALSE"},
		"an issuing CA": {"issuing_ca", request{subject: pkix.Name{CommonName: "Plant CA", Organization: []string{"Plant"}, Country: []string{"DE"}, Province: []string{"BW"}}}, summary{Subject: "CN=Plant CA,O=Plant,ST=BW,C=DE", KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, []string{"2.5.29.15", "2.5.29.19"}, 3650, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, c := convert(t, test.profile)
			if got := strings.Join(c.Lost, "\n"); got != test.lost {
				t.Errorf("lost %q, want %q", got, test.lost)
			}
			csr := test.request.csr(t)
			template, reasons, err := p.Template(csr, press, today)
			if err != nil {
				t.Fatal(err)
			}
			if test.want.SANs == nil {
				test.want.SANs = []string{}
			}
			if diff := cmp.Diff(test.want, summarize(t, template)); diff != "" {
				t.Errorf("%s\nreasons %q\n%s", diff, reasons, c.Document)
			}
			end := today.Add(time.Duration(test.days) * 24 * time.Hour)
			if test.days == 0 {
				end = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
			}
			if !template.NotAfter.Equal(end) {
				t.Errorf("ends %s, want %s", template.NotAfter, end)
			}
			if limit := issuer().Certificate.NotAfter; template.NotAfter.After(limit) {
				template.NotAfter = limit // what the issuer does
			}
			cert := build(t, template, csr.Request.PublicKey)
			if want := test.profile == "issuing_ca"; cert.IsCA != want || want && (cert.MaxPathLen != 0 || !cert.MaxPathLenZero) {
				t.Errorf("CA %v, path length %d", cert.IsCA, cert.MaxPathLen)
			}
			for _, extension := range test.critical {
				if !criticalOf(cert, extension) {
					t.Errorf("%s is not critical", extension)
				}
			}
		})
	}
}

var isServerOID = []asn1.ObjectIdentifier{serverAuth}

func TestTrustpointProfilesThatAreRefused(t *testing.T) {
	tests := map[string]struct{ document, want string }{
		"no JSON":                              {`{"type":"cert_profile",}`, "the profile document is not valid JSON"},
		"another type":                         {`{"type":"profile"}`, "type: must be cert_profile"},
		"no type":                              {`{"subj":{}}`, "type: missing"},
		"another version":                      {`{"type":"cert_profile","ver":"2"}`, `ver: version "2" of Trustpoint's format is not known here`},
		"an unknown member":                    {`{"type":"cert_profile","foo":1}`, "foo: unknown member"},
		"an unknown attribute":                 {`{"type":"cert_profile","subj":{"foo":"x"}}`, "subj.foo: unknown member"},
		"an unknown extension":                 {`{"type":"cert_profile","ext":{"foo":{}}}`, "ext.foo: unknown member"},
		"an extension that Trustpoint has not": {`{"type":"cert_profile","ext":{"certificate_policies":["1.2.3"]}}`, "ext.certificate_policies: Trustpoint has no such extension"},
		"an unknown variable":                  {`{"type":"cert_profile","subj":{"cn":"{{ device.foo }}"}}`, `subj.cn: the template variable "device.foo" has no counterpart`},
		"a time in a name":                     {`{"type":"cert_profile","subj":{"cn":"{{ time.now }}"}}`, `subj.cn: the template variable "time.now" has no counterpart`},
		"a duration of months":                 {`{"type":"cert_profile","validity":{"duration":"P1M"}}`, `validity.duration: "P1M" is not a duration of weeks`},
		"days as text":                         {`{"type":"cert_profile","validity":{"days":"x"}}`, "validity.days: must be a whole number of days"},
		"what cannot be issued":                {`{"type":"cert_profile","subj":{"C":"Germany"}}`, "what the profile says cannot be said here: subject.country_name: "},
		"a privileged usage":                   {`{"type":"cert_profile","ext":{"extended_key_usage":{"usages":["ocsp_signing"]}}}`, "what the profile says cannot be said here: extensions.extended_key_usage.value[0]: ocsp_signing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := policy.FromTrustpoint([]byte(test.document))
			if c != nil || models.KindOf(err) != models.KindInvalid || !strings.HasPrefix(models.PublicText(err), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestTrustpointTemplatesAndURLs(t *testing.T) {
	c, err := policy.FromTrustpoint([]byte(`{"type":"cert_profile","subj":{"cn":"{{ device.common_name }}","ou":"{{domain.unique_name}}","uid":"{{device.rfc_4122_uuid}}"},
		"ext":{"crl_distribution_points":{"uris":["http://crl.example/1.crl"]},"key_usage":null,"san":{"other_names":["x"],"uris":["urn:{{device.serial_number}}:x"]}},
		"validity":{"hours":36,"offset_s":5,"validity_max":9}}`))
	if err != nil {
		t.Fatal(err)
	}
	p := must(policy.ParseProfile(c.Document))
	template, _, err := p.Template(request{}.csr(t), known, today)
	if err != nil {
		t.Fatal(err)
	}
	if got := policy.SubjectText(template.RawSubject); got != "0.9.2342.19200300.100.1.1="+string(known.Device.ID)+",CN=press-01,OU=press-shop" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"uri:urn:4711:x"}, pki.SANs(template)); diff != "" || template.KeyUsage != 0 || !template.NotAfter.Equal(today.Add(36*time.Hour)) {
		t.Errorf("%s, key usage %v, ends %s", diff, template.KeyUsage, template.NotAfter)
	}
	if len(c.Notes) != 6 || len(c.Lost) != 0 {
		t.Errorf("notes %q, lost %q", c.Notes, c.Lost)
	}
}
