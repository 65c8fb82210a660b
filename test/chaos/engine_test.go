// SPDX-License-Identifier: MIT

package chaos

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestEngineAway (F09) freezes the workflow engine: connections stand and
// nothing answers. New onboardings are kept and pending up to a bound, then
// 503; whatever needs no story goes on; afterwards all goes on by itself.
func TestEngineAway(t *testing.T) {
	const backlog = 4
	for name, args := range map[string][]string{"sqlite": nil, "postgres": {"--database-url", fixture.Postgres(t)}} {
		t.Run(name, func(t *testing.T) {
			p := newPlant(t, running.Start(t, append(args, "--enroll-backlog", fmt.Sprint(backlog))...))
			old := p.register("press-00")
			p.must(old.onboard())
			p.must(old.enroll("before"))
			var fleet []*newcomer
			for n := range backlog + 1 {
				fleet = append(fleet, p.newcomer(fmt.Sprintf("press-%02d", n+1)))
			}
			thaw := p.freezeEngine(t)
			p.waitInBacklog(t, fleet, backlog)
			p.goesOnWithoutEngine(t, old)
			thaw()
			for _, n := range fleet {
				_, err := p.patiently(n.name, n.send)
				p.must(err)
			}
			p.checkEverything(t)
		})
	}
}

// newcomer is a registered device with its first request.
type newcomer struct {
	name string
	send func(context.Context) (est.Result, error)
}

func (p *plant) newcomer(name string) *newcomer {
	d := p.register(name)
	csr, _ := newRequest(name)
	return &newcomer{name, func(ctx context.Context) (est.Result, error) { return d.door.SimpleEnroll(ctx, csr) }}
}

// freezeEngine stops the engine's process, and thaw lets it go on.
func (p *plant) freezeEngine(t *testing.T) (thaw func()) {
	t.Helper()
	engine := p.Engine()
	if engine == 0 {
		t.Fatal("no engine runs")
	}
	p.must(syscall.Kill(engine, syscall.SIGSTOP))
	once := sync.OnceFunc(func() { _ = syscall.Kill(engine, syscall.SIGCONT) })
	t.Cleanup(once)
	return once
}

// waitInBacklog sends all first requests: as many as the backlog holds are
// pending, soon, and the rest is told to come back.
func (p *plant) waitInBacklog(t *testing.T, fleet []*newcomer, backlog int) {
	t.Helper()
	for n, newcomer := range fleet {
		began := time.Now()
		result, err := newcomer.send(t.Context())
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("device %d was answered after %s", n, took)
		}
		switch {
		case n < backlog && (err != nil || !result.Pending()):
			t.Fatalf("device %d of %d is not pending: %v %v", n, backlog, result, err)
		case n >= backlog && (models.KindOf(err) != models.KindUnavailable || models.RetryAfter(err) == 0):
			t.Fatalf("device %d, beyond the backlog of %d, gets %v %v", n, backlog, result, err)
		}
	}
}

// goesOnWithoutEngine checks what must not notice that the engine is away.
func (p *plant) goesOnWithoutEngine(t *testing.T, d *device) {
	t.Helper()
	p.must(d.enroll("meanwhile"))
	page, err := p.api.ListCertificates(t.Context(), api.CertificateFilter{Device: d.name})
	p.must(err)
	_, err = p.api.RevokeCertificate(t.Context(), page.Items[len(page.Items)-1].ID, api.Revocation{Reason: "superseded"})
	p.must(err)
	if now, err := p.api.FindCertificate(t.Context(), page.Items[len(page.Items)-1].ID); err != nil || now.Status != "revoked" {
		t.Errorf("the certificate is %s after its revocation: %v", now.Status, err)
	}
}

// TestEngineKilledUnderLoad (F10) kills the engine again and again while
// devices are onboarded.
func TestEngineKilledUnderLoad(t *testing.T) {
	kills, clients, each := 4, 4, 8
	if *soak {
		kills, each = 20, 60
	}
	p := newPlant(t, running.Start(t))
	var all sync.WaitGroup
	var done atomic.Int64
	for n := range clients {
		all.Go(func() {
			for m := range each {
				if err := p.register(fmt.Sprintf("press-%02d-%03d", n, m)).onboard(); err != nil {
					t.Error(err)
				}
				done.Add(1)
			}
		})
	}
	share := int64(clients*each) / int64(kills+1)
	for kill := range int64(kills) {
		for deadline := time.Now().Add(time.Minute); done.Load() < (kill+1)*share && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
		if engine := p.Engine(); engine != 0 {
			p.must(syscall.Kill(engine, syscall.SIGKILL))
		}
	}
	all.Wait()
	p.checkEverything(t)
}

// TestEngineRestoredFromBackup (F13) gives the engine the database of an
// earlier day: stories that have ended go through their steps again, and every
// step finds that it was done.
func TestEngineRestoredFromBackup(t *testing.T) {
	onBoth(t, func(t *testing.T, p *plant) {
		_, err := p.api.ChangeDomain(t.Context(), domainName, api.DomainChange{Approval: api.PolicyChange{
			Onboarding: api.SetRule(&api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 1}}})}})
		p.must(err)
		early, late := p.newcomer("press-01"), p.newcomer("press-02")
		p.pends(t, early)
		p.Stop()
		backup := copyEngine(t, p.Dir, t.TempDir())
		p.Start()
		p.pends(t, late)
		p.approveAll(t, 2)
		for _, n := range []*newcomer{early, late} {
			_, err := p.patiently(n.name, n.send)
			p.must(err)
		}
		p.Stop()
		restoreEngine(t, backup, p.Dir)
		p.Start()
		third := p.newcomer("press-03")
		p.pends(t, third)
		p.approveAll(t, 1)
		_, err = p.patiently(third.name, third.send)
		p.must(err)
		p.checkEverything(t)
	})
}

func (p *plant) pends(t *testing.T, n *newcomer) {
	t.Helper()
	if result, err := n.send(t.Context()); err != nil || !result.Pending() {
		t.Fatalf("%s is not pending: %v %v", n.name, result, err)
	}
}

// approveAll waits until so many approvals are pending and approves them.
func (p *plant) approveAll(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		page, err := p.api.ListApprovals(t.Context(), api.ApprovalFilter{State: models.ApprovalPending})
		p.must(err)
		if len(page.Items) == n {
			for _, approval := range page.Items {
				_, err := p.api.DecideApproval(t.Context(), approval.ID, api.DecisionCreation{Decision: models.VerdictApprove})
				p.must(err)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d approvals are pending, want %d", len(page.Items), n)
		}
	}
}

// copyEngine copies the database of an engine that is stopped.
func copyEngine(t *testing.T, data, to string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "temporal", "temporal.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no engine database in %s: %v", data, err)
	}
	for _, file := range files {
		copyFile(t, file, filepath.Join(to, filepath.Base(file)))
	}
	return to
}

func restoreEngine(t *testing.T, backup, data string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(data, "temporal", "temporal.db*"))
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	kept, _ := filepath.Glob(filepath.Join(backup, "temporal.db*"))
	for _, file := range kept {
		copyFile(t, file, filepath.Join(data, "temporal", filepath.Base(file)))
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPayloadKeyExchanged (F42) starts the server with another key for what
// Temporal keeps. A story that waits cannot be read any more; it begins anew
// from its rows, nothing is asked or signed twice, and the same once more when
// the right key is back.
func TestPayloadKeyExchanged(t *testing.T) {
	p := newPlant(t, running.Start(t))
	_, err := p.api.ChangeDomain(t.Context(), domainName, api.DomainChange{Approval: api.PolicyChange{
		Onboarding: api.SetRule(&api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 1}}})}})
	p.must(err)
	first, second := p.newcomer("press-01"), p.newcomer("press-02")
	p.pends(t, first)
	p.Stop()
	key := filepath.Join(p.Dir, "payload.key")
	right, err := os.ReadFile(key)
	p.must(err)
	p.must(os.WriteFile(key, []byte(strings.Repeat("7e", 32)+"\n"), 0o600))
	p.Start()
	p.approveAll(t, 1)
	_, err = p.patiently(first.name, first.send)
	p.must(err)
	p.pends(t, second)
	p.Stop()
	p.must(os.WriteFile(key, right, 0o600))
	p.Start()
	p.approveAll(t, 1)
	_, err = p.patiently(second.name, second.send)
	p.must(err)
	p.checkEverything(t)
}
