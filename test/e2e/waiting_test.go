// SPDX-License-Identifier: MIT

package e2e

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

var twoSteps = &api.ApprovalRule{
	Steps:    []api.ApprovalStep{{Name: "operator", Quorum: 1}, {Name: "security", Quorum: 1}},
	Deadline: models.Duration(72 * time.Hour),
}

// waits sends the request and expects to be told to come back.
func (d *device) waits(csr string) {
	d.t.Helper()
	a := d.est("simpleenroll", csr, d.basic()...)
	d.expect(a, "202")
	if !retryAfter.MatchString(a.header) {
		d.t.Errorf("202 without Retry-After:\n%s", a.header)
	}
}

// comesBack repeats the request until it is answered otherwise than 202.
func (d *device) comesBack(csr string) answer {
	d.t.Helper()
	var a answer
	eventually(d.t, "the device has its answer", 30*time.Second, func() bool {
		a = d.est("simpleenroll", csr, d.basic()...)
		return a.status != "202"
	})
	return a
}

func decide(t testing.TB, c *api.Client, approval api.Approval, verdict models.Verdict, comment string) error {
	t.Helper()
	_, err := c.DecideApproval(background(), approval.ID, api.DecisionCreation{Decision: verdict, Comment: comment})
	return err
}

func status(err error) int {
	var problem *api.Problem
	if errors.As(err, &problem) {
		return problem.Status
	}
	return 0
}

func TestTwoStepApproval(t *testing.T) {
	everywhere(t, func(t *testing.T, p *plant) {
		p.requireApproval(t, twoSteps)
		alice, bob := p.approver(t, "alice"), p.approver(t, "bob")

		d := p.register(t, "press-01")
		d.newCSR("domain", "/CN=x")
		for range 3 {
			d.waits("domain.csr")
		}
		if page := must(p.api.ListRequests(background(), api.RequestFilter{}))(t); len(page.Items) != 1 {
			t.Fatalf("the same request three times made %d rows", len(page.Items))
		}
		approval := p.pendingApproval(t)
		if err := decide(t, alice, approval, models.VerdictApprove, "seen on the floor"); err != nil {
			t.Fatal(err)
		}
		if err := decide(t, alice, approval, models.VerdictApprove, "again"); status(err) != http.StatusConflict && status(err) != http.StatusForbidden {
			t.Errorf("the same approver twice: %v, want a refusal", err)
		}
		d.waits("domain.csr")
		if err := decide(t, bob, approval, models.VerdictApprove, ""); err != nil {
			t.Fatal(err)
		}
		d.keep(d.comesBack("domain.csr"), "domain")
	})
}

func TestRejection(t *testing.T) {
	everywhere(t, func(t *testing.T, p *plant) {
		p.requireApproval(t, twoSteps)
		d := p.register(t, "press-01")
		d.newCSR("domain", "/CN=x")
		d.waits("domain.csr")
		if err := decide(t, p.approver(t, "alice"), p.pendingApproval(t), models.VerdictReject, "nobody ordered it"); err != nil {
			t.Fatal(err)
		}
		d.refused(d.comesBack("domain.csr"), "403", "nobody ordered it")
	})
}

func TestDeadline(t *testing.T) {
	everywhere(t, func(t *testing.T, p *plant) {
		rule := *twoSteps
		rule.RemindAfter, rule.EscalateAfter, rule.Deadline = models.Duration(time.Second), models.Duration(2*time.Second), models.Duration(3*time.Second)
		p.requireApproval(t, &rule)
		d := p.register(t, "press-01")
		d.newCSR("domain", "/CN=x")
		d.waits("domain.csr")
		approval := p.pendingApproval(t)
		d.refused(d.comesBack("domain.csr"), "403", "before its deadline")
		ended := must(p.api.FindApproval(background(), approval.ID))(t)
		if ended.State != models.ApprovalExpired {
			t.Errorf("the approval is %s, want expired", ended.State)
		}
		for _, action := range []string{"approval.reminded", "approval.escalated", "approval.expired"} {
			page := must(p.api.ListEvents(background(), api.EventFilter{Noun: "approval", Subject: approval.ID}))(t)
			if !has(page.Items, action) {
				t.Errorf("no audit event %s", action)
			}
		}
	})
}

func has(events []api.Event, action string) bool {
	for _, e := range events {
		if e.Action == action {
			return true
		}
	}
	return false
}

func TestWithdrawal(t *testing.T) {
	p := newPlant(t, start(t), models.StoreSoftware)
	p.requireApproval(t, twoSteps)
	d := p.register(t, "press-01")
	d.newCSR("domain", "/CN=x")
	d.waits("domain.csr")
	p.pendingApproval(t)
	request := must(p.api.ListRequests(background(), api.RequestFilter{}))(t).Items[0]
	must(p.api.WithdrawRequest(background(), request.ID, api.Withdrawal{Reason: "ordered twice"}))(t)
	d.refused(d.comesBack("domain.csr"), "403", "withdrawn")
	armed := must(p.api.ArmDevice(background(), "press-01", api.OnboardingArming{Method: models.ESTPassword}))(t)
	d.secret = armed.Onboarding.Secret
	d.waits("domain.csr") // the same CSR is a new request for a device that was armed again
}
