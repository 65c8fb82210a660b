// SPDX-License-Identifier: MIT

package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// prepared waits for the story of a request, with what is made ready as the
// door does.
func (w *world) prepared(req *models.Request) *activities.Ending {
	w.t.Helper()
	ctx := context.Background()
	facts, err := w.acts.Issuance.Facts(ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	prepared, err := w.acts.Issuance.Check(ctx, req, facts)
	if err != nil {
		w.t.Fatal(err)
	}
	if prepared.Device, err = w.store.FindDevice(ctx, w.device.ID); err != nil {
		w.t.Fatal(err)
	}
	return w.endings.Await(req.ID, prepared)
}

func TestWhoWaitsHereIsToldWhatIsStored(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		req := w.request(issueAtOnce)
		end := w.prepared(req)
		defer end.GiveUp()
		if err := w.straight(req); err != nil {
			t.Fatal(err)
		}
		<-end.Ended()
		cert, err := s.FindCertificate(t.Context(), w.onboarded(req).ID)
		if err != nil || end.Outcome == nil {
			t.Fatal(err, end.Outcome)
		}
		current, err := s.FindRequest(t.Context(), req.ID)
		if diff := cmp.Diff(&activities.Outcome{Request: current, Certificate: cert}, end.Outcome); diff != "" || err != nil {
			t.Errorf("(-stored +told) %v\n%s", err, diff)
		}
	})
}

func TestWhatWasMadeReadyIsUsedOnlyIfNothingHasChanged(t *testing.T) {
	suspend := func(w *world) {
		w.write(func(tx *store.Tx) error {
			device, err := tx.FindDevice(context.Background(), w.device.ID)
			if err == nil {
				device.State = models.DeviceSuspended
				err = tx.SaveDevice(device)
			}
			return err
		})
	}
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		begin := func() (*models.Request, *activities.Ending) {
			w.rearm()
			req := w.request(issueAtOnce)
			return req, w.prepared(req)
		}
		// What does not matter in the end makes it take the longer way.
		for name, change := range map[string]func(){
			"the domain was saved": func() { w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) }) },
			"it is too old":        func() { w.now = w.now.Add(time.Minute) },
		} {
			req, end := begin()
			change()
			if err := w.straight(req); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if <-end.Ended(); end.Outcome != nil {
				t.Errorf("%s, and it was used", name)
			}
			w.onboarded(req)
		}
		req, end := begin()
		suspend(w)
		if err := w.straight(req); models.KindOf(err) != models.KindDenied || len(w.certificates(req)) != 0 {
			t.Errorf("a device that was suspended before: %v, %d certificates", err, len(w.certificates(req)))
		}
		<-end.Ended()
	})
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		req := w.request(issueAtOnce)
		defer w.prepared(req).GiveUp()
		w.at = func(point string) {
			if point == activities.FaultAfterSign {
				suspend(w)
			}
		}
		if err := w.straight(req); err != nil {
			t.Fatal(err)
		}
		device, err := s.FindDevice(t.Context(), w.device.ID)
		if err != nil || device.State != models.DeviceSuspended || device.OnboardedAt == nil {
			t.Errorf("a device that was suspended while its certificate was signed: %+v, %v", device, err)
		}
		if rows := w.certificates(req); len(rows) != 1 || rows[0].State != models.CertificateIssued {
			t.Errorf("its certificates: %+v", rows)
		}
	})
}
