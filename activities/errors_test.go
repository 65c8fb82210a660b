// SPDX-License-Identifier: MIT

package activities_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
)

func TestWhatIsRepeated(t *testing.T) {
	tests := map[string]struct {
		err   error
		tries int // 50: for as long as the story lets it
		kind  models.Kind
	}{
		"our own fault is repeated for some minutes, then the story goes on": {errors.New("bug"), 20, models.KindInternal},
		"what policy refuses is not repeated":                                {models.Errorf(models.KindDenied, "no"), 1, models.KindDenied},
		"what is not there is not repeated":                                  {models.Errorf(models.KindNotFound, "no"), 1, models.KindNotFound},
		"what is away is waited for":                                         {models.Errorf(models.KindUnavailable, "no"), 50, models.KindUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			env := suite.NewTestWorkflowEnvironment()
			env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&activities.Interceptor{}}})
			tries := 0
			step := func(context.Context) error { tries++; return tt.err }
			env.RegisterActivity(step)
			env.ExecuteWorkflow(func(ctx workflow.Context) error {
				return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
					StartToCloseTimeout: time.Second, ScheduleToCloseTimeout: time.Hour,
					RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 50},
				}), step).Get(ctx, nil)
			})
			if kind, _ := activities.KindOf(env.GetWorkflowError()); kind != tt.kind {
				t.Errorf("the story is told kind %s, want %s", kind, tt.kind)
			}
			if tries != tt.tries {
				t.Errorf("the step ran %d times, want %d", tries, tt.tries)
			}
		})
	}
}
