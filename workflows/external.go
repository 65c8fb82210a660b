// SPDX-License-Identifier: MIT

package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/models"
)

// ExternalAuthority makes a CA whose certificate somebody else signs, such as
// an offline root:
//
//  1. generate its key in the key store            (GenerateAuthorityKey)
//  2. sign a request for its certificate           (RequestAuthorityCertificate)
//  3. wait until an operator installed that, or removed the CA; remind of it
//     at half of the time                          (LookAtAuthority, RemindOfAuthority)
//  4. at the deadline give up                      (ExpireAuthority)
//
// Installing verifies the certificate and activates the CA in one transaction;
// this story only hears of it. A step that fails for good leaves the CA failed,
// with the reason.
func ExternalAuthority(ctx workflow.Context, in AuthorityInput) (AuthorityResult, error) {
	var state externalResult
	err := awaitCertificate(ctx, authorityInput{CAID: in.CAID}, &state)
	if err == nil || cancelled(err) {
		return AuthorityResult{State: state.State}, err
	}
	_, text := kindOf(err)
	var failed authorityResult
	fail := failAuthorityInput{CAID: in.CAID, Text: text}
	err = workflow.ExecuteLocalActivity(quick(ctx), authorities.FailAuthority, fail).Get(ctx, &failed)
	return AuthorityResult{State: failed.State}, err
}

func awaitCertificate(ctx workflow.Context, in authorityInput, state *externalResult) error {
	changed := workflow.GetSignalChannel(ctx, ChangedSignal)
	var made authorityResult
	if err := workflow.ExecuteActivity(generating(ctx), authorities.GenerateAuthorityKey, in).Get(ctx, &made); err != nil {
		return err
	}
	if err := workflow.ExecuteActivity(signing(ctx), external.RequestAuthorityCertificate, in).Get(ctx, state); err != nil {
		return err
	}
	for reminded := false; state.State == models.CAPending; {
		next, step := state.RemindAt, external.RemindOfAuthority
		if reminded || !workflow.Now(ctx).Before(state.RemindAt) {
			next, step = state.Deadline, external.ExpireAuthority
		}
		early, err := changedBefore(ctx, changed, next)
		if err != nil {
			return err
		}
		if early {
			step = external.LookAtAuthority
		}
		if err := workflow.ExecuteLocalActivity(quick(ctx), step, in).Get(ctx, state); err != nil {
			return err
		}
		reminded = reminded || !early
	}
	return nil
}

// changedBefore waits until a moment, and reports whether the row changed
// before that.
func changedBefore(ctx workflow.Context, changed workflow.ReceiveChannel, until time.Time) (early bool, err error) {
	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(changed, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil); early = true })
	selector.AddFuture(workflow.NewTimer(timerCtx, until.Sub(workflow.Now(ctx))), func(workflow.Future) {})
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	selector.Select(ctx)
	return early, ctx.Err()
}
