// SPDX-License-Identifier: MIT

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// soakFull asks for the size that the acceptance names (make soak).
var soakFull = flag.Bool("soak", false, "run the agents' endurance test at its full size, 50 agents, ten minutes, and the crashes of CMP at every point")

// endurance is how long how many agents run, with which certificates, and how
// often the server is killed meanwhile.
type endurance struct {
	agents   int
	time     time.Duration
	lifetime time.Duration
	restarts int
	look     time.Duration // between two looks at what is in use
}

var (
	reduced = endurance{agents: 8, time: 40 * time.Second, lifetime: 20 * time.Second, restarts: 1, look: 250 * time.Millisecond}
	full    = endurance{agents: 50, time: 10 * time.Minute, lifetime: 2 * time.Minute, restarts: 2, look: time.Second}
)

// Agents with short-lived certificates, and a server that is killed and
// started meanwhile: whoever reads a pair at any moment finds key and
// certificate that fit, inside the certificate's validity.
func TestNoCertificateExpiresInUse(t *testing.T) {
	e := reduced
	if *soakFull {
		e = full
	}
	p := newPlant(t, start(t), models.StoreSoftware)
	p.shorten(t, "domain_credential", "365d", e.lifetime)
	p.shorten(t, "tls_server", "90d", e.lifetime)
	var watched []*watch
	for i := range e.agents {
		a := withAgent(t, p.register(t, fmt.Sprintf("soak-%02d", i)))
		defer a.runs()()
		for _, name := range []string{"domain", "web"} {
			watched = append(watched, &watch{agent: a, name: name, seen: map[string]bool{}, since: time.Now()})
		}
	}
	begun := time.Now()
	stop := watchAll(watched, e.look)
	for i := range e.restarts {
		time.Sleep(time.Until(begun.Add(e.time * time.Duration(i+1) / time.Duration(e.restarts+1)))) // the experiment lasts this long
		p.Kill()
		p.Launch()
	}
	time.Sleep(time.Until(begun.Add(e.time)))
	stop()
	report(t, e, watched)
}

// shorten gives a shipped profile another lifetime.
func (p *plant) shorten(t testing.TB, profile, from string, to time.Duration) {
	t.Helper()
	shipped := must(p.api.FindProfile(background(), profile, 0))(t)
	document := strings.Replace(string(shipped.Document), `"`+from+`"`, fmt.Sprintf(`"%.0fs"`, to.Seconds()), 1)
	if document == string(shipped.Document) {
		t.Fatalf("profile %s is not valid for %s: %s", profile, from, document)
	}
	must(p.api.PutProfile(background(), profile, api.ProfileVersion{Document: []byte(document)}))(t)
}

// runs starts 'trustloom-agent run'; what it returns ends it by SIGTERM.
func (a *agentDevice) runs() (stop func()) {
	a.t.Helper()
	cmd, log := a.command("run"), &running.Log{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			a.t.Errorf("the agent of %s ended with %v", a.name, err)
		}
		if a.t.Failed() {
			a.t.Logf("log of %s:\n%s", a.name, running.Tail(log.String(), 20))
		}
	}
}

// watch is a program that uses a pair, and is started again all the time.
type watch struct {
	agent    *agentDevice
	name     string
	seen     map[string]bool // serial numbers
	least    time.Duration   // what remained of a certificate in use
	since    time.Time       // the last look
	gap      time.Duration   // the longest time between two looks
	problems []error
}

// watchAll looks at all pairs, over and over, until what it returns is called.
func watchAll(watched []*watch, every time.Duration) (stop func()) {
	end := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
			}
			for _, w := range watched {
				w.look()
			}
		}
	})
	return func() { close(end); group.Wait() }
}

// look does what a program does that starts now. A watcher that was not
// scheduled for long proves nothing of the time between: gap says how long.
func (w *watch) look() {
	now := time.Now()
	w.gap, w.since = max(w.gap, now.Sub(w.since)), now
	pair, err := w.agent.pair(w.name) // refuses a key that does not fit
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(w.seen) == 0:
		return // not onboarded yet
	case err != nil:
		w.problems = append(w.problems, err)
		return
	}
	remains := pair.Leaf.NotAfter.Sub(now)
	if remains <= 0 || now.Before(pair.Leaf.NotBefore) {
		w.problems = append(w.problems, fmt.Errorf("in use at %s, valid from %s to %s", now.UTC(), pair.Leaf.NotBefore, pair.Leaf.NotAfter))
	}
	if len(w.seen) == 0 || remains < w.least {
		w.least = remains
	}
	w.seen[pair.Leaf.SerialNumber.Text(16)] = true
}

// report fails the test for whatever a watcher saw, and says how near it was.
func report(t *testing.T, e endurance, watched []*watch) {
	t.Helper()
	least, gap, certificates := e.lifetime, time.Duration(0), 0
	// A certificate is renewed at two thirds of its lifetime at the latest;
	// what the restarts and the onboarding take is given twice over.
	want := int(e.time/e.lifetime) + 1
	for _, w := range watched {
		for _, problem := range w.problems[:min(len(w.problems), 3)] {
			t.Errorf("%s %s: %v (%d such findings)", w.agent.name, w.name, problem, len(w.problems))
		}
		if len(w.seen) < want {
			t.Errorf("%s had %d certificates for %s in %s, want %d at least", w.agent.name, len(w.seen), w.name, e.time, want)
		}
		least, gap, certificates = min(least, w.least), max(gap, w.gap), certificates+len(w.seen)
	}
	t.Logf("%d agents, %d certificates in %s; the least that remained of one in use was %s; the longest time between two looks was %s",
		e.agents, certificates, e.time, least.Round(time.Millisecond), gap.Round(time.Millisecond))
}
