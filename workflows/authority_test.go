// SPDX-License-Identifier: MIT

package workflows_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/workflows"
)

func TestAuthority(t *testing.T) {
	denied := temporal.NewApplicationErrorWithOptions("CA root is retired and does not issue", models.KindDenied.String(), temporal.ApplicationErrorOptions{NonRetryable: true})
	tests := map[string]struct {
		failing string
		state   models.CAState
		steps   []string
	}{
		"a CA is made in four steps": {"", models.CAActive, []string{"generate", "reserve", "sign", "activate"}},
		"a key that cannot be made leaves the CA failed, with the reason": {"generate", models.CAFailed,
			[]string{"generate", "fail: CA root is retired and does not issue"}},
		"a certificate that cannot be reserved leaves the CA failed": {"reserve", models.CAFailed,
			[]string{"generate", "reserve", "fail: CA root is retired and does not issue"}},
		"a certificate that cannot be signed leaves the CA failed": {"sign", models.CAFailed,
			[]string{"generate", "reserve", "sign", "fail: CA root is retired and does not issue"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := newEnvironment(&suite)
			var steps []string
			step := func(name string) func(context.Context, activities.AuthorityInput) (activities.AuthorityResult, error) {
				return func(context.Context, activities.AuthorityInput) (activities.AuthorityResult, error) {
					steps = append(steps, name)
					if name == tt.failing {
						return activities.AuthorityResult{}, denied
					}
					return activities.AuthorityResult{State: models.CAActive}, nil
				}
			}
			var a activities.Authorities
			env.RegisterActivity(&a)
			env.OnActivity(a.GenerateAuthorityKey, anything, anything).Return(step("generate")).Maybe()
			env.OnActivity(a.ReserveAuthorityCertificate, anything, anything).Return(step("reserve")).Maybe()
			env.OnActivity(a.SignAuthorityCertificate, anything, anything).Return(step("sign")).Maybe()
			env.OnActivity(a.ActivateAuthority, anything, anything).Return(step("activate")).Maybe()
			env.OnActivity(a.FailAuthority, anything, anything).Return(func(_ context.Context, in activities.FailAuthorityInput) (activities.AuthorityResult, error) {
				steps = append(steps, "fail: "+in.Text)
				return activities.AuthorityResult{State: models.CAFailed}, nil
			}).Maybe()
			env.ExecuteWorkflow(workflows.Authority, workflows.AuthorityInput{CAID: "ca"})
			var result workflows.AuthorityResult
			if err := env.GetWorkflowResult(&result); err != nil || result.State != tt.state {
				t.Fatalf("the story ended as %q with %v, want %s", result.State, err, tt.state)
			}
			compareSteps(t, steps, tt.steps)
		})
	}
}

func TestPublication(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := newEnvironment(&suite)
	begin := env.Now()
	var at []time.Duration
	var p activities.Publication
	env.RegisterActivity(&p)
	env.OnActivity(p.PublishCRL, anything, anything).Return(func(context.Context, activities.PublishInput) (activities.PublishResult, error) {
		at = append(at, env.Now().Sub(begin).Round(time.Hour))
		return activities.PublishResult{Number: int64(len(at)), NextAt: env.Now().Add(84 * time.Hour)}, nil
	})
	// Of three revocations the first asks for a CRL; the others come while it is
	// being made and share the next one.
	for range 3 {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.PublishSignal, nil) }, 10*time.Hour)
	}
	env.ExecuteWorkflow(workflows.Publication, workflows.PublicationInput{CAID: "ca"})
	if err := env.GetWorkflowError(); !workflow.IsContinueAsNewError(err) {
		t.Fatalf("the publication ended with %v, want to continue as new", err)
	}
	want := []time.Duration{0, 10 * time.Hour, 10 * time.Hour, 94 * time.Hour, 178 * time.Hour}
	if len(at) != 100 {
		t.Errorf("%d CRLs before continuing as new, want 100", len(at))
	}
	for i, w := range want {
		if at[i] != w {
			t.Errorf("CRL %d was published after %s, want %s", i+1, at[i], w)
		}
	}
}
