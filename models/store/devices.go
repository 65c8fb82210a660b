// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
)

var devicesByName = order[models.Device]{"devices", "name", func(d *models.Device) string { return d.Name }}

// DeviceFilter selects devices; empty fields select all.
type DeviceFilter struct {
	Page
	DomainID models.DomainID
	State    models.DeviceState
	Group    string
	Metadata [2]string         // key and value; an empty key selects all
	Domains  []models.DomainID // nil: all; empty: none
}

// secretUse are the columns that only UseSecret and a new epoch change.
var secretUse = []string{"secret_used_by", "secret_used_at"}

// InsertDevice adds a device. It is KindConflict if its name or its IDevID is
// taken, or its domain does not exist.
func (tx *Tx) InsertDevice(d *models.Device) error {
	if err := known(models.DeviceTransitions, "device", d.State); err != nil {
		return err
	}
	tx.fresh((*string)(&d.ID), &d.Revision, &d.CreatedAt, &d.UpdatedAt)
	subject := quoted("device", d.Name)
	added, err := tx.insert(d, subject)
	if added || err != nil {
		return err
	}
	if _, err := tx.FindDeviceByName(tx.ctx, d.Name); err == nil {
		return models.Errorf(models.KindConflict, "%s already exists", subject)
	}
	return models.Errorf(models.KindConflict, "another device than %q already has this IDevID", d.Name)
}

// SaveDevice writes all fields but CreatedAt. It is KindConflict if d is not
// the present revision, its state cannot follow the present one, or its name
// or IDevID is taken.
//
// Whether the secret was used is not d's to say: those fields are kept, and
// read back into d, unless d raises the epoch, which arms a new secret.
func (tx *Tx) SaveDevice(d *models.Device) error {
	l := lock{quoted("device", d.Name), string(d.ID), &d.Revision, &d.UpdatedAt}
	from := predecessors(models.DeviceTransitions, d.State)
	saved, err := tx.save(d, l, secretUse, "epoch = ? AND state IN ?", d.Epoch, from)
	if err != nil {
		return err
	}
	now, err := tx.FindDevice(tx.ctx, d.ID)
	if err != nil {
		return err
	}
	if saved {
		d.SecretUsedBy, d.SecretUsedAt = now.SecretUsedBy, now.SecretUsedAt
		return nil
	}
	if now.Epoch != d.Epoch {
		saved, err = tx.save(d, l, nil, "epoch < ? AND state IN ?", d.Epoch, from)
		if saved || err != nil {
			return err
		}
	}
	if now.Revision == d.Revision && now.Epoch > d.Epoch {
		return models.Errorf(models.KindInvalid, "the epoch of %s cannot go back", l.subject)
	}
	return refused(l, now.Revision, models.DeviceTransitions, now.State, d.State)
}

// UseSecret spends the one-time secret of a device for the request with this
// key. It reports whether the secret is now that request's: true also when the
// same request had spent it before. The revision of the device stays, so that
// who read the device before can save it after.
func (tx *Tx) UseSecret(id models.DeviceID, requestKey string, now time.Time) (bool, error) {
	if requestKey == "" {
		return false, models.Errorf(models.KindInvalid, "a secret is used by a request key")
	}
	subject := quoted("device", id)
	res := tx.session().Model(&models.Device{}).Where("id = ? AND secret_used_by = ''", id).
		UpdateColumns(map[string]any{"secret_used_by": requestKey, "secret_used_at": instant(now), "updated_at": tx.clock()})
	if res.Error != nil {
		return false, tx.check(res.Error, subject)
	}
	if res.RowsAffected == 1 {
		return true, nil
	}
	d, err := tx.FindDevice(tx.ctx, id)
	if err != nil {
		return false, err
	}
	return d.SecretUsedBy == requestKey, nil
}

// FindDevice returns the device with this identifier.
func (q *Queries) FindDevice(ctx context.Context, id models.DeviceID) (*models.Device, error) {
	return find[models.Device](ctx, q, quoted("device", id), "id = ?", id)
}

// FindDeviceByName returns the device with this name.
func (q *Queries) FindDeviceByName(ctx context.Context, name string) (*models.Device, error) {
	return find[models.Device](ctx, q, quoted("device", name), "name = ?", name)
}

// ListDevices returns devices by name.
func (q *Queries) ListDevices(ctx context.Context, f DeviceFilter) ([]models.Device, string, error) {
	query := matching(within(q.with(ctx), f.Domains), "domain_id", f.DomainID)
	query = matching(query, "state", f.State)
	if f.Group != "" {
		query = query.Where("id IN (SELECT device_id FROM device_groups WHERE device_groups.name = ?)", f.Group)
	}
	return list(q, noted(query, f.Metadata[0], f.Metadata[1]), devicesByName, f.Page)
}
