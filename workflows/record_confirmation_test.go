// SPDX-License-Identifier: MIT

package workflows_test

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/workflows"
)

// confirmations records a certificate that is confirmed, and one that is not.
func (r *recorder) confirmations() {
	r.t.Helper()
	ctx := context.Background()
	for _, state := range []models.CMPState{models.CMPConfirmed, models.CMPLapsed} {
		req := r.request("to-be-"+string(state), models.Decision{Outcome: models.OutcomeIssue})
		if err := r.stories.AwaitRequest(ctx, req.WorkflowID); err != nil {
			r.t.Fatal(err)
		}
		deadline := time.Now().Add(2 * time.Second)
		row := &models.CMPTransaction{ID: req.Key, State: models.CMPOpen, RequestID: req.ID, DomainID: req.DomainID, DeviceID: req.DeviceID, Deadline: &deadline}
		r.write(func(tx *store.Tx) error { return tx.InsertCMPTransaction(row) })
		if err := r.stories.StartConfirmation(ctx, req.ID); err != nil {
			r.t.Fatal(err)
		}
		if state == models.CMPConfirmed {
			row.State = state
			r.write(func(tx *store.Tx) error { return tx.SaveCMPTransaction(row) })
		}
		if err := r.stories.AwaitRequest(ctx, workflows.ConfirmationID(req.ID)); err != nil {
			r.t.Fatal(err)
		}
		now, err := r.store.FindCMPTransaction(ctx, req.Key)
		if err != nil || now.State != state {
			r.t.Fatalf("the confirmation ended as %v (%v), want %s", now, err, state)
		}
		r.keep("confirmation-"+string(state), workflows.ConfirmationID(req.ID))
	}
}
