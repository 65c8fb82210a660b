// SPDX-License-Identifier: MIT

package chaos

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestMadDevice is F30: one device sends many different requests at the same
// moment. It is granted what a device may begin in a minute, the rest is told
// to come back, and another device does not notice.
func TestMadDevice(t *testing.T) {
	const rate = 20
	requests, callers := 150, 16
	if *soak {
		requests, callers = 1000, 64
	}
	p := newPlant(t, running.Start(t, "--device-rate", fmt.Sprint(rate)))
	mad, calm := p.register("press-01"), p.register("press-02")
	p.must(mad.onboard())
	p.must(calm.onboard())
	began := time.Now()
	var granted, limited, next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for n := next.Add(1); n <= int64(requests); n = next.Add(1) {
				csr, _ := newRequest(mad.name)
				result, err := mad.credential.SimpleEnroll(context.WithoutCancel(t.Context()), csr)
				switch {
				case err == nil:
					p.keep(fmt.Sprintf("request %d of the mad device", n), result.Certificates[0])
					granted.Add(1)
				case strings.Contains(err.Error(), "different requests a minute") && models.RetryAfter(err) > 0:
					limited.Add(1)
				default:
					t.Errorf("request %d: %v", n, err)
				}
			}
		})
	}
	for n := range 5 {
		p.must(calm.enroll(fmt.Sprintf("certificate %d meanwhile", n)))
	}
	all.Wait()
	most := rate + int64(rate*time.Since(began)/time.Minute) + 1
	if granted.Load() < rate-1 || granted.Load() > most || granted.Load()+limited.Load() != int64(requests) {
		t.Errorf("of %d requests %d are granted and %d limited, want %d to %d granted", requests, granted.Load(), limited.Load(), rate-1, most)
	}
	p.checkEverything(t)
}

// TestPoisonedStories is F39: a version that is not right is started, and every
// step of a story panics. Devices are told to wait, what needs no story goes
// on, and with the right version the stories go on where they were.
func TestPoisonedStories(t *testing.T) {
	p := newPlant(t, running.Start(t))
	old := p.register("press-01")
	p.must(old.onboard())
	waiting := p.newcomer("press-02")
	p.Stop()
	p.Start("TRUSTLOOM_FAULT=poison")
	p.pends(t, waiting)
	p.must(old.enroll("meanwhile"))
	if log := p.Log.String(); !strings.Contains(log, "is not app.antidote") {
		t.Error("the log does not say what is wrong with the story")
	}
	p.Stop()
	p.Start()
	_, err := p.patiently(waiting.name, waiting.send)
	p.must(err)
	p.checkEverything(t)
}

// TestWrongClock is F44: the clock goes an hour forward, two back, a year and a
// month forward, and right again.
func TestWrongClock(t *testing.T) {
	onBoth(t, func(t *testing.T, p *plant) {
		old := p.register("press-01")
		p.must(old.onboard())
		p.must(old.enroll("at the right time"))
		last := p.crl(t)
		for n, wrong := range []string{"1h", "-1h", "9600h", ""} {
			p.Stop()
			switch wrong {
			case "":
				p.Start()
			case "9600h": // the server's own TLS certificate is of the future then
				p.Start("TRUSTLOOM_FAULT=clock:" + wrong)
				continue
			default:
				p.Start("TRUSTLOOM_FAULT=clock:" + wrong)
			}
			d := p.register(fmt.Sprintf("press-1%d", n))
			p.must(d.onboard())
			p.must(old.enroll("clock " + wrong))
			last = p.revokes(t, old, last)
		}
		// A CRL of the right hour is not made to look later than it is: who asks
		// is told which came before it.
		if p.checkEverythingBut(t, "its thisUpdate is earlier than that of CRL") == 0 {
			t.Error("the check has not noticed that the clock went back")
		}
	})
}

// crl returns the latest CRL of the issuing CA, of number 0 if there is none.
func (p *plant) crl(t *testing.T) *models.CRL {
	t.Helper()
	s, err := store.Inspect(t.Context(), store.Config{URL: p.databaseURL()})
	p.must(err)
	defer func() { _ = s.Close() }()
	ca, err := s.FindCAByName(t.Context(), "plant-issuing")
	p.must(err)
	crl, err := s.LatestCRL(t.Context(), ca.KeyID)
	if models.KindOf(err) == models.KindNotFound {
		return &models.CRL{}
	}
	p.must(err)
	return crl
}

// revokes revokes a certificate of the device and waits for the CRL that lists
// it, whose number must be above the last one. One that an earlier revocation
// left behind, made by another clock, will not do.
func (p *plant) revokes(t *testing.T, d *device, last *models.CRL) *models.CRL {
	t.Helper()
	page, err := p.api.ListCertificates(t.Context(), api.CertificateFilter{Device: d.name, Status: store.StatusValid})
	p.must(err)
	revoked := page.Items[0]
	_, err = p.api.RevokeCertificate(t.Context(), revoked.ID, api.Revocation{Reason: "superseded"})
	p.must(err)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		now := p.crl(t)
		if now.Number < last.Number || time.Now().After(deadline) {
			t.Fatalf("CRL %d follows CRL %d", now.Number, last.Number)
		}
		if now.Number > last.Number && lists(t, now, revoked.Serial) {
			return now
		}
	}
}

// lists reports whether a CRL lists the certificate with a serial number.
func lists(t *testing.T, row *models.CRL, serial string) bool {
	t.Helper()
	crl, err := x509.ParseRevocationList(row.DER)
	if err != nil {
		t.Fatalf("CRL %d: %v", row.Number, err)
	}
	return slices.ContainsFunc(crl.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return pki.SerialHex(e.SerialNumber) == serial })
}
