// SPDX-License-Identifier: MIT

package enroll

import (
	"bytes"
	"context"
	"crypto/x509"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// removeFromCRL is the CRLReason with which a hold ends (RFC 5280 §5.3.1).
const removeFromCRL = 8

// Revoke takes rr. A device revokes its own certificates, with the certificate
// itself or with its domain credential; a registration authority those of its
// domain, and only it ends a hold: that may be the operator's word against the
// device.
func (c *CMP) Revoke(ctx context.Context, in *cmp.Revocation) error {
	domain, who, err := c.revoker(in.Label, in.Sender)
	if err != nil {
		return err
	}
	if err := domain.Offers(models.OpCMPRevoke); err != nil {
		return cmp.WithFailInfo(err, cmp.FailNotAuthorized)
	}
	if who.mac {
		return models.Errorf(models.KindDenied, "a one-time secret revokes nothing; sign the request with the certificate itself or the domain credential")
	}
	key := models.TransactionKey(domain.ID, transactionText(in.Transaction.ID))
	row, err := c.named(ctx, in.Cert)
	if err != nil {
		return err
	}
	if !who.mayRevoke(domain, row) {
		return errNotYours
	}
	reason, ok := reasonOf(in.Reason)
	if !ok {
		return models.Errorf(models.KindInvalid, "the reason %d is not one of RFC 5280 section 5.3.1", in.Reason)
	}
	if reason == "" && who.ra == nil {
		return models.Errorf(models.KindDenied, "a hold is ended by a registration authority or an operator, not by the device itself")
	}
	ctx = store.WithOrigin(ctx, store.Origin{Actor: who.actor(), Address: in.Peer.Address, RequestID: in.Peer.RequestID})
	c.door.cfg.Fault(activities.FaultBeforeRevoke)
	err = c.door.cfg.Store.Write(ctx, func(tx *store.Tx) error { return c.revoke(ctx, tx, key, row, reason) })
	c.door.cfg.Fault(activities.FaultAfterRevoke)
	return err
}

// errNotYours does not tell whether there is such a certificate.
var errNotYours = cmp.WithFailInfo(models.Errorf(models.KindDenied,
	"you may not revoke a certificate with this issuer and serial number, or there is none"), cmp.FailBadCertID)

// revoke carries out a revocation, or the end of a hold (no reason), unless the
// same transaction did so before.
func (c *CMP) revoke(ctx context.Context, tx *store.Tx, key string, row *models.Certificate, reason models.RevocationReason) error {
	before, err := tx.FindCMPTransaction(ctx, key)
	if err == nil {
		if before.State != models.CMPRevoked || before.CertificateID != row.ID || before.Reason != string(reason) {
			return errTransaction
		}
		return nil
	}
	if models.KindOf(err) != models.KindNotFound {
		return err
	}
	if _, err := tx.FindRequestByKey(ctx, key); models.KindOf(err) != models.KindNotFound {
		if err == nil {
			err = errTransaction
		}
		return err
	}
	now := c.door.cfg.Now().UTC()
	action := "certificate.revoked"
	if reason == "" {
		action, err = "certificate.released", tx.ReleaseHold(row.ID)
	} else {
		err = tx.RevokeCertificate(row.ID, reason, models.UTC(now))
	}
	if models.KindOf(err) == models.KindConflict {
		return cmp.WithFailInfo(models.Errorf(models.KindConflict, "the certificate is revoked already, or not on hold"), cmp.FailCertRevoked)
	}
	if err != nil {
		return err
	}
	t := &models.CMPTransaction{ID: key, State: models.CMPRevoked, CertificateID: row.ID, DomainID: row.DomainID, DeviceID: row.DeviceID, EndedAt: &now, Reason: string(reason)}
	if err := tx.InsertCMPTransaction(t); err != nil {
		return err
	}
	if err := tx.Promise(models.OutboxItem{Action: models.OutboxPublish, SubjectID: string(row.IssuerCAID)}); err != nil {
		return err
	}
	return tx.Audit(models.Event{
		Action: action, Noun: "certificate", SubjectID: string(row.ID), DomainID: row.DomainID, DeviceID: row.DeviceID, RequestID: row.RequestID,
		Details: map[string]string{"serial": row.Serial, "reason": string(reason), "protocol": models.ProtocolCMP},
	})
}

// named finds a certificate by its issuer and serial number, among those of
// every CA that is called so.
func (c *CMP) named(ctx context.Context, id cmp.CertID) (*models.Certificate, error) {
	authorities, err := c.door.cfg.Store.AllCAs(ctx)
	if err != nil {
		return nil, err
	}
	for _, ca := range authorities {
		if len(ca.CertificateDER) == 0 {
			continue
		}
		cert, err := c.door.certs.Parse(ca.CertificateDER)
		if err != nil || !bytes.Equal(cert.RawSubject, id.Issuer) {
			continue
		}
		row, err := c.door.cfg.Store.FindCertificateBySerial(ctx, ca.KeyID, serialText(id.Serial))
		if models.KindOf(err) != models.KindNotFound {
			return row, err
		}
	}
	return nil, errNotYours
}

// mayRevoke reports whether the party may revoke a certificate.
func (p *party) mayRevoke(domain *models.Domain, row *models.Certificate) bool {
	switch {
	case row.DomainID != domain.ID || row.DeviceID == "" || row.Origin == models.CertificateImported:
		return false
	case p.ra != nil:
		return true
	case p.held == nil:
		return false // an IDevID is for the first identity
	}
	return p.held.ID == row.ID || p.held.Kind == models.CertificateDomainCredential && p.held.DeviceID == row.DeviceID
}

// reasonOf returns the name of a CRLReason, the empty one for the end of a hold.
func reasonOf(code int) (models.RevocationReason, bool) {
	if code == removeFromCRL {
		return "", true
	}
	for reason, number := range models.RevocationReasons {
		if number == code {
			return reason, true
		}
	}
	return "", false
}

// protecting is a protector, and when it is to be looked up again.
type protecting struct {
	protector *cmp.Protector
	until     time.Time
}

// protectingTime is how long what answers of a domain are signed with is not
// looked up again. maxProtecting bounds the domains.
const (
	protectingTime = 5 * time.Second
	maxProtecting  = 1000
)

// Protector returns what answers are signed with in a domain.
func (c *CMP) Protector(ctx context.Context, label cmp.Label) (*cmp.Protector, error) {
	now := c.door.cfg.Now()
	c.mu.Lock()
	known := c.protectors[label.Domain]
	c.mu.Unlock()
	if now.Before(known.until) {
		return known.protector, nil
	}
	domain, err := c.domain(ctx, label)
	if err != nil {
		return nil, err
	}
	above, err := c.door.chain(ctx, domain.IssuingCAID)
	if err != nil {
		return nil, err
	}
	p, err := c.cfg.Protectors.Find(ctx, above.authorities[0])
	if err != nil {
		return nil, err
	}
	known = protecting{&cmp.Protector{Signer: p.Signer, Chain: append([]*x509.Certificate{p.Certificate}, above.certs...)}, now.Add(protectingTime)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.protectors == nil || len(c.protectors) >= maxProtecting {
		c.protectors = map[string]protecting{}
	}
	c.protectors[label.Domain] = known
	return known.protector, nil
}
