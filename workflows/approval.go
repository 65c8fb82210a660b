// SPDX-License-Identifier: MIT

package workflows

import (
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/models"
)

// A story that was terminated leaves its row pending, and the story that is
// started in its place goes on from that row.
const parentCloseTerminate = enums.PARENT_CLOSE_POLICY_TERMINATE

// ApprovalInput names the request that people have to approve.
type ApprovalInput struct {
	RequestID models.RequestID
}

// ApprovalResult is how the wait ended.
type ApprovalResult struct {
	State models.ApprovalState
}

// Approval is a durable wait for people, used as a child by every story that
// has one:
//
//  1. open the approval: steps, quorum, deadline          (OpenApproval)
//  2. wait; people's words are written by the operations, which then wake
//     the story with the update "wake"                    (ReadApproval)
//  3. at its time: remind, later escalate                 (RemindApprovers, EscalateApproval)
//  4. at the deadline: expire                             (ExpireApproval)
//
// The row in the database is the truth: a word that arrives together with the
// deadline is decided there, once. Cancelling the story withdraws the
// approval. It always ends: approved, rejected, expired or withdrawn.
func Approval(ctx workflow.Context, in ApprovalInput) (ApprovalResult, error) {
	a := &approval{}
	if err := a.setup(ctx); err != nil {
		return ApprovalResult{}, err
	}
	return a.run(ctx, in)
}

type approval struct {
	row   approvalResult
	woken bool
}

func (a *approval) setup(ctx workflow.Context) error {
	return workflow.SetUpdateHandler(ctx, WakeUpdate, func(workflow.Context) error {
		a.woken = true
		return nil
	})
}

func (a *approval) run(ctx workflow.Context, in ApprovalInput) (ApprovalResult, error) {
	open := openApprovalInput{RequestID: in.RequestID, WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID}
	if err := workflow.ExecuteLocalActivity(quick(ctx), approvals.OpenApproval, open).Get(ctx, &a.row); err != nil {
		return ApprovalResult{}, err
	}
	for a.row.State == models.ApprovalPending {
		if err := a.wait(ctx); err != nil {
			return a.withdraw(ctx, err)
		}
		if err := a.step(ctx); err != nil {
			return a.withdraw(ctx, err)
		}
	}
	return ApprovalResult{State: a.row.State}, workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

// wait returns when somebody said something or when the next thing is due.
func (a *approval) wait(ctx workflow.Context) error {
	pause := a.due().Sub(workflow.Now(ctx))
	if pause <= 0 {
		return nil
	}
	_, err := workflow.AwaitWithTimeout(ctx, pause, func() bool { return a.woken })
	return err
}

// due is the instant of the next thing that the story does by itself.
func (a *approval) due() time.Time {
	next := a.row.Deadline
	if !a.row.Escalated && a.row.EscalateAt.Before(next) {
		next = a.row.EscalateAt
	}
	if !a.row.Reminded && a.row.RemindAt.Before(next) {
		next = a.row.RemindAt
	}
	return next
}

// step does the one thing that is due: look, remind, escalate or expire.
func (a *approval) step(ctx workflow.Context) error {
	now := workflow.Now(ctx)
	var what any
	switch {
	case a.woken:
		what = approvals.ReadApproval
	case !now.Before(a.row.Deadline):
		what = approvals.ExpireApproval
	case !a.row.Escalated && !now.Before(a.row.EscalateAt):
		what = approvals.EscalateApproval
	default:
		what = approvals.RemindApprovers
	}
	a.woken = false
	return workflow.ExecuteLocalActivity(quick(ctx), what, approvalInput{ApprovalID: a.row.ApprovalID}).Get(ctx, &a.row)
}

// withdraw ends the approval of a story that was cancelled.
func (a *approval) withdraw(ctx workflow.Context, cause error) (ApprovalResult, error) {
	if !cancelled(cause) {
		return ApprovalResult{}, cause
	}
	ctx, release := workflow.NewDisconnectedContext(ctx)
	defer release()
	err := workflow.ExecuteLocalActivity(quick(ctx), approvals.WithdrawApproval, approvalInput{ApprovalID: a.row.ApprovalID}).Get(ctx, &a.row)
	return ApprovalResult{State: a.row.State}, err
}
