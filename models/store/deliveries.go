// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trustloom/trustloom/models"
)

var deliveriesByID = order[models.Delivery]{"deliveries", "id", func(d *models.Delivery) string { return string(d.ID) }}

// DeliveryFilter selects deliveries; empty fields select all.
type DeliveryFilter struct {
	Page
	DomainID models.DomainID
	DeviceID models.DeviceID
	State    models.DeliveryState
	Domains  []models.DomainID // nil: all; empty: none
}

// openDelivery is part of the conditions of the indices deliveries_download
// and deliveries_operator, word for word.
const openDelivery = "state IN ('waiting', 'ready')"

// deliveryIdentity are the columns that never change.
var deliveryIdentity = []string{"channel", "domain_id", "device_id", "request_id", "profile_name", "key_algorithm", "code_hash", "life", "actor"}

// InsertDelivery adds a delivery that waits, with its sealed key. It is
// KindConflict if the device has an open one that stands in the way: one
// download at a time, and one for an operator of each profile.
func (tx *Tx) InsertDelivery(d *models.Delivery, sealed []byte) error {
	if d.State != models.DeliveryWaiting || len(sealed) == 0 {
		return models.Errorf(models.KindInvalid, "a delivery begins by waiting, with its key")
	}
	tx.fresh((*string)(&d.ID), &d.Revision, &d.CreatedAt, &d.UpdatedAt)
	added, err := tx.insert(d, quoted("delivery", d.ID))
	if err != nil {
		return err
	}
	if !added {
		return models.Errorf(models.KindConflict, "a delivery to this device is open already; let it be fetched, or withdraw it")
	}
	return tx.add(&models.SealedKey{ID: d.ID, Sealed: sealed, CreatedAt: d.CreatedAt}, "sealed key")
}

// SaveDelivery writes how far a delivery has come. Where that is its end, the
// sealed key is destroyed in the same transaction; Scrub then removes what the
// database keeps of it. It is KindConflict if d is not the present revision or
// its state cannot follow the present one.
func (tx *Tx) SaveDelivery(d *models.Delivery) error {
	l := lock{quoted("delivery", d.ID), string(d.ID), &d.Revision, &d.UpdatedAt}
	saved, err := tx.save(d, l, deliveryIdentity, "state IN ?", predecessors(models.DeliveryTransitions, d.State))
	if err != nil {
		return err
	}
	if !saved {
		now, err := tx.FindDelivery(tx.ctx, d.ID)
		if err != nil {
			return err
		}
		return refused(l, now.Revision, models.DeliveryTransitions, now.State, d.State)
	}
	if !d.Ended() {
		return nil
	}
	return tx.check(tx.session().Where("id = ?", d.ID).Delete(&models.SealedKey{}).Error, "sealed key")
}

// WithdrawDeliveries ends every open delivery to a device and destroys the
// sealed keys, with an audit event like e for each. It returns how many there
// were. What was issued for them is taken back when they are settled. It is
// KindConflict if one of them changes at the same moment.
func (tx *Tx) WithdrawDeliveries(id models.DeviceID, reason string, at time.Time, e models.Event) (int, error) {
	var rows []models.Delivery
	if err := tx.session().Where("device_id = ?", id).Where(openDelivery).Order("id").Find(&rows).Error; err != nil {
		return 0, tx.check(err, quoted("deliveries to device", id))
	}
	for i := range rows {
		d := &rows[i]
		d.State, d.Reason, d.EndedAt = models.DeliveryWithdrawn, reason, &at
		if err := tx.SaveDelivery(d); err != nil {
			return 0, err
		}
		e.Action, e.Noun, e.SubjectID, e.Details = "delivery.withdrawn", "delivery", string(d.ID), map[string]string{"reason": reason}
		e.DomainID, e.DeviceID, e.RequestID = d.DomainID, d.DeviceID, d.RequestID
		if err := tx.Audit(e); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

// FindDelivery returns the delivery with this identifier.
func (q *Queries) FindDelivery(ctx context.Context, id models.DeliveryID) (*models.Delivery, error) {
	return find[models.Delivery](ctx, q, quoted("delivery", id), "id = ?", id)
}

// FindDeliveryByRequest returns the delivery that a request is about.
func (q *Queries) FindDeliveryByRequest(ctx context.Context, id models.RequestID) (*models.Delivery, error) {
	return find[models.Delivery](ctx, q, quoted("delivery of request", id), "request_id = ?", id)
}

// FindOpenDelivery returns the delivery to an operator that is open for a
// device and a profile.
func (q *Queries) FindOpenDelivery(ctx context.Context, device models.DeviceID, profile string) (*models.Delivery, error) {
	return find[models.Delivery](ctx, q, quoted("open delivery to device", device),
		"device_id = ? AND profile_name = ? AND channel = 'operator' AND "+openDelivery, device, profile)
}

// FindDownload returns the newest delivery by download to a device, ended or
// not.
func (q *Queries) FindDownload(ctx context.Context, device models.DeviceID) (*models.Delivery, error) {
	var newest models.DeliveryID
	err := q.with(ctx).Model(&models.Delivery{}).Where("device_id = ? AND channel = 'download'", device).
		Select("COALESCE(MAX(id), '')").Scan(&newest).Error
	if err != nil {
		return nil, q.check(err, "deliveries")
	}
	return q.FindDelivery(ctx, newest)
}

// FindSealedKey returns the sealed key of a delivery that has not ended.
func (q *Queries) FindSealedKey(ctx context.Context, id models.DeliveryID) ([]byte, error) {
	row, err := find[models.SealedKey](ctx, q, quoted("sealed key of delivery", id), "id = ?", id)
	if err != nil {
		return nil, err
	}
	return row.Sealed, nil
}

// ListDeliveries returns deliveries, newest last.
func (q *Queries) ListDeliveries(ctx context.Context, f DeliveryFilter) ([]models.Delivery, string, error) {
	query := matching(within(q.with(ctx), f.Domains), "domain_id", f.DomainID)
	query = matching(query, "device_id", f.DeviceID)
	if f.State != "" && f.State != models.DeliveryDelivered {
		query = query.Where("state <> 'delivered'") // the words of the partial index
	}
	return list(q, matching(query, "state", f.State), deliveriesByID, f.Page)
}

// UnsettledDeliveries returns at most limit (and MaxLimit) deliveries that
// somebody has to look after, after the one given, oldest first.
func (q *Queries) UnsettledDeliveries(ctx context.Context, after models.DeliveryID, limit int) ([]models.Delivery, error) {
	if limit <= 0 || limit > MaxLimit {
		limit = MaxLimit
	}
	var rows []models.Delivery
	err := q.with(ctx).Where("NOT settled").Where("id > ?", after).Order("id").Limit(limit).Find(&rows).Error
	return rows, q.check(err, "deliveries")
}

// scrubTime bounds the wait for others who use the database.
const scrubTime = 10 * time.Second

// Scrub removes what the database still keeps of keys that were destroyed.
//
// SQLite overwrites what is deleted (secure_delete); its write-ahead log, with
// older images of the pages, is carried over and truncated here. PostgreSQL
// keeps old versions of rows: the table of keys, which is small, is rewritten
// here and its old file removed; what a transaction that began before the end of
// a delivery could still see is only gone with the next time. What PostgreSQL wrote to its own write-ahead
// log stays there, sealed, until the server recycles it. Scrub is
// KindUnavailable while others keep the database from it; it may be repeated.
func (s *Store) Scrub(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scrubTime)
	defer cancel()
	if s.writer == nil {
		if _, err := s.pool.ExecContext(ctx, "VACUUM FULL sealed_keys"); err != nil {
			return translate(fmt.Errorf("rewrite the table of keys: %w", err), "database")
		}
		return nil
	}
	return s.truncateLog(ctx)
}

// truncateLog carries the write-ahead log of SQLite over into the database and
// empties it. While it waits for readers nobody can write, so it does not wait
// for long.
func (s *Store) truncateLog(ctx context.Context) error {
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return translate(err, "database")
	}
	var busy, pages, moved int
	_, err = conn.ExecContext(ctx, "PRAGMA busy_timeout(200)")
	if err == nil {
		err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
		_, again := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA busy_timeout(10000)")
		err = errors.Join(err, again)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return translate(fmt.Errorf("truncate the write-ahead log: %w", err), "database")
	}
	if busy != 0 {
		return models.Errorf(models.KindUnavailable, "others use the database; its log is truncated later")
	}
	return nil
}
