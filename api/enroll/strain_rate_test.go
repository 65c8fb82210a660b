// SPDX-License-Identifier: MIT

package enroll_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
)

// TestADeviceBeginsSoManyRequestsAMinute plays a device that has gone mad.
func TestADeviceBeginsSoManyRequestsAMinute(t *testing.T) {
	w := newWorld(t)
	_, mad := w.onboarded("press-01")
	_, calm := w.onboarded("press-02")
	enroll.SetDeviceRate(w.door, 3)
	application := func() *x509.CertificateRequest { return &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}} }

	// Two applications and a renewal are three; each may be repeated.
	first := w.csr(nil, application())
	renewal := w.renewalOf(mad)
	for range 5 {
		_, err := w.enroll("tls_client", first, with(mad))
		check(t, err)
		_, err = w.reenroll(renewal, with(mad))
		check(t, err)
	}
	_, err := w.enroll("tls_client", w.csr(nil, application()), with(mad))
	check(t, err)

	before := w.rows()
	for range 3 {
		for _, send := range []func() (est.Result, error){
			func() (est.Result, error) { return w.enroll("tls_client", w.csr(nil, application()), with(mad)) },
			func() (est.Result, error) { return w.reenroll(w.renewalOf(mad), with(mad)) },
		} {
			_, err := send()
			if wait := models.RetryAfter(err); models.KindOf(err) != models.KindLimited || wait <= 0 || wait > time.Minute {
				t.Errorf("a fourth request within the minute gets %v after %s, want Limited", err, wait)
			}
		}
	}
	if after := w.rows(); after != before {
		t.Errorf("what was refused left rows: %v, before %v", after, before)
	}
	_, err = w.enroll("tls_client", first, with(mad))
	check(t, err)
	_, err = w.reenroll(renewal, with(mad))
	check(t, err)
	_, err = w.enroll("tls_client", w.csr(nil, application()), with(calm))
	check(t, err)

	// A third of a minute is worth one request.
	w.now = w.now.Add(20 * time.Second)
	_, err = w.reenroll(w.renewalOf(mad), with(mad))
	check(t, err)
	if _, err = w.reenroll(w.renewalOf(mad), with(mad)); models.KindOf(err) != models.KindLimited {
		t.Errorf("got %v, want Limited", err)
	}
}

// TestManyRequestsOfOneDeviceAtTheSameMoment counts what gets through.
func TestManyRequestsOfOneDeviceAtTheSameMoment(t *testing.T) {
	w := newWorld(t)
	_, mad := w.onboarded("press-01")
	enroll.SetDeviceRate(w.door, 5)
	var granted, limited atomic.Int64
	const copies = 40
	requests := make([]func(), copies)
	for i := range requests {
		csr := w.csr(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}})
		requests[i] = func() {
			switch _, err := w.enroll("tls_client", csr, with(mad)); {
			case err == nil:
				granted.Add(1)
			case models.KindOf(err) == models.KindLimited:
				limited.Add(1)
			default:
				t.Error(err)
			}
		}
	}
	var all sync.WaitGroup
	for _, send := range requests {
		all.Go(send)
	}
	all.Wait()
	if granted.Load() != 5 || limited.Load() != copies-5 {
		t.Errorf("%d are granted and %d limited, want 5 and %d", granted.Load(), limited.Load(), copies-5)
	}
}
