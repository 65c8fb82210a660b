// SPDX-License-Identifier: MIT

package main

import (
	"context"

	"github.com/trustloom/trustloom/integrations/est"
)

// ask sends a request, bound to its connection if the server says that it
// wants to see that (RFC 7030 §3.5, §4.5.2).
func (a *agent) ask(ctx context.Context, client *est.Client, p *pending) (est.Result, error) {
	wanted, err := client.CSRAttrs(ctx)
	if err != nil {
		return est.Result{}, err
	}
	renews := p.Predecessor != ""
	if !wanted.ChallengePassword {
		if renews {
			return client.SimpleReenroll(ctx, p.Request)
		}
		return client.SimpleEnroll(ctx, p.Request)
	}
	key, err := a.signer(ctx, p.Key)
	if err != nil {
		return est.Result{}, err
	}
	if renews {
		return client.SimpleReenrollBound(ctx, p.Request, key)
	}
	return client.SimpleEnrollBound(ctx, p.Request, key)
}
