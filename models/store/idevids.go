// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// FindDeviceByIDevID returns the device with this IDevIDIdentity.
func (q *Queries) FindDeviceByIDevID(ctx context.Context, identity string) (*models.Device, error) {
	return find[models.Device](ctx, q, quoted("device with IDevID", identity), "idevid_identity = ?", identity)
}

// FindDeviceBoundTo returns the device that is bound to the IDevID with this
// fingerprint.
func (q *Queries) FindDeviceBoundTo(ctx context.Context, fingerprint string) (*models.Device, error) {
	return find[models.Device](ctx, q, quoted("device bound to IDevID", fingerprint),
		"idevid_sha256 = ? AND idevid_sha256 <> '' AND idevid_identity IS NOT NULL", fingerprint)
}

// byIDevID are the methods of onboarding with an IDevID.
var byIDevID = []models.OnboardingMethod{models.ESTIDevID, models.CMPIDevID}

const unboundIDevID = "domain_id = ? AND method IN ? AND idevid_identity IS NULL AND "

// FindPinnedDevice returns the device of a domain that an operator registered
// for the IDevID with this fingerprint, and that is bound to none yet.
func (q *Queries) FindPinnedDevice(ctx context.Context, domain models.DomainID, fingerprint string) (*models.Device, error) {
	return find[models.Device](ctx, q, quoted("unbound device with IDevID", fingerprint), unboundIDevID+"idevid_sha256 = ? AND idevid_sha256 <> ''",
		domain, byIDevID, fingerprint)
}

// UnboundDevices returns the devices of a domain, two at most, that an operator
// registered for onboarding by IDevID under this serial number and that are
// bound to none yet, by name.
func (q *Queries) UnboundDevices(ctx context.Context, domain models.DomainID, serial string) ([]models.Device, error) {
	var rows []models.Device
	if serial == "" {
		return nil, nil
	}
	err := q.with(ctx).Where(unboundIDevID+"serial_number = ?", domain, byIDevID, serial).Order("name").Limit(2).Find(&rows).Error
	return rows, q.check(err, "unbound devices")
}

// maxQuarantined bounds the IDevIDs that are remembered per device, and
// quarantinePause how often one of them is noted.
const (
	maxQuarantined  = 16
	quarantinePause = time.Minute
)

// QuarantineIDevID notes an IDevID that said to be the device. It reports
// whether it was not known yet and there was room for it.
func (tx *Tx) QuarantineIDevID(row *models.QuarantinedIDevID) (first bool, err error) {
	subject := quoted("quarantined IDevID", row.Fingerprint)
	row.FirstSeenAt, row.LastSeenAt, row.Count = tx.clock(), tx.clock(), 1
	var count int64
	err = tx.session().Model(&models.QuarantinedIDevID{}).Where("device_id = ? AND fingerprint <> ?", row.DeviceID, row.Fingerprint).Count(&count).Error
	if err != nil {
		return false, tx.check(err, subject)
	}
	if count < maxQuarantined {
		if first, err = tx.insert(row, subject); first || err != nil {
			return first, err
		}
	}
	res := tx.session().Model(&models.QuarantinedIDevID{}).
		Where("device_id = ? AND fingerprint = ? AND last_seen_at < ?", row.DeviceID, row.Fingerprint, instant(row.LastSeenAt.Add(-quarantinePause))).
		UpdateColumns(map[string]any{"count": gorm.Expr("count + 1"), "address": row.Address, "last_seen_at": instant(row.LastSeenAt)})
	return false, tx.check(res.Error, subject)
}

// ReleaseIDevIDs forgets the quarantined IDevIDs of a device and returns them.
func (tx *Tx) ReleaseIDevIDs(id models.DeviceID) ([]models.QuarantinedIDevID, error) {
	rows, err := tx.QuarantinedIDevIDs(tx.ctx, id)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	err = tx.session().Where("device_id = ?", id).Delete(&models.QuarantinedIDevID{}).Error
	return rows, tx.check(err, "quarantined IDevIDs")
}

// QuarantinedIDevIDs returns the IDevIDs that said to be a device, the first
// one first.
func (q *Queries) QuarantinedIDevIDs(ctx context.Context, id models.DeviceID) ([]models.QuarantinedIDevID, error) {
	var rows []models.QuarantinedIDevID
	err := q.with(ctx).Where("device_id = ?", id).Order("first_seen_at, fingerprint").Find(&rows).Error
	return rows, q.check(err, "quarantined IDevIDs")
}

// FindMember returns the record that a machine has in a further domain.
func (q *Queries) FindMember(ctx context.Context, home models.DeviceID, domain models.DomainID) (*models.Device, error) {
	return find[models.Device](ctx, q, quoted("record of the device in domain", domain), "home_id = ? AND domain_id = ? AND home_id <> ''", home, domain)
}

// Members returns the records that a machine has in further domains, by name.
func (q *Queries) Members(ctx context.Context, home models.DeviceID) ([]models.Device, error) {
	var rows []models.Device
	err := q.with(ctx).Where("home_id = ? AND home_id <> ''", home).Order("name").Find(&rows).Error
	return rows, q.check(err, "devices")
}
