// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
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
	Actor     string            // "operator:alice", "device:press-01", "system"
	Since     time.Time         // from here on
	Until     time.Time         // before
	Domains   []models.DomainID // nil: all; empty: none
}

// Origin says on whose behalf a transaction writes. What an event leaves empty
// is filled in from it.
type Origin struct {
	Actor      string // "operator:alice", "device:press-01"
	Address    string
	RequestID  string // of the boundary, as in the log; goes into the details
	WorkflowID string
	RunID      string
}

type originKey struct{}

// WithOrigin returns a context for Write whose audit events name the origin.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// Audit adds an audit event about the change that this transaction makes. It
// sets the event's ID, time and code, and what it leaves empty from the
// context's Origin. Without an actor the device that the event is about is the
// actor, and what a device does is about that device; an event with neither is
// KindInternal. The event is
// written with the others of the transaction before that commits, and if it
// cannot be, nothing is; reads within the transaction do not see it.
func (tx *Tx) Audit(e models.Event) error {
	if *tx.broken != nil {
		return *tx.broken
	}
	if o, ok := tx.ctx.Value(originKey{}).(Origin); ok {
		o.fill(&e)
	}
	if e.Actor == "" && e.DeviceID != "" {
		var err error
		if e.Actor, err = tx.deviceActor(e.DeviceID); err != nil {
			return err
		}
	}
	if name, is := strings.CutPrefix(e.Actor, actorDevice); is && e.DeviceID == "" {
		var err error
		if e.DeviceID, err = tx.deviceOf(tx.ctx, name); err != nil {
			return err
		}
	}
	if e.Actor == "" {
		return models.Errorf(models.KindInternal, "the audit event %s names no actor", e.Action)
	}
	e.ID, e.At = models.NewID[models.EventID](), tx.clock()
	storable(&e)
	e.MAC = tx.key.Code(audit.Encode(&e))
	tx.events = append(tx.events, e)
	return nil
}

// deviceActor names a device as an actor. One that is gone has its identifier.
func (tx *Tx) deviceActor(id models.DeviceID) (string, error) {
	device, err := tx.FindDevice(tx.ctx, id)
	if models.KindOf(err) == models.KindNotFound {
		return "device:" + string(id), nil
	}
	if err != nil {
		return "", err
	}
	return "device:" + device.Name, nil
}

// Authentic reports whether an event carries the code of this installation's
// key: nobody can have written it who has only the database.
func (q *Queries) Authentic(e *models.Event) bool { return q.key.Valid(audit.Encode(e), e.MAC) }

func (o Origin) fill(e *models.Event) {
	setDefault(&e.Actor, o.Actor)
	setDefault(&e.Address, o.Address)
	setDefault(&e.WorkflowID, o.WorkflowID)
	if e.WorkflowID == o.WorkflowID {
		setDefault(&e.RunID, o.RunID)
	}
	if o.RequestID != "" && e.Details["request_id"] == "" {
		e.Details = maps.Clone(e.Details)
		if e.Details == nil {
			e.Details = map[string]string{}
		}
		e.Details["request_id"] = o.RequestID
	}
}

// storable removes from an event what a database would refuse or change: what
// is read later has to be what was authenticated.
func storable(e *models.Event) {
	for _, field := range []*string{&e.Actor, &e.Address, &e.Action, &e.Noun, &e.SubjectID, &e.WorkflowID, &e.RunID} {
		*field = readable(*field)
	}
	for key, value := range e.Details {
		if readable(key) != key || readable(value) != value {
			e.Details = readableMap(e.Details)
			return
		}
	}
}

func readable(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return clip(s, len(s))
}

func readableMap(m map[string]string) map[string]string {
	clean := make(map[string]string, len(m))
	for key, value := range m {
		clean[readable(key)] = readable(value)
	}
	return clean
}

// flushEvents writes what Audit collected.
func (tx *Tx) flushEvents() error {
	events := tx.collected()
	if len(events) == 0 {
		return nil
	}
	return tx.insertAll(events)
}

// collected takes what Audit collected.
func (tx *Tx) collected() []*models.Event {
	events := make([]*models.Event, len(tx.events))
	for i := range tx.events {
		events[i] = &tx.events[i]
	}
	tx.events = nil
	return events
}

// insertAll inserts events, which never conflict with any.
func (tx *Tx) insertAll(events []*models.Event) error {
	list, err := insertsOf(tx, events)
	if err != nil {
		return err
	}
	counts, err := tx.pipeline(list, "events")
	for i, n := range counts {
		if err == nil && int(n) != list[i].rows {
			err = models.Errorf(models.KindInternal, "an audit event has the identifier of another")
		}
	}
	return err
}

// actorDevice begins the actor of what a device did.
const actorDevice = "device:"

// deviceOf returns the device that is an actor; its identifier is its name if
// it is not there.
func (q *Queries) deviceOf(ctx context.Context, name string) (models.DeviceID, error) {
	device, err := q.FindDeviceByName(ctx, name)
	if models.KindOf(err) == models.KindNotFound {
		return models.DeviceID(name), nil
	}
	if err != nil {
		return "", err
	}
	return device.ID, nil
}

// ListEvents returns audit events, newest last.
func (q *Queries) ListEvents(ctx context.Context, f EventFilter) ([]models.Event, string, error) {
	if name, is := strings.CutPrefix(f.Actor, actorDevice); is && name != "" && f.DeviceID == "" {
		var err error // what a device does is about that device, and there is an index of those
		if f.DeviceID, err = q.deviceOf(ctx, name); err != nil {
			return nil, "", err
		}
	}
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
	if f.Actor != "" && !strings.HasPrefix(f.Actor, actorDevice) {
		query = query.Where("actor NOT LIKE 'device:%'") // the words of the partial index
	}
	query = during(matching(query, "actor", f.Actor), f.Since, f.Until)
	return list(q, matching(query, "request_id", f.RequestID), eventsByID, f.Page)
}

// idSlack is by how much the time in an event's identifier may differ from its
// own: they are taken from the same clock, one after the other.
const idSlack = time.Minute

// during restricts events to a time. Identifiers begin with the time (RFC 9562
// §5.7), so the index of identifiers serves.
func during(query *gorm.DB, since, until time.Time) *gorm.DB {
	if !since.IsZero() {
		query = query.Where("at >= ? AND id >= ?", instant(since), firstID(since.Add(-idSlack)))
	}
	if !until.IsZero() {
		query = query.Where("at < ? AND id < ?", instant(until), firstID(until.Add(idSlack)))
	}
	return query
}

// firstID is not after any identifier that was made at t or later.
func firstID(t time.Time) string {
	ms := fmt.Sprintf("%012x", uint64(max(t.UnixMilli(), 0)))
	return ms[:8] + "-" + ms[8:]
}
