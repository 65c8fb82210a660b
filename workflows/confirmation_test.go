// SPDX-License-Identifier: MIT

package workflows_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/workflows"
)

func TestConfirmation(t *testing.T) {
	tests := map[string]struct {
		said  time.Duration // when the client confirms; 0: never
		early int           // how often the row's clock says that it is too early
		state models.CMPState
		steps []string
	}{
		"nobody confirms: it is revoked when the wait has passed": {state: models.CMPLapsed, steps: []string{"read ", "expire 5m"}},
		"who confirms in time keeps the certificate":              {said: time.Minute, state: models.CMPConfirmed, steps: []string{"read ", "expire 5m"}},
		"where the clocks differ, the row's counts":               {early: 2, state: models.CMPLapsed, steps: []string{"read ", "expire 5m", "expire 301s", "expire 302s"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := newEnvironment(&suite)
			begin := env.Now()
			var steps []string
			note := func(what string) {
				steps = append(steps, what+" "+models.Duration(env.Now().Sub(begin).Round(time.Second)).String())
			}
			row := activities.ConfirmationResult{State: models.CMPOpen, Deadline: begin.Add(5 * time.Minute)}
			var c activities.Confirmations
			env.RegisterActivity(&c)
			env.OnActivity(c.ReadConfirmation, anything, anything).Return(func(context.Context, activities.ConfirmationInput) (activities.ConfirmationResult, error) {
				note("read")
				return row, nil
			})
			env.OnActivity(c.ExpireConfirmation, anything, anything).Return(func(context.Context, activities.ConfirmationInput) (activities.ConfirmationResult, error) {
				note("expire")
				if tt.early--; tt.early < 0 && row.State == models.CMPOpen {
					row.State = models.CMPLapsed
				}
				return row, nil
			})
			if tt.said > 0 {
				env.RegisterDelayedCallback(func() { row.State = models.CMPConfirmed }, tt.said)
			}
			env.ExecuteWorkflow(workflows.Confirmation, workflows.ConfirmationInput{RequestID: "request"})
			var result workflows.ConfirmationResult
			if err := env.GetWorkflowResult(&result); err != nil || result.State != tt.state {
				t.Fatalf("the story ended as %q with %v, want %s", result.State, err, tt.state)
			}
			compareSteps(t, steps, tt.steps)
		})
	}
}
