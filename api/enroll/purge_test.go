// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// timed is a world whose store has its clock, and whose domain keeps expired
// certificates for 30 days.
func timed(t *testing.T, url string) *world {
	t.Helper()
	var w *world
	s, err := store.Open(t.Context(), store.Config{URL: url, Now: func() time.Time {
		if w == nil {
			return time.Now()
		}
		return w.now
	}})
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	w = worldIn(t, s)
	w.domain.Retention = models.MinRetention
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
	return w
}

func (w *world) purge() int {
	w.t.Helper()
	done, err := w.store.Purge(context.Background(), store.PurgeOrder{DomainID: w.domain.ID, Event: models.Event{Actor: "system"}})
	check(w.t, err)
	return done.Count
}

// TestARequestWhoseCertificateWasPurged sends the same CSR before and after its
// certificate was purged, and asks for what rests on one that is gone.
func TestARequestWhoseCertificateWasPurged(t *testing.T) {
	fixture.URLs(t, func(t *testing.T, url string) {
		w := timed(t, url)
		device, credential := w.onboarded("press-01")
		csr := w.csr(nil, nil)
		got, err := w.enroll("tls_server", csr, with(credential))
		check(t, err)
		first := w.rowOf(got.Certificates[0])
		renewing := w.renewalOf(got.Certificates[0])
		got, err = w.reenroll(renewing, with(got.Certificates[0]))
		check(t, err)
		second := w.rowOf(got.Certificates[0])
		w.now = second.NotAfter.Add(31 * 24 * time.Hour)
		if n := w.purge(); n != 2 {
			t.Fatalf("%d certificates were purged, want the two for work", n)
		}
		for _, id := range []models.CertificateID{first.ID, second.ID} {
			_, err := w.store.FindTombstone(context.Background(), id)
			check(t, err)
		}
		anew, err := w.enroll("tls_server", csr, with(credential))
		check(t, err)
		if row := w.rowOf(anew.Certificates[0]); row.ID == first.ID || row.Serial == first.Serial || row.RequestKey == first.RequestKey {
			t.Errorf("the purged certificate was given again: %+v", row)
		}
		again, err := w.enroll("tls_server", csr, with(credential))
		check(t, err)
		if !again.Certificates[0].Equal(anew.Certificates[0]) {
			t.Error("the same request again gets another certificate")
		}
		w.restsOnPurged(device, w.rowOf(credential), second)
	})
}

// restsOnPurged looks what becomes of requests that were stored at the very
// moment at which the certificate that they need was purged.
func (w *world) restsOnPurged(device *models.Device, credential, gone *models.Certificate) {
	w.t.Helper()
	for name, change := range map[string]func(*models.Request){
		"one that replaces it": func(r *models.Request) { r.PredecessorID = gone.ID },
		"one that it proved":   func(r *models.Request) { r.AuthSubject = gone.Fingerprint },
	} {
		req := &models.Request{Key: name, Kind: models.KindRenewal, State: models.RequestApproved, Protocol: "est", DomainID: w.domain.ID, DeviceID: device.ID,
			ProfileName: "tls_server", ProfileVersion: 1, CSR: w.csr(nil, nil).DER, AuthMethod: models.AuthPredecessor, AuthSubject: credential.Fingerprint, PredecessorID: credential.ID}
		change(req)
		w.write(func(tx *store.Tx) error { _, err := tx.InsertRequest(req); return err })
		_, err := w.acts.Issuance.ReserveCertificate(context.Background(), activities.RequestInput{RequestID: req.ID})
		if models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), "was purged at") {
			w.t.Errorf("%s: %v", name, err)
		}
	}
}
