// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
)

// Sealed is what one round of SealAudit did.
type Sealed struct {
	Events int  // that got their place in the chain
	More   bool // there are more; call again at once
	Busy   bool // another process is at it
	Forged int  // of Events: those without a valid code after others had one
	Tip    audit.Tip
}

// sealing is what a store remembers between rounds on PostgreSQL: below which
// position events may still be missing, and the number that every transaction
// that could bring them has to be lower than.
type sealing struct {
	mu     sync.Mutex
	below  int64
	before uint64
}

// SealAudit gives the next committed events, at most limit (and 8 blocks), their
// places in the chain, in the order of their positions and without leaving one
// out. Processes may call it at the same time: one works, for the others the
// result is Busy. What waits for an event whose transaction has not ended yet
// is left to a later call.
func (s *Store) SealAudit(ctx context.Context, limit int) (Sealed, error) {
	limit = min(max(limit, 1), 8*audit.MaxEntries)
	if s.writer == nil {
		return s.sealPostgres(ctx, limit)
	}
	end, err := s.auditEnd(ctx)
	if err != nil {
		return Sealed{}, err
	}
	rows, err := s.eventRows(ctx, end.position, limit)
	if err != nil || len(rows) == 0 {
		return Sealed{Tip: end.tip}, err
	}
	var sealed Sealed
	err = s.Write(ctx, func(tx *Tx) error {
		now, err := tx.auditEnd(ctx)
		if err != nil {
			return err
		}
		if now != end {
			sealed = Sealed{Busy: true}
			return nil
		}
		sealed, err = tx.seal(end, rows)
		return err
	})
	sealed.More = len(rows) == limit
	return sealed, err
}

func (s *Store) sealPostgres(ctx context.Context, limit int) (Sealed, error) {
	var sealed Sealed
	s.sealing.mu.Lock()
	defer s.sealing.mu.Unlock()
	err := s.Write(ctx, func(tx *Tx) error {
		var mine bool
		lock := "SELECT pg_try_advisory_xact_lock(hashtextextended('trustloom audit ' || current_schema(), 0))"
		if err := tx.session().Raw(lock).Scan(&mine).Error; err != nil || !mine {
			sealed.Busy = true
			return tx.check(err, "audit chain")
		}
		end, err := tx.auditEnd(ctx)
		if err != nil {
			return err
		}
		rows, complete, err := s.unsealed(ctx, tx, end.position, limit)
		if err != nil {
			return err
		}
		if sealed, err = tx.seal(end, rows); err != nil {
			return err
		}
		sealed.More = complete && len(rows) == limit
		return nil
	})
	return sealed, err
}

// unsealed returns the events after a position up to the first that may still
// come. A position that is missing belongs to a transaction that has not ended
// or was rolled back. Its number is lower than one taken now, because it took
// the number before the position; so once every transaction below that number
// has ended, a position that is still missing stays so for ever. complete
// reports that nothing was held back.
func (s *Store) unsealed(ctx context.Context, tx *Tx, position int64, limit int) (rows []Row, complete bool, err error) {
	ended, err := tx.number("SELECT pg_snapshot_xmin(pg_current_snapshot())::text") // before the events are read
	if err != nil {
		return nil, false, err
	}
	if rows, err = tx.eventRows(ctx, position, limit); err != nil {
		return nil, false, err
	}
	next := position + 1
	for i, row := range rows {
		gone := row.Position <= s.sealing.below && ended >= s.sealing.before
		if row.Position > next && !gone {
			if row.Position > s.sealing.below { // everything that is missing among these rows
				s.sealing.below = rows[len(rows)-1].Position
				s.sealing.before, err = tx.number("SELECT pg_current_xact_id()::text")
			}
			return rows[:i], false, err
		}
		next = row.Position + 1
	}
	return rows, true, nil
}

func (tx *Tx) number(query string) (uint64, error) {
	var text string
	if err := tx.session().Raw(query).Scan(&text).Error; err != nil {
		return 0, tx.check(err, "audit chain")
	}
	return strconv.ParseUint(text, 10, 64)
}

// Row is an event with its position.
type Row = audit.Row

// seal appends blocks of rows to the chain.
func (tx *Tx) seal(end auditEnd, rows []Row) (Sealed, error) {
	sealed := Sealed{Tip: end.tip, Events: len(rows)}
	authenticated := end.authenticated
	for len(rows) > 0 {
		part := rows[:min(len(rows), audit.MaxEntries)]
		rows = rows[len(part):]
		entries := make([]audit.Entry, len(part))
		for i := range part {
			entries[i] = audit.NewEntry(&part[i].Event, tx.key)
			if authenticated && !entries[i].Authenticated {
				sealed.Forged++
			}
			authenticated = authenticated || entries[i].Authenticated
		}
		var block *models.AuditBlock
		block, sealed.Tip = audit.Seal(sealed.Tip, entries, part[len(part)-1].Position)
		block.SealedAt = tx.clock()
		if err := tx.session().Create(block).Error; err != nil {
			return Sealed{}, tx.check(err, "audit chain")
		}
	}
	return sealed, nil
}

// auditEnd is where the chain ends.
type auditEnd struct {
	tip           audit.Tip
	position      int64
	authenticated bool // events there have codes
}

func (q *Queries) auditEnd(ctx context.Context) (auditEnd, error) {
	var blocks []models.AuditBlock
	if err := q.with(ctx).Order("last_seq DESC").Limit(1).Find(&blocks).Error; err != nil || len(blocks) == 0 {
		return auditEnd{}, q.check(err, "audit chain")
	}
	end := auditEnd{tip: audit.Tip{Seq: blocks[0].LastSeq}, position: blocks[0].Position}
	copy(end.tip.Hash[:], blocks[0].Hash)
	entries, err := audit.ParseEntries(blocks[0].Entries)
	if err == nil && len(entries) > 0 { // damaged: audit verify tells
		end.authenticated = entries[len(entries)-1].Authenticated
	}
	return end, nil
}

// AuditState is how far the chain is behind the events.
type AuditState struct {
	Tip      audit.Tip
	Waiting  time.Time // when the oldest event without a place was written; zero if there is none
	LastHead *models.AuditHead
}

// AuditState returns the end of the chain and what waits for its place.
func (q *Queries) AuditState(ctx context.Context) (AuditState, error) {
	end, err := q.auditEnd(ctx)
	if err != nil {
		return AuditState{}, err
	}
	state := AuditState{Tip: end.tip}
	rows, err := q.eventRows(ctx, end.position, 1)
	if err != nil {
		return AuditState{}, err
	}
	if len(rows) > 0 {
		state.Waiting = rows[0].Event.At
	}
	state.LastHead, err = q.LastAuditHead(ctx)
	return state, err
}

// CountUnsealed counts the events that wait for their places in the chain, up
// to a limit.
func (q *Queries) CountUnsealed(ctx context.Context, limit int) (int, error) {
	end, err := q.auditEnd(ctx)
	if err != nil {
		return 0, err
	}
	var waiting int
	err = q.with(ctx).Raw("SELECT COUNT(*) FROM (SELECT position FROM events WHERE position > ? ORDER BY position LIMIT ?) AS waiting", end.position, limit).Scan(&waiting).Error
	return waiting, q.check(err, "events")
}

const eventColumns = "position, id, at, actor, address, action, noun, subject_id, domain_id, device_id, request_id, workflow_id, run_id, details, mac"

// eventRows returns at most limit events with a position above after, in order.
func (q *Queries) eventRows(ctx context.Context, after int64, limit int) ([]Row, error) {
	given := ""
	if q.db.Name() != sqliteDriver { // a row that somebody placed far ahead must not make the chain jump
		given = " AND position <= (SELECT last_value FROM events_position)"
	}
	rows, err := q.with(ctx).Raw("SELECT "+eventColumns+" FROM events WHERE position > ?"+given+" ORDER BY position LIMIT ?", after, limit).Rows()
	return scanEvents(q, rows, err)
}

// eventsBetween returns the events with a position above after and up to last.
func (q *Queries) eventsBetween(ctx context.Context, after, last int64, limit int) ([]Row, error) {
	rows, err := q.with(ctx).Raw("SELECT "+eventColumns+" FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?", after, last, limit).Rows()
	return scanEvents(q, rows, err)
}

// scanEvents reads rows without gorm, which would take several times as long.
// Rows that somebody put there by force are read as well, whatever they hold.
func scanEvents(q *Queries, rows *sql.Rows, err error) ([]Row, error) {
	if err != nil {
		return nil, q.check(err, "events")
	}
	defer func() { _ = rows.Close() }()
	var all []Row
	for rows.Next() {
		var r Row
		var at any
		var details sql.NullString
		e := &r.Event
		err := rows.Scan(&r.Position, &e.ID, &at, &e.Actor, &e.Address, &e.Action, &e.Noun, &e.SubjectID, &e.DomainID, &e.DeviceID,
			&e.RequestID, &e.WorkflowID, &e.RunID, &details, &e.MAC)
		if err != nil {
			return nil, q.check(err, "events")
		}
		readDetails(e, details.String)
		if t, ok := at.(time.Time); ok {
			e.At = t.UTC()
		} else {
			readDetails(e, fmt.Sprintf("at %v", at))
		}
		all = append(all, r)
	}
	return all, q.check(rows.Err(), "events")
}

// readDetails reads the JSON of details; what is none stands under no name.
func readDetails(e *models.Event, text string) {
	if text == "" || text == "null" {
		return
	}
	details := map[string]string{}
	if err := json.Unmarshal([]byte(text), &details); err != nil {
		details = map[string]string{"": text}
	}
	if e.Details == nil {
		e.Details = details
		return
	}
	for key, value := range details {
		e.Details[key] += value
	}
}

// ActionAuditKeyUsed is the event of an audit-signing key's first use. Its
// subject is the KeyID.
const ActionAuditKeyUsed = "audit.key-used"

// AuditKeys returns the KeyIDs of the keys that this installation noted when it
// began to sign heads with them, in events that carry its code. A store without
// the key of the codes cannot tell those from others and returns all.
func (q *Queries) AuditKeys(ctx context.Context) ([]string, error) {
	var ids []string
	for page := (Page{Limit: MaxLimit}); ; {
		events, next, err := q.ListEvents(ctx, EventFilter{Page: page, Action: ActionAuditKeyUsed})
		if err != nil {
			return nil, err
		}
		for i := range events {
			if !q.key.Known() || q.Authentic(&events[i]) {
				ids = append(ids, events[i].SubjectID)
			}
		}
		if page.Cursor = next; next == "" {
			return ids, nil
		}
	}
}

// AddAuditHead stores a signed head unless there is one of the same place.
func (tx *Tx) AddAuditHead(h *models.AuditHead) error {
	_, err := tx.insert(h, "head of the audit chain")
	return err
}

// LastAuditHead returns the signed head with the highest place, or nil.
func (q *Queries) LastAuditHead(ctx context.Context) (*models.AuditHead, error) {
	var heads []models.AuditHead
	err := q.with(ctx).Order("seq DESC").Limit(1).Find(&heads).Error
	if err != nil || len(heads) == 0 {
		return nil, q.check(err, "heads of the audit chain")
	}
	return &heads[0], nil
}

// AuditHeads returns at most limit heads of places above after, in order.
func (q *Queries) AuditHeads(ctx context.Context, after int64, limit int) ([]models.AuditHead, error) {
	return listAudit[models.AuditHead](q, q.with(ctx).Where("seq > ?", after).Order("seq"), limit)
}

func listAudit[T any](q *Queries, query *gorm.DB, limit int) ([]T, error) {
	var rows []T
	return rows, q.check(query.Limit(limit).Find(&rows).Error, "audit chain")
}
