// SPDX-License-Identifier: MIT

package pki_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// The base64 texts are the examples of RFC 9908 §5.1 to §5.5.
var csrAttrsExamples = map[string]struct {
	b64  string
	want pki.CSRAttrs
}{
	"an extension with its value": {"MGgwZgYJKoZIhvcNAQkOMVkwVzBVBgNVHREBAf8ESzBJoEcGCCsGAQUFBwgKoDsWOXJmYzg5OTQrZmQ3MzlmYzIzYzM0NDAxMTIyMzM0NDU1MDAwMDAwMDArQGFjcC5leGFtcGxlLmNvbQ==",
		pki.CSRAttrs{Extensions: []pki.ExtensionTemplate{{OID: "2.5.29.17", Critical: true, Value: []byte("0I\xa0G\x06\x08+\x06\x01\x05\x05\a\b\n\xa0;\x169rfc8994+fd739fc23c3440112233445500000000+@acp.example.com")}}}},
	"P-384 and a challenge password": {"MDIGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiBgcrBgEBAQEWBggqhkjOPQQDAw==", pki.CSRAttrs{ChallengePassword: true, Key: models.ECP384}},
	"P-521":                          {"MEUGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAjBgkqhkiG9w0BCRQGCgmSJomT8ixkAQUGA1UEBQYIKoZIzj0EAwQ=", pki.CSRAttrs{ChallengePassword: true, Key: models.ECP521}},
	"RSA 4096":                       {"MCkGCSqGSIb3DQEJBzARBgkqhkiG9w0BAQExBAICEAAGCSqGSIb3DQEBCw==", pki.CSRAttrs{ChallengePassword: true, Key: models.RSA4096}},
	"nothing":                        {"MAA=", pki.CSRAttrs{}},
}

func TestTheExamplesOfRFC9908(t *testing.T) {
	for name, tt := range csrAttrsExamples {
		t.Run(name, func(t *testing.T) {
			data, err := base64.StdEncoding.DecodeString(tt.b64)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pki.ParseCSRAttrs(data)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func wantedSamples() map[string]pki.CSRAttrs {
	samples := map[string]pki.CSRAttrs{
		"nothing": {}, "a binding": {ChallengePassword: true},
		"a subject":                   {Subject: []pki.Attribute{{OID: "2.5.4.6", Value: "DE"}, {OID: "2.5.4.10", Value: "Änderung"}, {OID: "2.5.4.3"}}},
		"an extension with its value": {Extensions: []pki.ExtensionTemplate{{OID: "2.5.29.37", Value: []byte{0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2}}}},
		"a place for names": {Key: models.ECP256, ChallengePassword: true, Extensions: []pki.ExtensionTemplate{
			{OID: "2.5.29.37", Value: []byte{0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2}}, {OID: "2.5.29.17", Critical: true}}},
	}
	for _, key := range models.KeyAlgorithms {
		samples["a key of "+string(key)] = pki.CSRAttrs{Key: key}
	}
	return samples
}

func TestWhatIsWantedIsReadAsItWasWritten(t *testing.T) {
	for name, want := range wantedSamples() {
		t.Run(name, func(t *testing.T) {
			encoded, err := pki.MarshalCSRAttrs(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pki.ParseCSRAttrs(encoded)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "attrs.der"), encoded, 0o600); err != nil {
				t.Fatal(err)
			}
			openssl(t, dir, "asn1parse", "-inform", "DER", "-i", "-in", "attrs.der")
		})
	}
}

func TestCSRAttributesThatAreRefused(t *testing.T) {
	for name, b64 := range map[string]string{
		"no sequence": "BAA=", "cut short": "MCkGCSqG", "bytes at the end": "MAAA", "an indefinite length": "MIAAAA==",
		"an integer as element":       "MAMCAQA=",
		"two templates":               "MDIwFwYLKoZIhvcNAQkQAj0xCDAGAgEAoQAwADAXBgsqhkiG9w0BCRACPTEIMAYCAQChADAA",
		"a template of version 2":     "MBkwFwYLKoZIhvcNAQkQAj0xCDAGAgEBoQA=",
		"a template without a value":  "MBEwDwYLKoZIhvcNAQkQAj0xAA==",
		"extensions that are no list": "MBIwEAYJKoZIhvcNAQkOMQMCAQA=",
	} {
		t.Run(name, func(t *testing.T) {
			data, err := base64.StdEncoding.DecodeString(b64)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := pki.ParseCSRAttrs(data); models.KindOf(err) != models.KindInvalid || err == nil {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if _, err := pki.ParseCSRAttrs(make([]byte, pki.MaxCSRAttrs+1)); models.KindOf(err) != models.KindInvalid {
		t.Error("64 KiB and one octet are read")
	}
}

// FuzzCSRAttrs checks that everything is read or KindInvalid, and that what was
// read can be written and read again.
func FuzzCSRAttrs(f *testing.F) {
	for _, e := range csrAttrsExamples {
		data, _ := base64.StdEncoding.DecodeString(e.b64)
		f.Add(data)
	}
	for _, sample := range wantedSamples() {
		encoded, err := pki.MarshalCSRAttrs(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := pki.ParseCSRAttrs(data)
		if err != nil {
			if models.KindOf(err) != models.KindInvalid {
				t.Errorf("%v is not KindInvalid", err)
			}
			return
		}
		if _, err := pki.MarshalCSRAttrs(got); err != nil && models.KindOf(err) != models.KindInvalid {
			t.Errorf("written again: %v", err)
		}
	})
}
