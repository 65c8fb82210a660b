// SPDX-License-Identifier: MIT

package activities_test

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

var issueAtOnce = models.Decision{Outcome: models.OutcomeIssue, Reasons: []string{"admitted"}}

// story runs the steps of an onboarding that waits for nobody.
func (w *world) story(req *models.Request) error {
	ctx, in := context.Background(), activities.RequestInput{RequestID: req.ID}
	if _, err := w.acts.Requests.DecideRequest(ctx, in); err != nil {
		return err
	}
	reserved, err := w.acts.Issuance.ReserveCertificate(ctx, in)
	if err != nil {
		return err
	}
	if _, err := w.acts.Issuance.SignCertificate(ctx, activities.CertificateInput{CertificateID: reserved.CertificateID}); err != nil {
		return err
	}
	_, err = w.acts.Requests.DeliverCertificate(ctx, in)
	return err
}

// straight runs them as new stories do: in one, and what that leaves step by
// step.
func (w *world) straight(req *models.Request) error {
	result, err := w.acts.Issuance.IssueRequest(context.Background(), activities.RequestInput{RequestID: req.ID})
	if err != nil || models.RequestTransitions.Terminal(result.State) {
		return err
	}
	return w.story(req)
}

// onboarded checks everything that holds after an onboarding, however often
// and with whatever interruptions its steps ran.
func (w *world) onboarded(req *models.Request) *models.Certificate {
	w.t.Helper()
	rows := w.certificates(req)
	if len(rows) != 1 {
		w.t.Fatalf("%d certificates for one request key, want 1", len(rows))
	}
	cert := &rows[0]
	parsed, err := x509.ParseCertificate(cert.DER)
	if err != nil {
		w.t.Fatal(err)
	}
	if string(parsed.RawTBSCertificate) != string(cert.TBS) {
		w.t.Error("the certificate was not made from the reserved bytes")
	}
	current, err := w.store.FindRequest(context.Background(), req.ID)
	if err != nil || current.State != models.RequestIssued || current.CertificateID != cert.ID {
		w.t.Errorf("the request is %+v (%v), want issued with certificate %s", current, err, cert.ID)
	}
	device, err := w.store.FindDevice(context.Background(), w.device.ID)
	if err != nil || device.State != models.DeviceOnboarded || device.OnboardedAt == nil {
		w.t.Errorf("the device is %+v (%v), want onboarded", device, err)
	}
	want := map[string]int{"request.approved": 1, "certificate.reserved": 1, "certificate.issued": 1, "device.onboarded": 1}
	if diff := cmp.Diff(want, w.events(req)); diff != "" {
		w.t.Errorf("audit events (-want +got):\n%s", diff)
	}
	return cert
}

func TestOnboardingStepsMayRunTwice(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		req := w.request(issueAtOnce)
		for _, story := range []func(*models.Request) error{w.story, w.story, w.straight} {
			if err := story(req); err != nil {
				t.Fatal(err)
			}
		}
		if cert := w.onboarded(req); cert.Attempts != 1 {
			t.Errorf("%d signatures were begun, want 1", cert.Attempts)
		}
		w.rearm()
		req = w.request(issueAtOnce)
		for range 2 {
			if err := w.straight(req); err != nil {
				t.Fatal(err)
			}
		}
		w.onboarded(req)
	})
}

func TestOnboardingSurvivesPowerCuts(t *testing.T) {
	points := map[string]int{ // fault point: signatures begun in the end
		activities.FaultBeforeReserve: 1, activities.FaultAfterReserve: 1,
		activities.FaultAfterSign: 2, activities.FaultAfterRecord: 1,
	}
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		for point, attempts := range points {
			t.Run(point, func(t *testing.T) { w.survives(t, point, attempts, w.story) })
		}
		points[activities.FaultAfterReserve] = 2 // the signature was to follow at once
		for point, attempts := range points {
			t.Run("straight, "+point, func(t *testing.T) { w.survives(t, point, attempts, w.straight) })
			t.Run("prepared, "+point, func(t *testing.T) {
				first := true
				w.survives(t, point, attempts, func(req *models.Request) error {
					if first { // by the process that loses its power
						first = false
						defer w.prepared(req).GiveUp()
					}
					return w.straight(req)
				})
			})
		}
		points[activities.FaultAfterReserve] = 1
	})
}

func (w *world) survives(t *testing.T, point string, attempts int, story func(*models.Request) error) {
	w.t = t
	w.rearm()
	req := w.request(issueAtOnce)
	w.cut(point, func() error { return story(req) })
	if err := story(req); err != nil {
		t.Fatal(err)
	}
	if cert := w.onboarded(req); cert.Attempts != attempts {
		t.Errorf("%d signatures were begun, want %d", cert.Attempts, attempts)
	}
}

// TestAStraightStoryLeavesTheRestToTheSteps that is: what people decide.
func TestAStraightStoryLeavesTheRestToTheSteps(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		req := w.request(models.Decision{Outcome: models.OutcomeWait, Reasons: []string{"the domain asks"}})
		result, err := w.acts.Issuance.IssueRequest(t.Context(), activities.RequestInput{RequestID: req.ID})
		if err != nil || result.State != models.RequestReceived || len(w.certificates(req)) != 0 {
			t.Errorf("%+v, %v, %d certificates", result, err, len(w.certificates(req)))
		}
	})
}

// rearm puts the device back to the beginning of an onboarding.
func (w *world) rearm() {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		for _, state := range []models.DeviceState{models.DeviceRegistered, models.DeviceOnboarding} {
			device, err := tx.FindDevice(context.Background(), w.device.ID)
			if err != nil {
				return err
			}
			if device.State == models.DeviceOnboarding {
				return nil
			}
			device.State = state
			if err := tx.SaveDevice(device); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestInlineLane(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		ctx := context.Background()
		received := models.Event{Actor: "device:x", Action: "request.received", Noun: "request"}
		for _, point := range []string{"", activities.FaultBeforeReserve, activities.FaultAfterReserve, activities.FaultAfterSign, activities.FaultAfterRecord} {
			t.Run("power cut at "+point, func(t *testing.T) {
				w.t = t
				req := w.newRequest(models.KindEnrollment, "tls_server", issueAtOnce)
				req.WorkflowID = ""
				facts, err := w.acts.Issuance.Facts(ctx, req)
				if err != nil {
					t.Fatal(err)
				}
				if point != "" {
					lost := *req
					w.cut(point, func() error { _, err := w.acts.Issuance.Issue(ctx, &lost, facts, received, nil); return err })
				}
				again := *req
				again.ID = models.NewID[models.RequestID]() // as a device that asks again brings it
				cert, err := w.acts.Issuance.Issue(ctx, &again, facts, received, nil)
				if err != nil {
					t.Fatal(err)
				}
				rows := w.certificates(req)
				if len(rows) != 1 || rows[0].ID != cert.ID || len(cert.DER) == 0 {
					t.Errorf("%d certificates for one request key, want the one that was returned", len(rows))
				}
				if again.State != models.RequestIssued {
					t.Errorf("the request is %s, want issued", again.State)
				}
			})
		}
	})
}

func TestReservationIsRefused(t *testing.T) {
	tests := map[string]struct {
		change func(*world)
		kind   models.Kind
	}{
		"in a suspended domain": {func(w *world) {
			w.domain.Suspended = true
			w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
		}, models.KindDenied},
		"for a suspended device": {func(w *world) {
			w.device.State = models.DeviceSuspended
			w.write(func(tx *store.Tx) error { return tx.SaveDevice(w.device) })
		}, models.KindDenied},
		"by a CA that is retiring": {func(w *world) {
			w.ca.State = models.CARetiring
			w.write(func(tx *store.Tx) error { return tx.SaveCA(w.ca) })
		}, models.KindDenied},
		"by a CA that has expired": {func(w *world) { w.now = w.ca.NotAfter }, models.KindDenied},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fixture.Open(t, fixture.SQLite(t)))
			req := w.request(issueAtOnce)
			tt.change(w)
			if err := w.story(req); models.KindOf(err) != tt.kind {
				t.Errorf("the story ended with %v, want kind %s", err, tt.kind)
			}
			if rows := w.certificates(req); len(rows) != 0 {
				t.Errorf("%d certificates are reserved, want none", len(rows))
			}
		})
	}
}

func TestCertificateStaysWithinItsIssuer(t *testing.T) {
	w := newWorld(t, fixture.Open(t, fixture.SQLite(t)))
	w.now = w.ca.NotAfter.Add(-48 * time.Hour) // less is left than the profile gives
	req := w.request(issueAtOnce)
	if err := w.story(req); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(w.certificates(req)[0].DER)
	if err != nil {
		t.Fatal(err)
	}
	if !cert.NotAfter.Equal(w.ca.NotAfter) {
		t.Errorf("the certificate ends %s, want with its issuer at %s", cert.NotAfter, w.ca.NotAfter)
	}
	want := map[string]string{
		"http://pki.example/crl/" + w.ca.KeyID + ".crl": cert.CRLDistributionPoints[0],
		"http://pki.example/ca/" + w.ca.KeyID + ".cer":  cert.IssuingCertificateURL[0],
		"http://pki.example/ocsp/" + w.ca.KeyID:         cert.OCSPServer[0],
	}
	for url, got := range want {
		if url != got {
			t.Errorf("URL %s in the certificate, want %s", got, url)
		}
	}
}
