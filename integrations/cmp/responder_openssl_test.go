// SPDX-License-Identifier: MIT

package cmp

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models/pki"
)

// tool runs OpenSSL's client in a folder against a responder.
type tool struct {
	t      *testing.T
	dir    string
	server string
}

func newTool(t *testing.T, s *site) *tool {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	server := httptest.NewServer(NewResponder(s, Options{}))
	t.Cleanup(server.Close)
	tool := &tool{t: t, dir: t.TempDir(), server: strings.TrimPrefix(server.URL, "http://")}
	tool.write("root.pem", pki.EncodePEM(s.root.cert))
	tool.write("issuing.pem", pki.EncodePEM(s.issuing.cert))
	tool.run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "new.key")
	return tool
}

func (o *tool) write(name string, data []byte) {
	if err := os.WriteFile(filepath.Join(o.dir, name), data, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// identity writes a certificate and its key as NAME.pem and NAME.key.
func (o *tool) identity(name string, id *identity) {
	o.write(name+".pem", pki.EncodePEM(id.cert))
	o.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: sure(x509.MarshalPKCS8PrivateKey(id.key))}))
}

func (o *tool) try(arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(o.t.Context(), 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "openssl", arguments...)
	command.Dir = o.dir
	out, err := command.CombinedOutput()
	return string(out), err
}

func (o *tool) run(arguments ...string) {
	o.t.Helper()
	if out, err := o.try(arguments...); err != nil {
		o.t.Fatalf("openssl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

func (o *tool) cmp(command, path string, arguments ...string) (string, error) {
	return o.try(slices.Concat([]string{"cmp", "-config", "", "-batch", "-cmd", command, "-server", o.server, "-path", path, "-certout", "new.pem"}, arguments)...)
}

// clean removes what the last command wrote.
func (o *tool) clean() {
	if err := os.Remove(filepath.Join(o.dir, "new.pem")); err != nil {
		o.t.Error("there is no certificate")
	}
}

func TestOpenSSLGetsCertificates(t *testing.T) {
	s := newSite()
	o := newTool(t, s)
	o.identity("device", s.credential("press-01"))
	o.identity("vendor", s.vendor.member("press-01"))
	o.identity("ra", s.issuing.member("ra", isRA))
	rsaKey := sure(rsa.GenerateKey(rand.Reader, 2048))
	o.identity("rsa", &identity{cert: s.issuing.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "press-01"}}, rsaKey.Public()), key: rsaKey})
	o.run("req", "-new", "-key", "new.key", "-subj", "/CN=press-01", "-out", "new.csr")
	secret := []string{"-ref", "press-01", "-secret", "pass:" + s.secrets["press-01"]}
	signed := func(name string) []string {
		return []string{"-cert", name + ".pem", "-key", name + ".key", "-trusted", "root.pem", "-untrusted", "issuing.pem"}
	}
	subject := []string{"-newkey", "new.key", "-subject", "/CN=press-01"}
	for name, c := range map[string]struct {
		command, path string
		arguments     []string
	}{
		"ir with a secret":                      {"ir", "/initialization", slices.Concat(secret, subject)},
		"ir with a secret, implicitly":          {"ir", "/initialization", slices.Concat(secret, subject, []string{"-implicit_confirm"})},
		"ir with a secret and HMAC-SHA-256":     {"ir", "", slices.Concat(secret, subject, []string{"-mac", "hmacWithSHA256", "-sans", "press-01.example", "-days", "1"})},
		"ir with the vendor's certificate":      {"ir", "/initialization", slices.Concat(signed("vendor"), subject)},
		"cr with the domain credential":         {"cr", "/tls-client/certification", slices.Concat(signed("device"), subject)},
		"kur":                                   {"kur", "/keyupdate", slices.Concat(signed("device"), []string{"-newkey", "new.key", "-oldcert", "device.pem"})},
		"p10cr":                                 {"p10cr", "/pkcs10", slices.Concat(signed("device"), []string{"-csr", "new.csr"})},
		"p10cr with a secret":                   {"p10cr", "/pkcs10", slices.Concat(secret, []string{"-csr", "new.csr"})},
		"cr by an RA that verified it":          {"cr", "", slices.Concat(signed("ra"), subject, []string{"-popo", "0"})},
		"cr with an RSA credential for its key": {"cr", "", slices.Concat(signed("rsa"), []string{"-newkey", "rsa.key", "-subject", "/CN=press-01"})},
		"cr with SHA-384":                       {"cr", "", slices.Concat(signed("device"), subject, []string{"-digest", "sha384"})},
		"cr, confirmation disabled by a client": {"cr", "", slices.Concat(signed("device"), subject, []string{"-disable_confirm"})},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := o.cmp(c.command, shop+c.path, append(c.arguments, "-chainout", "chain.pem")...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			o.run("verify", "-CAfile", "root.pem", "-untrusted", "chain.pem", "new.pem")
			o.clean()
		})
	}
}

func TestOpenSSLWaits(t *testing.T) {
	s := newSite()
	s.wait = time.Second
	o := newTool(t, s)
	timer := time.AfterFunc(1500*time.Millisecond, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wait = 0
	})
	defer timer.Stop()
	out, err := o.cmp("ir", shop, "-ref", "press-01", "-secret", "pass:"+s.secrets["press-01"], "-newkey", "new.key", "-subject", "/CN=press-01")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o.clean()
}

func TestOpenSSLIsToldWhatIsWrong(t *testing.T) {
	s := newSite()
	o := newTool(t, s)
	o.identity("other", s.other.member("press-01"))
	for name, c := range map[string]struct {
		want      string
		arguments []string
	}{
		"a wrong secret":     {"badMessageCheck", []string{"-ref", "press-01", "-secret", "pass:wrong", "-unprotected_errors"}},
		"an unknown device":  {"badMessageCheck", []string{"-ref", "press-99", "-secret", "pass:wrong", "-unprotected_errors"}},
		"a foreign signer":   {"signerNotTrusted", []string{"-cert", "other.pem", "-key", "other.key", "-trusted", "root.pem", "-unprotected_errors"}},
		"another's name":     {"notAuthorized", []string{"-ref", "press-02", "-secret", "pass:" + s.secrets["press-02"]}},
		"no possession":      {"badPOP", []string{"-ref", "press-01", "-secret", "pass:" + s.secrets["press-01"], "-popo", "-1"}},
		"verified by itself": {"badPOP", []string{"-ref", "press-01", "-secret", "pass:" + s.secrets["press-01"], "-popo", "0"}},
		"what no key can do": {"unsupportedVersion", []string{"-ref", "press-01", "-secret", "pass:" + s.secrets["press-01"], "-popo", "2"}},
		"an unknown digest":  {"badAlg", []string{"-ref", "press-01", "-secret", "pass:" + s.secrets["press-01"], "-digest", "sha1", "-unprotected_errors"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := o.cmp("ir", shop, append(c.arguments, "-newkey", "new.key", "-subject", "/CN=press-01")...)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if len(s.changes) > 0 {
		t.Errorf("something changed: %v", s.changes)
	}
}

func TestOpenSSLRevokes(t *testing.T) {
	s := newSite()
	o := newTool(t, s)
	o.identity("ra", s.issuing.member("ra", isRA))
	for reason, by := range map[string]string{"-1": "device", "0": "device", "1": "device", "2": "ra", "3": "ra", "4": "device", "5": "device", "6": "device", "8": "ra", "9": "ra", "10": "ra"} {
		device := s.credential("press-01")
		o.identity("device", device)
		out, err := o.cmp("rr", shop+"/revocation", "-cert", by+".pem", "-key", by+".key", "-trusted", "root.pem", "-untrusted", "issuing.pem", "-oldcert", "device.pem", "-revreason", reason)
		want := sure(strconv.Atoi(reason))
		if err != nil || s.revoked[device.cert.SerialNumber.String()] != max(want, 0)+1 {
			t.Errorf("reason %s: %v\n%s", reason, err, out)
		}
	}
}

func (o *tool) read(name string) []byte {
	o.t.Helper()
	data, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	return data
}
