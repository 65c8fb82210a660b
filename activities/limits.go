// SPDX-License-Identifier: MIT

package activities

import (
	"context"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// hold keeps a reserved certificate inside the limits of its profile, in the
// transaction of the reservation: of two that exclude each other one is
// refused. Profiles without limits ask the database nothing.
func hold(tx *store.Tx, cert *models.Certificate, limits policy.Limits) error {
	if limits.None() {
		return nil
	}
	if err := tx.ClaimNames(cert, limits.Claims); err != nil {
		return err
	}
	return tx.HoldActive(cert, limits.MaximumActive)
}

// within asks the same without reserving anything.
func within(ctx context.Context, q *store.Queries, cert *models.Certificate, limits policy.Limits) error {
	if limits.None() {
		return nil
	}
	if err := q.CheckNames(ctx, cert, limits.Claims); err != nil {
		return err
	}
	return q.CheckActive(ctx, cert, limits.MaximumActive)
}
