// SPDX-License-Identifier: MIT

package operations_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// plants runs a test over a plant in each dialect.
func plants(t *testing.T, test func(t *testing.T, p *fixture.Plant)) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) { test(t, fixture.NewPlant(t, s)) })
}

// small is a plant on SQLite, for what does not differ by dialect.
func small(t *testing.T) *fixture.Plant {
	return fixture.NewPlant(t, fixture.Open(t, fixture.SQLite(t)))
}

func wantKind(t *testing.T, err error, kind models.Kind, text string) {
	t.Helper()
	if err == nil || models.KindOf(err) != kind || !strings.Contains(models.PublicText(err), text) {
		t.Errorf("error = %v, want %s with %q", err, kind, text)
	}
}

func ok[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// lastEvent returns the newest audit event about a subject.
func lastEvent(t *testing.T, p *fixture.Plant, subject string) models.Event {
	t.Helper()
	events, _, err := p.Store.ListEvents(t.Context(), store.EventFilter{SubjectID: subject})
	if err != nil || len(events) == 0 {
		t.Fatalf("no event about %s: %v", subject, err)
	}
	return events[len(events)-1]
}

// promises lists what the outbox holds for a subject.
func promises(t *testing.T, p *fixture.Plant, subject string) (actions []models.OutboxAction) {
	t.Helper()
	items, err := p.Store.DuePromises(t.Context(), time.Now().Add(time.Hour), 500)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if item.SubjectID == subject {
			actions = append(actions, item.Action)
		}
	}
	return actions
}

func TestTwoPeopleApproveInTwoSteps(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		alice := p.Caller(t, "alice", models.RoleApprover)
		bob := p.Caller(t, "bob", models.RoleApprover)
		id := string(p.Alpha.Approval)
		yes := api.DecisionCreation{Decision: models.VerdictApprove, Comment: "checked on site"}

		first := ok[*api.Approval](t)(p.Ops.DecideApproval(t.Context(), alice, id, yes))
		if first.State != models.ApprovalPending || first.CurrentStep != 1 || len(first.Decisions) != 1 {
			t.Errorf("after one of two steps: %+v", first)
		}
		_, err := p.Ops.DecideApproval(t.Context(), alice, id, yes)
		wantKind(t, err, models.KindConflict, "alice has already decided")

		second := ok[*api.Approval](t)(p.Ops.DecideApproval(t.Context(), bob, id, yes))
		if second.State != models.ApprovalApproved || second.Reason != "checked on site" || second.DecidedAt == nil {
			t.Errorf("after both steps: %+v", second)
		}
		if got := []string{second.Decisions[0].Step, second.Decisions[1].Step}; !cmp.Equal(got, []string{"operator", "security"}) {
			t.Errorf("steps of the decisions: %v", got)
		}
		_, err = p.Ops.DecideApproval(t.Context(), p.Boss, id, yes)
		wantKind(t, err, models.KindConflict, "already approved")

		wake := "wake approval approval/" + string(p.Alpha.Request)
		if got := p.Stories.Told(); !cmp.Equal(got, []string{wake, wake}) {
			t.Errorf("the story was told %q", got)
		}
		if got := promises(t, p, id); len(got) != 2 {
			t.Errorf("promises: %v", got)
		}
		e := lastEvent(t, p, id)
		if e.Actor != "operator:bob" || e.Action != "approval.decided" || e.Address != "192.0.2.7" ||
			e.Details["request_id"] != "request-1" || e.RequestID != p.Alpha.Request || e.Details["subject_sha256"] != second.SubjectSHA256 {
			t.Errorf("audit event: %+v", e)
		}
	})
}

func TestOnePersonHasOneWordThroughWhicheverToken(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		alice := p.Caller(t, "alice", models.RoleApprover)
		again := ok[*api.Token](t)(p.Ops.CreateToken(t.Context(), p.Boss, api.TokenCreation{Name: "alice-2", Operator: "alice", Role: models.RoleAdmin}))
		principal, err := p.Auth.Authenticate(t.Context(), auth.Credentials{Bearer: again.Token})
		if err != nil {
			t.Fatal(err)
		}
		callers := []operations.Caller{alice, {Principal: principal}}
		var group sync.WaitGroup
		errs := make([]error, len(callers))
		for i, who := range callers {
			group.Go(func() {
				_, errs[i] = p.Ops.DecideApproval(t.Context(), who, string(p.Alpha.Approval), api.DecisionCreation{Decision: models.VerdictApprove})
			})
		}
		group.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("of two words of one person exactly one counts: %v, %v", errs[0], errs[1])
		}
	})
}

func TestTwoPeopleDecideAtTheSameTime(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		callers := []operations.Caller{p.Caller(t, "alice", models.RoleApprover), p.Caller(t, "bob", models.RoleApprover)}
		var group sync.WaitGroup
		for _, who := range callers {
			group.Go(func() {
				if _, err := p.Ops.DecideApproval(t.Context(), who, string(p.Alpha.Approval), api.DecisionCreation{Decision: models.VerdictApprove}); err != nil {
					t.Errorf("%s: %v", who.Name, err)
				}
			})
		}
		group.Wait()
		a := ok[*api.Approval](t)(p.Ops.FindApproval(t.Context(), p.Boss, string(p.Alpha.Approval)))
		if a.State != models.ApprovalApproved || len(a.Decisions) != 2 {
			t.Errorf("approval: %s with %d decisions", a.State, len(a.Decisions))
		}
	})
}

func TestADecisionIsBoundToTheRequest(t *testing.T) {
	p := small(t)
	id := string(p.Alpha.Approval)
	_, err := p.Ops.DecideApproval(t.Context(), p.Boss, id, api.DecisionCreation{Decision: models.VerdictApprove, SubjectSHA256: strings.Repeat("0", 64)})
	wantKind(t, err, models.KindConflict, "another request")

	err = p.Store.Write(t.Context(), func(tx *store.Tx) error {
		approval, err := tx.FindApproval(t.Context(), p.Alpha.Approval)
		if err != nil {
			return err
		}
		approval.SubjectSHA256 = strings.Repeat("1", 64) // of another request
		return tx.SaveApproval(approval)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Ops.DecideApproval(t.Context(), p.Boss, id, api.DecisionCreation{Decision: models.VerdictApprove})
	wantKind(t, err, models.KindConflict, "not the one")
}

func TestADeafStoryIsPromisedWhatItMissed(t *testing.T) {
	p := small(t)
	p.Stories.Deaf = true
	ok[*api.Certificate](t)(p.Ops.RevokeCertificate(t.Context(), p.Boss, string(p.Alpha.Certificate), api.Revocation{Reason: "keyCompromise"}))
	ok[*api.Request](t)(p.Ops.WithdrawRequest(t.Context(), p.Boss, string(p.Alpha.Request), api.Withdrawal{Reason: "twice"}))
	ca := ok[*api.CA](t)(p.Ops.CreateCA(t.Context(), p.Boss, api.CACreation{Name: "late", Type: models.CARoot}))
	if ca.State != models.CAPending || !ca.Pending() {
		t.Errorf("CA that nobody makes is %s", ca.State)
	}
	issuer, err := p.Store.FindCAByName(t.Context(), p.Alpha.CA)
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]models.OutboxAction{
		string(issuer.ID):       models.OutboxPublish, // after the start that made it
		string(p.Alpha.Request): models.OutboxWithdraw,
		ca.ID:                   models.OutboxStartAuthority,
	} {
		if got := promises(t, p, subject); len(got) == 0 || got[len(got)-1] != want {
			t.Errorf("promises about %s: %v, want %s", subject, got, want)
		}
	}
}

func TestARefusedActionLeavesNothing(t *testing.T) {
	p := small(t)
	before, _, err := p.Store.ListEvents(t.Context(), store.EventFilter{Page: store.Page{Limit: 500}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Ops.CreateToken(t.Context(), p.Boss, api.TokenCreation{Name: "boss", Operator: "carol", Role: models.RoleViewer})
	wantKind(t, err, models.KindConflict, "already exists")
	if _, err := p.Store.FindOperatorByName(t.Context(), "carol"); models.KindOf(err) != models.KindNotFound {
		t.Errorf("the operator of the refused token is there: %v", err)
	}
	_, err = p.Ops.CreateDevice(t.Context(), p.Boss, api.DeviceCreation{
		Name: p.Alpha.Device, Domain: "alpha", Onboarding: api.OnboardingArming{Method: models.ESTPassword}})
	wantKind(t, err, models.KindConflict, "already exists")
	after, _, err := p.Store.ListEvents(t.Context(), store.EventFilter{Page: store.Page{Limit: 500}})
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("%d events were written for refused actions", len(after)-len(before))
	}
}

func TestEveryRoleIsCheckedByTheOperationsThemselves(t *testing.T) {
	p := small(t)
	viewer := p.Caller(t, "viewer", models.RoleViewer)
	ctx := t.Context()
	_, err := p.Ops.CreateDevice(ctx, viewer, api.DeviceCreation{Name: "x", Domain: "alpha", Onboarding: api.OnboardingArming{Method: models.ESTPassword}})
	wantKind(t, err, models.KindDenied, "devices.write")
	_, err = p.Ops.DecideApproval(ctx, viewer, string(p.Alpha.Approval), api.DecisionCreation{Decision: models.VerdictApprove})
	wantKind(t, err, models.KindDenied, "approvals.decide")
	_, err = p.Ops.CreateToken(ctx, p.Caller(t, "half", models.RoleAdmin, "alpha"), api.TokenCreation{Name: "x", Role: models.RoleAdmin})
	wantKind(t, err, models.KindDenied, "beyond the domains")
}
