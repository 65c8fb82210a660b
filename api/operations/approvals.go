// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"errors"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// ListApprovals lists the approvals that the caller sees, oldest first.
func (o *Operations) ListApprovals(ctx context.Context, who Caller, f api.ApprovalFilter) (*api.Page[api.Approval], error) {
	if err := auth.Authorize(who.Principal, auth.ReadApprovals); err != nil {
		return nil, err
	}
	if err := checkState("approval", models.ApprovalTransitions, f.State); err != nil {
		return nil, err
	}
	filter := store.ApprovalFilter{Page: pageOf(f.PageQuery), State: f.State}
	var err error
	if filter.Domains, filter.DomainID, _, err = o.selected(ctx, who, f.Domain, ""); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListApprovals(ctx, filter)
	if err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	return wirePage(rows, next, func(a *models.Approval) (api.Approval, error) { return wireApproval(ctx, names, a) })
}

// approvalWith finds an approval that the caller sees.
func approvalWith(ctx context.Context, q reader, who Caller, id string) (*models.Approval, error) {
	if !models.IsID(id) {
		return nil, absent("approval", id)
	}
	row, err := q.FindApproval(ctx, models.ApprovalID(id))
	if err != nil {
		return nil, found(err, "approval", id)
	}
	_, err = inScope(ctx, q, who, row.DomainID, "approval", id)
	return row, err
}

// FindApproval returns an approval with the decisions given so far.
func (o *Operations) FindApproval(ctx context.Context, who Caller, id string) (*api.Approval, error) {
	if err := auth.Authorize(who.Principal, auth.ReadApprovals); err != nil {
		return nil, err
	}
	row, err := approvalWith(ctx, o.store.Queries, who, id)
	if err != nil {
		return nil, err
	}
	return o.fullApproval(ctx, row)
}

func (o *Operations) fullApproval(ctx context.Context, row *models.Approval) (*api.Approval, error) {
	out, err := wireApproval(ctx, newNames(o.store.Queries), row)
	if err != nil {
		return nil, err
	}
	decisions, err := o.store.Decisions(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	for _, d := range decisions {
		step := ""
		if d.Step < len(row.Steps) {
			step = row.Steps[d.Step].Name
		}
		out.Decisions = append(out.Decisions, api.ApprovalDecision{
			Operator: d.OperatorName, Step: step, Decision: d.Verdict, Comment: d.Comment, Void: d.Void, CreatedAt: d.CreatedAt,
		})
	}
	return &out, nil
}

// DecideApproval gives the caller's word on an approval: one word per person,
// whatever the step and through whichever token. What follows from it for the
// request is the approval story's business, which is told.
func (o *Operations) DecideApproval(ctx context.Context, who Caller, id string, in api.DecisionCreation) (*api.Approval, error) {
	if err := auth.Authorize(who.Principal, auth.DecideApprovals); err != nil {
		return nil, err
	}
	if err := oneOf("decision", in.Decision, []models.Verdict{models.VerdictApprove, models.VerdictReject}); err != nil {
		return nil, err
	}
	if err := checkText("comment", in.Comment, maxComment); err != nil {
		return nil, err
	}
	var row *models.Approval
	err := o.write(ctx, func(tx *store.Tx) (err error) {
		if row, err = approvalWith(ctx, tx.Queries, who, id); err != nil {
			return err
		}
		return o.decide(ctx, tx, who, row, in)
	})
	if errors.Is(err, errOwn) {
		o.auditOwn(ctx, who, row)
	}
	if err != nil {
		return nil, err
	}
	o.tell(ctx, who, "wake approval", func(ctx context.Context) error { return o.stories.WakeApproval(ctx, row.WorkflowID, row.ID) })
	return o.fullApproval(ctx, row)
}

func (o *Operations) decide(ctx context.Context, tx *store.Tx, who Caller, row *models.Approval, in api.DecisionCreation) error {
	if err := checkSubject(ctx, tx, row, in.SubjectSHA256); err != nil {
		return err
	}
	if err := checkOthers(ctx, tx, who, row, in.Decision); err != nil {
		return err
	}
	if err := checkOneWord(ctx, tx, who, row); err != nil {
		return err
	}
	if operator, err := tx.HoldOperator(who.OperatorID); err != nil || operator.Disabled {
		return models.Errorf(models.KindDenied, "operator %s is disabled", who.Name).Because(err)
	}
	decision := &models.ApprovalDecision{
		ID: models.NewID[models.DecisionID](), ApprovalID: row.ID, OperatorID: who.OperatorID, OperatorName: who.Name,
		Step: row.CurrentStep, Verdict: in.Decision, Comment: in.Comment, SubjectSHA256: row.SubjectSHA256,
	}
	if _, err := row.Decide(in.Decision, in.Comment, models.UTC(o.now())); err != nil {
		return err
	}
	if err := tx.InsertDecision(decision); err != nil {
		return err
	}
	if in.Decision == models.VerdictApprove && row.State == models.ApprovalPending {
		given, err := tx.Decisions(ctx, row.ID)
		if err != nil {
			return err
		}
		row.Recount(given, models.UTC(o.now()))
	}
	if err := tx.SaveApproval(row); err != nil {
		return err
	}
	promise := models.OutboxItem{Action: models.OutboxWakeApproval, WorkflowID: row.WorkflowID, SubjectID: string(row.ID)}
	if err := tx.Promise(promise); err != nil {
		return err
	}
	event := who.event("approval.decided", "approval", string(row.ID), "decision", string(in.Decision), "comment", in.Comment,
		"step", row.Steps[decision.Step].Name, "subject_sha256", row.SubjectSHA256, "state", string(row.State))
	event.DomainID, event.DeviceID, event.RequestID, event.WorkflowID = row.DomainID, row.DeviceID, row.RequestID, row.WorkflowID
	return tx.Audit(event)
}

// checkSubject refuses a decision about something else than what the request
// is now, or than what the caller has seen.
func checkSubject(ctx context.Context, tx *store.Tx, row *models.Approval, seen string) error {
	request, err := tx.FindRequest(ctx, row.RequestID)
	if err != nil {
		return err
	}
	if request.Digest() != row.SubjectSHA256 {
		return models.Errorf(models.KindConflict, "the request is not the one that approval %s was opened for", row.ID)
	}
	if seen != "" && !strings.EqualFold(seen, row.SubjectSHA256) {
		return models.Errorf(models.KindConflict, "approval %s is about another request than subject_sha256 says", row.ID)
	}
	return nil
}

// errOwn is the refusal of people who approve what they asked for themselves.
var errOwn = models.Errorf(models.KindDenied, "you asked for this yourself; another person has to approve it")

// checkOthers refuses the approval of a request by the operator who made it.
// To reject it is to withdraw it, which is fine.
func checkOthers(ctx context.Context, tx *store.Tx, who Caller, row *models.Approval, verdict models.Verdict) error {
	request, err := tx.FindRequest(ctx, row.RequestID)
	if err != nil {
		return err
	}
	if verdict == models.VerdictApprove && request.AuthMethod == models.AuthOperator && request.AuthSubject == who.Name {
		return errOwn
	}
	return nil
}

// auditOwn notes that somebody tried; the transaction that refused it is gone.
func (o *Operations) auditOwn(ctx context.Context, who Caller, row *models.Approval) {
	event := who.event("approval.refused", "approval", string(row.ID), "reason", errOwn.Public)
	event.DomainID, event.DeviceID, event.RequestID, event.WorkflowID = row.DomainID, row.DeviceID, row.RequestID, row.WorkflowID
	if err := o.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.Audit(event) }); err != nil {
		o.logger.ErrorContext(ctx, "refused approval not audited", "request_id", who.RequestID, "error", err)
	}
}

// checkOneWord refuses a second word of the same person. The unique index of
// the store is the guard against two at the same time.
func checkOneWord(ctx context.Context, tx *store.Tx, who Caller, row *models.Approval) error {
	decisions, err := tx.Decisions(ctx, row.ID)
	if err != nil {
		return err
	}
	for _, d := range decisions {
		if d.OperatorID == who.OperatorID {
			return models.Errorf(models.KindConflict, "%s has already decided on this approval; another person has to", who.Name)
		}
	}
	return nil
}

func wireApproval(ctx context.Context, names *names, a *models.Approval) (api.Approval, error) {
	domain, err := names.domain(ctx, a.DomainID)
	if err != nil {
		return api.Approval{}, err
	}
	device, err := names.device(ctx, a.DeviceID)
	return api.Approval{
		ID: string(a.ID), Request: string(a.RequestID), Domain: domain, Device: device, State: a.State,
		SubjectSHA256: a.SubjectSHA256, Steps: wireSteps(a.Steps), CurrentStep: a.CurrentStep, StepApprovals: a.StepApprovals,
		Deadline: a.Deadline, RemindAt: a.RemindAt, EscalateAt: a.EscalateAt, RemindedAt: a.RemindedAt, EscalatedAt: a.EscalatedAt,
		DecidedAt: a.DecidedAt, Reason: a.Reason, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}, err
}
