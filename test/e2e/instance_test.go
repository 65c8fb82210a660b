// SPDX-License-Identifier: MIT

// Package e2e runs the built programs as a user runs them: real server, real
// engine, real database, real token, and as devices nothing but curl and
// OpenSSL.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/test/fixture"
)

// programs builds the programs once and returns the folder they are in.
var programs = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin")
	for _, name := range []string{"trustloom-temporal", "trustloomd", "trustloom"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "./cmd/"+name)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

func binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// instance is one trustloomd process with its data directory; it can be
// killed and started again.
type instance struct {
	t     testing.TB
	dir   string // data directory
	ca    string // file with the CA of its TLS certificate
	https string // host:port
	http  string
	args  []string
	env   []string
	cmd   *exec.Cmd
	ended chan struct{}
	log   *logBuffer
}

// logBuffer keeps what the process says, for the test that fails.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newInstance prepares an instance without starting it.
func newInstance(t testing.TB, args ...string) *instance {
	t.Helper()
	i := &instance{t: t, dir: filepath.Join(t.TempDir(), "data"), https: freeAddr(t), http: freeAddr(t), args: args, log: &logBuffer{}}
	i.ca = filepath.Join(i.dir, "tls", "ca.pem")
	t.Cleanup(func() {
		i.kill()
		if t.Failed() {
			t.Logf("log of the server in %s:\n%s", i.dir, tail(i.log.String(), 80))
		}
	})
	return i
}

// start starts an instance and waits until it is ready.
func start(t testing.TB, args ...string) *instance {
	t.Helper()
	i := newInstance(t, args...)
	i.start()
	return i
}

func (i *instance) start(env ...string) {
	i.t.Helper()
	i.launch(env...)
	i.awaitReady(30 * time.Second)
}

// launch starts the process and does not wait.
func (i *instance) launch(env ...string) {
	i.t.Helper()
	args := append([]string{"serve", "--data-dir", i.dir, "--https-addr", i.https, "--http-addr", i.http}, i.args...)
	i.cmd = exec.Command(binary(i.t, "trustloomd"), args...)
	i.cmd.Env = append(append(os.Environ(), i.env...), env...)
	i.cmd.Stdout, i.cmd.Stderr = i.log, i.log
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	cmd, ended := i.cmd, make(chan struct{})
	i.ended = ended
	go func() { _ = cmd.Wait(); close(ended) }()
}

func (i *instance) awaitReady(limit time.Duration) {
	i.t.Helper()
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		select {
		case <-i.ended:
			i.t.Fatalf("the server ended before it was ready:\n%s", tail(i.log.String(), 40))
		default:
		}
		if i.ready() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	i.t.Fatalf("the server is not ready after %s:\n%s", limit, tail(i.log.String(), 40))
}

func (i *instance) ready() bool {
	resp, err := http.Get("http://" + i.http + "/readyz")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the process as a power cut does, and waits until it is gone.
func (i *instance) kill() {
	if i.cmd == nil {
		return
	}
	_ = i.cmd.Process.Kill()
	<-i.ended
	i.cmd = nil
}

// stop ends the process gracefully.
func (i *instance) stop() {
	i.t.Helper()
	_ = i.cmd.Process.Signal(syscall.SIGTERM)
	i.awaitEnd(30 * time.Second)
}

func (i *instance) awaitEnd(limit time.Duration) {
	i.t.Helper()
	select {
	case <-i.ended:
		i.cmd = nil
	case <-time.After(limit):
		i.t.Fatalf("the server has not ended after %s:\n%s", limit, tail(i.log.String(), 40))
	}
}

// client returns an API client with the token of admin.
func (i *instance) client() *api.Client {
	i.t.Helper()
	token, err := os.ReadFile(filepath.Join(i.dir, "admin-token"))
	if err != nil {
		i.t.Fatal(err)
	}
	return i.clientWith(strings.TrimSpace(string(token)))
}

func (i *instance) clientWith(token string) *api.Client {
	i.t.Helper()
	c, err := api.NewClient(api.Config{URL: "https://" + i.https, CAFile: i.ca, Token: token})
	if err != nil {
		i.t.Fatal(err)
	}
	return c
}

// metrics returns what the process tells Prometheus.
func (i *instance) metrics() string {
	i.t.Helper()
	resp, err := http.Get("http://" + i.http + "/metrics")
	if err != nil {
		i.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		i.t.Fatal(err)
	}
	return b.String()
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// must stops the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// database returns the arguments that choose the named database.
func database(t testing.TB, name string) []string {
	t.Helper()
	if name == "postgres" {
		return []string{"--database-url", fixture.Postgres(t)}
	}
	return nil
}

// eventually repeats check until it holds.
func eventually(t testing.TB, what string, limit time.Duration, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	return string(must(json.MarshalIndent(v, "", "  "))(t))
}

func background() context.Context { return context.Background() }
