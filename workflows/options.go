// SPDX-License-Identifier: MIT

package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// quick is for steps that stay in this process and its database: local
// activities, repeated until the database answers. Errors that cannot pass by
// waiting are marked so by package activities.
func quick(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    30 * time.Second,
		},
	})
}

// signing is for steps that use a private key, on the queue of the keys. The
// time allows for the slowest thing a token does, making an RSA-8192 key.
func signing(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           KeyTaskQueue,
		StartToCloseTimeout: 5 * time.Minute,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    time.Second,
			BackoffCoefficient: 2,
			MaximumInterval:    time.Minute,
		},
	})
}

// approvalChild is for the approval inside another story: cancelled with it,
// and started anew by a story that was started anew.
func approvalChild(ctx workflow.Context, id string) workflow.Context {
	return workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:          id,
		ParentClosePolicy:   parentCloseTerminate,
		WaitForCancellation: true,
	})
}

// publicationRuns bounds the history of a publication before it continues as
// new.
const publicationRuns = 100
