// SPDX-License-Identifier: MIT

package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

var requestsByID = order[models.Request]{"requests", "id", func(r *models.Request) string { return string(r.ID) }}

// RequestFilter selects requests; empty fields select all.
type RequestFilter struct {
	Page
	DomainID models.DomainID
	DeviceID models.DeviceID
	State    models.RequestState
	Domains  []models.DomainID // nil: all; empty: none
}

// unfinished is the condition of the index requests_unfinished, word for word.
const unfinished = "state IN ('received', 'waiting', 'approved', 'reserved')"

// requestIdentity are the columns that never change: what was asked, by whom,
// and what policy said to it. (Naming an indexed column in an UPDATE costs an
// entry of the index, be its value the same.)
var requestIdentity = []string{
	"key", "kind", "protocol", "domain_id", "device_id", "profile_name", "profile_version", "csr",
	"auth_method", "auth_subject", "predecessor_id", "decision",
}

// InsertRequest adds r unless there is a request with the same key. Then it
// reports false and r becomes the row that exists.
func (tx *Tx) InsertRequest(r *models.Request) (inserted bool, err error) {
	if err := known(models.RequestTransitions, "request", r.State); err != nil {
		return false, err
	}
	if r.Key == "" {
		return false, models.Errorf(models.KindInvalid, "the request has no key")
	}
	tx.fresh((*string)(&r.ID), &r.Revision, &r.CreatedAt, &r.UpdatedAt)
	inserted, err = tx.insert(r, quoted("request", r.ID), "key")
	if inserted || err != nil {
		return inserted, err
	}
	now, err := tx.FindRequestByKey(tx.ctx, r.Key)
	if err == nil {
		*r = *now
	}
	return false, err
}

// SaveRequest writes how far the request has come, but nothing of what was
// asked and decided, with one statement when nothing is in the way. It is KindConflict if r is not the present
// revision or its state cannot follow the present one.
func (tx *Tx) SaveRequest(r *models.Request) error {
	l := lock{quoted("request", r.ID), string(r.ID), &r.Revision, &r.UpdatedAt}
	saved, err := tx.save(r, l, requestIdentity, "state IN ?", predecessors(models.RequestTransitions, r.State))
	if saved || err != nil {
		return err
	}
	now, err := tx.FindRequest(tx.ctx, r.ID)
	if err != nil {
		return err
	}
	return refused(l, now.Revision, models.RequestTransitions, now.State, r.State)
}

// FindRequest returns the request with this identifier.
func (q *Queries) FindRequest(ctx context.Context, id models.RequestID) (*models.Request, error) {
	return find[models.Request](ctx, q, quoted("request", id), "id = ?", id)
}

// FindRequestByKey returns the request with this key.
func (q *Queries) FindRequestByKey(ctx context.Context, key string) (*models.Request, error) {
	return find[models.Request](ctx, q, quoted("request with key", key), "key = ?", key)
}

// ListRequests returns requests, newest last.
func (q *Queries) ListRequests(ctx context.Context, f RequestFilter) ([]models.Request, string, error) {
	query := matching(within(q.with(ctx), f.Domains), "domain_id", f.DomainID)
	query = inState(matching(query, "device_id", f.DeviceID), f.State)
	return list(q, query, requestsByID, f.Page)
}

// inState adds the words that let the partial index requests_state be used.
func inState(query *gorm.DB, s models.RequestState) *gorm.DB {
	if s != "" && s != models.RequestIssued {
		query = query.Where("state <> 'issued'")
	}
	return matching(query, "state", s)
}

// UnfinishedRequests returns at most limit (and MaxLimit) requests that are not in a final
// state, after the one given, oldest first.
func (q *Queries) UnfinishedRequests(ctx context.Context, after models.RequestID, limit int) ([]models.Request, error) {
	if limit <= 0 || limit > MaxLimit {
		limit = MaxLimit
	}
	var rows []models.Request
	err := q.with(ctx).Where(unfinished).Where("id > ?", after).Order("id").Limit(limit).Find(&rows).Error
	return rows, q.check(err, "unfinished requests")
}
