// SPDX-License-Identifier: MIT

package app

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// seedProfiles stores the shipped profiles that are not there, and a new
// version of those that this release ships changed. A profile that an
// operator changed is the operator's and stays.
func (a *App) seedProfiles(ctx context.Context) error {
	err := a.writeProfiles(ctx)
	if models.KindOf(err) == models.KindConflict { // another process starts at the same time
		return a.writeProfiles(ctx)
	}
	return err
}

func (a *App) writeProfiles(ctx context.Context) error {
	shipped := policy.Shipped()
	return a.store.Write(ctx, func(tx *store.Tx) error {
		for _, name := range slices.Sorted(maps.Keys(shipped)) {
			current, err := tx.FindProfile(ctx, name)
			if err != nil && models.KindOf(err) != models.KindNotFound {
				return err
			}
			if err == nil && (!current.Shipped || bytes.Equal(current.Document, shipped[name])) {
				continue
			}
			row := &models.Profile{ID: models.NewID[models.ProfileID](), Name: name, Document: shipped[name], Shipped: true}
			if err := tx.InsertProfile(row); err != nil {
				return err
			}
			if err := tx.Audit(models.Event{Actor: "system", Action: "profile.shipped", Noun: "profile", SubjectID: name}); err != nil {
				return err
			}
		}
		return nil
	})
}
