// SPDX-License-Identifier: MIT

package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/models"
)

// AuthorityInput names the CA to be made; its row says what it is to be.
type AuthorityInput struct {
	CAID models.CAID
}

// AuthorityResult is how the making of a CA ended.
type AuthorityResult struct {
	State models.CAState
}

// Authority makes a CA:
//
//  1. generate its key in the key store       (GenerateAuthorityKey)
//  2. reserve its certificate, linted         (ReserveAuthorityCertificate)
//  3. sign it with the issuer's key, record   (SignAuthorityCertificate)
//  4. activate it and promise its first CRL   (ActivateAuthority)
//
// A step that fails for good leaves the CA failed, with the reason.
func Authority(ctx workflow.Context, in AuthorityInput) (AuthorityResult, error) {
	var result authorityResult
	err := makeAuthority(ctx, authorityInput{CAID: in.CAID}, &result)
	if err != nil && !cancelled(err) {
		_, text := kindOf(err)
		fail := failAuthorityInput{CAID: in.CAID, Text: text}
		err = workflow.ExecuteLocalActivity(quick(ctx), authorities.FailAuthority, fail).Get(ctx, &result)
	}
	return AuthorityResult{State: result.State}, err
}

func makeAuthority(ctx workflow.Context, in authorityInput, result *authorityResult) error {
	if err := workflow.ExecuteActivity(generating(ctx), authorities.GenerateAuthorityKey, in).Get(ctx, result); err != nil {
		return err
	}
	// Building the certificate asks the key store for the public key, so it
	// belongs on the queue of the keys as well.
	if err := workflow.ExecuteActivity(signing(ctx), authorities.ReserveAuthorityCertificate, in).Get(ctx, result); err != nil {
		return err
	}
	if err := workflow.ExecuteActivity(signing(ctx), authorities.SignAuthorityCertificate, in).Get(ctx, result); err != nil {
		return err
	}
	return workflow.ExecuteLocalActivity(quick(ctx), authorities.ActivateAuthority, in).Get(ctx, result)
}
