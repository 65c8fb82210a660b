// SPDX-License-Identifier: MIT

package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

var waitForPeople = models.Decision{
	Outcome: models.OutcomeWait, Reasons: []string{"the domain asks"},
	Approval: &models.ApprovalRule{Steps: []models.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: models.Duration(72 * time.Hour)},
}

// waiting brings a request to the point where people have to approve.
func (w *world) waiting() (*models.Request, activities.ApprovalResult) {
	w.t.Helper()
	req := w.request(waitForPeople)
	if _, err := w.acts.Requests.DecideRequest(context.Background(), activities.RequestInput{RequestID: req.ID}); err != nil {
		w.t.Fatal(err)
	}
	opened, err := w.acts.Approvals.OpenApproval(context.Background(), activities.OpenApprovalInput{RequestID: req.ID, WorkflowID: "approval"})
	if err != nil {
		w.t.Fatal(err)
	}
	return req, opened
}

// end ends the approval as a person does.
func (w *world) end(id models.ApprovalID, verdict models.Verdict, comment string) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		approval, err := tx.FindApproval(context.Background(), id)
		if err != nil {
			return err
		}
		if _, err := approval.Decide(verdict, comment, w.now); err != nil {
			return err
		}
		return tx.SaveApproval(approval)
	})
}

func TestApprovalStepsMayRunTwice(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		ctx := context.Background()
		req, opened := w.waiting()
		again, err := w.acts.Approvals.OpenApproval(ctx, activities.OpenApprovalInput{RequestID: req.ID, WorkflowID: "approval"})
		if err != nil || again.ApprovalID != opened.ApprovalID {
			t.Fatalf("opening again gave %+v, %v; want approval %s", again, err, opened.ApprovalID)
		}
		in := activities.ApprovalInput{ApprovalID: opened.ApprovalID}
		a := w.acts.Approvals
		for _, step := range []func(context.Context, activities.ApprovalInput) (activities.ApprovalResult, error){
			a.RemindApprovers, a.EscalateApproval, a.ExpireApproval,
		} {
			for range 2 {
				if _, err := step(ctx, in); err != nil {
					t.Fatal(err)
				}
			}
		}
		for action, count := range map[string]int{"approval.opened": 1, "approval.reminded": 1, "approval.escalated": 1, "approval.expired": 1} {
			if got := w.events(req)[action]; got != count {
				t.Errorf("%d events %s, want %d", got, action, count)
			}
		}
		if result, err := a.WithdrawApproval(ctx, in); err != nil || result.State != models.ApprovalExpired {
			t.Errorf("withdrawing an expired approval gave %s, %v; want it to stay expired", result.State, err)
		}
	})
}

func TestConcludeApproval(t *testing.T) {
	tests := map[string]struct {
		end   func(*world, models.ApprovalID)
		state models.RequestState
		text  string
	}{
		"an approved request may be issued": {func(w *world, id models.ApprovalID) { w.end(id, models.VerdictApprove, "") }, models.RequestApproved, ""},
		"a rejection tells its reason": {func(w *world, id models.ApprovalID) { w.end(id, models.VerdictReject, "unknown device") },
			models.RequestRejected, "rejected by an approver: unknown device"},
		"an expiry tells so": {func(w *world, id models.ApprovalID) {
			_, _ = w.acts.Approvals.ExpireApproval(context.Background(), activities.ApprovalInput{ApprovalID: id})
		}, models.RequestExpired, "nobody approved the request before its deadline"},
		"a withdrawal tells so": {func(w *world, id models.ApprovalID) {
			_, _ = w.acts.Approvals.WithdrawApproval(context.Background(), activities.ApprovalInput{ApprovalID: id})
		}, models.RequestWithdrawn, "withdrawn by an operator"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fixture.Open(t, fixture.SQLite(t)))
			req, opened := w.waiting()
			tt.end(w, opened.ApprovalID)
			for range 2 {
				result, err := w.acts.Requests.ConcludeApproval(context.Background(), activities.RequestInput{RequestID: req.ID})
				if err != nil || result.State != tt.state {
					t.Fatalf("the request is %s (%v), want %s", result.State, err, tt.state)
				}
			}
			current, err := w.store.FindRequest(context.Background(), req.ID)
			if err != nil || current.FailureText != tt.text {
				t.Errorf("the device is told %q (%v), want %q", current.FailureText, err, tt.text)
			}
			device, err := w.store.FindDevice(context.Background(), w.device.ID)
			if err != nil {
				t.Fatal(err)
			}
			want := models.DeviceRegistered
			if tt.state == models.RequestApproved {
				want = models.DeviceOnboarding
			}
			if device.State != want {
				t.Errorf("the device is %s, want %s", device.State, want)
			}
		})
	}
}

func TestApprovalIsBoundToTheRequest(t *testing.T) {
	w := newWorld(t, fixture.Open(t, fixture.SQLite(t)))
	req := w.request(waitForPeople)
	in := activities.RequestInput{RequestID: req.ID}
	if _, err := w.acts.Requests.DecideRequest(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	other := w.newRequest(models.KindOnboarding, "domain_credential", waitForPeople)
	w.write(func(tx *store.Tx) error { // an approval that was given for other content
		_, err := tx.OpenApproval(&models.Approval{
			ID: models.NewID[models.ApprovalID](), RequestID: req.ID, SubjectSHA256: other.Digest(), DomainID: w.domain.ID,
			State: models.ApprovalPending, Steps: []models.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: w.now.Add(time.Hour),
		})
		return err
	})
	approval, err := w.store.FindApprovalByRequest(context.Background(), req.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.end(approval.ID, models.VerdictApprove, "")
	result, err := w.acts.Requests.ConcludeApproval(context.Background(), in)
	if err != nil || result.State != models.RequestRejected {
		t.Errorf("a request with other content than was approved is %s (%v), want rejected", result.State, err)
	}
}

func TestAbandonRequest(t *testing.T) {
	w := newWorld(t, fixture.Open(t, fixture.SQLite(t)))
	req, opened := w.waiting()
	in := activities.AbandonInput{RequestID: req.ID, State: models.RequestWithdrawn, Kind: models.KindDenied.String(), Text: "withdrawn by an operator"}
	for range 2 {
		if result, err := w.acts.Requests.AbandonRequest(context.Background(), in); err != nil || result.State != models.RequestWithdrawn {
			t.Fatalf("the request is %s (%v), want withdrawn", result.State, err)
		}
	}
	approval, err := w.store.FindApproval(context.Background(), opened.ApprovalID)
	if err != nil || approval.State != models.ApprovalWithdrawn {
		t.Errorf("its approval is %s (%v), want withdrawn as well", approval.State, err)
	}
	if got := w.events(req)["request.withdrawn"]; got != 1 {
		t.Errorf("%d events request.withdrawn, want 1", got)
	}
}

func TestPublishCRL(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		req := w.request(issueAtOnce)
		if err := w.story(req); err != nil {
			t.Fatal(err)
		}
		in := activities.PublishInput{CAID: w.ca.ID}
		first, err := w.acts.Publication.PublishCRL(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		cert := w.certificates(req)[0]
		w.write(func(tx *store.Tx) error { return tx.RevokeCertificate(cert.ID, "keyCompromise", w.now) })
		second, err := w.acts.Publication.PublishCRL(context.Background(), in)
		if err != nil || second.Number <= first.Number {
			t.Fatalf("the second CRL has number %d (%v), want more than %d", second.Number, err, first.Number)
		}
		assertRevoked(t, w, cert.Serial)
	})
}
