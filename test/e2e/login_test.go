// SPDX-License-Identifier: MIT

package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// openid installs the provider once and returns its folder.
var openid = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs("../../bin/tools/openid")
	if err != nil {
		return "", err
	}
	lock, err := os.ReadFile("testdata/openid/package-lock.json")
	if err != nil {
		return "", err
	}
	if done, err := os.ReadFile(filepath.Join(dir, "installed")); err == nil && bytes.Equal(done, lock) {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile("testdata/openid/" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: "npm ci: " + string(out), Err: err}
	}
	return dir, os.WriteFile(filepath.Join(dir, "installed"), lock, 0o644)
})

// provider starts the OpenID provider and returns its issuer.
func provider(t testing.TB, redirect string) string {
	t.Helper()
	dir := must(openid())(t)
	script := filepath.Join(dir, "provider.mjs") // beside its modules, where node looks for them
	if err := os.WriteFile(script, must(os.ReadFile("testdata/openid/provider.mjs"))(t), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", script, redirect)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := must(bufio.NewReader(out).ReadString('\n'))(t)
	return strings.TrimSpace(line)
}

// browser is a person's browser, which follows redirects and fills the forms
// of the provider.
type browser struct {
	t      *testing.T
	person string
	http   *http.Client
	last   *url.URL // of the last answer
	passed []*url.URL
}

func (p *plant) browser(t *testing.T, person string) *browser {
	t.Helper()
	b := &browser{t: t, person: person}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(p.CA))(t))
	b.http = &http.Client{
		Jar: must(cookiejar.New(nil))(t), Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error { b.passed = append(b.passed, r.URL); return nil },
	}
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

var (
	formAction = regexp.MustCompile(`<form[^>]*action="([^"]+)"`)
	prompted   = regexp.MustCompile(`name="prompt" value="([a-z]+)"`)
)

// open goes to an address, and through the provider's forms if it leads there.
func (b *browser) open(address string) (int, string) {
	b.t.Helper()
	resp, err := b.http.Get(address)
	for range 4 {
		if err != nil {
			b.t.Fatal(err)
		}
		body := must(io.ReadAll(resp.Body))(b.t)
		_ = resp.Body.Close()
		b.last = resp.Request.URL
		form, prompt := formAction.FindSubmatch(body), prompted.FindSubmatch(body)
		if form == nil || prompt == nil {
			return resp.StatusCode, string(body)
		}
		action := must(b.last.Parse(html.UnescapeString(string(form[1]))))(b.t)
		resp, err = b.http.PostForm(action.String(), url.Values{"prompt": {string(prompt[1])}, "login": {b.person}, "password": {"any"}})
	}
	b.t.Fatal("the provider asks without end")
	return 0, ""
}

// send is a request that a page makes.
func (b *browser) send(method, address, origin string) int {
	b.t.Helper()
	r := must(http.NewRequest(method, address, nil))(b.t)
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	resp := must(b.http.Do(r))(b.t)
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestLoginAtAnOpenIDProvider(t *testing.T) {
	i := running.New(t)
	base := "https://" + i.HTTPS
	issuer := provider(t, base+"/api/v1/login/callback")
	secret := filepath.Join(t.TempDir(), "client-secret")
	if err := os.WriteFile(secret, []byte("a secret of the client: 100%\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	i.Args = append(i.Args, "--oidc-issuer", issuer, "--oidc-client-secret-file", secret, "--oidc-scopes", "openid,profile,groups", "--oidc-create",
		"--oidc-roles", "plant-admins=admin,press-team=approver:press-shop")
	i.Start()
	p := newPlant(t, i, "software")
	t.Run("from the command line", func(t *testing.T) { p.loginByCommand(t, base) })
	t.Run("in a browser", func(t *testing.T) { p.loginByBrowser(t, base) })
	t.Run("what does not fit", func(t *testing.T) { p.loginsThatFail(t, base) })
	if strings.Contains(i.Log.String(), "a secret of the client") {
		t.Error("the client's secret is in the log")
	}
}

// command runs trustloom with a home of its own and no token.
func (p *plant) command(t *testing.T, home string, args ...string) *exec.Cmd {
	cmd := exec.Command(running.Binary(t, "trustloom"), append([]string{"--url", "https://" + p.HTTPS, "--ca", p.CA}, args...)...)
	cmd.Env, cmd.Dir = []string{"HOME=" + home}, home
	return cmd
}

func (p *plant) loginByCommand(t *testing.T, base string) {
	home := t.TempDir()
	cmd := p.command(t, home, "login", "--no-browser")
	var out bytes.Buffer
	cmd.Stdout = &out
	errs := must(cmd.StderrPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(errs)
	address := ""
	for address == "" && lines.Scan() {
		if strings.HasPrefix(lines.Text(), base) {
			address = lines.Text()
		}
	}
	if status, page := p.browser(t, "Alice+others+press-team").open(address); status != 200 || !strings.Contains(page, "You are logged in") {
		t.Fatalf("the browser ends at %d: %s", status, page)
	}
	_ = must(io.ReadAll(errs))(t)
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "you are alice: approver, domains: press-shop, until ") {
		t.Fatalf("login: %v\n%s", err, out.String())
	}
	files := must(filepath.Glob(filepath.Join(home, ".config", "trustloom", "*")))(t)
	if len(files) != 1 || must(os.Stat(files[0]))(t).Mode().Perm() != 0o600 {
		t.Errorf("files %v", files)
	}
	whoami := string(must(p.command(t, home, "whoami").Output())(t))
	if !strings.Contains(whoami, "alice") || !strings.Contains(whoami, "approver") {
		t.Errorf("whoami: %s", whoami)
	}
	o := must(p.api.FindOperator(background(), "alice"))(t)
	if o.Role != models.RoleApprover || o.OIDCSubject != "Alice+others+press-team" || len(o.Domains) != 1 {
		t.Errorf("operator %s", asJSON(t, o))
	}
	must(p.api.DisableOperator(background(), "alice"))(t)
	if out, err := p.command(t, home, "whoami").CombinedOutput(); err == nil {
		t.Errorf("a disabled operator's session: %s", out)
	}
	if status, page := p.browser(t, "Alice+others+press-team").open(base + "/api/v1/login?return=/api/v1/session"); status != 403 || !strings.Contains(page, "operator alice is disabled") {
		t.Errorf("the login of a disabled operator: %d %s", status, page)
	}
	must(p.api.EnableOperator(background(), "alice"))(t)
	if out, err := p.command(t, home, "logout").CombinedOutput(); err != nil {
		t.Errorf("logout: %v %s", err, out)
	}
	if out, err := p.command(t, home, "whoami").CombinedOutput(); err == nil || !strings.Contains(string(out), "trustloom login") {
		t.Errorf("after the logout: %v %s", err, out)
	}
}

func (p *plant) loginByBrowser(t *testing.T, base string) {
	b := p.browser(t, "bob+plant-admins")
	status, page := b.open(base + "/api/v1/login?return=/api/v1/session")
	if status != 200 || !strings.Contains(page, `"operator":"bob"`) || !strings.Contains(page, `"role":"admin"`) || b.last.Path != "/api/v1/session" {
		t.Fatalf("the browser ends at %s with %d: %s", b.last, status, page)
	}
	address := base + "/api/v1/operators/alice/suspension"
	for origin, want := range map[string]int{"": 403, "https://evil.example": 403, "null": 403, base + ".evil.example": 403, "http://" + p.HTTPS: 403} {
		if got := b.send(http.MethodPost, address, origin); got != want {
			t.Errorf("a change from a page of %q: status %d, want %d", origin, got, want)
		}
	}
	if got := b.send(http.MethodPost, address, base); got != 200 {
		t.Errorf("a change from our own page: status %d", got)
	}
	if got := b.send(http.MethodDelete, address, base); got != 200 {
		t.Errorf("and back: status %d", got)
	}
	if got := b.send(http.MethodDelete, base+"/api/v1/session", base); got != 204 {
		t.Errorf("the end of the session: status %d", got)
	}
	if got := b.send(http.MethodGet, base+"/api/v1/session", ""); got != 401 {
		t.Errorf("after it: status %d", got)
	}
	events := must(p.api.ListEvents(background(), api.EventFilter{Action: "session.created"}))(t)
	if last := events.Items[len(events.Items)-1]; last.Actor != "operator:bob" {
		t.Errorf("event %s", asJSON(t, last))
	}
}

func (p *plant) loginsThatFail(t *testing.T, base string) {
	if status, page := p.browser(t, "carl+others").open(base + "/api/v1/login"); status != 403 || !strings.Contains(page, "--oidc-subject") {
		t.Errorf("somebody in no group: %d %s", status, page)
	}
	if status, page := p.browser(t, "admin+plant-admins").open(base + "/api/v1/login"); status != 403 || !strings.Contains(page, "there is an operator admin already") {
		t.Errorf("somebody who calls himself admin: %d %s", status, page)
	}
	b := p.browser(t, "dora+plant-admins")
	b.open(base + "/api/v1/login?return=/api/v1/session")
	for _, passed := range b.passed {
		if passed.Path != "/api/v1/login/callback" {
			continue
		}
		if status := b.send(http.MethodGet, passed.String(), ""); status != 401 { // the cookie is gone
			t.Errorf("the same answer again: %d", status)
		}
		if status := p.browser(t, "eve").send(http.MethodGet, passed.String(), ""); status != 401 {
			t.Errorf("the same answer from another browser: %d", status)
		}
	}
	for name, query := range map[string]string{
		"another server to return to": "return=//evil.example", "a backslash": "return=/%5Cevil.example", "a whole URL": "return=https://evil.example",
		"a scheme": "return=javascript:alert(1)", "a path with two slashes": "return=/a//b", "a redirect to a name": "redirect=http://localhost:1/callback",
		"a redirect elsewhere":      "redirect=http://192.0.2.1:1/callback&challenge=" + strings.Repeat("a", 43) + "&state=" + strings.Repeat("s", 20),
		"a redirect with user info": "redirect=http://127.0.0.1:1@evil.example/callback&challenge=" + strings.Repeat("a", 43) + "&state=" + strings.Repeat("s", 20),
		"a redirect and no PKCE":    "redirect=http://127.0.0.1:1/callback&state=" + strings.Repeat("s", 20),
		"an unknown parameter":      "next=/", "a parameter twice": "return=/&return=/a",
	} {
		if status := p.browser(t, "eve").send(http.MethodGet, base+"/api/v1/login?"+query, ""); status != 400 {
			t.Errorf("%s: status %d, want 400", name, status)
		}
	}
	status, page := p.browser(t, "eve").open(base + "/api/v1/login/callback?state=x&error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E")
	if status != 401 || strings.Contains(page, "script") {
		t.Errorf("a provider's words: %d %s", status, page)
	}
}
