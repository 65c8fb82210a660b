// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
)

// How long an event may be without a place before it is suspicious, and how
// much a step of CheckAudit reads.
const (
	sealingTolerance = 5 * time.Minute
	blocksAtOnce     = 50
	rowsPerBlock     = 4 * audit.MaxEntries // a block has audit.MaxEntries; more were put between them
)

// CheckAudit goes on with the check of the audit chain of this database from
// where walk stands, over some thousand events, and reports whether it came to
// the end. What is wrong is in walk.Findings. heads are the KeyIDs of the keys
// that sign heads here; none means that any is taken for right. It is invariant I8 of the
// reliability reference: a finding that is no notice breaks it.
//
//	for walk, done := (audit.Walk{}), false; !done && err == nil && !walk.Full(); {
//		done, err = store.CheckAudit(ctx, &walk, nil)
//	}
func (q *Queries) CheckAudit(ctx context.Context, walk *audit.Walk, heads []string) (done bool, err error) {
	blocks, err := listAudit[models.AuditBlock](q, q.with(ctx).Where("last_seq > ?", walk.Seq).Order("last_seq"), blocksAtOnce)
	if err != nil {
		return false, err
	}
	for i := range blocks {
		if err := q.checkBlock(ctx, walk, &blocks[i], audit.Trust{Events: q.key, Heads: heads}); err != nil {
			return false, err
		}
		if walk.Full() {
			return true, nil
		}
	}
	if len(blocks) == blocksAtOnce {
		return false, nil
	}
	return true, q.checkEnd(ctx, walk)
}

func (q *Queries) checkBlock(ctx context.Context, walk *audit.Walk, b *models.AuditBlock, trust audit.Trust) error {
	rows, err := q.eventsBetween(ctx, walk.Position, b.Position, rowsPerBlock)
	if err != nil {
		return err
	}
	heads, err := listAudit[models.AuditHead](q, q.with(ctx).Where("seq > ? AND seq <= ?", walk.Seq, b.LastSeq).Order("seq"), audit.MaxEntries)
	if err != nil {
		return err
	}
	walk.Block(b, rows, heads, trust)
	return nil
}

// checkEnd looks at what lies behind the end of the chain: heads of places
// that it does not have, and events that should have one. An event that was
// written while the check came here is neither.
func (q *Queries) checkEnd(ctx context.Context, walk *audit.Walk) error {
	end, err := q.auditEnd(ctx)
	if err != nil {
		return err
	}
	heads, err := q.AuditHeads(ctx, max(walk.Seq, end.tip.Seq), 1)
	if err != nil {
		return err
	}
	for i := range heads {
		walk.Beyond(&heads[i])
	}
	rows, err := q.eventsBetween(ctx, -1<<62, 0, 1) // no event has such a position
	if err != nil {
		return err
	}
	if end.tip.Seq == walk.Seq {
		later, err := q.eventRows(ctx, walk.Position, audit.MaxFindings)
		if err != nil {
			return err
		}
		rows = append(rows, later...)
	}
	for i := range rows {
		e := &rows[i].Event
		switch late := q.clock().Sub(e.At) > sealingTolerance; {
		case late && rows[i].Position > 0 && q.Authentic(e):
			walk.Find(audit.FindingUnsealed, walk.Seq, e.ID, "event %s (%s) of %s waits for its place in the chain: no server seals events (see monitoring)",
				e.ID, e.Action, e.At.UTC().Format(time.RFC3339))
		case late || rows[i].Position < 1:
			walk.Find(audit.FindingInserted, walk.Seq, e.ID, "event %s (%s) of %s has no place in the chain: it was put into the database by force, or no server seals events (see /readyz)",
				e.ID, e.Action, e.At.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// ChainPart is some of the chain with its events, for an export.
type ChainPart struct {
	Entries []ChainEntry
	Next    int64 // place after which to go on; 0 at the end
}

// ChainEntry is an event at its place. Hash is that of the chain up to it.
type ChainEntry struct {
	audit.Tip
	Authenticated bool
	Event         models.Event
}

// ReadChain returns the events with the places after a given one, about a
// thousand. Whether they are what was sealed is not checked here.
func (q *Queries) ReadChain(ctx context.Context, after int64) (ChainPart, error) {
	before, err := listAudit[models.AuditBlock](q, q.with(ctx).Where("last_seq <= ?", after).Order("last_seq DESC"), 1)
	if err != nil {
		return ChainPart{}, err
	}
	var tip audit.Tip
	var position int64
	if len(before) > 0 {
		tip.Seq, position = before[0].LastSeq, before[0].Position
		copy(tip.Hash[:], before[0].Hash)
	}
	if tip.Seq != after {
		return ChainPart{}, models.Errorf(models.KindInvalid, "place %d is not one after which a part of the audit chain begins", after)
	}
	blocks, err := listAudit[models.AuditBlock](q, q.with(ctx).Where("last_seq > ?", after).Order("last_seq"), blocksAtOnce)
	if err != nil {
		return ChainPart{}, err
	}
	var part ChainPart
	for i := range blocks {
		b := &blocks[i]
		if part.Entries, err = q.readBlock(ctx, part.Entries, &tip, position, b); err != nil {
			return ChainPart{}, err
		}
		position, part.Next = b.Position, b.LastSeq
		if len(part.Entries) >= 2*audit.MaxEntries {
			return part, nil
		}
	}
	if len(blocks) < blocksAtOnce {
		part.Next = 0
	}
	return part, nil
}

func (q *Queries) readBlock(ctx context.Context, to []ChainEntry, tip *audit.Tip, position int64, b *models.AuditBlock) ([]ChainEntry, error) {
	entries, err := audit.ParseEntries(b.Entries)
	if err != nil {
		return nil, err
	}
	rows, err := q.eventsBetween(ctx, position, b.Position, rowsPerBlock)
	if err != nil {
		return nil, err
	}
	for i, e := range entries {
		if i >= len(rows) || string(rows[i].Event.ID) != string(e.EventID) {
			return nil, models.Errorf(models.KindConflict, "the events in the database do not agree with the audit chain at place %d: run trustloom audit verify", tip.Seq+1)
		}
		*tip = tip.Next(e.Digest)
		to = append(to, ChainEntry{Tip: *tip, Authenticated: e.Authenticated, Event: rows[i].Event})
	}
	return to, nil
}

// ChainHash returns the hash of the chain at a place. It is KindNotFound if
// the chain does not reach it.
func (q *Queries) ChainHash(ctx context.Context, seq int64) (audit.Hash, error) {
	blocks, err := listAudit[models.AuditBlock](q, q.with(ctx).Where("last_seq >= ?", seq).Order("last_seq"), 1)
	if err != nil {
		return audit.Hash{}, err
	}
	if len(blocks) == 0 || blocks[0].FirstSeq > seq {
		return audit.Hash{}, models.Errorf(models.KindNotFound, "the audit chain has no place %d", seq)
	}
	before, err := listAudit[models.AuditBlock](q, q.with(ctx).Where("last_seq < ?", seq).Order("last_seq DESC"), 1)
	if err != nil {
		return audit.Hash{}, err
	}
	tip := audit.Tip{Seq: blocks[0].FirstSeq - 1}
	if len(before) > 0 {
		copy(tip.Hash[:], before[0].Hash)
	}
	entries, err := audit.ParseEntries(blocks[0].Entries)
	if err != nil {
		return audit.Hash{}, err
	}
	for _, e := range entries {
		if tip.Seq < seq {
			tip = tip.Next(e.Digest)
		}
	}
	return tip.Hash, nil
}
