// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
)

// cmpIdentity are the columns of a transaction that never change.
var cmpIdentity = []string{"request_id", "domain_id", "device_id", "confirm_wait"}

// InsertCMPTransaction adds a transaction. It is KindConflict if its
// identifier is taken.
func (tx *Tx) InsertCMPTransaction(t *models.CMPTransaction) error {
	if t.ID == "" {
		return models.Errorf(models.KindInvalid, "the CMP transaction has no key")
	}
	tx.fresh(&t.ID, &t.Revision, &t.CreatedAt, &t.UpdatedAt)
	added, err := tx.insert(t, quoted("CMP transaction", t.ID))
	if err == nil && !added {
		err = models.Errorf(models.KindConflict, "the transactionID was used before: choose a new one for each transaction")
	}
	return err
}

// SaveCMPTransaction writes how far a transaction has come. It is KindConflict
// if t is not the present revision or its state cannot follow the present one.
func (tx *Tx) SaveCMPTransaction(t *models.CMPTransaction) error {
	l := lock{quoted("CMP transaction", t.ID), t.ID, &t.Revision, &t.UpdatedAt}
	saved, err := tx.save(t, l, cmpIdentity, "state IN ?", predecessors(models.CMPTransitions, t.State))
	if saved || err != nil {
		return err
	}
	now, err := tx.FindCMPTransaction(tx.ctx, t.ID)
	if err != nil {
		return err
	}
	return refused(l, now.Revision, models.CMPTransitions, now.State, t.State)
}

// FindCMPTransaction returns the transaction with this key.
func (q *Queries) FindCMPTransaction(ctx context.Context, key string) (*models.CMPTransaction, error) {
	return find[models.CMPTransaction](ctx, q, quoted("CMP transaction", key), "id = ?", key)
}

// FindCMPTransactionByRequest returns the transaction of a request that has to
// be confirmed.
func (q *Queries) FindCMPTransactionByRequest(ctx context.Context, id models.RequestID) (*models.CMPTransaction, error) {
	return find[models.CMPTransaction](ctx, q, quoted("CMP transaction of request", id), "request_id = ?", id)
}

// OverdueCMPTransactions returns at most limit (and MaxLimit) transactions
// whose certificates should have been confirmed before the given time, the
// longest overdue first.
func (q *Queries) OverdueCMPTransactions(ctx context.Context, before time.Time, limit int) ([]models.CMPTransaction, error) {
	if limit <= 0 || limit > MaxLimit {
		limit = MaxLimit
	}
	var rows []models.CMPTransaction
	err := q.with(ctx).Where("state = 'open' AND deadline < ?", instant(before)).Order("deadline").Limit(limit).Find(&rows).Error
	return rows, q.check(err, "CMP transactions")
}

// PutDeviceSecret keeps the sealed one-time secret of a device in the place of
// the one before; nil removes it.
func (tx *Tx) PutDeviceSecret(id models.DeviceID, sealed []byte) error {
	subject := quoted("secret of device", id)
	if err := tx.session().Where("device_id = ?", id).Delete(&models.DeviceSecret{}).Error; err != nil || sealed == nil {
		return tx.check(err, subject)
	}
	return tx.add(&models.DeviceSecret{DeviceID: id, Sealed: sealed, CreatedAt: tx.clock()}, subject)
}

// FindDeviceSecret returns the sealed one-time secret of a device.
func (q *Queries) FindDeviceSecret(ctx context.Context, id models.DeviceID) ([]byte, error) {
	row, err := find[models.DeviceSecret](ctx, q, quoted("secret of device", id), "device_id = ?", id)
	if err != nil {
		return nil, err
	}
	return row.Sealed, nil
}

// spentSecrets are the secrets of requests that have ended, except those whose
// certificates wait for being confirmed.
const spentSecrets = `device_id IN (
	SELECT devices.id FROM devices JOIN requests ON requests.key = devices.secret_used_by
	WHERE devices.secret_used_by <> '' AND requests.updated_at < ? AND requests.state IN ('issued', 'rejected', 'expired', 'withdrawn', 'failed')
	AND NOT EXISTS (SELECT 1 FROM cmp_transactions WHERE cmp_transactions.id = requests.key
		AND (cmp_transactions.state = 'open' AND cmp_transactions.deadline IS NOT NULL OR cmp_transactions.updated_at >= ?)))`

// DestroySpentSecrets removes the secrets that were used by requests which
// ended, and were confirmed where they had to be, before the given time. It
// returns how many there were.
func (tx *Tx) DestroySpentSecrets(before time.Time) (int, error) {
	res := tx.session().Where(spentSecrets, instant(before), instant(before)).Delete(&models.DeviceSecret{})
	return int(res.RowsAffected), tx.check(res.Error, "secrets of devices")
}
