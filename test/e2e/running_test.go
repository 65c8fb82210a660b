// SPDX-License-Identifier: MIT

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestFirstStart times the first start and watches what it writes.
func TestFirstStart(t *testing.T) {
	i := running.New(t)
	home := t.TempDir()             // stands for everything that is not the data directory
	running.Binary(t, "trustloomd") // building it does not count
	begun := time.Now()
	i.Start("HOME="+home, "TMPDIR="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the first start took %s, want less than 10 s", took)
	}
	p := newPlant(t, i, models.StoreSoftware)
	p.register(t, "press-01").onboard()
	i.Stop()
	for _, dir := range []string{home, filepath.Dir(i.Dir)} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if filepath.Join(dir, e.Name()) != i.Dir {
				t.Errorf("%s was written outside the data directory", filepath.Join(dir, e.Name()))
			}
		}
	}
	info, err := os.Stat(i.Dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory has mode %v (%v), want 0700", info.Mode().Perm(), err)
	}
	assertPrivate(t, i.Dir)
}

// assertPrivate checks that nobody else can read what holds secrets.
func assertPrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "ca.pem" {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	i := start(t)
	out, err := exec.Command(running.Binary(t, "trustloomd"), "serve", "--data-dir", i.Dir, "--https-addr", running.FreeAddr(t), "--http-addr", running.FreeAddr(t)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is held by another trustloomd") {
		t.Errorf("a second start on the same data directory: %v\n%s", err, out)
	}
	if !i.Ready() {
		t.Error("the first one suffered from it")
	}
}

func TestTypingMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"an unknown role":             {[]string{"--role", "everything"}, "is not one of all, api, worker"},
		"a role without its engine":   {[]string{"--role", "api"}, "set --temporal-address"},
		"a public URL with TLS":       {[]string{"--public-url", "https://pki.example"}, "relying parties fetch CRLs without TLS"},
		"no name in certificates":     {[]string{"--http-addr", "0.0.0.0:0"}, "--public-url is needed"},
		"an address without a port":   {[]string{"--https-addr", "127.0.0.1"}, "is not host:port"},
		"a flag that does not exist":  {[]string{"--datadir", "x"}, "unknown flag"},
		"a database that is not one":  {[]string{"--database-url", "mysql://x"}, "database"},
		"a missing configuration":     {[]string{"--config", "/does/not/exist.yaml"}, "read configuration"},
		"a token without its label":   {[]string{"--pkcs11-module", "/x.so"}, "needs --pkcs11-token"},
		"a duration that is not one":  {[]string{"--crl-validity", "7 days"}, "--crl-validity"},
		"a certificate without a key": {[]string{"--tls-cert", "x.pem"}, "belong together"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"serve", "--data-dir", filepath.Join(t.TempDir(), "data"), "--http-addr", running.FreeAddr(t)}, tt.args...)
			out, err := exec.Command(running.Binary(t, "trustloomd"), args...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.says) {
				t.Errorf("the answer is %v %q, want %q", err, out, tt.says)
			}
			if strings.Contains(string(out), "goroutine") {
				t.Errorf("the answer is a stack trace:\n%s", out)
			}
		})
	}
}

func TestSettingsComeFromFileAndEnvironment(t *testing.T) {
	i := running.New(t)
	config := filepath.Join(t.TempDir(), "trustloom.yaml")
	if err := os.WriteFile(config, []byte("crl-validity: 3d\nlog-format: json\npublic-url: http://from.file.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	i.Args = []string{"--config", config}
	i.Start("TRUSTLOOM_PUBLIC_URL=http://from.environment.example")
	p := newPlant(t, i, models.StoreSoftware)
	ca := must(p.api.FindCA(background(), "plant-issuing"))(t)
	if !strings.HasPrefix(ca.CRLURL, "http://from.environment.example/crl/") {
		t.Errorf("the CRL URL is %s, want the environment's base", ca.CRLURL)
	}
	if !strings.Contains(i.Log.String(), `{"time":`) {
		t.Error("the log is not JSON as the file says")
	}
	if err := os.WriteFile(config, []byte("crl-validty: 3d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(running.Binary(t, "trustloomd"), "serve", "--config", config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `unknown setting "crl-validty"`) {
		t.Errorf("a mistyped setting: %v %s", err, out)
	}
}

func TestReadinessNamesWhatIsDown(t *testing.T) {
	i := start(t)
	killEngine(t, i)
	var health struct {
		Status string
		Checks map[string]string
	}
	eventually(t, "/readyz tells that the engine is down", 10*time.Second, func() bool {
		resp, err := http.Get("http://" + i.HTTP + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode == http.StatusServiceUnavailable && json.Unmarshal(body, &health) == nil && health.Checks["temporal"] == "down"
	})
	if health.Checks["database"] != "ok" || health.Checks["keys.software"] != "ok" {
		t.Errorf("/readyz blames %v", health.Checks)
	}
	i.AwaitReady(30 * time.Second)
	metrics := metrics(t, i)
	for _, name := range []string{"temporal_", "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics has nothing of %s", name)
		}
	}
}

// TestNoSecretLeaks plays a device's life, then looks for every secret in the
// engine's database, in ours, and in the log.
func TestNoSecretLeaks(t *testing.T) {
	i := running.New(t, "--log-level", "debug")
	i.Start()
	p := newPlant(t, i, models.StoreSoftware)
	p.requireApproval(t, twoSteps)
	d := p.register(t, "press-01")
	d.newCSR("domain", "/CN=canary-subject-48151")
	d.waits("domain.csr")
	approval := p.pendingApproval(t)
	if err := decide(t, p.approver(t, "alice"), approval, models.VerdictReject, "canary-comment-62342"); err != nil {
		t.Fatal(err)
	}
	d.comesBack("domain.csr")
	admin, err := os.ReadFile(filepath.Join(i.Dir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	i.Stop()
	secrets := map[string]string{"the device's secret": d.secret, "the operator's token": strings.TrimSpace(string(admin))}
	for name, secret := range secrets {
		if strings.Contains(i.Log.String(), secret) {
			t.Errorf("%s is in the log", name)
		}
		assertAbsent(t, i.Dir, "trustloom.db", name, secret)
		assertAbsent(t, i.Dir, "temporal/temporal.db", name, secret)
	}
	for _, private := range []string{"canary-subject-48151", "canary-comment-62342", "press-01"} {
		assertAbsent(t, i.Dir, "temporal/temporal.db", "a name", private)
	}
	engine := readAll(t, i.Dir, "temporal/temporal.db")
	if !bytes.Contains(engine, []byte("onboarding/")) || !bytes.Contains(readAll(t, i.Dir, "trustloom.db"), []byte("press-01")) {
		t.Error("the search does not even find what is there in clear: it proves nothing")
	}
}

func assertAbsent(t *testing.T, dir, file, name, secret string) {
	t.Helper()
	if bytes.Contains(readAll(t, dir, file), []byte(secret)) {
		t.Errorf("%s is in %s in clear", name, file)
	}
}

// readAll reads a SQLite database with its write-ahead log.
func readAll(t *testing.T, dir, file string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, file) + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no file %s in %s: %v", file, dir, err)
	}
	var all []byte
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

func TestKeysStayOnTheToken(t *testing.T) {
	args := token(t)
	i := start(t, args...)
	p := newPlant(t, i, models.StorePKCS11)
	p.register(t, "press-01").onboard()
	i.Stop()
	p.Start() // the keys are found again
	p.register(t, "press-02").onboard()
	pin, err := os.ReadFile(args[5])
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pkcs11-tool", "--module", args[1], "--token-label", args[3], "--login", "--pin", strings.TrimSpace(string(pin)),
		"--list-objects", "--type", "privkey").CombinedOutput()
	if err != nil {
		t.Fatalf("pkcs11-tool: %v\n%s", err, out)
	}
	if n := strings.Count(string(out), "Private Key Object"); n != 3 {
		t.Errorf("%d private keys on the token, want those of the root, the issuing CA and the audit log:\n%s", n, out)
	}
	if strings.Count(string(out), "never extractable") != 3 || strings.Count(string(out), "sensitive, always sensitive") != 3 {
		t.Errorf("the keys on the token can be read:\n%s", out)
	}
	if keys, _ := filepath.Glob(filepath.Join(i.Dir, "keys", "*.key")); len(keys) != 0 {
		t.Errorf("CA keys are in files as well: %v", keys)
	}
}
