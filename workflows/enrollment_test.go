// SPDX-License-Identifier: MIT

package workflows_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/workflows"
)

// ledger stands for the rows that the activities would change; it notes what
// the story did, in order.
type ledger struct {
	env      *testsuite.TestWorkflowEnvironment
	decision models.Outcome
	inline   bool
	request  models.RequestState
	approval activities.ApprovalResult
	steps    []string
	fail     map[string]error // by step
	wakes    int
}

func newLedger(t *testing.T, env *testsuite.TestWorkflowEnvironment) *ledger {
	t.Helper()
	l := &ledger{env: env, decision: models.OutcomeIssue, inline: true, request: models.RequestReceived, fail: map[string]error{}}
	var a activities.Requests
	var i activities.Issuance
	var p activities.Approvals
	env.RegisterWorkflow(workflows.Approval)
	env.RegisterActivity(&a)
	env.RegisterActivity(&i)
	env.RegisterActivity(&p)
	env.OnActivity(a.DecideRequest, anything, anything).Return(l.decide).Maybe()
	env.OnActivity(a.ConcludeApproval, anything, anything).Return(l.conclude).Maybe()
	env.OnActivity(a.AbandonRequest, anything, anything).Return(l.abandon).Maybe()
	env.OnActivity(a.DeliverCertificate, anything, anything).Return(l.deliver).Maybe()
	env.OnActivity(i.IssueRequest, anything, anything).Return(l.straight).Maybe()
	env.OnActivity(i.ReserveCertificate, anything, anything).Return(l.reserve).Maybe()
	env.OnActivity(i.SignCertificate, anything, anything).Return(l.sign).Maybe()
	env.OnActivity(p.OpenApproval, anything, anything).Return(l.open).Maybe()
	env.OnActivity(p.ReadApproval, anything, anything).Return(l.read).Maybe()
	env.OnActivity(p.RemindApprovers, anything, anything).Return(l.remind).Maybe()
	env.OnActivity(p.EscalateApproval, anything, anything).Return(l.escalate).Maybe()
	env.OnActivity(p.ExpireApproval, anything, anything).Return(l.expire).Maybe()
	env.OnActivity(p.WithdrawApproval, anything, anything).Return(l.withdraw).Maybe()
	return l
}

// straight is what the one step of a story that waits for nobody does.
func (l *ledger) straight(context.Context, activities.RequestInput) (activities.DecideResult, error) {
	if l.decision == models.OutcomeIssue && l.inline {
		l.request = models.RequestIssued
	}
	return activities.DecideResult{State: l.request}, l.step("straight")
}

func (l *ledger) step(name string) error {
	l.steps = append(l.steps, name)
	return l.fail[name]
}

func (l *ledger) decide(context.Context, activities.RequestInput) (activities.DecideResult, error) {
	l.request = models.RequestApproved
	if l.decision == models.OutcomeWait {
		l.request = models.RequestWaiting
	}
	if l.decision == models.OutcomeRefuse {
		l.request = models.RequestRejected
	}
	err := l.step("decide")
	return activities.DecideResult{State: l.request, Wait: l.request == models.RequestWaiting}, err
}

func (l *ledger) conclude(context.Context, activities.RequestInput) (activities.DecideResult, error) {
	l.request = models.RequestState(l.approval.State) // the names of the final states are the same
	return activities.DecideResult{State: l.request}, l.step("conclude")
}

func (l *ledger) abandon(_ context.Context, in activities.AbandonInput) (activities.DecideResult, error) {
	l.request = in.State
	return activities.DecideResult{State: l.request}, l.step("abandon " + string(in.State) + ": " + in.Text)
}

func (l *ledger) reserve(context.Context, activities.RequestInput) (activities.ReserveResult, error) {
	return activities.ReserveResult{CertificateID: "certificate", InProcess: l.inline}, l.step("reserve")
}

func (l *ledger) sign(context.Context, activities.CertificateInput) (activities.CertificateResult, error) {
	return activities.CertificateResult{CertificateID: "certificate"}, l.step("sign")
}

func (l *ledger) deliver(context.Context, activities.RequestInput) (activities.DecideResult, error) {
	l.request = models.RequestIssued
	return activities.DecideResult{State: l.request}, l.step("deliver")
}

func (l *ledger) open(context.Context, activities.OpenApprovalInput) (activities.ApprovalResult, error) {
	now := l.env.Now()
	l.approval = activities.ApprovalResult{
		ApprovalID: "approval", State: models.ApprovalPending,
		RemindAt: now.Add(36 * time.Hour), EscalateAt: now.Add(54 * time.Hour), Deadline: now.Add(72 * time.Hour),
	}
	return l.approval, l.step("open")
}

func (l *ledger) read(context.Context, activities.ApprovalInput) (activities.ApprovalResult, error) {
	return l.approval, l.step("read")
}

func (l *ledger) remind(context.Context, activities.ApprovalInput) (activities.ApprovalResult, error) {
	l.approval.Reminded = true
	return l.approval, l.step("remind")
}

func (l *ledger) escalate(context.Context, activities.ApprovalInput) (activities.ApprovalResult, error) {
	l.approval.Escalated = true
	return l.approval, l.step("escalate")
}

func (l *ledger) expire(context.Context, activities.ApprovalInput) (activities.ApprovalResult, error) {
	l.approval.State = models.ApprovalExpired
	return l.approval, l.step("expire")
}

func (l *ledger) withdraw(context.Context, activities.ApprovalInput) (activities.ApprovalResult, error) {
	l.approval.State = models.ApprovalWithdrawn
	return l.approval, l.step("withdraw")
}

// says makes a person end the approval after a while: the row changes, then
// the story is woken.
func (l *ledger) says(after time.Duration, state models.ApprovalState) {
	l.env.RegisterDelayedCallback(func() {
		l.approval.State = state
		l.wake()
	}, after)
}

// wake sends the update to the approval's story.
func (l *ledger) wake() {
	l.wakes++ // every waking is an update of its own
	_ = l.env.UpdateWorkflowByID(workflows.ApprovalID("request"), workflows.WakeUpdate, fmt.Sprint("wake-", l.wakes), &testsuite.TestUpdateCallback{
		OnAccept: func() {}, OnReject: func(error) {}, OnComplete: func(any, error) {},
	})
}

// stories are the two that take a request to its certificate.
var stories = map[string]any{"onboarding": workflows.Onboarding, "enrollment": workflows.Enrollment}

func TestEnrollment(t *testing.T) {
	denied := temporal.NewApplicationErrorWithOptions("issuing CA plant is retired and does not issue", models.KindDenied.String(), temporal.ApplicationErrorOptions{NonRetryable: true})
	tests := map[string]struct {
		prepare func(*ledger)
		state   models.RequestState
		steps   []string
	}{
		"a request that waits for nobody is issued at once": {
			prepare: func(*ledger) {},
			state:   models.RequestIssued,
			steps:   []string{"decide", "reserve", "sign", "deliver"},
		},
		"a key outside the process signs in an ordinary activity": {
			prepare: func(l *ledger) { l.inline = false },
			state:   models.RequestIssued,
			steps:   []string{"decide", "reserve", "sign", "deliver"},
		},
		"a request that policy refuses ends without an approval": {
			prepare: func(l *ledger) { l.decision = models.OutcomeRefuse },
			state:   models.RequestRejected,
			steps:   []string{"decide"},
		},
		"an approved request is issued": {
			prepare: func(l *ledger) { l.decision = models.OutcomeWait; l.says(time.Hour, models.ApprovalApproved) },
			state:   models.RequestIssued,
			steps:   []string{"decide", "open", "read", "conclude", "reserve", "sign", "deliver"},
		},
		"a first of two words wakes the story and it waits on": {
			prepare: func(l *ledger) {
				l.decision = models.OutcomeWait
				l.says(time.Hour, models.ApprovalPending)
				l.says(2*time.Hour, models.ApprovalApproved)
			},
			state: models.RequestIssued,
			steps: []string{"decide", "open", "read", "read", "conclude", "reserve", "sign", "deliver"},
		},
		"a rejected request ends without a signature": {
			prepare: func(l *ledger) { l.decision = models.OutcomeWait; l.says(time.Hour, models.ApprovalRejected) },
			state:   models.RequestRejected,
			steps:   []string{"decide", "open", "read", "conclude"},
		},
		"an approval given after the reminder still counts": {
			prepare: func(l *ledger) { l.decision = models.OutcomeWait; l.says(40*time.Hour, models.ApprovalApproved) },
			state:   models.RequestIssued,
			steps:   []string{"decide", "open", "remind", "read", "conclude", "reserve", "sign", "deliver"},
		},
		"a request that nobody decides is reminded, escalated and expires": {
			prepare: func(l *ledger) { l.decision = models.OutcomeWait },
			state:   models.RequestExpired,
			steps:   []string{"decide", "open", "remind", "escalate", "expire", "conclude"},
		},
		"a cancelled story withdraws its approval and its request": {
			prepare: func(l *ledger) {
				l.decision = models.OutcomeWait
				l.env.RegisterDelayedCallback(l.env.CancelWorkflow, time.Hour)
			},
			state: models.RequestWithdrawn,
			steps: []string{"decide", "open", "withdraw", "abandon withdrawn: withdrawn by an operator"},
		},
		"a reservation that is refused for good fails the request": {
			prepare: func(l *ledger) { l.fail["reserve"] = denied },
			state:   models.RequestFailed,
			steps:   []string{"decide", "reserve", "abandon failed: issuing CA plant is retired and does not issue"},
		},
		"a signature that is refused for good fails the request": {
			prepare: func(l *ledger) { l.fail["sign"] = denied },
			state:   models.RequestFailed,
			steps:   []string{"decide", "reserve", "sign", "abandon failed: issuing CA plant is retired and does not issue"},
		},
	}
	for story, workflow := range stories {
		for name, tt := range tests {
			t.Run(story+": "+name, func(t *testing.T) {
				var suite testsuite.WorkflowTestSuite
				env := newEnvironment(&suite)
				l := newLedger(t, env)
				tt.prepare(l)
				env.ExecuteWorkflow(workflow, workflows.EnrollInput{RequestID: "request"})
				var result workflows.EnrollResult
				if err := env.GetWorkflowResult(&result); err != nil {
					t.Fatal(err)
				}
				if result.State != tt.state {
					t.Errorf("the story ended as %s, want %s", result.State, tt.state)
				}
				compareSteps(t, l.steps, tt.steps)
			})
		}
	}
}

func TestEnrollmentRepeatsWhatMayPass(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := newEnvironment(&suite)
	l := newLedger(t, env)
	l.inline = false
	unavailable := temporal.NewApplicationError("the token does not answer", models.KindUnavailable.String())
	l.fail["sign"] = unavailable
	env.RegisterDelayedCallback(func() { delete(l.fail, "sign") }, time.Minute)
	env.ExecuteWorkflow(workflows.Onboarding, workflows.EnrollInput{RequestID: "request"})
	var result workflows.EnrollResult
	if err := env.GetWorkflowResult(&result); err != nil || result.State != models.RequestIssued {
		t.Fatalf("the story ended as %q with %v, want issued", result.State, err)
	}
	signs := 0
	for _, step := range l.steps {
		if step == "sign" {
			signs++
		}
	}
	if signs < 3 {
		t.Errorf("the token was asked %d times, want several", signs)
	}
}

func TestAStraightStoryTakesTheStepsThatAreLeft(t *testing.T) {
	denied := temporal.NewApplicationErrorWithOptions("domain plant is suspended", models.KindDenied.String(), temporal.ApplicationErrorOptions{NonRetryable: true})
	for name, test := range map[string]struct {
		prepare func(*ledger)
		state   models.RequestState
		steps   []string
	}{
		"none where nobody is waited for": {func(*ledger) {}, models.RequestIssued, []string{"straight"}},
		"all where the key is elsewhere":  {func(l *ledger) { l.inline = false }, models.RequestIssued, []string{"straight", "decide", "reserve", "sign", "deliver"}},
		"the refusal":                     {func(l *ledger) { l.decision = models.OutcomeRefuse }, models.RequestRejected, []string{"straight", "decide"}},
		"the end of what is refused for good": {func(l *ledger) { l.fail["straight"] = denied }, models.RequestFailed,
			[]string{"straight", "abandon failed: domain plant is suspended"}},
	} {
		for story, fn := range stories {
			t.Run(story+": "+name, func(t *testing.T) {
				env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
				l := newLedger(t, env)
				test.prepare(l)
				env.ExecuteWorkflow(fn, workflows.EnrollInput{RequestID: "request", Straight: true})
				var result workflows.EnrollResult
				if err := env.GetWorkflowResult(&result); err != nil || result.State != test.state {
					t.Errorf("%+v, %v, want %s", result, err, test.state)
				}
				if diff := cmp.Diff(test.steps, l.steps); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}
