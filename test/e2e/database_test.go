// SPDX-License-Identifier: MIT

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestDatabaseAway stops PostgreSQL while devices enroll and one waits for
// people: all are told to come back, and then everything goes on by itself.
func TestDatabaseAway(t *testing.T) {
	db := fixture.PostgresCluster(t)
	p := newPlant(t, start(t, "--database-url", db.URL), models.StoreSoftware)
	fleet := make([]*device, 3)
	for n := range fleet {
		fleet[n] = p.register(t, fmt.Sprintf("press-%02d", n))
		fleet[n].onboard()
	}
	p.requireApproval(t, twoSteps)
	alice, bob := p.approver(t, "alice"), p.approver(t, "bob")
	waiting := p.register(t, "press-99")
	waiting.newCSR("domain", "/CN=x")
	waiting.waits("domain.csr")
	approval := p.pendingApproval(t)

	finish := keepEnrolling(t, fleet)
	db.Stop(t)
	p.refusesForNow(t, waiting, alice, approval)
	db.Start(t)
	p.AwaitReady(20 * time.Second)
	if err := decide(t, alice, approval, models.VerdictApprove, ""); err != nil {
		t.Fatal(err)
	}
	waiting.waits("domain.csr")
	if err := decide(t, bob, approval, models.VerdictApprove, ""); err != nil {
		t.Fatal(err)
	}
	db.Stop(t) // while the story goes on with the certificate
	awaitDown(t, p.instance, "database")
	db.Start(t)
	p.AwaitReady(20 * time.Second)
	waiting.keep(waiting.patient("domain.csr"), "domain")
	issued := finish()
	p.checkInvariants(t)
	rows := 0
	for cert, err := range p.api.AllCertificates(background(), api.CertificateFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if cert.Request != "" {
			rows++
		}
	}
	if want := issued + len(fleet) + 1; rows != want {
		t.Errorf("there are %d certificates of devices, and %d were delivered", rows, want)
	}
}

// refusesForNow checks what everybody is told while the database is away.
func (p *plant) refusesForNow(t *testing.T, waiting *device, approver *api.Client, approval api.Approval) {
	t.Helper()
	awaitDown(t, p.instance, "database")
	a := waiting.est("simpleenroll", "domain.csr", waiting.basic()...)
	if a.status != "503" || !retryAfter.MatchString(a.header) {
		t.Errorf("the device that waits is answered %s\n%s", a.status, a.header)
	}
	_, err := p.api.ListDevices(background(), api.DeviceFilter{})
	for what, err := range map[string]error{"list": err, "decision": decide(t, approver, approval, models.VerdictApprove, "")} {
		var problem *api.Problem
		if !errors.As(err, &problem) || problem.Status != http.StatusServiceUnavailable || problem.RetryAfter == 0 {
			t.Errorf("%s: %v, want 503 with Retry-After", what, err)
		}
	}
}

// awaitDown waits until /readyz names what is down.
func awaitDown(t *testing.T, i *instance, check string) {
	t.Helper()
	eventually(t, "/readyz names the "+check, 15*time.Second, func() bool {
		resp, err := http.Get("http://" + i.HTTP + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), `"`+check+`":"down"`)
	})
}

// about returns the lines of the log with a word.
func about(l *running.Log, word string) string {
	var lines []string
	for _, line := range strings.Split(l.String(), "\n") {
		if strings.Contains(line, word) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// patient repeats a request while it is answered 202 or 503.
func (d *device) patient(csr string) answer {
	d.t.Helper()
	var a answer
	eventually(d.t, "the device has its answer", 30*time.Second, func() bool {
		a = d.est("simpleenroll", csr, d.basic()...)
		return a.status != "202" && a.status != "503"
	})
	return a
}

// keepEnrolling lets each device ask for one application certificate after the
// other, each until it has it. finish stops that and returns how many they got.
func keepEnrolling(t *testing.T, fleet []*device) (finish func() (issued int)) {
	enough := make(chan struct{})
	var mu sync.Mutex
	var all sync.WaitGroup
	issued, away := 0, 0
	for _, d := range fleet {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-enough:
					return
				default:
				}
				refused, ok := d.enrollOnce(t, fmt.Sprintf("web-%d", n))
				mu.Lock()
				away += refused
				if ok {
					issued++
				}
				mu.Unlock()
			}
		})
	}
	return func() int {
		close(enough)
		all.Wait()
		if away == 0 {
			t.Error("no device noticed that the database was away")
		}
		return issued
	}
}

// enrollOnce asks until the answer is the certificate; it may be told to come
// back, and nothing else.
func (d *device) enrollOnce(t *testing.T, name string) (refused int, ok bool) {
	out, err := d.try("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
		"-keyout", name+".key", "-outform", "DER", "-out", name+".csr", "-subj", "/CN=x")
	if err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
		return 0, false
	}
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); {
		switch a := d.est("tls_server/simpleenroll", name+".csr", d.mtls("domain")...); {
		case a.status == "200":
			return refused, true
		case a.status == "503" && retryAfter.MatchString(a.header):
			refused++
			time.Sleep(100 * time.Millisecond)
		default:
			t.Errorf("%s is answered %s\n%s\n%s\n%s", name, a.status, a.header, a.body, about(d.plant.Log, "status="+a.status))
			return refused, false
		}
	}
	t.Errorf("%s got no answer in time", name)
	return refused, false
}
