// SPDX-License-Identifier: MIT

package workflows

import (
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

// The SDK takes the time of one attempt as the time with all repetitions if
// that is not set: then ten seconds without a database end every story.
func TestStepsOutlastTheDatabase(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		options := workflow.GetLocalActivityOptions(quick(ctx))
		if options.ScheduleToCloseTimeout < 24*time.Hour {
			t.Errorf("a step is given up after %s without a database, want days", options.ScheduleToCloseTimeout)
		}
		if options.StartToCloseTimeout > time.Minute {
			t.Errorf("one attempt may take %s, want seconds", options.StartToCloseTimeout)
		}
		return nil
	})
	if err := env.GetWorkflowError(); err != nil {
		t.Error(err)
	}
}
