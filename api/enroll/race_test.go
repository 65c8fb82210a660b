// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestOneSecretIsGoodForOneRequest(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := worldIn(t, s)
		w.device("press-01")
		const n = 12
		csrs := make([]*pki.CSR, n)
		for i := range csrs {
			csrs[i] = w.csr(nil, nil)
		}
		var accepted atomic.Int32
		var all sync.WaitGroup
		for _, csr := range csrs {
			all.Go(func() {
				_, err := w.enroll("", csr, secretOf("press-01"))
				switch {
				case err == nil:
					accepted.Add(1)
				case models.KindOf(err) != models.KindUnauthenticated && models.KindOf(err) != models.KindDenied && models.KindOf(err) != models.KindConflict:
					t.Errorf("a loser is told %v", err)
				}
			})
		}
		all.Wait()
		if accepted.Load() != 1 || len(w.requests()) != 1 {
			t.Errorf("%d submissions were accepted as %d requests, want 1", accepted.Load(), len(w.requests()))
		}
	})
}

func TestOneDeviceForOneIDevID(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w, maker := worldIn(t, s), newManufacturer(t, "Maker")
		w.trust("maker", "SN-.*", maker)
		idevid, csr := maker.idevid(t, "SN-1"), w.csr(nil, nil)
		var all sync.WaitGroup
		for i := range 12 {
			mine := csr // half of them repeat one request, the others differ
			if i%2 == 1 {
				mine = w.csr(nil, nil)
			}
			all.Go(func() { _, _ = w.enroll("", mine, with(idevid)) })
		}
		all.Wait()
		if rows := w.rows(); rows[0] != 1 || rows[2] != 1 {
			t.Errorf("%d requests and %d devices, want one of each", rows[0], rows[2])
		}
	})
}

func TestDevicesWithLikeNamesComeTogether(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w, maker := worldIn(t, s), newManufacturer(t, "Maker")
		w.trust("maker", "SN-.*", maker)
		var all sync.WaitGroup
		const n = 8
		for i := range n { // the same in the part that becomes the name
			idevid, csr := maker.idevid(t, fmt.Sprintf("SN-2026-PRESS-LINE-0000-%d", i)), w.csr(nil, nil)
			all.Go(func() {
				if _, err := w.enroll("", csr, with(idevid)); err != nil {
					t.Errorf("a device is refused because of another one's name: %v", err)
				}
			})
		}
		all.Wait()
		if rows := w.rows(); rows[2] != n {
			t.Errorf("%d devices, want %d", rows[2], n)
		}
	})
}

func TestSecretThatWasReplacedMeanwhile(t *testing.T) {
	w := newWorld(t)
	stale := w.device("press-01") // as it was read when the old secret was presented
	sum := sha256.Sum256([]byte("new secret"))
	w.changeDevice("press-01", func(d *models.Device) { d.Epoch, d.SecretHash = 2, sum[:] })
	w.refused(models.KindUnauthenticated, func() (est.Result, error) {
		_, err := w.door.Submit(context.Background(), &enroll.Submission{
			Protocol: "est", Kind: models.KindOnboarding, Domain: w.domain, Profile: "domain_credential", CSR: w.csr(nil, nil),
			Who: enroll.Identity{Method: models.AuthPassword, Subject: "press-01", Device: stale, Key: string(stale.ID)},
		})
		return est.Result{}, err
	})
	if w.deviceNamed("press-01").SecretUsedBy != "" {
		t.Error("the old secret spent the new one")
	}
}

func TestQueueIsShortForManyAtOnce(t *testing.T) {
	w := newWorld(t)
	_, credential := w.onboarded("press-01")
	w.askPeople()
	var all sync.WaitGroup
	for range 12 {
		csr := w.csr(nil, nil)
		all.Go(func() { _, _ = w.enroll("tls_server", csr, with(credential)) })
	}
	all.Wait()
	if waiting := len(w.requests()) - 1; waiting > policy.MaxUnfinished {
		t.Errorf("%d requests of one device wait for people, want at most %d", waiting, policy.MaxUnfinished)
	}
}

func TestFaultInOneRequestIsItsOwn(t *testing.T) {
	w := newWorld(t)
	_, credential := w.onboarded("press-01")
	w.fault = func(string) { panic("bug") }
	_, err := w.enroll("tls_server", w.csr(nil, nil), with(credential))
	if err == nil || models.KindOf(err) != models.KindInternal {
		t.Errorf("a panic is answered %v, want an internal error", err)
	}
	w.fault = func(string) {}
	w.application(credential)
}

func TestInlineRequestSurvivesPowerCuts(t *testing.T) {
	for _, point := range []string{activities.FaultBeforeReserve, activities.FaultAfterReserve, activities.FaultAfterSign, activities.FaultAfterRecord} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t)
			_, credential := w.onboarded("press-01")
			csr := w.csr(nil, nil)
			w.fault = func(at string) {
				if at == point {
					panic("power cut")
				}
			}
			if _, err := w.enroll("tls_server", csr, with(credential)); err == nil {
				t.Fatal("the request was answered although the power was cut")
			}
			w.fault = func(string) {}
			first, err := w.enroll("tls_server", csr, with(credential))
			check(t, err)
			second, err := w.enroll("tls_server", csr, with(credential))
			check(t, err)
			if !first.Certificates[0].Equal(second.Certificates[0]) {
				t.Error("a repeated request gets another certificate")
			}
			if req := w.requestOf(csr); req.State != models.RequestIssued {
				t.Errorf("the request is %s, want issued", req.State)
			}
		})
	}
}

func TestThousandCopiesWhilePending(t *testing.T) { // attack E15
	w := newWorld(t)
	w.askPeople()
	w.device("press-01")
	csr := w.csr(nil, nil)
	_, err := w.enroll("", csr, secretOf("press-01"))
	check(t, err)
	w.waiting(w.requestOf(csr))
	before, delays := w.rows(), map[time.Duration]int{}
	for range 1000 {
		got, err := w.enroll("", csr, secretOf("press-01"))
		check(t, err)
		delays[got.RetryAfter]++
	}
	if len(delays) != 1 || w.rows() != before {
		t.Errorf("the copies were told %v and changed rows from %v to %v", delays, before, w.rows())
	}
}

func TestRenewalIsBoundToItsPredecessor(t *testing.T) {
	w := newWorld(t)
	_, first := w.onboarded("press-01")
	csr := w.renewalOf(first)
	renew := func(peer est.Peer) *x509.Certificate {
		t.Helper()
		got, err := w.reenroll(csr, peer)
		check(t, err)
		return got.Certificates[0]
	}
	second := renew(with(first))
	if !second.Equal(renew(with(first))) {
		t.Error("a repeated renewal gets another certificate")
	}
	third := renew(with(second))
	if third.Equal(second) {
		t.Error("the renewal of the successor is taken for a repetition")
	}
	if row := w.rowOf(third); row.PredecessorID != w.rowOf(second).ID {
		t.Errorf("the predecessor is %s, want %s", row.PredecessorID, w.rowOf(second).ID)
	}
	w.changeDevice("press-01", func(d *models.Device) { d.Epoch, d.State = d.Epoch+1, models.DeviceRegistered })
	w.refused(models.KindDenied, func() (est.Result, error) { return w.reenroll(csr, with(second)) })
}

func TestSameRequestAfterItsCertificateIsVoid(t *testing.T) {
	tests := map[string]struct {
		void func(*world, *x509.Certificate)
		kind models.Kind // KindInternal: another certificate is issued
	}{
		"a superseded certificate is issued anew":    {func(w *world, c *x509.Certificate) { w.revoke(c, "superseded") }, models.KindInternal},
		"a compromised key is never certified again": {func(w *world, c *x509.Certificate) { w.revoke(c, "keyCompromise") }, models.KindDenied},
		"a key on hold is not certified meanwhile":   {func(w *world, c *x509.Certificate) { w.revoke(c, "certificateHold") }, models.KindDenied},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, credential := w.onboarded("press-01")
			key := newKey(t)
			csr := w.csr(key, nil)
			got, err := w.enroll("tls_server", csr, with(credential))
			check(t, err)
			tt.void(w, got.Certificates[0])
			if tt.kind == models.KindInternal {
				again, err := w.enroll("tls_server", csr, with(credential))
				check(t, err)
				if again.Certificates[0].Equal(got.Certificates[0]) {
					t.Error("the void certificate is handed out again")
				}
				return
			}
			w.refused(tt.kind, func() (est.Result, error) { return w.enroll("tls_server", csr, with(credential)) })
			w.refused(tt.kind, func() (est.Result, error) { // nor in another CSR, for another purpose
				return w.enroll("tls_client", w.csr(key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "other"}}), with(credential))
			})
		})
	}
}
