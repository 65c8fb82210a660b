// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newAgent returns an agent that has a CA to trust, and nobody to talk to.
func newAgent(t *testing.T, log *bytes.Buffer) *agent {
	t.Helper()
	dir := t.TempDir()
	_, content := newBench(t).issue(1)
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), content[fileCert], filePerm); err != nil {
		t.Fatal(err)
	}
	d, err := parseDocument([]byte("server: https://127.0.0.1:1\nca: ca.pem\ndomain: d\ndevice: x\nstate_dir: state\ncertificates: [{name: web, profile: tls_server}]"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := d.complete(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{cfg: cfg, secret: func() (string, error) { return "s", nil }, log: slog.New(slog.NewTextHandler(log, nil)), now: time.Now, disk: disk{func(string) {}}}
	a.token = newCLI(log).token(cfg, a.log)
	return a
}

func TestAServerThatIsAwayIsAskedAgainWithTheSameRequest(t *testing.T) {
	a := newAgent(t, &bytes.Buffer{})
	release, err := a.open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := a.settle(context.Background(), a.held, false, time.Minute); err == nil || !strings.Contains(plain(err), "cannot be reached") {
		t.Errorf("the error is %v", err)
	}
	first, err := a.domain().store.asked()
	if err != nil || first == nil {
		t.Fatalf("no request is kept (%v)", err)
	}
	if err := a.settle(context.Background(), a.held, false, time.Minute); err == nil {
		t.Error("the server is still away, and nobody says so")
	}
	second, err := a.domain().store.asked()
	if err != nil || second == nil || !bytes.Equal(first.Request, second.Request) {
		t.Errorf("the second request is another one (%v)", err)
	}
	if a.domain().Failures != 2 || !a.next(a.domain()).After(a.now()) {
		t.Errorf("after two failures the status is %+v", a.domain().status)
	}
	if web := a.held[1]; web.Failures != 0 || exists(web.store.path(dirPending)) {
		t.Error("a certificate was asked for without a domain credential")
	}
}

func TestASignalEndsTheLoopAndIsNoFailure(t *testing.T) {
	log := &bytes.Buffer{}
	a := newAgent(t, log)
	release, err := a.open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	a.fault = func(string) {}
	a.domain().store.fault = func(point string) {
		if point == faultPending {
			cancel() // in the middle of the first attempt
		}
	}
	if err := a.run(ctx); err != nil {
		t.Errorf("the loop ended with %v", err)
	}
	if a.domain().Failures != 0 || !strings.Contains(log.String(), "the agent ends") {
		t.Errorf("the status is %+v, the log\n%s", a.domain().status, log)
	}
}
