// SPDX-License-Identifier: MIT

package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Record is an event of an exported file, at its place in the chain.
type Record struct {
	Seq           int64             `json:"seq"`
	Hash          string            `json:"hash"` // of the chain up to this place
	Authenticated bool              `json:"authenticated"`
	ID            string            `json:"id"`
	At            time.Time         `json:"at"`
	Actor         string            `json:"actor"`
	Address       string            `json:"address"`
	Action        string            `json:"action"`
	Noun          string            `json:"noun"`
	SubjectID     string            `json:"subject_id"`
	DomainID      string            `json:"domain_id"`
	DeviceID      string            `json:"device_id"`
	RequestID     string            `json:"request_id"`
	WorkflowID    string            `json:"workflow_id"`
	RunID         string            `json:"run_id"`
	Details       map[string]string `json:"details"`
}

// event returns the event that r is the record of.
func (r *Record) event() *models.Event {
	return &models.Event{
		ID: models.EventID(r.ID), At: r.At, Actor: r.Actor, Address: r.Address, Action: r.Action, Noun: r.Noun, SubjectID: r.SubjectID,
		DomainID: models.DomainID(r.DomainID), DeviceID: models.DeviceID(r.DeviceID), RequestID: models.RequestID(r.RequestID),
		WorkflowID: r.WorkflowID, RunID: r.RunID, Details: r.Details,
	}
}

// SignedHead is a head as it is kept and exported.
type SignedHead struct {
	Seq         int64     `json:"seq"`
	Hash        string    `json:"hash"`
	At          time.Time `json:"at"`
	KeyID       string    `json:"key_id"`      // hex SHA-256 of the SubjectPublicKeyInfo
	Certificate string    `json:"certificate"` // PEM
	Signature   []byte    `json:"signature"`   // base64; ECDSA with SHA-256
}

// maxHead bounds a head in text.
const maxHead = 16 << 10

// ParseHead reads the JSON of a SignedHead and checks its signature. It is
// KindInvalid for anything else.
func ParseHead(text []byte) (*models.AuditHead, error) {
	var h SignedHead
	if len(text) > maxHead || json.Unmarshal(text, &h) != nil {
		return nil, models.Errorf(models.KindInvalid, "this is not a signed head of an audit log as `trustloom audit head` writes it")
	}
	return h.head()
}

func (h *SignedHead) head() (*models.AuditHead, error) {
	hash, err := hex.DecodeString(h.Hash)
	block, rest := pem.Decode([]byte(h.Certificate))
	if err != nil || len(hash) != len(Hash{}) || block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, models.Errorf(models.KindInvalid, "the signed head of place %d is damaged", h.Seq)
	}
	head := &models.AuditHead{Seq: h.Seq, Hash: hash, At: h.At, KeyID: h.KeyID, Certificate: block.Bytes, Signature: h.Signature}
	return head, CheckHead(head)
}

// line is one line of an exported file; exactly one member is set.
type line struct {
	Export *exportStart `json:"trustloom_audit_export,omitempty"`
	Event  *Record      `json:"event,omitempty"`
	Head   *SignedHead  `json:"head,omitempty"`
	End    *exportEnd   `json:"end,omitempty"`
}

type exportStart struct {
	Format int       `json:"format"`
	At     time.Time `json:"at"`
}

type exportEnd struct {
	Tip
	Heads   int64 `json:"heads"`
	Waiting int   `json:"waiting,omitempty"` // events that had no place yet, which are not in the file
}

// Exporter writes an audit log as lines of JSON: a start, the events in the
// order of the chain, each followed by the signed heads of its place, an end.
type Exporter struct {
	to  *bufio.Writer
	end exportEnd
}

// NewExporter begins a file.
func NewExporter(to io.Writer, at time.Time) (*Exporter, error) {
	e := &Exporter{to: bufio.NewWriter(to)}
	return e, e.write(line{Export: &exportStart{Format: Format, At: models.UTC(at)}})
}

func (e *Exporter) write(l line) error {
	text, err := json.Marshal(l, json.Deterministic(true))
	if err == nil {
		_, err = e.to.Write(append(text, '\n'))
	}
	return err
}

// Event adds the next event.
func (e *Exporter) Event(r Record) error {
	e.end.Seq = r.Seq
	if err := e.end.Hash.UnmarshalText([]byte(r.Hash)); err != nil {
		return err
	}
	return e.write(line{Event: &r})
}

// Head adds a signed head, behind the event of its place.
func (e *Exporter) Head(h SignedHead) error {
	e.end.Heads++
	return e.write(line{Head: &h})
}

// Waiting notes how many events had no place in the chain yet, so that whoever
// checks the file knows of them.
func (e *Exporter) Waiting(events int) { e.end.Waiting = events }

// Close writes the end. The underlying writer stays open.
func (e *Exporter) Close() (Tip, error) {
	err := e.write(line{End: &e.end})
	return e.end.Tip, errors.Join(err, e.to.Flush())
}

// maxLine bounds a line of a file.
const maxLine = 1 << 20

// Report is what a check of a file found.
type Report struct {
	Walk
	Exported time.Time
	LastHead *models.AuditHead // of the file, nil if it has none
	Waiting  int               // events that had no place when the file was made, and are not in it
}

// CheckFile reads an exported file once, from its beginning, and reports what
// is wrong with it. kept are heads that were kept elsewhere: whatever they
// sign must be in the file as it was. Memory does not grow with the length of
// the file. The error is that of reading, or KindInvalid for what is no export.
func CheckFile(from io.Reader, trust Trust, kept []*models.AuditHead) (*Report, error) {
	c := &fileCheck{trust: trust, kept: slices.Clone(kept)}
	slices.SortFunc(c.kept, func(a, b *models.AuditHead) int { return cmp.Compare(a.Seq, b.Seq) })
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for !c.report.Full() && lines.Scan() {
		n++
		if err := c.line(n, lines.Bytes()); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, models.Errorf(models.KindInvalid, "line %d of the file cannot be read", n+1).Because(err)
	}
	if n == 0 {
		return nil, models.Errorf(models.KindInvalid, "the file is empty")
	}
	c.finish()
	return &c.report, nil
}

type fileCheck struct {
	report Report
	trust  Trust
	kept   []*models.AuditHead // that were not compared yet
	ended  bool
	heads  int64
}

func (c *fileCheck) line(n int, text []byte) error {
	var l line
	err := json.Unmarshal(text, &l, json.RejectUnknownMembers(true))
	if n == 1 {
		if err != nil || l.Export == nil || l.Export.Format != Format {
			return models.Errorf(models.KindInvalid, "this is not an audit log as `trustloom audit export` writes it").Because(err)
		}
		c.report.Exported = l.Export.At
		return nil
	}
	switch w := &c.report.Walk; {
	case c.ended:
		w.Find(FindingInserted, w.Seq, "", "line %d comes after the end of the log", n)
	case err == nil && l.Event != nil:
		c.event(l.Event)
	case err == nil && l.Head != nil:
		c.head(n, l.Head)
	case err == nil && l.End != nil:
		c.end(l.End)
	default:
		w.Find(FindingChain, w.Seq, "", "line %d, after place %d, is damaged", n, w.Seq)
	}
	return nil
}

// event checks one event. After something that is wrong it goes on with what
// the file says, so that each fault is told once.
func (c *fileCheck) event(r *Record) {
	w, id := &c.report.Walk, models.EventID(r.ID)
	var says Hash
	if err := says.UnmarshalText([]byte(r.Hash)); err != nil {
		w.Find(FindingChain, r.Seq, id, "the hash of place %d is damaged", r.Seq)
	}
	switch next := w.Next(Digest(Encode(r.event()), r.Authenticated)); {
	case r.Seq > next.Seq:
		w.Find(FindingDeleted, next.Seq, "", "places %d to %d are not there", next.Seq, r.Seq-1)
	case r.Seq < next.Seq:
		w.Find(FindingReordered, r.Seq, id, "event %s of place %d comes after place %d", id, r.Seq, w.Seq)
	case next.Hash != says:
		w.Find(FindingEdited, r.Seq, id, "event %s (%s, place %d), or a hash there, was changed after it was sealed", id, r.Action, r.Seq)
	default:
		w.clock(r.At, r.Seq, id)
	}
	w.origin(r.Authenticated, r.Seq, id)
	w.Tip = Tip{Seq: r.Seq, Hash: says}
	for len(c.kept) > 0 && c.kept[0].Seq <= r.Seq {
		w.Head(c.kept[0], w.Tip, c.trust)
		c.kept = c.kept[1:]
	}
}

// head checks a head, which stands behind the event of its place.
func (c *fileCheck) head(n int, h *SignedHead) {
	w := &c.report.Walk
	c.heads++
	head, err := h.head()
	switch {
	case err != nil:
		w.Find(FindingHead, w.Seq, "", "line %d: %s", n, models.PublicText(err))
		return
	case head.Seq > w.Seq:
		w.Beyond(head)
	default:
		w.Head(head, w.Tip, c.trust)
	}
	c.report.LastHead = head
}

func (c *fileCheck) end(e *exportEnd) {
	c.ended, c.report.Waiting = true, max(e.Waiting, 0)
	w := &c.report.Walk
	if e.Tip != w.Tip || e.Heads != c.heads {
		w.Find(FindingTruncated, w.Seq, "", "the log ends at place %d with %d heads, but the end of the file says place %d and %d heads", w.Seq, c.heads, e.Seq, e.Heads)
	}
}

func (c *fileCheck) finish() {
	w := &c.report.Walk
	if w.Full() {
		return
	}
	if !c.ended {
		w.Find(FindingTruncated, w.Seq, "", "the file stops after place %d without its end: it was cut off", w.Seq)
	}
	for _, h := range c.kept {
		w.Beyond(h)
	}
}
