// SPDX-License-Identifier: MIT

package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// quick is for steps that stay in this process and its database: local
// activities, repeated until the database answers. Errors that cannot pass by
// waiting are marked so by package activities. The time with all repetitions
// has to be said: unless it is, it is that of one attempt, and a database that
// is away for longer than that would fail every request that is under way.
func quick(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout:    10 * time.Second,
		ScheduleToCloseTimeout: patience,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    30 * time.Second,
		},
	})
}

// patience is how long the database may be away before stories end without
// it. Their rows stay, and the rehydrator takes them up again.
const patience = 30 * 24 * time.Hour

// signing is for steps that use a private key, on the queue of the keys. A
// worker that dies over one is noticed after the time of one attempt.
func signing(ctx workflow.Context) workflow.Context { return withKey(ctx, time.Minute) }

// generating allows for the slowest thing a token does, making an RSA-8192 key.
func generating(ctx workflow.Context) workflow.Context { return withKey(ctx, 5*time.Minute) }

func withKey(ctx workflow.Context, attempt time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           KeyTaskQueue,
		StartToCloseTimeout: attempt,
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

// clockLag is how long a story waits where the clock of a worker says that it
// is too early.
const clockLag = time.Second

// publicationRuns bounds the history of a publication before it continues as
// new.
const publicationRuns = 100
