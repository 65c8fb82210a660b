// SPDX-License-Identifier: MIT

package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/models"
)

// ConfirmationInput names the request whose certificate has to be confirmed.
type ConfirmationInput struct {
	RequestID models.RequestID
}

// ConfirmationResult is how the wait ended.
type ConfirmationResult struct {
	State models.CMPState
}

// Confirmation waits for the client of CMP to confirm its certificate:
//
//  1. read until when it has to      (ReadConfirmation)
//  2. wait until then
//  3. revoke the certificate unless it was confirmed (ExpireConfirmation)
//
// The client's word goes into the row, which decides: a word that arrives
// together with the deadline counts, or it does not, once and for all. A client
// that confirms at once has no story.
func Confirmation(ctx workflow.Context, in ConfirmationInput) (ConfirmationResult, error) {
	step := confirmationInput{RequestID: in.RequestID}
	var row confirmationResult
	if err := workflow.ExecuteLocalActivity(quick(ctx), confirmations.ReadConfirmation, step).Get(ctx, &row); err != nil {
		return ConfirmationResult{}, err
	}
	for row.State == models.CMPOpen && !row.Deadline.IsZero() {
		if err := workflow.Sleep(ctx, row.Deadline.Sub(workflow.Now(ctx))); err != nil {
			return ConfirmationResult{}, err
		}
		if err := workflow.ExecuteLocalActivity(quick(ctx), confirmations.ExpireConfirmation, step).Get(ctx, &row); err != nil {
			return ConfirmationResult{}, err
		}
		if row.State == models.CMPOpen { // the clock of the database's writer lags
			if err := workflow.Sleep(ctx, clockLag); err != nil {
				return ConfirmationResult{}, err
			}
		}
	}
	return ConfirmationResult{State: row.State}, nil
}
