// SPDX-License-Identifier: MIT

package audit

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Row is an event with its position in the table of events.
type Row struct {
	Position int64
	Event    models.Event
}

// The kinds of finding. All but FindingClock and FindingUnsealed mean that the log is not what
// Trustloom wrote.
const (
	FindingEdited    = "edited"    // a field of an event was changed
	FindingDeleted   = "deleted"   // an event of the chain is not there
	FindingInserted  = "inserted"  // an event without a place in the chain
	FindingReordered = "reordered" // events changed places
	FindingForged    = "forged"    // an event that no Trustloom wrote
	FindingChain     = "chain"     // the chain itself was changed
	FindingTruncated = "truncated" // the chain is shorter than a signed head says
	FindingHead      = "head"      // a signed head contradicts the chain, or is not valid
	FindingUnsealed  = "unsealed"  // a genuine event waits for its place: no server was there to give it one
	FindingClock     = "clock"     // an event says a much earlier time than those before it
)

// Finding is something that is wrong with the log, in words for a person.
type Finding struct {
	Kind    string `json:"kind"`
	Seq     int64  `json:"seq"` // place in the chain; of the place before for what has none
	EventID string `json:"event_id,omitempty"`
	Text    string `json:"text"`
}

// Notice reports whether the finding only asks for attention.
func (f Finding) Notice() bool { return f.Kind == FindingClock || f.Kind == FindingUnsealed }

// MaxFindings is after how many findings a check says no more.
const MaxFindings = 20

// clockTolerance is how far back an event's time may lie behind those before
// it: transactions overlap, and the clocks of several servers differ.
const clockTolerance = 10 * time.Minute

// Trust is what a check compares with, besides the log itself.
type Trust struct {
	Events Key      // that of the installation; the zero Key where it is not at hand
	Heads  []string // KeyID of the keys that sign heads; none: any
}

// Walk goes along the chain from its beginning and collects what is wrong. It
// holds all there is to know for going on later, also elsewhere: it is the
// state of a check. The zero Walk stands before the first event.
type Walk struct {
	Tip
	Position      int64     `json:"position,omitempty"` // in the table of events
	Authenticated bool      `json:"authenticated,omitempty"`
	LatestAt      time.Time `json:"latest_at,omitzero"`
	ClockBehind   bool      `json:"clock_behind,omitempty"`
	Heads         int64     `json:"heads,omitempty"` // valid ones that agree
	Findings      []Finding `json:"findings,omitempty"`
}

// Sound reports whether nothing was found that means tampering.
func (w *Walk) Sound() bool {
	return !slices.ContainsFunc(w.Findings, func(f Finding) bool { return !f.Notice() })
}

// Full reports whether there are so many findings that more say nothing new.
func (w *Walk) Full() bool { return len(w.Findings) >= MaxFindings }

// Find adds a finding.
func (w *Walk) Find(kind string, seq int64, id models.EventID, format string, args ...any) {
	if !w.Full() {
		w.Findings = append(w.Findings, Finding{Kind: kind, Seq: seq, EventID: string(clipID(id)), Text: fmt.Sprintf(format, args...)})
	}
}

// Block checks the next block against the rows of the table of events that lie
// between the position of the block before and its own, in order, and against
// the heads whose places are in it. Then w stands behind the block.
func (w *Walk) Block(b *models.AuditBlock, rows []Row, heads []models.AuditHead, trust Trust) {
	if b.FirstSeq != w.Seq+1 {
		w.Find(FindingChain, w.Seq+1, "", "the chain goes on with place %d after place %d: what was between them was deleted or changed", b.FirstSeq, w.Seq)
	}
	entries, err := ParseEntries(b.Entries)
	if err != nil || int64(len(entries)) != b.LastSeq-b.FirstSeq+1 || b.Format != Format {
		w.Find(FindingChain, b.FirstSeq, "", "the record of places %d to %d of the chain is damaged", b.FirstSeq, b.LastSeq)
		w.jump(b)
		return
	}
	start, tip := w.Seq, w.Tip
	for _, e := range entries {
		tip = tip.Next(e.Digest)
		heads = w.checkHeads(heads, tip, trust)
		w.origin(e.Authenticated, tip.Seq, e.EventID)
	}
	if !bytes.Equal(tip.Hash[:], b.Hash) && start+1 == b.FirstSeq {
		w.Find(FindingChain, b.FirstSeq, "", "the hash of the chain at place %d does not follow from the places before it: their record was changed", b.LastSeq)
	}
	w.compare(b.FirstSeq, entries, rows, trust.Events)
	w.jump(b)
}

// jump goes on behind a block with the hash that it says, so that what comes
// later is judged by itself.
func (w *Walk) jump(b *models.AuditBlock) {
	w.Tip = Tip{Seq: b.LastSeq}
	copy(w.Hash[:], b.Hash)
	w.Position = b.Position
}

// checkHeads compares the heads of a place with it and returns the others.
func (w *Walk) checkHeads(heads []models.AuditHead, tip Tip, trust Trust) []models.AuditHead {
	for len(heads) > 0 && heads[0].Seq <= tip.Seq {
		w.Head(&heads[0], tip, trust)
		heads = heads[1:]
	}
	return heads
}

// Head checks a signed head against the place of the chain that it is of.
func (w *Walk) Head(h *models.AuditHead, tip Tip, trust Trust) {
	switch err := CheckHead(h); {
	case err != nil:
		w.Find(FindingHead, h.Seq, "", "the signed head of %s: %s", h.At.UTC().Format(time.RFC3339), models.PublicText(err))
	case len(trust.Heads) > 0 && !slices.Contains(trust.Heads, h.KeyID):
		w.Find(FindingHead, h.Seq, "", "the head signed at %s was signed with a key (%.16s...) that is not the audit-signing key of this installation", h.At.UTC().Format(time.RFC3339), h.KeyID)
	case h.Seq != tip.Seq || !bytes.Equal(h.Hash, tip.Hash[:]):
		w.Find(FindingHead, h.Seq, "", "the head signed at %s says another hash at place %d: the log up to there was rewritten afterwards", h.At.UTC().Format(time.RFC3339), h.Seq)
	default:
		w.Heads++
	}
}

// origin notes whether events are authenticated. Those written before there
// were codes come first; after them each must have one.
func (w *Walk) origin(authenticated bool, seq int64, id models.EventID) {
	if w.Authenticated && !authenticated {
		w.Find(FindingForged, seq, id, "event %s was not written by Trustloom (or by a process with another sealing key): its authentication code is missing or wrong", id)
	}
	w.Authenticated = w.Authenticated || authenticated
}

// clock notes an event whose time lies far behind those before it. A clock
// that was set back is said once.
func (w *Walk) clock(at time.Time, seq int64, id models.EventID) {
	behind := at.Before(w.LatestAt.Add(-clockTolerance))
	if behind && !w.ClockBehind {
		w.Find(FindingClock, seq, id, "event %s says %s, but one before it says %s: it was dated back, or a clock was wrong",
			id, at.UTC().Format(time.RFC3339), w.LatestAt.UTC().Format(time.RFC3339))
	}
	if w.ClockBehind = behind; !behind && at.After(w.LatestAt) {
		w.LatestAt = at
	}
}

// compare checks the rows of the table against the entries of a block.
func (w *Walk) compare(first int64, entries []Entry, rows []Row, key Key) {
	inTable, inChain := map[models.EventID]bool{}, map[models.EventID]bool{}
	for i := range rows {
		inTable[clipID(rows[i].Event.ID)] = true
	}
	for _, e := range entries {
		inChain[e.EventID] = true
	}
	i, j := 0, 0
	for i < len(entries) || j < len(rows) {
		seq := first + int64(i)
		switch {
		case j < len(rows) && !inChain[clipID(rows[j].Event.ID)]:
			w.Find(FindingInserted, seq-1, rows[j].Event.ID, "event %s (%s) has no place in the chain: it was put into the database after place %d was sealed",
				clipID(rows[j].Event.ID), rows[j].Event.Action, seq-1)
			j++
		case i < len(entries) && !inTable[entries[i].EventID]:
			w.Find(FindingDeleted, seq, entries[i].EventID, "event %s of place %d is not there any more", entries[i].EventID, seq)
			i++
		case i == len(entries) || j == len(rows):
			return // the same event twice: the chain's own hash tells
		default:
			w.compareOne(seq, entries[i], &rows[j], key)
			i, j = i+1, j+1
		}
	}
}

func (w *Walk) compareOne(seq int64, e Entry, row *Row, key Key) {
	id := clipID(row.Event.ID)
	if id != e.EventID {
		w.Find(FindingReordered, seq, id, "event %s is where event %s belongs (place %d): events changed places", id, e.EventID, seq)
		return
	}
	encoded := Encode(&row.Event)
	if Digest(encoded, e.Authenticated) != e.Digest {
		w.Find(FindingEdited, seq, id, "event %s (%s, place %d) was changed after it was written", id, row.Event.Action, seq)
		return
	}
	if e.Authenticated && key.Known() && !key.Valid(encoded, row.Event.MAC) {
		w.Find(FindingEdited, seq, id, "the authentication code of event %s (place %d) was changed after it was written", id, seq)
	}
	w.clock(row.Event.At, seq, id)
}

// Beyond notes a head that is of a place behind the end of the chain.
func (w *Walk) Beyond(h *models.AuditHead) {
	w.Find(FindingTruncated, w.Seq, "", "the chain ends at place %d, but the head signed at %s is of place %d: %d events at the end were cut off",
		w.Seq, h.At.UTC().Format(time.RFC3339), h.Seq, h.Seq-w.Seq)
}
