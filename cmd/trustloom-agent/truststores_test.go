// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// anchorBench is one truststore with a hook that notes its runs, and fails
// while the file "refuse" is there.
type anchorBench struct {
	*anchors
	t     *testing.T
	cutAt string
}

func newAnchorBench(t *testing.T) *anchorBench {
	t.Helper()
	dir := t.TempDir()
	b := &anchorBench{t: t}
	script := `echo "$TRUSTLOOM_EVENT $TRUSTLOOM_TRUSTSTORE $(cat "$TRUSTLOOM_TRUSTSTORE_FILE")" >> ../log; ! grep -q refused "$TRUSTLOOM_TRUSTSTORE_FILE"`
	w := &anchorWish{Name: "servers", File: filepath.Join(dir, "servers.pem"), Hook: hook{Command: []string{"sh", "-c", script}, Timeout: time.Minute}}
	b.anchors = &anchors{anchorWish: w, dir: filepath.Join(dir, "state"), now: time.Now, disk: disk{func(point string) {
		if point == b.cutAt {
			panic(powerCut(point))
		}
	}}}
	b.must(b.open(context.Background()))
	return b
}

func (b *anchorBench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *anchorBench) put(version int, content string) (err error) {
	defer func() {
		if cut := recover(); cut != nil {
			err = errors.New("cut")
		}
	}()
	return b.install(context.Background(), listed{Name: b.Name, Version: version, SHA256: digestOf([]byte(content))}, []byte(content))
}

func (b *anchorBench) restart() error {
	b.cutAt, b.state = "", anchorState{}
	return b.open(context.Background())
}

func (b *anchorBench) file() string {
	content, err := os.ReadFile(b.File)
	b.must(err)
	return string(content)
}

func TestAPowerCutAtEveryStepLeavesAWholeTruststore(t *testing.T) {
	for _, point := range []string{faultJournal, faultSwitched, faultHooked} {
		t.Run(point, func(t *testing.T) {
			b := newAnchorBench(t)
			b.must(b.put(1, "one"))
			b.cutAt = point
			if err := b.put(2, "two"); err == nil {
				t.Fatal("nothing was cut")
			}
			if now := b.file(); now != "one" && now != "two" {
				t.Errorf("the file holds %q", now)
			}
			b.must(b.restart())
			if b.file() != "two" || b.state.Version != 2 || exists(b.path(fileChange)) {
				t.Errorf("after the restart the file holds %q, the state is %+v", b.file(), b.state)
			}
		})
	}
	for _, point := range []string{faultRefused, faultReturned} {
		t.Run("a refusal, "+point, func(t *testing.T) {
			b := newAnchorBench(t)
			b.must(b.put(1, "one"))
			b.cutAt = point
			_ = b.put(2, "refused")
			if err := b.restart(); !errors.Is(err, errRefused) {
				t.Errorf("the restart says %v", err)
			}
			if b.file() != "one" || b.state.Version != 1 {
				t.Errorf("the file holds %q, the state is %+v", b.file(), b.state)
			}
		})
	}
}

func TestARefusingHookBringsTheTruststoreBeforeBack(t *testing.T) {
	b := newAnchorBench(t)
	if err := b.put(1, "refused at first"); !errors.Is(err, errRefused) || b.file() != "refused at first" {
		t.Errorf("the first one: %v, the file holds %q", err, b.file())
	}
	b.must(b.put(2, "good"))
	if err := b.put(3, "refused"); !errors.Is(err, errRefused) || b.file() != "good" || b.state.Version != 2 {
		t.Errorf("%v, the file holds %q", err, b.file())
	}
	log, err := os.ReadFile(filepath.Join(filepath.Dir(b.dir), "log"))
	b.must(err)
	want := "installed servers refused at first\ninstalled servers good\ninstalled servers refused\nreturned servers good\n"
	if string(log) != want {
		t.Errorf("the hook was told:\n%swant:\n%s", log, want)
	}
}

// plant is a server that has one truststore.
type plant struct {
	content  atomic.Pointer[string]
	list     atomic.Pointer[string]
	lists    atomic.Int32
	contents atomic.Int32
}

func (p *plant) set(version int, content string) {
	list := fmt.Sprintf(`{"items":[{"name":"servers","version":%d,"certificates":1,"sha256":%q}]}`, version, digestOf([]byte(content)))
	p.content.Store(&content)
	p.list.Store(&list)
}

func (p *plant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.TLS.PeerCertificates) == 0 {
		http.Error(w, `{"detail":"no certificate"}`, http.StatusUnauthorized)
		return
	}
	switch r.URL.Path {
	case "/api/v1/enroll/d/truststores":
		p.lists.Add(1)
		tag := `"` + digestOf([]byte(*p.list.Load())) + `"`
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(*p.list.Load()))
	case "/api/v1/enroll/d/truststores/servers":
		p.contents.Add(1)
		_, _ = w.Write([]byte(*p.content.Load()))
	default:
		http.NotFound(w, r)
	}
}

// trusting is an onboarded agent at a plant.
func trusting(t *testing.T) (*agent, *plant, [2]string) {
	t.Helper()
	p := &plant{}
	server := httptest.NewUnstartedServer(p)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	a := newAgent(t, &bytes.Buffer{})
	a.cfg.Server = server.URL
	a.cfg.Anchors = []*anchorWish{{Name: "servers", File: filepath.Join(a.cfg.StateDir, "..", "servers.pem")}}
	a.cfg.Look = time.Minute
	release, err := a.open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	a.roots = x509.NewCertPool()
	a.roots.AddCert(server.Certificate())
	_, content := newBench(t).issue(1)
	name, err := a.domain().store.add(content)
	if err == nil {
		err = a.domain().store.install(context.Background(), a.domain().wish, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, other := newBench(t).issue(2)
	return a, p, [2]string{string(content[fileCert]), string(other[fileCert])}
}

func TestTheAgentInstallsWhatHasChanged(t *testing.T) {
	a, p, contents := trusting(t)
	file := a.cfg.Anchors[0].File
	look := func(want string) {
		t.Helper()
		if err := a.trusts.look(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("the file holds %q (%v)", got, err)
		}
	}
	p.set(1, contents[0])
	look(contents[0])
	look(contents[0])
	if p.contents.Load() != 1 {
		t.Errorf("an unchanged truststore was fetched %d times", p.contents.Load())
	}
	p.set(2, contents[1])
	look(contents[1])
	if err := os.WriteFile(file, []byte("spoilt"), 0o644); err != nil {
		t.Fatal(err)
	}
	look(contents[1])
	report, err := reportOnTrust(a.cfg.Anchors[0], a.cfg.StateDir)
	if err != nil || report.State != "ok" || report.Version != 2 {
		t.Errorf("the report is %+v (%v)", report, err)
	}
	if due := a.trusts.next(); !due.After(a.now()) {
		t.Errorf("the next look is due at %s", due)
	}
}

func TestWhatTheAgentDoesNotInstall(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*plant, [2]string)
		want  string
	}{
		"content that is not what the list says": {func(p *plant, c [2]string) { p.set(1, c[0]); p.content.Store(&c[1]) }, "has changed meanwhile"},
		"content that is no certificates":        {func(p *plant, _ [2]string) { p.set(1, "none") }, "cannot be read"},
		"a list that is no list":                 {func(p *plant, _ [2]string) { p.set(1, ""); s := "<html>"; p.list.Store(&s) }, "list of truststores cannot be read"},
		"a truststore that the domain lacks":     {func(p *plant, _ [2]string) { p.set(1, ""); s := `{"items":[]}`; p.list.Store(&s) }, "has no truststore servers"},
		"a list without end":                     {func(p *plant, _ [2]string) { p.set(1, ""); s := strings.Repeat(" ", maxAnchorList+1); p.list.Store(&s) }, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			a, p, contents := trusting(t)
			tt.spoil(p, contents)
			err := a.trusts.look(context.Background())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want %q", err, tt.want)
			}
			if exists(a.cfg.Anchors[0].File) {
				t.Error("the file was written")
			}
			report, err := reportOnTrust(a.cfg.Anchors[0], a.cfg.StateDir)
			if err != nil || report.State != "failing" || report.LastError == "" {
				t.Errorf("the report is %+v (%v)", report, err)
			}
			p.set(1, contents[0])
			if err := a.trusts.look(context.Background()); err != nil {
				t.Errorf("after it was put right: %v", err)
			}
		})
	}
}

func TestStatusShowsTruststores(t *testing.T) {
	out := &bytes.Buffer{}
	c := newCLI(out)
	c.output = "json"
	a, p, contents := trusting(t)
	p.set(7, contents[0])
	if err := a.trusts.look(context.Background()); err != nil {
		t.Fatal(err)
	}
	_ = c.report(a.cfg) // web is missing
	var shown struct {
		Truststores []trustReport `json:"truststores"`
	}
	if err := json.Unmarshal(out.Bytes(), &shown); err != nil || len(shown.Truststores) != 1 || shown.Truststores[0].Version != 7 {
		t.Errorf("status: %s (%v)", out, err)
	}
	if block, _ := pem.Decode([]byte(contents[0])); block == nil {
		t.Error("the fixture is not PEM")
	}
}
