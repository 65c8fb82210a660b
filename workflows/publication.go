// SPDX-License-Identifier: MIT

package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/models"
)

// PublicationInput names the CA whose CRL is kept fresh.
type PublicationInput struct {
	CAID models.CAID
}

// Publication keeps the CRL of one CA key fresh, for as long as the CA lives:
// it publishes, then waits for half of the CRL's validity or for a revocation,
// and publishes again (PublishCRL). Revocations that arrive while a CRL is
// being made are covered by the next one.
func Publication(ctx workflow.Context, in PublicationInput) error {
	asked := workflow.GetSignalChannel(ctx, PublishSignal)
	for range publicationRuns {
		for asked.ReceiveAsync(nil) {
			// Everything asked for until now is in the CRL that follows.
		}
		var published publishResult
		if err := workflow.ExecuteActivity(signing(ctx), publication.PublishCRL, publishInput{CAID: in.CAID}).Get(ctx, &published); err != nil {
			return err
		}
		if err := untilDue(ctx, asked, published); err != nil {
			return err
		}
	}
	return workflow.NewContinueAsNewError(ctx, Publication, in)
}

// untilDue returns when the next CRL is due or was asked for.
func untilDue(ctx workflow.Context, asked workflow.ReceiveChannel, published publishResult) error {
	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(asked, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) })
	selector.AddFuture(workflow.NewTimer(timerCtx, published.NextAt.Sub(workflow.Now(ctx))), func(workflow.Future) {})
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	selector.Select(ctx)
	return ctx.Err()
}
