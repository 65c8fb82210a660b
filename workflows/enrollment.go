// SPDX-License-Identifier: MIT

package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/models"
)

// Enrollment obtains an application certificate, or renews a certificate, for
// a request that has to wait for people. Its steps are those of Onboarding;
// the last one changes no device. Requests that wait for nobody take the
// inline lane and have no workflow.
func Enrollment(ctx workflow.Context, in EnrollInput) (EnrollResult, error) {
	return (&enrollment{id: in.RequestID, straight: in.Straight}).run(ctx)
}

// enrollment is the state of one story.
type enrollment struct {
	id       models.RequestID
	straight bool
}

func (e *enrollment) run(ctx workflow.Context) (EnrollResult, error) {
	state, err := e.approve(ctx)
	if err != nil {
		return e.abandon(ctx, err)
	}
	if state != models.RequestApproved && state != models.RequestReserved {
		return EnrollResult{State: state}, nil
	}
	// From here on the story goes through: cancelling it has no effect.
	ctx, release := workflow.NewDisconnectedContext(ctx)
	defer release()
	if state, err = e.issue(ctx); err != nil {
		return e.abandon(ctx, err)
	}
	return EnrollResult{State: state}, nil
}

// approve carries out the decision and, where it says so, waits for people.
func (e *enrollment) approve(ctx workflow.Context) (models.RequestState, error) {
	var decided decideResult
	if e.straight {
		err := workflow.ExecuteLocalActivity(quick(ctx), issuance.IssueRequest, requestInput{RequestID: e.id}).Get(ctx, &decided)
		if err != nil || models.RequestTransitions.Terminal(decided.State) {
			return decided.State, err
		}
	}
	if err := workflow.ExecuteLocalActivity(quick(ctx), requests.DecideRequest, requestInput{RequestID: e.id}).Get(ctx, &decided); err != nil {
		return "", err
	}
	if !decided.Wait {
		return decided.State, nil
	}
	child := approvalChild(ctx, ApprovalID(e.id))
	if err := workflow.ExecuteChildWorkflow(child, Approval, ApprovalInput{RequestID: e.id}).Get(ctx, nil); err != nil {
		return "", err
	}
	err := workflow.ExecuteLocalActivity(quick(ctx), requests.ConcludeApproval, requestInput{RequestID: e.id}).Get(ctx, &decided)
	return decided.State, err
}

// issue reserves, signs, records and delivers.
func (e *enrollment) issue(ctx workflow.Context) (models.RequestState, error) {
	var reserved reserveResult
	if err := workflow.ExecuteLocalActivity(quick(ctx), issuance.ReserveCertificate, requestInput{RequestID: e.id}).Get(ctx, &reserved); err != nil {
		return "", err
	}
	if err := e.sign(ctx, reserved).Get(ctx, nil); err != nil {
		return "", err
	}
	var delivered decideResult
	err := workflow.ExecuteLocalActivity(quick(ctx), requests.DeliverCertificate, requestInput{RequestID: e.id}).Get(ctx, &delivered)
	return delivered.State, err
}

func (e *enrollment) sign(ctx workflow.Context, reserved reserveResult) workflow.Future {
	in := certificateInput{CertificateID: reserved.CertificateID}
	if reserved.InProcess {
		return workflow.ExecuteLocalActivity(quick(ctx), issuance.SignCertificate, in)
	}
	return workflow.ExecuteActivity(signing(ctx), issuance.SignCertificate, in)
}

// abandon ends the request when a step ended for good: withdrawn if the story
// was cancelled, failed otherwise. What the requester is told is the public
// text of the error.
func (e *enrollment) abandon(ctx workflow.Context, cause error) (EnrollResult, error) {
	in := abandonInput{RequestID: e.id, State: models.RequestWithdrawn, Kind: models.KindDenied.String(), Text: "withdrawn by an operator"}
	if !cancelled(cause) {
		kind, text := kindOf(cause)
		in.State, in.Kind, in.Text = models.RequestFailed, kind.String(), text
	}
	ctx, release := workflow.NewDisconnectedContext(ctx)
	defer release()
	var abandoned decideResult
	err := workflow.ExecuteLocalActivity(quick(ctx), requests.AbandonRequest, in).Get(ctx, &abandoned)
	return EnrollResult{State: abandoned.State}, err
}

func cancelled(err error) bool {
	var c *temporal.CanceledError
	return errors.As(err, &c)
}
