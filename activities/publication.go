// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// Publication makes CRLs (RFC 5280 §5).
type Publication struct {
	cfg Config
}

// PublishInput names the CA whose key signs the CRL.
type PublishInput struct {
	CAID models.CAID
}

// PublishResult says which CRL was published and when the next one is due.
type PublishResult struct {
	Number int64
	NextAt time.Time
}

// PublishCRL signs and stores a full CRL of the CA's key under a number that
// was never used before. Called again it publishes once more, under a higher
// number: that is always allowed.
func (p *Publication) PublishCRL(ctx context.Context, in PublishInput) (PublishResult, error) {
	ca, err := p.cfg.Store.FindCA(ctx, in.CAID)
	if err != nil {
		return PublishResult{}, err
	}
	issuer, err := x509.ParseCertificate(ca.CertificateDER)
	if err != nil {
		return PublishResult{}, fmt.Errorf("parse certificate of CA %s: %w", ca.Name, err)
	}
	signer, err := p.cfg.Issuer.Signer(ctx, ca)
	if err != nil {
		return PublishResult{}, err
	}
	validity, err := p.validity(ctx, ca)
	if err != nil {
		return PublishResult{}, err
	}
	thisUpdate := models.UTC(p.cfg.Now())
	crl := &models.CRL{ID: models.NewID[models.CRLID](), CAID: ca.ID, KeyID: ca.KeyID, ThisUpdate: thisUpdate, NextUpdate: thisUpdate.Add(validity)}
	err = p.cfg.write(ctx, func(tx *store.Tx) error { return tx.InsertCRL(crl) })
	if err != nil {
		return PublishResult{}, err
	}
	// Read after the number is taken: a CRL with a higher number never knows less.
	revoked, err := p.cfg.Store.RevokedCertificates(ctx, ca.KeyID)
	if err != nil {
		return PublishResult{}, err
	}
	entries, err := crlEntries(revoked)
	if err != nil {
		return PublishResult{}, err
	}
	crl.DER, err = pki.BuildCRL(issuer, signer, crl.Number, crl.ThisUpdate, crl.NextUpdate, entries)
	if err != nil {
		return PublishResult{}, err
	}
	err = p.cfg.write(ctx, func(tx *store.Tx) error {
		if err := tx.SaveCRL(crl); err != nil {
			return err
		}
		return tx.Audit(authorityEvent(ca, "crl.published", map[string]string{"number": fmt.Sprint(crl.Number), "entries": fmt.Sprint(len(entries))}))
	})
	return PublishResult{Number: crl.Number, NextAt: thisUpdate.Add(validity / 2)}, err
}

func crlEntries(revoked []store.RevokedEntry) ([]pki.CRLEntry, error) {
	entries := make([]pki.CRLEntry, 0, len(revoked))
	for _, r := range revoked {
		serial, ok := new(big.Int).SetString(r.Serial, 16)
		if !ok {
			return nil, models.Errorf(models.KindInternal, "serial number %q is not hexadecimal", r.Serial)
		}
		entries = append(entries, pki.CRLEntry{Serial: serial, RevokedAt: r.RevokedAt, Reason: models.RevocationReasons[r.Reason]})
	}
	return entries, nil
}
