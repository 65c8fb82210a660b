// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// What changes while people decide counts at the moment of issuing.
func TestApprovedTooLate(t *testing.T) {
	suspend := func(d *models.Device) { d.State = models.DeviceSuspended }
	tests := map[string]struct {
		kind   models.RequestKind
		change func(*world, *x509.Certificate)
	}{
		"onboarding in a domain that was suspended": {models.KindOnboarding, func(w *world, _ *x509.Certificate) {
			w.domain.Suspended = true
			w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
		}},
		"onboarding by a CA that is retiring": {models.KindOnboarding, func(w *world, _ *x509.Certificate) {
			w.ca.State = models.CARetiring
			w.write(func(tx *store.Tx) error { return tx.SaveCA(w.ca) })
		}},
		"onboarding of a device that was suspended": {models.KindOnboarding, func(w *world, _ *x509.Certificate) { w.changeDevice("press-01", suspend) }},
		"onboarding of a device that was armed anew": {models.KindOnboarding, func(w *world, _ *x509.Certificate) {
			w.changeDevice("press-01", suspend)
			w.changeDevice("press-01", func(d *models.Device) { d.State = models.DeviceRegistered })
			w.changeDevice("press-01", func(d *models.Device) { d.Epoch++ })
		}},
		"enrollment with a credential that was revoked": {models.KindEnrollment, func(w *world, c *x509.Certificate) { w.revoke(c, "keyCompromise") }},
		"renewal of a certificate that was revoked":     {models.KindRenewal, func(w *world, c *x509.Certificate) { w.revoke(c, "keyCompromise") }},
		"enrollment of a device that was armed anew": {models.KindEnrollment, func(w *world, _ *x509.Certificate) {
			w.changeDevice("press-01", func(d *models.Device) { d.Epoch, d.State = 2, models.DeviceRegistered })
		}},
		"renewal of a device that was decommissioned": {models.KindRenewal, func(w *world, _ *x509.Certificate) {
			w.changeDevice("press-01", func(d *models.Device) { d.State = models.DeviceDecommissioned })
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var credential *x509.Certificate
			csr := w.csr(nil, nil)
			ask := func() (est.Result, error) { return w.enroll("", csr, secretOf("press-01")) }
			if tt.kind == models.KindOnboarding {
				w.device("press-01")
			} else {
				_, credential = w.onboarded("press-01")
				ask = func() (est.Result, error) { return w.enroll("tls_server", csr, with(credential)) }
			}
			if tt.kind == models.KindRenewal {
				csr = w.renewalOf(credential)
				ask = func() (est.Result, error) { return w.reenroll(csr, with(credential)) }
			}
			w.askPeople()
			_, err := ask()
			check(t, err)
			req := w.requestOf(csr)
			w.approve(req)
			before := w.rows()[1]
			tt.change(w, credential)
			if err := w.play(req); models.KindOf(err) != models.KindDenied {
				t.Errorf("the story goes on with %v, want it denied", err)
			}
			if more := w.rows()[1] - before; more != 0 {
				t.Errorf("%d certificates for the request, want none", more)
			}
		})
	}
}

func TestDeviceSuspendedBetweenReservationAndDelivery(t *testing.T) {
	w := newWorld(t)
	w.device("press-01")
	csr := w.csr(nil, nil)
	_, err := w.enroll("", csr, secretOf("press-01"))
	check(t, err)
	ctx, in := context.Background(), activities.RequestInput{RequestID: w.requestOf(csr).ID}
	_, err = w.acts.Requests.DecideRequest(ctx, in)
	check(t, err)
	_, err = w.acts.Issuance.ReserveCertificate(ctx, in)
	check(t, err)
	w.changeDevice("press-01", func(d *models.Device) { d.State = models.DeviceSuspended })
	check(t, w.play(w.requestOf(csr)))
	if d := w.deviceNamed("press-01"); d.State != models.DeviceSuspended || d.OnboardedAt == nil {
		t.Errorf("the device is %s, onboarded at %v: it would not be onboarded when it is resumed", d.State, d.OnboardedAt)
	}
	w.refused(models.KindDenied, func() (est.Result, error) { return w.enroll("", csr, secretOf("press-01")) })
}

func TestApprovalIsNotOpenedForWhatHasEnded(t *testing.T) {
	w := newWorld(t)
	w.askPeople()
	w.device("press-01")
	csr := w.csr(nil, nil)
	_, err := w.enroll("", csr, secretOf("press-01"))
	check(t, err)
	req := w.requestOf(csr)
	_, err = w.acts.Requests.DecideRequest(context.Background(), activities.RequestInput{RequestID: req.ID})
	check(t, err)
	_, err = w.acts.Requests.AbandonRequest(context.Background(), activities.AbandonInput{
		RequestID: req.ID, State: models.RequestWithdrawn, Kind: models.KindDenied.String(), Text: "withdrawn by an operator"})
	check(t, err)
	got, err := w.acts.Approvals.OpenApproval(context.Background(), activities.OpenApprovalInput{RequestID: req.ID, WorkflowID: "approval"})
	if err != nil || got.State == models.ApprovalPending {
		t.Errorf("the approval is %s (%v), want it not to wait", got.State, err)
	}
	if _, err := w.store.FindApprovalByRequest(context.Background(), req.ID); models.KindOf(err) != models.KindNotFound {
		t.Errorf("an approval for a withdrawn request is there (%v): nobody would ever end it", err)
	}
}

func TestReplayWindowOfTheSecret(t *testing.T) {
	tests := map[string]struct {
		end   func(*world, *models.Request)
		later time.Duration
		kind  models.Kind // KindInternal: the certificate
		text  string
	}{
		"the certificate soon after":              {func(w *world, r *models.Request) { check(w.t, w.play(r)) }, 14 * time.Minute, models.KindInternal, ""},
		"nothing after a quarter of an hour":      {func(w *world, r *models.Request) { check(w.t, w.play(r)) }, 16 * time.Minute, models.KindUnauthenticated, ""},
		"why it failed, soon after":               {abandon(models.RequestFailed), time.Minute, models.KindDenied, "the CA is gone"},
		"not why it failed, long after":           {abandon(models.RequestFailed), 16 * time.Minute, models.KindUnauthenticated, ""},
		"why it was withdrawn, soon after":        {abandon(models.RequestWithdrawn), time.Minute, models.KindDenied, "the CA is gone"},
		"nothing once its certificate is revoked": {issueAndRevoke, time.Minute, models.KindUnauthenticated, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.device("press-01")
			csr := w.csr(nil, nil)
			_, err := w.enroll("", csr, secretOf("press-01"))
			check(t, err)
			w.refused(models.KindUnauthenticated, func() (est.Result, error) { return w.enroll("", w.csr(nil, nil), secretOf("press-01")) })
			tt.end(w, w.requestOf(csr))
			w.now = w.now.Add(tt.later)
			got, err := w.enroll("", csr, secretOf("press-01"))
			if tt.kind == models.KindInternal {
				if err != nil || len(got.Certificates) != 1 {
					t.Errorf("the answer is %+v, %v; want the certificate", got, err)
				}
				return
			}
			if models.KindOf(err) != tt.kind || !strings.Contains(models.PublicText(err), tt.text) {
				t.Errorf("the answer is %v, want kind %s with %q", err, tt.kind, tt.text)
			}
			w.refused(models.KindUnauthenticated, func() (est.Result, error) { return w.enroll("", w.csr(nil, nil), secretOf("press-01")) })
		})
	}
}

func abandon(state models.RequestState) func(*world, *models.Request) {
	return func(w *world, r *models.Request) {
		_, err := w.acts.Requests.AbandonRequest(context.Background(), activities.AbandonInput{
			RequestID: r.ID, State: state, Kind: models.KindDenied.String(), Text: "the CA is gone"})
		check(w.t, err)
	}
}

func issueAndRevoke(w *world, r *models.Request) {
	check(w.t, w.play(r))
	cert, err := w.store.FindCertificateByRequestKey(context.Background(), r.Key)
	check(w.t, err)
	w.write(func(tx *store.Tx) error { return tx.RevokeCertificate(cert.ID, "superseded", w.now) })
}

func TestClosedDevices(t *testing.T) {
	for _, state := range []models.DeviceState{models.DeviceSuspended, models.DeviceDecommissioned} {
		t.Run("a device that is "+string(state)+" gets nothing, not even again", func(t *testing.T) {
			w := newWorld(t)
			_, credential := w.onboarded("press-01")
			app, csr, renewal := w.application(credential), w.csr(nil, nil), w.renewalOf(credential)
			_, err := w.enroll("tls_client", csr, with(credential))
			check(t, err)
			w.changeDevice("press-01", func(d *models.Device) { d.State = state })
			for name, submit := range map[string]func() (est.Result, error){
				"a new certificate":  func() (est.Result, error) { return w.enroll("tls_client", w.csr(nil, nil), with(credential)) },
				"the old one again":  func() (est.Result, error) { return w.enroll("tls_client", csr, with(credential)) },
				"a renewal":          func() (est.Result, error) { return w.reenroll(renewal, with(credential)) },
				"renewal of another": func() (est.Result, error) { return w.reenroll(w.renewalOf(app), with(app)) },
			} {
				t.Run(name, func(t *testing.T) { w.t = t; w.refused(models.KindDenied, submit) })
			}
		})
	}
}

// Every durable state change has its audit event, also the last one.
func TestIssuedRequestsAreAudited(t *testing.T) {
	w := newWorld(t)
	_, credential := w.onboarded("press-01")
	w.askPeople()
	csr := w.csr(nil, nil)
	_, err := w.enroll("tls_server", csr, with(credential))
	check(t, err)
	req := w.requestOf(csr)
	w.approve(req)
	check(t, w.play(req))
	events, _, err := w.store.ListEvents(context.Background(), store.EventFilter{RequestID: req.ID})
	check(t, err)
	seen := map[string]int{}
	for _, e := range events {
		seen[e.Action]++
	}
	for _, action := range []string{"request.received", "request.waiting", "approval.opened", "request.approved", "certificate.reserved", "certificate.issued", "request.issued"} {
		if seen[action] != 1 {
			t.Errorf("%d events %s, want 1", seen[action], action)
		}
	}
}

// A domain that asks for an approval only from now on does not change what a
// request was decided to be, in whichever lane the copies of it are.
func TestLaneChangesBetweenCopies(t *testing.T) {
	w := newWorld(t)
	device, credential := w.onboarded("press-01")
	csr := w.csr(nil, nil)
	submission := func() *enroll.Submission {
		domain := *w.domain
		return &enroll.Submission{
			Protocol: "est", Kind: models.KindEnrollment, Domain: &domain, Profile: "tls_server", CSR: csr,
			Who: enroll.Identity{Method: models.AuthDomainCredential, Subject: w.rowOf(credential).Fingerprint,
				Device: w.deviceNamed("press-01"), Key: string(device.ID), Certificate: w.rowOf(credential)},
		}
	}
	first, err := w.door.Submit(context.Background(), submission())
	check(t, err)
	w.askPeople()
	second, err := w.door.Submit(context.Background(), submission())
	if err != nil || second.Certificate == nil || second.Certificate.ID != first.Certificate.ID {
		t.Errorf("the copy got %+v, %v; want certificate %s", second, err, first.Certificate.ID)
	}
}
