// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json/v2"
	"encoding/pem"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/store"
)

// verifyTime is how long one step of a check of the audit log takes: short of
// every time limit on the way.
const verifyTime = 3 * time.Second

// VerifyAudit begins a check of the audit log, or goes on with one.
func (o *Operations) VerifyAudit(ctx context.Context, who Caller, q api.AuditVerificationQuery) (*api.AuditVerification, error) {
	if err := auth.Authorize(who.Principal, auth.VerifyAudit); err != nil {
		return nil, err
	}
	walk, err := parseWalk(q.Cursor)
	if err != nil {
		return nil, err
	}
	kept, err := keptHead(q)
	if err != nil {
		return nil, err
	}
	heads, err := o.trustedKeys(ctx)
	if err != nil {
		return nil, err
	}
	done, started := false, o.now()
	for !done && o.now().Sub(started) < verifyTime {
		if done, err = o.store.CheckAudit(ctx, walk, heads); err != nil {
			return nil, err
		}
	}
	state, err := o.store.AuditState(ctx)
	if err != nil {
		return nil, err
	}
	if done && kept != nil {
		if err := o.compareHead(ctx, walk, *kept); err != nil {
			return nil, err
		}
	}
	v, err := wireVerification(walk, done, state)
	if err != nil || !done {
		return v, err
	}
	v.Waiting, err = o.store.CountUnsealed(ctx, maxCountedWaiting)
	return v, err
}

// maxCountedWaiting bounds the count of events that are not sealed yet.
const maxCountedWaiting = 10_000

func wireVerification(walk *audit.Walk, done bool, state store.AuditState) (*api.AuditVerification, error) {
	v := &api.AuditVerification{
		Done: done, Checked: int(walk.Seq), Total: int(max(state.Tip.Seq, walk.Seq)), Hash: walk.Hash.String(), Heads: int(walk.Heads), Findings: []api.AuditFinding{},
	}
	for _, f := range walk.Findings {
		v.Findings = append(v.Findings, api.AuditFinding{Kind: f.Kind, Seq: int(f.Seq), EventID: f.EventID, Text: f.Text})
	}
	if done {
		return v, nil
	}
	walk.Findings = nil // they were told
	text, err := json.Marshal(walk)
	v.Cursor = base64.RawURLEncoding.EncodeToString(text)
	return v, err
}

// parseWalk reads a cursor. It is no secret and proves nothing: who changes it
// deceives only himself.
func parseWalk(cursor string) (*audit.Walk, error) {
	walk := &audit.Walk{}
	if cursor == "" {
		return walk, nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, walk, json.RejectUnknownMembers(true))
	}
	if err != nil || walk.Seq < 0 || walk.Position < 0 {
		return nil, models.Errorf(models.KindInvalid, "the cursor is not one of a check of the audit log; begin without one").Because(err)
	}
	walk.Findings = nil
	return walk, nil
}

func keptHead(q api.AuditVerificationQuery) (*audit.Tip, error) {
	if q.Seq == 0 && q.Hash == "" {
		return nil, nil
	}
	tip := &audit.Tip{Seq: int64(q.Seq)}
	return tip, tip.Hash.UnmarshalText([]byte(q.Hash))
}

// compareHead compares the chain with a head that was kept elsewhere.
func (o *Operations) compareHead(ctx context.Context, walk *audit.Walk, kept audit.Tip) error {
	hash, err := o.store.ChainHash(ctx, kept.Seq)
	switch {
	case models.KindOf(err) == models.KindNotFound:
		walk.Find(audit.FindingTruncated, walk.Seq, "", "the chain ends at place %d, but the head that was kept is of place %d: the end was cut off", walk.Seq, kept.Seq)
	case err != nil:
		return err
	case hash != kept.Hash:
		walk.Find(audit.FindingHead, kept.Seq, "", "the head that was kept says another hash at place %d: the log up to there was rewritten afterwards", kept.Seq)
	default:
		walk.Heads++
	}
	return nil
}

func (o *Operations) trustedKeys(ctx context.Context) ([]string, error) {
	if o.audit == nil {
		return nil, nil
	}
	return o.audit.TrustedKeys(ctx)
}

// ReadAuditChain returns part of the chain with its events.
func (o *Operations) ReadAuditChain(ctx context.Context, who Caller, q api.AuditPartQuery) (*api.AuditPart, error) {
	if err := auth.Authorize(who.Principal, auth.VerifyAudit); err != nil {
		return nil, err
	}
	part, err := o.store.ReadChain(ctx, int64(q.After))
	if err != nil {
		return nil, err
	}
	wire := &api.AuditPart{Records: make([]api.AuditRecord, 0, len(part.Entries)), Next: int(part.Next)}
	for i := range part.Entries {
		wire.Records = append(wire.Records, wireRecord(&part.Entries[i]))
	}
	if wire.Next == 0 {
		wire.Waiting, err = o.store.CountUnsealed(ctx, maxCountedWaiting)
	}
	return wire, err
}

func wireRecord(c *store.ChainEntry) api.AuditRecord {
	e := &c.Event
	return api.AuditRecord{
		Seq: int(c.Seq), Hash: c.Hash.String(), Authenticated: c.Authenticated, ID: string(e.ID), At: e.At, Actor: e.Actor, Address: e.Address,
		Action: e.Action, Noun: e.Noun, SubjectID: e.SubjectID, DomainID: string(e.DomainID), DeviceID: string(e.DeviceID),
		RequestID: string(e.RequestID), WorkflowID: e.WorkflowID, RunID: e.RunID, Details: e.Details,
	}
}

// ListAuditHeads lists signed heads, by place.
func (o *Operations) ListAuditHeads(ctx context.Context, who Caller, q api.AuditHeadQuery) (*api.AuditHeads, error) {
	if err := auth.Authorize(who.Principal, auth.VerifyAudit); err != nil {
		return nil, err
	}
	rows, err := o.store.AuditHeads(ctx, int64(q.After), store.MaxLimit)
	if err != nil {
		return nil, err
	}
	heads := &api.AuditHeads{Heads: make([]api.AuditHead, 0, len(rows))}
	for i := range rows {
		heads.Heads = append(heads.Heads, *wireHead(&rows[i]))
	}
	return heads, nil
}

// SignAuditHead signs the head of the audit log now.
func (o *Operations) SignAuditHead(ctx context.Context, who Caller) (*api.AuditHead, error) {
	if err := auth.Authorize(who.Principal, auth.VerifyAudit); err != nil {
		return nil, err
	}
	if o.audit == nil {
		return nil, models.Errorf(models.KindUnavailable, "this process does not sign the audit log")
	}
	head, err := o.audit.SignHead(ctx)
	if err != nil {
		return nil, err
	}
	return wireHead(head), nil
}

func wireHead(h *models.AuditHead) *api.AuditHead {
	return &api.AuditHead{
		Seq: int(h.Seq), Hash: hex.EncodeToString(h.Hash), At: h.At.UTC(), KeyID: h.KeyID,
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate})),
		Signature:   base64.StdEncoding.EncodeToString(h.Signature),
	}
}
