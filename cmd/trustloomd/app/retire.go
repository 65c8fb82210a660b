// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// stuckAfter is how old a reservation may be that a decommissioned device is
// still waited for; older ones belong to requests that failed.
const stuckAfter = time.Hour

// retireDevice revokes what a device got while it was being decommissioned: a
// certificate that had its serial number, but no signature yet. A key that was
// ordered at that moment is destroyed.
func (a *App) retireDevice(ctx context.Context, id models.DeviceID) error {
	return a.store.Write(ctx, func(tx *store.Tx) error {
		device, err := tx.FindDevice(ctx, id)
		if err != nil || device.State != models.DeviceDecommissioned {
			return err
		}
		event := models.Event{Actor: "system", Details: map[string]string{"device": device.Name, "because": "decommissioned"}}
		if _, _, err := tx.RevokeOfDevice(id, "cessationOfOperation", models.UTC(a.now()), event); err != nil {
			return err
		}
		if _, err := tx.WithdrawDeliveries(id, models.BecauseDecommissioned, models.UTC(a.now()), models.Event{Actor: "system"}); err != nil {
			return err
		}
		waiting, err := tx.InTheMaking(ctx, id, a.now().Add(-stuckAfter))
		if err == nil && waiting > 0 {
			// What was revoked would be rolled back by an error: it is promised again instead.
			return tx.Promise(models.OutboxItem{Action: models.OutboxRetireDevice, SubjectID: string(id), NotBefore: a.now().Add(time.Minute)})
		}
		return err
	})
}
