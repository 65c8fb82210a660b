// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// CMPConfig is what the CMP side of the door needs.
type CMPConfig struct {
	Door          *Door
	Confirmations *activities.Confirmations
	Protectors    *activities.Protectors
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
}

// NewCMP returns the CMP side of the door.
func NewCMP(cfg CMPConfig) *CMP { return &CMP{cfg: cfg, door: cfg.Door} }

var _ cmp.Backend = (*CMP)(nil)

// Enroll takes ir, cr, kur and p10cr.
func (c *CMP) Enroll(ctx context.Context, in *cmp.Enrollment) (cmp.Outcome, error) {
	domain, who, err := c.sender(ctx, in.Label, in.Sender)
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
		s.Alongside = c.toBeConfirmed(domain)
	}
	answer, err := c.door.Submit(ctx, s)
	if err != nil || answer.Certificate == nil {
		return cmp.Outcome{RetryAfter: answer.RetryAfter}, err
	}
	if answer.Certificate.SPKISHA256 != s.CSR.SPKISHA256 { // another request came first, at the same moment
		return cmp.Outcome{}, errTransaction
	}
	return c.outcome(ctx, answer.Certificate, who)
}

// cmpOperations are the switches of the operations.
var cmpOperations = map[cmp.Operation]models.DeviceOperation{
	cmp.OpInit: models.OpCMPInit, cmp.OpCert: models.OpCMPCert, cmp.OpKeyUpdate: models.OpCMPKeyUpdate, cmp.OpPKCS10: models.OpCMPPKCS10,
}

// badTemplate refuses what a template asks for.
func badTemplate(format string, args ...any) error {
	return cmp.WithFailInfo(models.Errorf(models.KindInvalid, format, args...), cmp.FailBadCertTemplate)
}

// transactionText is how a transactionID is written in request keys.
func transactionText(id []byte) string { return hex.EncodeToString(id) }

// submission reduces a request to what all protocols have in common.
func (c *CMP) submission(ctx context.Context, in *cmp.Enrollment, domain *models.Domain, who *party) (*Submission, error) {
	if len(in.Transaction.ID) == 0 {
		return nil, models.Errorf(models.KindInvalid, "the message has no transactionID")
	}
	if in.Generate || in.Request == nil {
		return nil, badTemplate("keys are not made here by CMP; make the key on the device and send its public key")
	}
	if in.Proof == cmp.ProofByRA && who.ra == nil {
		return nil, models.Errorf(models.KindDenied, "only a registration authority says that it verified the proof of possession (raVerified)")
	}
	s := &Submission{Protocol: models.ProtocolCMP, Transaction: transactionText(in.Transaction.ID), Domain: domain, Profile: in.Label.Profile,
		CSR: in.Request, Address: in.Peer.Address, RequestID: in.Peer.RequestID, Who: who.identity}
	switch {
	case in.Operation == cmp.OpKeyUpdate:
		return s, who.renews(s, in.OldCert)
	case who.ra != nil:
		return s, c.vouched(ctx, s, in.Operation, who)
	case who.held == nil:
		s.Kind = models.KindOnboarding
	case in.Operation == cmp.OpInit:
		return nil, models.Errorf(models.KindDenied, "an ir is for who has no certificate of domain %s yet; ask with cr, or renew with kur", domain.Name)
	case who.held.Kind != models.CertificateDomainCredential:
		return nil, models.Errorf(models.KindDenied, "an application certificate does not enroll others: use the domain credential")
	default:
		s.Kind = models.KindEnrollment
	}
	return s, c.chooseProfile(s)
}

// chooseProfile takes the profile that a path without one means: the domain
// credential for an onboarding, and otherwise the one that there is beside it.
func (c *CMP) chooseProfile(s *Submission) error {
	if s.Profile != "" {
		return nil
	}
	if s.Kind == models.KindOnboarding {
		s.Profile = defaultProfile
		return nil
	}
	for _, name := range s.Domain.Profiles {
		if name == defaultProfile {
			continue
		}
		if s.Profile != "" {
			return models.Errorf(models.KindInvalid, "domain %s has several profiles: name one of them in the path, /.well-known/cmp/p/%s/PROFILE", s.Domain.Name, s.Domain.Name)
		}
		s.Profile = name
	}
	if s.Profile == "" {
		return models.Errorf(models.KindInvalid, "domain %s has no profile for application certificates", s.Domain.Name)
	}
	return nil
}

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
func (c *CMP) outcome(ctx context.Context, row *models.Certificate, who *party) (cmp.Outcome, error) {
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return cmp.Outcome{}, fmt.Errorf("parse certificate %s: %w", row.ID, err)
	}
	above, err := c.door.chain(ctx, row.IssuerCAID)
	if err != nil {
		return cmp.Outcome{}, err
	}
	out := cmp.Outcome{Certificate: cert, Chain: above.certs, Implicit: true}
	if who.mac {
		out.CAPubs = above.certs[len(above.certs)-1:]
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

// Poll tells how a transaction stands, from the database alone.
func (c *CMP) Poll(ctx context.Context, label cmp.Label, transaction []byte, sender cmp.Sender, _ cmp.Peer) (cmp.Outcome, error) {
	domain, who, err := c.sender(ctx, label, sender)
	if err != nil {
		return cmp.Outcome{}, err
	}
	req, err := c.begun(ctx, domain, transaction, who)
	if err != nil {
		return cmp.Outcome{}, err
	}
	answer, err := c.door.answer(ctx, req)
	if err != nil || answer.Certificate == nil {
		return cmp.Outcome{RetryAfter: answer.RetryAfter}, err
	}
	return c.outcome(ctx, answer.Certificate, who)
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
	domain, who, err := c.sender(ctx, in.Label, in.Sender)
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
		return err
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return fmt.Errorf("parse certificate %s: %w", row.ID, err)
	}
	if in.Matches != nil && !in.Matches(cert) {
		return cmp.WithFailInfo(models.Errorf(models.KindNotFound, "certHash is not the hash of the certificate of this transaction"), cmp.FailBadCertID)
	}
	err = c.cfg.Confirmations.Confirm(ctx, activities.ConfirmInput{
		Key: req.Key, Accepted: in.Accepted, Reason: in.Reason, Actor: who.actor(), Address: in.Peer.Address,
	})
	if models.KindOf(err) == models.KindNotFound {
		return cmp.WithFailInfo(models.Errorf(models.KindConflict, "the certificate of this transaction was confirmed implicitly; no certConf is expected"), cmp.FailCertConfirmed)
	}
	if models.KindOf(err) == models.KindConflict {
		return cmp.WithFailInfo(err, cmp.FailCertRevoked)
	}
	return err
}
