// SPDX-License-Identifier: MIT

package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/test/fixture"
)

// withToken gives a device the agent and a token for its keys. In the token is
// a key of somebody else, too.
func withToken(t *testing.T, d *device) *agentDevice {
	t.Helper()
	a := withAgent(t, d)
	cfg := fixture.SoftHSM(t)
	a.token = &cfg
	a.write("pin", cfg.PIN+"\n")
	file := string(must(os.ReadFile(a.path("agent.yaml")))(t))
	file = strings.Replace(file, "key: web.key, ", "key_uri: web.uri, ", 1)
	file = strings.Replace(file, ", bundle: web-bundle.pem", "", 1)
	a.write("agent.yaml", file+fmt.Sprintf("pkcs11: {module: %s, token: %s, pin_file: pin}\n", cfg.Module, cfg.TokenLabel))
	a.pkcs11Tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "somebody's")
	return a
}

func (a *agentDevice) pkcs11Tool(args ...string) string {
	a.t.Helper()
	args = append([]string{"--module", a.token.Module, "--token-label", a.token.TokenLabel, "--login", "--pin", a.token.PIN}, args...)
	out, err := a.try("pkcs11-tool", args...)
	if err != nil {
		a.t.Fatalf("pkcs11-tool %q: %v\n%s\nrun `make deps`", args, err, out)
	}
	return out
}

// tokenKey is the CKA_ID and the CKA_LABEL in the URI of a key, which other
// programs read in that file.
func (a *agentDevice) tokenKey(path string) (id, label string) {
	a.t.Helper()
	rest, ok := strings.CutPrefix(strings.TrimSpace(string(must(os.ReadFile(path))(a.t))), "pkcs11:")
	values := map[string]string{}
	for _, part := range strings.Split(rest, ";") {
		name, value, _ := strings.Cut(part, "=")
		values[name] = must(url.PathUnescape(value))(a.t)
	}
	if !ok || values["token"] != a.token.TokenLabel || values["id"] == "" || values["object"] == "" {
		a.t.Fatalf("%s leads to %q", path, values)
	}
	return values["id"], values["object"]
}

// tokenSerial is the serial number of the web certificate, as other programs
// see it, after it was seen that the token has its key.
func (a *agentDevice) tokenSerial() string {
	a.t.Helper()
	cert := must(pki.ParseCertificates(must(os.ReadFile(a.path("web.pem")))(a.t), 10))(a.t)[0]
	id, _ := a.tokenKey(a.path("web.uri"))
	store := must(hsm.OpenPKCS11(*a.token))(a.t)
	defer store.Close() //nolint:errcheck // it only looked
	key := must(store.Signer(context.Background(), id))(a.t)
	if public, ok := cert.PublicKey.(interface{ Equal(x any) bool }); ok && !public.Equal(key.Public()) {
		a.t.Error("the key in the token is not that of the certificate")
	}
	if !bytes.Equal(must(x509.MarshalPKIXPublicKey(key.Public()))(a.t), cert.RawSubjectPublicKeyInfo) {
		a.t.Error("the key in the token is not that of the certificate")
	}
	a.openssl("verify", "-x509_strict", "-CAfile", filepath.Join("state", "truststore.pem"), "web.pem")
	return cert.SerialNumber.Text(16)
}

var labelOfObject = regexp.MustCompile(`label: +(.+)`)

// noKeysLeft checks that the token has the keys in use and that of somebody
// else, that no private key is in a file, and that nothing is left over of
// what was interrupted.
func (a *agentDevice) noKeysLeft() {
	a.t.Helper()
	var want, got []string
	err := filepath.WalkDir(a.path("state"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(entry.Name(), ".trustloom-tmp-") || entry.Name() == "pending" || entry.Name() == "change.json" {
			a.t.Errorf("%s is left over (%v)", path, err)
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if entry.Name() == "key.uri" {
			_, label := a.tokenKey(path)
			want = append(want, label)
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte("PRIVATE KEY")) {
			a.t.Errorf("%s has a private key", path)
		}
		return err
	})
	if err != nil || len(want) != 2 {
		a.t.Errorf("there are keys for %q (%v), want those of domain and web", want, err)
	}
	for _, found := range labelOfObject.FindAllStringSubmatch(a.pkcs11Tool("--list-objects", "--type", "privkey"), -1) {
		got = append(got, strings.TrimSpace(found[1]))
	}
	want = append(want, "somebody's")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		a.t.Errorf("the token has the keys %q, want %q", got, want)
	}
}

// keysInTokens are devices that keep their keys in PKCS#11 tokens.
func keysInTokens(t *testing.T, p *plant) {
	t.Run("onboarding and renewal", func(t *testing.T) { tokenLife(t, withToken(t, p.register(t, "token-01"))) })
	t.Run("power cuts", func(t *testing.T) { tokenCuts(t, p) })
	t.Run("a token that is away", func(t *testing.T) {
		a := withToken(t, p.register(t, "token-02"))
		a.write("agent.yaml", "key: EC-P384\n"+string(must(os.ReadFile(a.path("agent.yaml")))(t)))
		a.agent(0, "enroll")
		tokens := fixture.SoftHSMTokens(t)
		if err := os.Rename(tokens, tokens+".away"); err != nil {
			t.Fatal(err)
		}
		if out := a.agent(1, "renew", "domain", "--now"); !strings.Contains(out, a.token.TokenLabel) {
			t.Errorf("without the token the agent says\n%s", out)
		}
		if out := a.agent(1, "status"); !strings.Contains(out, "failing") || !strings.Contains(out, "pkcs11:token="+a.token.TokenLabel) {
			t.Errorf("without the token the status is\n%s", out)
		}
		if err := os.Rename(tokens+".away", tokens); err != nil {
			t.Fatal(err)
		}
		a.agent(0, "renew", "--now")
		a.serial()
		a.noOrphans()
	})
	t.Run("the manufacturer's key is in the token", func(t *testing.T) { tokenIDevID(t, p) })
	t.Run("the page's example", func(t *testing.T) { pageOfTokens(t, p) })
}

func tokenLife(t *testing.T, a *agentDevice) {
	a.agent(0, "enroll")
	first := a.serial()
	a.noOrphans()
	a.opensslKnowsTheKey()
	id, _ := a.tokenKey(a.path("web.uri"))
	if out := a.agent(0, "status", "-o", "json"); !strings.Contains(out, `"key": "pkcs11:token=`+a.token.TokenLabel+";id=%61") {
		t.Errorf("the status is\n%s", out)
	}
	a.agent(0, "renew", "--now")
	if a.serial() == first {
		t.Error("renew --now left the certificate as it is")
	}
	if again, _ := a.tokenKey(a.path("web.uri")); again == id {
		t.Error("the renewed certificate has the old key")
	}
	a.noOrphans()
	hookRefuses(t, a)
	a.noOrphans()
	lost, _ := a.tokenKey(a.path("web.uri"))
	for _, kind := range []string{"privkey", "pubkey"} {
		a.pkcs11Tool("--delete-object", "--type", kind, "--id", hex.EncodeToString([]byte(lost)))
	}
	if out := a.agent(0, "renew", "web", "--now"); !strings.Contains(out, "not in the token any more") {
		t.Errorf("that the token has lost a key is not told:\n%s", out)
	}
	a.serial()
	a.noOrphans()
}

// opensslKnowsTheKey lets the token sign for other programs, and OpenSSL
// verify that with the certificate. GnuTLS finds the key by its URI.
func (a *agentDevice) opensslKnowsTheKey() {
	a.t.Helper()
	id, label := a.tokenKey(a.path("web.uri"))
	a.write("message", "to be signed")
	a.openssl("dgst", "-sha256", "-binary", "-out", "digest", "message")
	a.pkcs11Tool("--sign", "--mechanism", "ECDSA", "--signature-format", "openssl", "--id", hex.EncodeToString([]byte(id)), "--input-file", a.path("digest"), "--output-file", a.path("signature"))
	a.write("public.pem", a.openssl("x509", "-in", "web.pem", "-noout", "-pubkey"))
	a.openssl("dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message")
	uri := strings.TrimSpace(string(must(os.ReadFile(a.path("web.uri")))(a.t)))
	out, err := a.try("p11tool", "--provider", a.token.Module, "--login", "--set-pin", a.token.PIN, "--info", uri)
	if err != nil || !strings.Contains(out, label) {
		a.t.Errorf("GnuTLS does not find %s: %v\n%s", uri, err, out)
	}
}

// tokenCuts kills the agent at the steps that matter for keys in a token; at
// the full size at each step.
func tokenCuts(t *testing.T, p *plant) {
	if *soakFull {
		powerCuts(t, p, "token-cut", withToken, stepsOfTokens)
		return
	}
	a := withToken(t, p.register(t, "token-cut"))
	a.agent(0, "enroll")
	for point, asked := range map[string]bool{"noted": false, "made": false, "pending": true, "version": true, "switched": true, "destroyed": true} {
		before := a.serial()
		a.killed(point, "renew", "web", "--now")
		a.serial()          // usable at once
		a.agent(0, "renew") // the next start
		if after := a.serial(); asked == (after == before) {
			t.Errorf("cut at %q: certificate %s before, %s after the next start", point, before, after)
		}
		a.noOrphans()
	}
}

// tokenIDevID onboards a device whose manufacturer left key and certificate.
func tokenIDevID(t *testing.T, p *plant) {
	d := newDevice(t, p)
	d.manufacture("tokens", "TK-4711")
	root := must(os.ReadFile(d.path("tokens-root.pem")))(t)
	must(p.api.CreateTruststore(background(), api.TruststoreCreation{Name: "tokens", PEM: string(root)}))(t)
	must(p.api.CreateRegistration(background(), api.RegistrationCreation{Name: "tokens", Truststore: "tokens", Domain: p.domain, SerialPattern: `TK-\d{4}`}))(t)
	d.name = "tokens-tk-4711"
	a := withToken(t, d)
	a.openssl("pkey", "-in", "tokens.key", "-outform", "DER", "-out", "idevid.der")
	a.openssl("pkey", "-in", "tokens.key", "-pubout", "-outform", "DER", "-out", "idevid-public.der")
	for kind, file := range map[string]string{"privkey": "idevid.der", "pubkey": "idevid-public.der"} {
		a.pkcs11Tool("--write-object", a.path(file), "--type", kind, "--id", "1d", "--label", "IDevID", "--usage-sign")
	}
	if err := errors.Join(os.Remove(a.path("tokens.key")), os.Remove(a.path("idevid.der"))); err != nil {
		t.Fatal(err)
	}
	file := string(must(os.ReadFile(a.path("agent.yaml")))(t))
	a.write("agent.yaml", strings.Replace(file, "{certificate: acme-chain.pem, key: acme.key}", `{certificate: tokens-chain.pem, key: "pkcs11:token=`+a.token.TokenLabel+`;object=IDevID;id=%1d"}`, 1))
	right := string(must(os.ReadFile(a.path("agent.yaml")))(t))
	a.write("agent.yaml", strings.Replace(right, "object=IDevID", "object=DevID", 1))
	if out := a.agent(1, "enroll"); !strings.Contains(out, "has no key pkcs11:token="+a.token.TokenLabel) {
		t.Errorf("for a key that is not there the agent says\n%s", out)
	}
	a.write("agent.yaml", right)
	a.agent(0, "enroll")
	a.serial()
}

// pageOfTokens does what docs/operations/agent.md says, on a device with keys
// in files: the one of the domain moves, the one of a program that reads files
// stays.
func pageOfTokens(t *testing.T, p *plant) {
	page := string(must(os.ReadFile("../../docs/operations/agent.md"))(t))
	_, page, _ = strings.Cut(page, "## Keys in a PKCS#11 token")
	_, script, _ := strings.Cut(page, "```bash\n")
	script, _, found := strings.Cut(script, "```")
	cfg := fixture.SoftHSM(t)
	if !found || !strings.Contains(script, "/usr/lib/softhsm/libsofthsm2.so") {
		t.Fatalf("the page has no example: %q", script)
	}
	a := withAgent(t, p.register(t, "token-page"))
	a.agent(0, "enroll")
	file := string(must(os.ReadFile(a.path("agent.yaml")))(t))
	a.write("agent.yaml", strings.Replace(file, "    profile: tls_server\n", "    profile: tls_server\n    key_store: file\n", 1))
	before := a.serial()
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", strings.ReplaceAll(script, "/usr/lib/softhsm/libsofthsm2.so", cfg.Module))
	cmd.Dir, cmd.Env = a.dir, append(os.Environ(), "PATH="+filepath.Dir(a.program)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if text := string(out); !strings.Contains(text, "trustloom-agent-domain-") || !regexp.MustCompile(`(?m)^web +ok .* file `).MatchString(text) {
		t.Errorf("the example says\n%s", text)
	}
	if a.serial() != before {
		t.Error("the certificate whose key stays in a file was renewed")
	}
	if left := must(filepath.Glob(a.path("state/domain/v*/key.pem")))(t); len(left) != 0 {
		t.Errorf("the key that moved into the token is in %q, too", left)
	}
	file = string(must(os.ReadFile(a.path("agent.yaml")))(t))
	without, _, _ := strings.Cut(file, "pkcs11:")
	a.write("agent.yaml", without)
	if out := a.agent(1, "renew"); !strings.Contains(out, "in a token that the file does not name") {
		t.Errorf("without the section of the token the agent says\n%s", out)
	}
	a.write("agent.yaml", "key_store: file\n"+file)
	a.agent(0, "renew") // and out of it
	if _, err := a.pair("domain"); err != nil {
		t.Error(err)
	}
	cmd = exec.Command("pkcs11-tool", "--module", cfg.Module, "--token-label", "press-01", "--login", "--pin", "246810", "--list-objects")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "trustloom-agent") {
		t.Errorf("in the token is still (%v)\n%s", err, out)
	}
}
