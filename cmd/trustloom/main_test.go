// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trustloom": main})
}

// The scripts share one real server with an embedded engine. Each makes a PKI
// of its own, with names that no other script uses.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	s := startServer(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("TRUSTLOOM_URL", "https://"+s.https)
			env.Setenv("SERVER", "https://"+s.https)
			env.Setenv("TRUSTLOOM_CA", filepath.Join(s.data, "tls", "ca.pem"))
			env.Setenv("TRUSTLOOM_TOKEN_FILE", filepath.Join(s.data, "admin-token"))
			env.Setenv("DATA", s.data)
			env.Setenv("PLAIN_URL", "http://"+s.http)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each command otherwise
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "json": checkJSON, "setjson": setJSON, "samejson": sameJSON, "verify": verify,
		},
		RequireExplicitExec: true,
	})
}

// exits CODE COMMAND... runs a command that has to end with this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGS]")
	}
	code := 0
	var ended *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
		code = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// json PATH WANT looks into the JSON on standard output: json items.0.name press-01
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH WANT")
	}
	if got := pick(ts, args[0]); (got == args[1]) == neg {
		ts.Fatalf("%s is %q", args[0], got)
	}
}

// setjson VARIABLE PATH sets a variable from the JSON on standard output.
func setJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setjson VARIABLE PATH")
	}
	ts.Setenv(args[0], pick(ts, args[1]))
}

// pick follows a path into the JSON on standard output; what is not there is
// empty, and len is the length of a list.
func pick(ts *testscript.TestScript, path string) string {
	at := decode(ts, "stdout")
	for _, step := range strings.Split(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if step == "len" {
				return strconv.Itoa(len(v))
			} else if err != nil || i >= len(v) {
				return ""
			}
			at = v[i]
		}
	}
	switch v := at.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(at)
	ts.Check(err)
	return string(text)
}

func decode(ts *testscript.TestScript, file string) (v any) {
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &v))
	return v
}

// samejson FILE FILE compares two documents.
func sameJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: samejson FILE FILE")
	}
	if diff := cmp.Diff(decode(ts, args[0]), decode(ts, args[1])); diff != "" {
		ts.Fatalf("%s", diff)
	}
}

// verify CAS CERTIFICATE validates a chain with OpenSSL, strictly.
func verify(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: verify CAS CERTIFICATE")
	}
	if err := ts.Exec("openssl", "verify", "-x509_strict", "-CAfile", args[0], args[1]); (err != nil) != neg {
		ts.Fatalf("verify: %v", err)
	}
}

// server is a running trustloomd.
type server struct{ data, https, http string }

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{data: filepath.Join(t.TempDir(), "data"), https: freeAddr(t), http: freeAddr(t)}
	daemon, engine := build(t)
	log := &bytes.Buffer{} // read after the process has ended only
	cmd := exec.Command(daemon, "serve", "--data-dir", s.data, "--https-addr", s.https, "--http-addr", s.http, "--temporal-binary", engine, "--log-level", "warn")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TRUSTLOOM_") })
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", log)
		}
	})
	s.awaitReady(t, ended)
	return s
}

func (s *server) awaitReady(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if resp, err := http.Get("http://" + s.http + "/readyz"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ended:
			t.Fatal("the server ended before it was ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("the server is not ready after 30 s")
}

// build returns a fresh trustloomd, and the engine as make built it: linking
// that takes too long to repeat here.
func build(t *testing.T) (daemon, engine string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	daemon, engine = filepath.Join(dir, "trustloomd"), filepath.Join(root, "bin", "trustloom-temporal")
	wanted := map[string]string{"./cmd/trustloomd": daemon}
	if _, err := os.Stat(engine); err != nil {
		engine = filepath.Join(dir, "trustloom-temporal")
		wanted["./cmd/trustloom-temporal"] = engine
	}
	for pkg, file := range wanted {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", file, pkg) // the flags of make: the same cache
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, out)
		}
	}
	return daemon, engine
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
