// SPDX-License-Identifier: MIT

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// onBoth runs a test on SQLite and on PostgreSQL with software keys.
func onBoth(t *testing.T, test func(t *testing.T, p *plant)) {
	t.Helper()
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) { test(t, newPlant(t, start(t, database(t, name)...), models.StoreSoftware)) })
	}
}

func TestKilledWhileADeviceWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, p *plant) {
		p.requireApproval(t, twoSteps)
		alice, bob := p.approver(t, "alice"), p.approver(t, "bob")
		d := p.register(t, "press-01")
		d.newCSR("domain", "/CN=x")
		d.waits("domain.csr")
		approval := p.pendingApproval(t)
		p.Kill()
		p.Start()
		d.waits("domain.csr")
		if err := decide(t, alice, approval, models.VerdictApprove, ""); err != nil {
			t.Fatal(err)
		}
		p.Kill()
		p.Start()
		if err := decide(t, bob, approval, models.VerdictApprove, ""); err != nil {
			t.Fatal(err)
		}
		d.keep(d.comesBack("domain.csr"), "domain")
	})
}

// faults are the points at which the server is killed, and the answer that the
// device then gets: none, because the connection breaks.
var faults = []string{
	activities.FaultBeforeReserve, activities.FaultAfterReserve, activities.FaultAfterSign,
	activities.FaultAfterRecord, activities.FaultBeforeAnswer,
}

func TestKilledAtFaultPoints(t *testing.T) {
	onBoth(t, func(t *testing.T, p *plant) {
		for n, point := range faults {
			t.Run(point, func(t *testing.T) {
				d := p.register(t, fmt.Sprintf("press-%02d", n))
				d.newCSR("domain", "/CN=x")
				send := func() answer { return d.est("simpleenroll", "domain.csr", d.basic()...) }
				d.keep(p.killedAt(t, point, send), "domain")

				d.newCSR("web", "/CN=x")
				send = func() answer { return d.est("tls_server/simpleenroll", "web.csr", d.mtls("domain")...) }
				d.keep(p.killedAt(t, point, send), "web")
				p.checkInvariants(t)
			})
		}
	})
}

// killedAt restarts the server so that it kills itself at a fault point, sends
// the request into it, starts the server again, and returns the answer that
// the repeated request gets.
func (p *plant) killedAt(t *testing.T, point string, send func() answer) answer {
	t.Helper()
	p.Stop()
	p.Start("TRUSTLOOM_FAULT=" + point)
	if a := send(); a.status == "200" {
		t.Fatalf("the request was answered although the server dies at %s", point)
	}
	p.AwaitEnd(20 * time.Second)
	p.Start()
	var a answer
	eventually(t, "the repeated request has its answer", 30*time.Second, func() bool {
		a = send()
		return a.status != "202"
	})
	return a
}

// checkInvariants looks at every certificate and request: one certificate per
// request key, none unrecorded, an intent before every signature.
func (p *plant) checkInvariants(t *testing.T) {
	t.Helper()
	requests := map[string]int{}
	for cert, err := range p.api.AllCertificates(background(), api.CertificateFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if cert.Request == "" {
			continue // of a CA
		}
		requests[cert.Request]++
		if cert.Fingerprint == "" {
			t.Errorf("certificate %s is not recorded", cert.ID)
		}
		events := must(p.api.ListEvents(background(), api.EventFilter{Noun: "certificate", Subject: cert.ID}))(t)
		if !has(events.Items, "certificate.reserved") || !has(events.Items, "certificate.issued") {
			t.Errorf("certificate %s lacks an intent or a record: %s", cert.ID, asJSON(t, events.Items))
		}
	}
	for request, n := range requests {
		if n != 1 {
			t.Errorf("request %s has %d certificates", request, n)
		}
	}
	for request, err := range p.api.AllRequests(background(), api.RequestFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if request.State != models.RequestIssued || requests[request.ID] != 1 {
			t.Errorf("request %s is %s with %d certificates, want issued with 1", request.ID, request.State, requests[request.ID])
		}
	}
}

// copies is how many times one request is sent at once.
const copies = 1000

func TestThousandCopies(t *testing.T) {
	onBoth(t, func(t *testing.T, p *plant) {
		d := p.register(t, "press-01")
		d.newCSR("domain", "/CN=x")
		d.thousand(t, "simpleenroll", "domain", d.basic()...)
		d.newCSR("web", "/CN=x")
		d.thousand(t, "tls_server/simpleenroll", "web", d.mtls("domain")...)
		p.checkInvariants(t)
	})
}

// thousand sends one request many times at once, in a few curl processes with
// many transfers each, and checks that all who are not told to come back get
// the same bytes.
func (d *device) thousand(t *testing.T, operation, name string, auth ...string) {
	t.Helper()
	const processes = 20
	var all sync.WaitGroup
	outs := make([]string, processes)
	for n := range processes {
		all.Go(func() { outs[n] = d.transfers(operation, name, fmt.Sprintf("%s-%d", name, n), copies/processes, auth) })
	}
	all.Wait()
	bodies, answered := map[string]int{}, 0
	for _, line := range strings.Split(strings.TrimSpace(strings.Join(outs, "")), "\n") {
		status, file, _ := strings.Cut(line, " ")
		body, _ := os.ReadFile(d.path(file))
		switch status {
		case "200":
			bodies[string(body)]++
		case "202":
		default:
			t.Errorf("a copy is answered %s: %s", status, body)
		}
		answered++
	}
	if answered != copies || len(bodies) != 1 {
		t.Fatalf("%d of %d copies were answered, with %d different certificates", answered, copies, len(bodies))
	}
	for body := range bodies {
		d.keep(answer{status: "200", body: body}, name)
	}
}

// transfers sends n copies in parallel with one curl process; it returns the
// status codes.
func (d *device) transfers(operation, csr, out string, n int, auth []string) string {
	args := []string{"--silent", "--parallel", "--parallel-max", "50", "--max-time", "120",
		"--cacert", d.plant.CA, "--header", "Content-Type: application/pkcs10",
		"--data-binary", "@" + csr + ".csr", "--write-out", `%{http_code} %{filename_effective}\n`}
	args = append(args, auth...)
	for i := range n {
		args = append(args, "--output", fmt.Sprintf("%s.%d", out, i), "https://"+d.plant.HTTPS+"/.well-known/est/"+d.plant.domain+"/"+operation)
	}
	cmd := exec.Command("curl", args...)
	cmd.Dir = d.dir
	text, _ := cmd.Output() // without the progress meter, which goes to the other stream
	return string(text)
}

func TestEngineDatabaseDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, p *plant) {
		p.requireApproval(t, &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 1}}})
		devices := make([]*device, 5)
		for n := range devices {
			devices[n] = p.register(t, fmt.Sprintf("press-%02d", n))
			devices[n].newCSR("domain", "/CN=x")
			devices[n].waits("domain.csr")
		}
		eventually(t, "five approvals are pending", 10*time.Second, func() bool {
			return len(must(p.api.ListApprovals(background(), api.ApprovalFilter{State: models.ApprovalPending}))(t).Items) == 5
		})
		p.Kill()
		deleteEngineDatabase(t, p.instance)
		p.Start()
		alice := p.approver(t, "alice")
		for _, approval := range must(p.api.ListApprovals(background(), api.ApprovalFilter{State: models.ApprovalPending}))(t).Items {
			if err := decide(t, alice, approval, models.VerdictApprove, ""); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range devices {
			d.keep(d.comesBack("domain.csr"), "domain")
		}
		p.checkInvariants(t)
	})
}

func deleteEngineDatabase(t testing.TB, i *instance) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(i.Dir, "temporal", "temporal.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no engine database in %s: %v", i.Dir, err)
	}
	// The engine ends by itself when its parent is gone, a moment later.
	eventually(t, "the engine has ended", 20*time.Second, func() bool { return i.Engine() == 0 })
	for _, file := range files {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

func TestEngineKilled(t *testing.T) {
	p := newPlant(t, start(t), models.StoreSoftware)
	p.requireApproval(t, &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 1}}})
	d := p.register(t, "press-01")
	d.newCSR("domain", "/CN=x")
	d.waits("domain.csr")
	approval := p.pendingApproval(t)
	killEngine(t, p.instance)
	d.waits("domain.csr") // polls read the database only
	if err := decide(t, p.approver(t, "alice"), approval, models.VerdictApprove, ""); err != nil {
		t.Fatal(err)
	}
	d.keep(d.comesBack("domain.csr"), "domain")
}

// killEngine kills the engine that our own server started.
func killEngine(t testing.TB, i *instance) {
	t.Helper()
	engine := i.Engine()
	if engine == 0 {
		t.Fatalf("no engine runs on %s", i.Dir)
	}
	if err := syscall.Kill(engine, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
