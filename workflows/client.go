// SPDX-License-Identifier: MIT

package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/trustloom/trustloom/models"
)

// callBudget bounds one call to Temporal, which otherwise repeats inside the
// SDK for as long as the caller's context lasts. A promise in the outbox makes
// good for a call that did not get through.
const callBudget = 3 * time.Second

// Client starts the stories and talks to them, by stable identifiers only:
// doing so twice is the same as once. Errors are KindUnavailable while
// Temporal is away and KindNotFound for a story that is not there.
type Client struct {
	temporal client.Client
}

// NewClient returns the typed client over a Temporal connection.
func NewClient(temporal client.Client) *Client { return &Client{temporal: temporal} }

// StartOnboarding starts the story of an onboarding request, or finds it.
func (c *Client) StartOnboarding(ctx context.Context, id models.RequestID, workflowID string) error {
	return c.start(ctx, workflowID, enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, Onboarding, EnrollInput{RequestID: id, Straight: true})
}

// StartEnrollment starts the story of an enrollment that waits, or finds it.
func (c *Client) StartEnrollment(ctx context.Context, id models.RequestID, workflowID string) error {
	return c.start(ctx, workflowID, enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, Enrollment, EnrollInput{RequestID: id, Straight: true})
}

// Restart starts the story of an unfinished request although an earlier run
// may have closed: the row says that the story is not at its end. A run that
// is going on is left alone.
func (c *Client) Restart(ctx context.Context, req *models.Request) error {
	story := Enrollment
	if req.Kind == models.KindOnboarding {
		story = Onboarding
	}
	return c.start(ctx, req.WorkflowID, enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, story, EnrollInput{RequestID: req.ID, Straight: true})
}

// StartAuthority starts the making of a CA, or finds it.
func (c *Client) StartAuthority(ctx context.Context, id models.CAID) error {
	return c.start(ctx, AuthorityID(id), enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, Authority, AuthorityInput{CAID: id})
}

// StartExternalAuthority starts the making of a CA that somebody else signs, or
// finds it.
func (c *Client) StartExternalAuthority(ctx context.Context, id models.CAID) error {
	return c.start(ctx, ExternalAuthorityID(id), enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, ExternalAuthority, AuthorityInput{CAID: id})
}

// StartConfirmation starts the wait for the confirmation of a certificate, or
// finds it.
func (c *Client) StartConfirmation(ctx context.Context, id models.RequestID) error {
	return c.start(ctx, ConfirmationID(id), enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, Confirmation, ConfirmationInput{RequestID: id})
}

// WakeAuthority tells the story of an external CA that its row has changed. A
// story that has ended needs no waking.
func (c *Client) WakeAuthority(ctx context.Context, id models.CAID) error {
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	err := c.temporal.SignalWorkflow(ctx, ExternalAuthorityID(id), "", ChangedSignal, nil)
	if models.KindOf(translate(err)) == models.KindNotFound {
		return nil
	}
	return wrap("wake the story of CA "+string(id), err)
}

// AwaitAuthority returns when the making of a CA has ended or ctx has.
func (c *Client) AwaitAuthority(ctx context.Context, id models.CAID) error {
	return c.await(ctx, AuthorityID(id))
}

// AwaitRequest returns when the story with this ID has ended or ctx has. How
// it ended stands in the request's row.
func (c *Client) AwaitRequest(ctx context.Context, workflowID string) error {
	return c.await(ctx, workflowID)
}

// WakeApproval tells an approval that its row has changed. An approval whose
// story has ended needs no waking.
func (c *Client) WakeApproval(ctx context.Context, workflowID string, id models.ApprovalID) error {
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	_, err := c.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateName: WakeUpdate, WaitForStage: client.WorkflowUpdateStageAccepted,
	})
	if models.KindOf(translate(err)) == models.KindNotFound {
		return nil
	}
	return wrap("wake approval "+string(id), err)
}

// Withdraw cancels the story of a request. One that has ended needs no
// cancelling.
func (c *Client) Withdraw(ctx context.Context, workflowID string) error {
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	err := c.temporal.CancelWorkflow(ctx, workflowID, "")
	if models.KindOf(translate(err)) == models.KindNotFound {
		return nil
	}
	return wrap("withdraw "+workflowID, err)
}

// Publish asks for a fresh CRL of a CA, starting its publication if need be.
func (c *Client) Publish(ctx context.Context, id models.CAID) error {
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	_, err := c.temporal.SignalWithStartWorkflow(ctx, PublicationID(id), PublishSignal, nil,
		client.StartWorkflowOptions{TaskQueue: TaskQueue}, Publication, PublicationInput{CAID: id})
	return wrap("publish the CRL of CA "+string(id), err)
}

// EnsurePublication starts the publication of a CA unless it is going on.
func (c *Client) EnsurePublication(ctx context.Context, id models.CAID) error {
	return c.start(ctx, PublicationID(id), enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, Publication, PublicationInput{CAID: id})
}

// start runs a story under a stable ID; one that is running is used.
func (c *Client) start(ctx context.Context, id string, reuse enums.WorkflowIdReusePolicy, story, in any) error {
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	_, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: TaskQueue, WorkflowIDReusePolicy: reuse,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		EnableEagerStart:         true,
	}, story, in)
	return wrap("start "+id, err)
}

func (c *Client) await(ctx context.Context, id string) error {
	return wrap("await "+id, c.temporal.GetWorkflow(ctx, id, "").Get(ctx, nil))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, translate(err))
}

// translate gives the kind to what the SDK returns.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return models.Errorf(models.KindNotFound, "the workflow is not running").Because(err)
	}
	var unavailable *serviceerror.Unavailable
	var late *serviceerror.DeadlineExceeded // what a frontend that does not answer looks like
	if errors.As(err, &unavailable) || errors.As(err, &late) || errors.Is(err, context.DeadlineExceeded) {
		return models.Errorf(models.KindUnavailable, "the workflow engine does not answer").After(10 * time.Second).Because(err)
	}
	if kind, text := kindOf(err); kind != models.KindInternal {
		return models.Errorf(kind, "%s", text).Because(err)
	}
	return err
}
