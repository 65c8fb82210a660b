// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// maxLastError bounds the error text kept with a promise, in bytes.
const maxLastError = 1000

// Promise adds an item to the outbox. An empty ID and an unset NotBefore are
// filled in (due at once).
func (tx *Tx) Promise(item models.OutboxItem) error {
	setDefault(&item.ID, models.NewID[models.OutboxID]())
	setDefault(&item.CreatedAt, tx.clock())
	setDefault(&item.NotBefore, item.CreatedAt)
	return tx.add(&item, quoted("promise", item.ID))
}

// KeepPromise removes an item that was done. Removing it again does nothing.
func (tx *Tx) KeepPromise(id models.OutboxID) error {
	_, err := tx.pipeline([]statement{promiseKept(tx, id)}, quoted("promise", id))
	return err
}

func promiseKept(tx *Tx, id models.OutboxID) statement {
	return statement{text: tx.numbered("DELETE FROM outbox_items WHERE id = ?"), args: []any{string(id)}, rows: anyNumber}
}

// PostponePromise counts a failed attempt and says when to try again. An item
// that was kept meanwhile stays away.
func (tx *Tx) PostponePromise(id models.OutboxID, notBefore time.Time, lastError string) error {
	err := tx.session().Model(&models.OutboxItem{}).Where("id = ?", id).UpdateColumns(map[string]any{
		"not_before": instant(notBefore), "last_error": clip(lastError, maxLastError), "attempts": gorm.Expr("attempts + 1"),
	}).Error
	return tx.check(err, quoted("promise", id))
}

// DuePromises returns at most limit (and MaxLimit) items that are due at now, the longest due
// first.
func (q *Queries) DuePromises(ctx context.Context, now time.Time, limit int) ([]models.OutboxItem, error) {
	if limit <= 0 || limit > MaxLimit {
		limit = MaxLimit
	}
	var rows []models.OutboxItem
	err := q.with(ctx).Where("not_before <= ?", instant(now)).Order("not_before, id").Limit(limit).Find(&rows).Error
	return rows, q.check(err, "outbox")
}

// CountBacklog returns how many accepted requests wait for the start of their
// stories, at most limit.
func (q *Queries) CountBacklog(ctx context.Context, limit int) (int, error) {
	var n int
	err := q.with(ctx).Raw(`SELECT COUNT(*) FROM (
		SELECT 1 FROM outbox_items JOIN requests ON requests.id = outbox_items.subject_id
		WHERE outbox_items.action IN ? AND requests.state = ? LIMIT ?) AS backlog`,
		[]models.OutboxAction{models.OutboxStartOnboarding, models.OutboxStartEnrollment}, models.RequestReceived, limit).Scan(&n).Error
	return n, q.check(err, "outbox")
}
