// SPDX-License-Identifier: MIT

package workflows_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/workflows"
)

func TestExternalAuthority(t *testing.T) {
	denied := temporal.NewApplicationErrorWithOptions("the token is full", models.KindDenied.String(), temporal.ApplicationErrorOptions{NonRetryable: true})
	tests := map[string]struct {
		failing string
		change  time.Duration  // when the row changes; 0: never
		becomes models.CAState // what it changes to
		state   models.CAState
		steps   []string
	}{
		"a certificate that is installed at once ends the wait": {change: time.Hour, becomes: models.CAActive, state: models.CAActive,
			steps: []string{"generate", "request", "look 1h"}},
		"people are reminded at half of the time": {change: 20 * 24 * time.Hour, becomes: models.CAActive, state: models.CAActive,
			steps: []string{"generate", "request", "remind 15d", "look 20d"}},
		"nobody installs anything": {state: models.CAFailed, steps: []string{"generate", "request", "remind 15d", "expire 30d"}},
		"the CA is removed":        {change: time.Hour, state: "", steps: []string{"generate", "request", "look 1h"}},
		"a change that changes nothing leaves the wait as it is": {change: time.Hour, becomes: models.CAPending, state: models.CAFailed,
			steps: []string{"generate", "request", "look 1h", "remind 15d", "expire 30d"}},
		"a key that cannot be made leaves the CA failed": {failing: "generate", state: models.CAFailed, steps: []string{"generate", "fail: the token is full"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := newEnvironment(&suite)
			begin := env.Now()
			var steps []string
			row := activities.ExternalResult{State: models.CAPending, RemindAt: begin.Add(15 * 24 * time.Hour), Deadline: begin.Add(30 * 24 * time.Hour)}
			after := func() string { return " " + models.Duration(env.Now().Sub(begin).Round(time.Hour)).String() }
			hours := func(name string, becomes models.CAState) func(context.Context, activities.AuthorityInput) (activities.ExternalResult, error) {
				return func(context.Context, activities.AuthorityInput) (activities.ExternalResult, error) {
					steps = append(steps, name+after())
					if becomes != "" {
						row.State = becomes
					}
					return row, nil
				}
			}
			var a activities.Authorities
			var e activities.External
			env.RegisterActivity(&a)
			env.RegisterActivity(&e)
			env.OnActivity(a.GenerateAuthorityKey, anything, anything).Return(func(context.Context, activities.AuthorityInput) (activities.AuthorityResult, error) {
				steps = append(steps, "generate")
				if tt.failing == "generate" {
					return activities.AuthorityResult{}, denied
				}
				return activities.AuthorityResult{State: models.CAPending}, nil
			})
			env.OnActivity(e.RequestAuthorityCertificate, anything, anything).Return(func(context.Context, activities.AuthorityInput) (activities.ExternalResult, error) {
				steps = append(steps, "request")
				return row, nil
			}).Maybe()
			env.OnActivity(e.LookAtAuthority, anything, anything).Return(hours("look", "")).Maybe()
			env.OnActivity(e.RemindOfAuthority, anything, anything).Return(hours("remind", "")).Maybe()
			env.OnActivity(e.ExpireAuthority, anything, anything).Return(hours("expire", models.CAFailed)).Maybe()
			env.OnActivity(a.FailAuthority, anything, anything).Return(func(_ context.Context, in activities.FailAuthorityInput) (activities.AuthorityResult, error) {
				steps = append(steps, "fail: "+in.Text)
				return activities.AuthorityResult{State: models.CAFailed}, nil
			}).Maybe()
			if tt.change > 0 {
				env.RegisterDelayedCallback(func() {
					row.State = tt.becomes
					env.SignalWorkflow(workflows.ChangedSignal, nil)
				}, tt.change)
			}
			env.ExecuteWorkflow(workflows.ExternalAuthority, workflows.AuthorityInput{CAID: "ca"})
			var result workflows.AuthorityResult
			if err := env.GetWorkflowResult(&result); err != nil || result.State != tt.state {
				t.Fatalf("the story ended as %q with %v, want %s", result.State, err, tt.state)
			}
			compareSteps(t, steps, tt.steps)
		})
	}
}
