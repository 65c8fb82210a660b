// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// CMPConfig is what the CMP side of the door needs.
type CMPConfig struct {
	Door          *Door
	Confirmations *activities.Confirmations
	Protectors    *activities.Protectors
	Deliveries    *Deliveries // nil: keys are not made here
	Sealer        Sealer
}

// CMP is the door for devices that speak CMP (RFC 9810, RFC 9483); it
// implements cmp.Backend.
//
// What keeps a transaction single is the unique key of its request, which is
// made of the domain and the transactionID alone: whatever else comes with the
// same identifier, and whoever sends it, finds that request, and gets its
// answer only if it asks for the same and is the same sender. A certificate
// that has to be confirmed has a row beside its request; where confirmation is
// implicit the request is all there is, and takes the inline lane like any other.
type CMP struct {
	cfg  CMPConfig
	door *Door

	mu         sync.Mutex
	protectors map[string]protecting // by domain
}

// NewCMP returns the CMP side of the door.
func NewCMP(cfg CMPConfig) *CMP { return &CMP{cfg: cfg, door: cfg.Door} }

var _ cmp.Backend = (*CMP)(nil)

// Enroll takes ir, cr, kur and p10cr.
func (c *CMP) Enroll(ctx context.Context, in *cmp.Enrollment) (cmp.Outcome, error) {
	domain, who, err := c.sender(in.Label, in.Sender)
	if err != nil {
		return cmp.Outcome{}, err
	}
	if err := domain.Offers(cmpOperations[in.Operation]); err != nil {
		return cmp.Outcome{}, cmp.WithFailInfo(err, cmp.FailNotAuthorized)
	}
	s, err := c.submission(ctx, in, domain, who)
	if err != nil {
		return cmp.Outcome{}, err
	}
	if !in.Implicit || domain.CMP().ExplicitConfirm || in.Proof == cmp.ProofEncrypted {
		s.Alongside = c.toBeConfirmed(domain) // KindConflict if the transaction was a revocation
	} else if err := c.revokedNothing(ctx, domain, in.Transaction.ID); err != nil {
		return cmp.Outcome{}, err
	}
	if in.Generate {
		if err := c.generate(ctx, s); err != nil {
			return cmp.Outcome{}, err
		}
	}
	if s.Alongside == nil && s.Kind != models.KindOnboarding {
		s.Seen = who.seen
	}
	answer, err := c.door.Submit(ctx, s)
	if err == nil && answer.Certificate == nil { // what waits may be another request that came at the same moment
		_, _, err = c.door.findTransaction(ctx, s)
	}
	if err != nil || answer.Certificate == nil {
		return cmp.Outcome{RetryAfter: answer.RetryAfter}, err
	}
	if !in.Generate && answer.Certificate.SPKISHA256 != s.CSR.SPKISHA256 { // another request came first, at the same moment
		return cmp.Outcome{}, errTransaction
	}
	out, err := c.outcome(ctx, answer, who)
	if err == nil && in.Generate {
		err = c.handOver(ctx, answer.Certificate, who, in.Peer, &out)
	}
	return out, err
}

// cmpOperations are the switches of the operations.
var cmpOperations = map[cmp.Operation]models.DeviceOperation{
	cmp.OpInit: models.OpCMPInit, cmp.OpCert: models.OpCMPCert, cmp.OpKeyUpdate: models.OpCMPKeyUpdate, cmp.OpPKCS10: models.OpCMPPKCS10,
}

// badTemplate refuses what a template asks for.
func badTemplate(format string, args ...any) error {
	return cmp.WithFailInfo(models.Errorf(models.KindInvalid, format, args...), cmp.FailBadCertTemplate)
}

// revokedNothing refuses the identifier of a transaction that was a revocation,
// of which there is no request.
func (c *CMP) revokedNothing(ctx context.Context, domain *models.Domain, transaction []byte) error {
	t, err := c.door.cfg.Store.FindCMPTransaction(ctx, models.TransactionKey(domain.ID, transactionText(transaction)))
	switch {
	case models.KindOf(err) == models.KindNotFound:
		return nil
	case err == nil && t.State == models.CMPRevoked:
		return errTransaction
	}
	return err
}

// transactionText is how a transactionID is written in request keys.
func transactionText(id []byte) string { return hex.EncodeToString(id) }

// toBeConfirmed notes with a request that its certificate has to be confirmed.
// In the inline lane the wait begins at once, and otherwise with the issuance.
func (c *CMP) toBeConfirmed(domain *models.Domain) func(*store.Tx, *models.Request) error {
	return func(tx *store.Tx, req *models.Request) error {
		now := c.door.cfg.Now()
		t := &models.CMPTransaction{
			ID: req.Key, State: models.CMPOpen, RequestID: req.ID, DomainID: req.DomainID, DeviceID: req.DeviceID, ConfirmWait: domain.CMP().ConfirmWait,
		}
		if req.WorkflowID != "" {
			return tx.InsertCMPTransaction(t)
		}
		deadline := now.UTC().Add(t.ConfirmWait.Std())
		t.Deadline = &deadline
		if err := tx.InsertCMPTransaction(t); err != nil {
			return err
		}
		return tx.Promise(activities.ConfirmationPromise(t, now))
	}
}

// outcome is what a sender is told about the certificate of its request.
func (c *CMP) outcome(ctx context.Context, answer Answer, who *party) (cmp.Outcome, error) {
	row := answer.Certificate
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return cmp.Outcome{}, fmt.Errorf("parse certificate %s: %w", row.ID, err)
	}
	above, err := c.above(ctx, row.IssuerCAID, who)
	if err != nil {
		return cmp.Outcome{}, err
	}
	out := cmp.Outcome{Certificate: cert, Chain: above.certs, Implicit: true}
	if who.mac {
		out.CAPubs = above.certs[len(above.certs)-1:]
	}
	if answer.New {
		return out, nil
	}
	t, err := c.door.cfg.Store.FindCMPTransaction(ctx, row.RequestKey)
	if models.KindOf(err) == models.KindNotFound {
		return out, nil
	}
	if err != nil {
		return cmp.Outcome{}, err
	}
	out.Implicit, out.Confirmed = false, t.State == models.CMPConfirmed
	if t.State == models.CMPLapsed || t.State == models.CMPRefused {
		return cmp.Outcome{}, cmp.WithFailInfo(models.Errorf(models.KindConflict, "the certificate of this transaction was not confirmed and is revoked"), cmp.FailCertRevoked)
	}
	if t.Deadline != nil {
		out.ConfirmWait = max(t.Deadline.Sub(c.door.cfg.Now()).Round(time.Second), time.Second)
	}
	return out, nil
}

// above returns the chain of a CA, which is mostly that of the sender's own
// certificate and was read with it.
func (c *CMP) above(ctx context.Context, id models.CAID, who *party) (chain, error) {
	if len(who.authorities) > 0 && who.authorities[0].ID == id {
		return c.door.parse(who.authorities)
	}
	return c.door.chain(ctx, id)
}

// Poll tells how a transaction stands, from the database alone.
func (c *CMP) Poll(ctx context.Context, label cmp.Label, transaction []byte, sender cmp.Sender, peer cmp.Peer) (cmp.Outcome, error) {
	domain, who, err := c.sender(label, sender)
	if err != nil {
		return cmp.Outcome{}, err
	}
	req, err := c.begun(ctx, domain, transaction, who)
	if err != nil {
		return cmp.Outcome{}, err
	}
	if err := c.stillOpen(ctx, who, req); err != nil {
		return cmp.Outcome{}, err
	}
	answer, err := c.door.answer(ctx, req)
	if err != nil || answer.Certificate == nil {
		return cmp.Outcome{RetryAfter: answer.RetryAfter}, err
	}
	out, err := c.outcome(ctx, answer, who)
	if err == nil && req.Protocol == models.ProtocolCMPKeyGen {
		err = c.handOver(ctx, answer.Certificate, who, peer, &out)
	}
	return out, err
}

// stillOpen refuses the device of a request that is suspended or decommissioned,
// as a repetition of the request would be.
func (c *CMP) stillOpen(ctx context.Context, who *party, req *models.Request) (err error) {
	device := who.identity.Device
	if who.ra != nil {
		if device, err = c.door.cfg.Store.FindDevice(ctx, req.DeviceID); err != nil {
			return err
		}
	}
	if closed := policy.Closed(device); closed != "" {
		return models.Errorf(models.KindDenied, "%s", closed)
	}
	return nil
}

// begun finds the request of a transaction that a sender began.
func (c *CMP) begun(ctx context.Context, domain *models.Domain, transaction []byte, who *party) (*models.Request, error) {
	key := models.TransactionKey(domain.ID, transactionText(transaction))
	req, err := c.door.cfg.Store.FindRequestByKey(ctx, key)
	if models.KindOf(err) == models.KindNotFound || err == nil && !who.sent(req) {
		return nil, cmp.WithFailInfo(models.Errorf(models.KindNotFound, "there is no transaction of yours with this transactionID"), cmp.FailBadRequest)
	}
	return req, err
}

// Confirm takes certConf. That the hash of another certificate comes changes
// nothing: the client may have meant another transaction.
func (c *CMP) Confirm(ctx context.Context, in *cmp.Confirmation) error {
	domain, who, err := c.sender(in.Label, in.Sender)
	if err != nil {
		return err
	}
	req, err := c.begun(ctx, domain, in.Transaction, who)
	if err != nil {
		return err
	}
	if req.State != models.RequestIssued {
		return cmp.WithFailInfo(models.Errorf(models.KindConflict, "there is no certificate yet that could be confirmed"), cmp.FailBadRequest)
	}
	row, err := c.door.cfg.Store.FindCertificate(ctx, req.CertificateID)
	if err != nil {
		return store.OrPurged(err, func() (*models.Tombstone, error) { return c.door.cfg.Store.FindTombstone(ctx, req.CertificateID) })
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return fmt.Errorf("parse certificate %s: %w", row.ID, err)
	}
	if in.Matches != nil && !in.Matches(cert) {
		return cmp.WithFailInfo(models.Errorf(models.KindNotFound, "certHash is not the hash of the certificate of this transaction"), cmp.FailBadCertID)
	}
	c.door.cfg.Fault(activities.FaultBeforeConfirm)
	err = c.cfg.Confirmations.Confirm(ctx, activities.ConfirmInput{
		Key: req.Key, Accepted: in.Accepted, Reason: in.Reason, Actor: who.actor(), Address: in.Peer.Address,
	})
	c.door.cfg.Fault(activities.FaultAfterConfirm)
	if models.KindOf(err) == models.KindNotFound {
		return cmp.WithFailInfo(models.Errorf(models.KindConflict, "the certificate of this transaction was confirmed implicitly; no certConf is expected"), cmp.FailCertConfirmed)
	}
	if models.KindOf(err) == models.KindConflict {
		return cmp.WithFailInfo(err, cmp.FailCertRevoked)
	}
	return err
}
