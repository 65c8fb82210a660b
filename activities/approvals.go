// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Approvals keeps the rows of durable waits for people.
type Approvals struct {
	cfg Config
}

// OpenApprovalInput asks for an approval of a request.
type OpenApprovalInput struct {
	RequestID  models.RequestID
	WorkflowID string // of the approval
}

// ApprovalInput names an approval.
type ApprovalInput struct {
	ApprovalID models.ApprovalID
}

// ApprovalResult is where an approval stands, with the instants at which the
// story has to act by itself.
type ApprovalResult struct {
	ApprovalID models.ApprovalID
	State      models.ApprovalState
	RemindAt   time.Time
	EscalateAt time.Time
	Deadline   time.Time
	Reminded   bool
	Escalated  bool
}

func approvalResult(a *models.Approval) ApprovalResult {
	return ApprovalResult{
		ApprovalID: a.ID, State: a.State, RemindAt: a.RemindAt, EscalateAt: a.EscalateAt, Deadline: a.Deadline,
		Reminded: a.RemindedAt != nil, Escalated: a.EscalatedAt != nil,
	}
}

// OpenApproval puts a request up for approval by the rule that was decided on,
// bound to the request's digest. Called again, also by a story that was
// started anew, it returns the approval that is there.
func (a *Approvals) OpenApproval(ctx context.Context, in OpenApprovalInput) (ApprovalResult, error) {
	var result ApprovalResult
	err := a.cfg.write(ctx, func(tx *store.Tx) error {
		req, err := tx.FindRequest(ctx, in.RequestID)
		if err != nil {
			return err
		}
		if req.Finished() { // withdrawn before anybody was asked: nobody would end the approval
			result, err = endedApproval(ctx, tx, req)
			return err
		}
		approval := newApproval(req, in.WorkflowID, a.cfg.Now().UTC())
		opened, err := tx.OpenApproval(approval)
		if err != nil {
			return err
		}
		result = approvalResult(approval)
		if !opened {
			return nil
		}
		req.Deadline = &approval.Deadline
		if err := tx.SaveRequest(req); err != nil {
			return err
		}
		return tx.Audit(approvalEvent(approval, "approval.opened"))
	})
	return result, err
}

// endedApproval returns the approval of a request that has ended, withdrawn if
// there never was one.
func endedApproval(ctx context.Context, tx *store.Tx, req *models.Request) (ApprovalResult, error) {
	approval, err := tx.FindApprovalByRequest(ctx, req.ID)
	if models.KindOf(err) == models.KindNotFound {
		return ApprovalResult{State: models.ApprovalWithdrawn}, nil
	}
	if err != nil {
		return ApprovalResult{}, err
	}
	return approvalResult(approval), nil
}

// defaultDeadline applies where a rule says nothing.
const defaultDeadline = 14 * 24 * time.Hour

func newApproval(req *models.Request, workflowID string, now time.Time) *models.Approval {
	rule := models.ApprovalRule{}
	if req.Decision.Approval != nil {
		rule = *req.Decision.Approval
	}
	if len(rule.Steps) == 0 {
		rule.Steps = []models.ApprovalStep{{Name: "operator", Quorum: 1}}
	}
	deadline := orElse(rule.Deadline.Std(), defaultDeadline)
	return &models.Approval{
		ID: models.NewID[models.ApprovalID](), RequestID: req.ID, SubjectSHA256: req.Digest(), DomainID: req.DomainID,
		DeviceID: req.DeviceID, State: models.ApprovalPending, Steps: rule.Steps, WorkflowID: workflowID,
		Deadline:   now.Add(deadline),
		RemindAt:   now.Add(orElse(rule.RemindAfter.Std(), deadline/2)),
		EscalateAt: now.Add(orElse(rule.EscalateAfter.Std(), deadline*3/4)),
	}
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// ReadApproval returns where an approval stands.
func (a *Approvals) ReadApproval(ctx context.Context, in ApprovalInput) (ApprovalResult, error) {
	approval, err := a.cfg.Store.FindApproval(ctx, in.ApprovalID)
	if err != nil {
		return ApprovalResult{}, err
	}
	return approvalResult(approval), nil
}

// RemindApprovers records, once, that the approvers were reminded.
func (a *Approvals) RemindApprovers(ctx context.Context, in ApprovalInput) (ApprovalResult, error) {
	return a.change(ctx, in, "approval.reminded", func(approval *models.Approval, now time.Time) bool {
		if approval.RemindedAt != nil {
			return false
		}
		approval.RemindedAt = &now
		return true
	})
}

// EscalateApproval records, once, that the approval was escalated.
func (a *Approvals) EscalateApproval(ctx context.Context, in ApprovalInput) (ApprovalResult, error) {
	return a.change(ctx, in, "approval.escalated", func(approval *models.Approval, now time.Time) bool {
		if approval.EscalatedAt != nil {
			return false
		}
		approval.EscalatedAt = &now
		return true
	})
}

// ExpireApproval ends an approval whose deadline has passed. If a person was
// faster, the result says so.
func (a *Approvals) ExpireApproval(ctx context.Context, in ApprovalInput) (ApprovalResult, error) {
	return a.change(ctx, in, "approval.expired", func(approval *models.Approval, now time.Time) bool {
		approval.State, approval.DecidedAt = models.ApprovalExpired, &now
		return true
	})
}

// WithdrawApproval ends an approval whose request was cancelled.
func (a *Approvals) WithdrawApproval(ctx context.Context, in ApprovalInput) (ApprovalResult, error) {
	return a.change(ctx, in, "approval.withdrawn", func(approval *models.Approval, now time.Time) bool {
		approval.State, approval.DecidedAt = models.ApprovalWithdrawn, &now
		return true
	})
}

// change applies do to a pending approval, with its audit event; do reports
// whether it changed anything. An approval that has ended is left alone.
func (a *Approvals) change(ctx context.Context, in ApprovalInput, action string, do func(*models.Approval, time.Time) bool) (ApprovalResult, error) {
	var result ApprovalResult
	err := a.cfg.write(ctx, func(tx *store.Tx) error {
		approval, err := tx.FindApproval(ctx, in.ApprovalID)
		if err != nil {
			return err
		}
		if approval.State == models.ApprovalPending && do(approval, a.cfg.Now().UTC()) {
			if err := tx.SaveApproval(approval); err != nil {
				return err
			}
			if err := tx.Audit(approvalEvent(approval, action)); err != nil {
				return err
			}
		}
		result = approvalResult(approval)
		return nil
	})
	return result, err
}

func approvalEvent(a *models.Approval, action string) models.Event {
	return models.Event{
		Actor: system, Action: action, Noun: "approval", SubjectID: string(a.ID), DomainID: a.DomainID,
		DeviceID: a.DeviceID, RequestID: a.RequestID, WorkflowID: a.WorkflowID,
		Details: map[string]string{"deadline": a.Deadline.UTC().Format(time.RFC3339)},
	}
}
