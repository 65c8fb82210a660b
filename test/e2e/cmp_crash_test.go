// SPDX-License-Identifier: MIT

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
)

// TestCMPKilledAtFaultPoints kills the server while OpenSSL's client speaks CMP
// with it, at each point of each operation (with -soak; otherwise at
// one point of each). The client's message is sent again until the server is
// back. There is one certificate for each transaction, and what was confirmed
// is not revoked.
func TestCMPKilledAtFaultPoints(t *testing.T) {
	p := newPlant(t, start(t), models.StoreSoftware)
	said := []string{activities.FaultBeforeConfirm, activities.FaultAfterConfirm}
	gone := []string{activities.FaultBeforeRevoke, activities.FaultAfterRevoke}
	proxy := patient(t, p.HTTP)
	for n, operation := range []struct {
		name   string
		points []string
		seldom int // the point that is always tried
		run    func(d *device, name string)
	}{
		{"ir", faults, 2, func(d *device, name string) { d.gets(name, "ir", "", slices.Concat(d.bySecret(), d.newKey(name))...) }},
		{"cr", faults, 1, func(d *device, name string) {
			d.gets(name, "cr", "/tls_client", slices.Concat(d.bySignature("domain"), d.newKey(name))...)
		}},
		{"kur", faults, 4, func(d *device, name string) {
			d.gets(name, "kur", "", slices.Concat(d.bySignature("domain"), d.newKey(name)[:2], []string{"-oldcert", "domain.pem"})...)
		}},
		{"certConf", said, 1, func(d *device, name string) {
			d.gets(name, "cr", "/tls_client", slices.Concat(d.bySignature("domain"), d.newKey(name))...)
		}},
		{"rr", gone, 1, func(d *device, name string) {
			if out, err := d.cmp("rr", "", slices.Concat(d.bySignature("domain"), []string{"-oldcert", "domain.pem", "-revreason", "1"})...); err != nil {
				d.t.Errorf("rr: %v\n%s", err, out)
			}
		}},
	} {
		points := operation.points
		if !*soakFull {
			points = points[operation.seldom : operation.seldom+1]
		}
		for m, point := range points {
			t.Run(operation.name+" "+point, func(t *testing.T) {
				d := p.registerCMP(t, fmt.Sprintf("press-%d%d", n, m), models.CMPSecret)
				d.server = proxy
				if operation.name != "ir" {
					d.gets("domain", "ir", "", slices.Concat(d.bySecret(), d.newKey("domain"))...)
				}
				p.killedDuring(t, point, func() { operation.run(d, "new") })
				if operation.name == "rr" {
					if c := d.certificate("domain"); c.Status != "revoked" {
						t.Errorf("the certificate is %s", c.Status)
					}
					return
				}
				if c := d.certificate("new"); c.Status != "valid" {
					t.Errorf("the certificate is %s", c.Status)
				}
				p.checkInvariants(t)
			})
		}
	}
}

// killedDuring restarts the server so that it kills itself at a fault point,
// runs the client into it, and starts the server again.
func (p *plant) killedDuring(t *testing.T, point string, run func()) {
	t.Helper()
	p.Stop()
	p.Start("TRUSTLOOM_FAULT=" + point)
	done := make(chan struct{})
	go func() { defer close(done); run() }()
	p.AwaitEnd(30 * time.Second)
	p.Start()
	select {
	case <-done:
	case <-time.After(90 * time.Second):
		t.Fatal("the client is not done")
	}
}
