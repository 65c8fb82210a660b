// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMistakesInTheFileAreNamed(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"no state folder":                            {"server: https://x", "state_dir"},
		"an unknown key":                             {"state_dir: s\nserverr: https://x", "serverr"},
		"not YAML":                                   {"state_dir: [", "["},
		"an unknown kind of key":                     {"state_dir: s\nkey: DSA-512", "EC-P256"},
		"a certificate without profile":              {"state_dir: s\ncertificates: [{name: web}]", "profile"},
		"a name that leads elsewhere":                {"state_dir: s\ncertificates: [{name: ../x, profile: p}]", "lower-case"},
		"the reserved name":                          {"state_dir: s\ncertificates: [{name: domain, profile: p}]", "two certificates"},
		"a name twice":                               {"state_dir: s\ncertificates: [{name: a, profile: p}, {name: a, profile: p}]", "two certificates"},
		"a SAN without its kind":                     {"state_dir: s\ncertificates: [{name: a, profile: p, sans: [a.example]}]", "dns:NAME"},
		"a SAN that is no address":                   {"state_dir: s\ncertificates: [{name: a, profile: p, sans: ['ip:1.2.3']}]", "1.2.3"},
		"a country of three letters":                 {"state_dir: s\ncertificates: [{name: a, profile: p, subject: {country: DEU}}]", "certificate a"},
		"a timeout without a unit":                   {"state_dir: s\ncertificates: [{name: a, profile: p, hook: {command: [x], timeout: '5'}}]", "30s"},
		"two files in one place":                     {"state_dir: s\ncertificates: [{name: a, profile: p, files: {key: /x, certificate: /x}}]", "/x is to be"},
		"half an IDevID":                             {"state_dir: s\nidevid: {certificate: c}", "both"},
		"a truststore without a file":                {"state_dir: s\ntruststores: [{name: a}]", "file"},
		"a truststore twice":                         {"state_dir: s\ntruststores: [{name: a, file: /a}, {name: a, file: /b}]", "two truststores"},
		"a truststore's name that leads elsewhere":   {"state_dir: s\ntruststores: [{name: ../a, file: /a}]", "as the domain names it"},
		"a truststore in the place of another file":  {"state_dir: s\ntruststore: /a\ntruststores: [{name: a, file: /a}]", "/a is to be"},
		"an interval without a unit":                 {"state_dir: s\ntruststores_interval: '5'", "15m"},
		"a fate that is none":                        {"state_dir: s\nsecret_file_after: burn", "truncate"},
		"a token without a library":                  {"state_dir: s\npkcs11: {token: t}", "libsofthsm2.so"},
		"a token without a name":                     {"state_dir: s\npkcs11: {module: /m}", "by its label"},
		"a token with two names":                     {"state_dir: s\npkcs11: {module: /m, token: t, slot: 1}", "not by both"},
		"a slot that is none":                        {"state_dir: s\npkcs11: {module: /m, slot: -1}", "-1"},
		"a PIN in the file":                          {"state_dir: s\npkcs11: {module: /m, token: t, pin: 1}", "pin"},
		"a key store that is none":                   {"state_dir: s\nkey_store: tpm", "file or pkcs11"},
		"a token that is not described":              {"state_dir: s\nkey_store: pkcs11", "section pkcs11"},
		"a kind of key that tokens do not make":      {"state_dir: s\nkey: Ed25519\npkcs11: {module: /m, token: t}", "key_store: file"},
		"a file for a key in a token":                {"state_dir: s\npkcs11: {module: /m, token: t}\nfiles: {key: /k}", "does not leave the token"},
		"a bundle for a key in a token":              {"state_dir: s\npkcs11: {module: /m, token: t}\ncertificates: [{name: a, profile: p, files: {bundle: /b}}]", "certificate a"},
		"a URI for a key in a file":                  {"state_dir: s\nfiles: {key_uri: /k}", "files.key"},
		"an IDevID in a token that is not described": {"state_dir: s\nidevid: {certificate: c, key: 'pkcs11:object=a'}", "section pkcs11"},
		"an IDevID in another token":                 {"state_dir: s\npkcs11: {module: /m, token: t}\nidevid: {certificate: c, key: 'pkcs11:token=u;object=a'}", "another one"},
		"an IDevID with a PIN":                       {"state_dir: s\npkcs11: {module: /m, token: t}\nidevid: {certificate: c, key: 'pkcs11:object=a?pin-value=1'}", "leave pin-value out"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := parseDocument([]byte(tt.text))
			if err == nil {
				_, err = d.complete("/base")
			}
			if err == nil || !strings.Contains(plain(err), tt.want) {
				t.Errorf("the error is %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestTheFileOfTheHelpIsGood(t *testing.T) {
	var lines []string
	for line := range strings.Lines(rootHelp) {
		if text, ok := strings.CutPrefix(line, "  "); ok {
			lines = append(lines, text)
		}
	}
	d, err := parseDocument([]byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	cfg, err := d.complete(base)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Wishes) != 2 || cfg.Wishes[1].Hook.Command[0] != "nginx" || cfg.SecretFile != filepath.Join(base, "secret") || cfg.IDevID.Key == "" {
		t.Errorf("the configuration is %+v", cfg)
	}
}

func TestWhatIsAskedForHasADigest(t *testing.T) {
	first := &wish{Profile: "p", SANs: []string{"dns:a"}}
	if first.digest() != (&wish{Profile: "p", SANs: []string{"dns:a"}, Hook: hook{Command: []string{"x"}}}).digest() {
		t.Error("another hook asks for another certificate")
	}
	if first.digest() == (&wish{Profile: "p", SANs: []string{"dns:b"}}).digest() {
		t.Error("another name asks for the same certificate")
	}
}

func TestTheFileOfTheManualIsGood(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	d, err := parseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err := d.complete(t.TempDir()); err != nil || len(cfg.Wishes) != 2 {
		t.Errorf("the configuration is %+v (%v)", cfg, err)
	}
}
