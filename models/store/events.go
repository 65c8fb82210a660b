// SPDX-License-Identifier: MIT

package store

import (
	"context"

	"github.com/trustloom/trustloom/models"
)

var eventsByID = order[models.Event]{"events", "id", func(e *models.Event) string { return string(e.ID) }}

// EventFilter selects audit events; empty fields select all.
type EventFilter struct {
	Page
	Action    string
	Noun      string
	SubjectID string
	DeviceID  models.DeviceID
	RequestID models.RequestID
	Domains   []models.DomainID // nil: all; empty: none
}

// Audit adds an audit event about the change that this transaction makes. It
// sets the event's ID and time. The event is written with the others of the
// transaction before that commits; reads within the transaction do not see it.
func (tx *Tx) Audit(e models.Event) error {
	if *tx.broken != nil {
		return *tx.broken
	}
	e.ID, e.At = models.NewID[models.EventID](), tx.clock()
	tx.events = append(tx.events, e)
	return nil
}

// flushEvents writes what Audit collected.
func (tx *Tx) flushEvents() error {
	if len(tx.events) == 0 {
		return nil
	}
	err := tx.session().Create(&tx.events).Error
	tx.events = nil
	return tx.check(err, "events")
}

// ListEvents returns audit events, newest last.
func (q *Queries) ListEvents(ctx context.Context, f EventFilter) ([]models.Event, string, error) {
	query := within(q.with(ctx), f.Domains)
	if f.Noun != "" && f.Noun != "certificate" && f.Noun != "request" {
		query = query.Where("noun NOT IN ('certificate', 'request')") // the words of the partial index
	}
	if f.DeviceID != "" {
		query = query.Where("device_id <> ''")
	}
	if f.RequestID != "" {
		query = query.Where("request_id <> ''")
	}
	query = matching(matching(query, "action", f.Action), "noun", f.Noun)
	query = matching(matching(query, "subject_id", f.SubjectID), "device_id", f.DeviceID)
	return list(q, matching(query, "request_id", f.RequestID), eventsByID, f.Page)
}
