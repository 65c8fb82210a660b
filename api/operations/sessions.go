// SPDX-License-Identifier: MIT

package operations

import (
	"context"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// FindSession tells the caller who they are.
func (o *Operations) FindSession(_ context.Context, who Caller) (*api.Session, error) {
	if err := auth.Authorize(who.Principal, auth.OwnSession); err != nil {
		return nil, err
	}
	return &api.Session{Operator: who.Name, Token: who.TokenName, Role: who.Role, Domains: who.Domains, ExpiresAt: who.ExpiresAt}, nil
}

// EndSession ends the caller's own session. What was not made by a login is
// KindConflict: nobody should shut themselves out by mistake.
func (o *Operations) EndSession(ctx context.Context, who Caller) error {
	if err := auth.Authorize(who.Principal, auth.OwnSession); err != nil {
		return err
	}
	if !who.Session {
		return models.Errorf(models.KindConflict, "this is not a session that a login made; a token is ended by revoking it")
	}
	return o.write(ctx, func(tx *store.Tx) error {
		row, err := tx.FindToken(ctx, who.TokenID)
		if err != nil {
			return err
		}
		return o.revoke(tx, who, row)
	})
}
