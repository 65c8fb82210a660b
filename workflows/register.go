// SPDX-License-Identifier: MIT

package workflows

import "go.temporal.io/sdk/worker"

// Stories lists every workflow.
func Stories() []any {
	return []any{Onboarding, Enrollment, Approval, Authority, ExternalAuthority, Publication, Confirmation}
}

// Register makes w tell every story.
func Register(w worker.WorkflowRegistry) {
	for _, story := range Stories() {
		w.RegisterWorkflow(story)
	}
}
