// SPDX-License-Identifier: MIT

package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// RevokedEntry is what a CRL says about one certificate.
type RevokedEntry struct {
	Serial    string // lower-case hex
	RevokedAt time.Time
	Reason    models.RevocationReason `gorm:"column:revoked_reason"`
	NotAfter  time.Time               // of the certificate: RFC 5280 §3.3 lets it be left out later
}

// InsertCRL adds the intent to publish a CRL and sets its Number: one more
// than the highest of the key, however many are made at once (RFC 5280 §5.2.3).
func (tx *Tx) InsertCRL(crl *models.CRL) error {
	if crl.KeyID == "" {
		return models.Errorf(models.KindInvalid, "the CRL names no key")
	}
	setDefault(&crl.ID, models.NewID[models.CRLID]())
	setDefault(&crl.CreatedAt, tx.clock())
	highest := func() *gorm.DB {
		return tx.session().Model(&models.CRL{}).Select("COALESCE(MAX(number), 0)").Where("key_id = ?", crl.KeyID)
	}
	return tx.addVersion(crl, quoted("CRL of key", crl.KeyID), highest, func(n int64) { crl.Number = n })
}

// SaveCRL records the signed CRL (DER, ThisUpdate, NextUpdate). A recorded one
// never changes: recording the same bytes again does nothing, others are
// KindConflict.
func (tx *Tx) SaveCRL(crl *models.CRL) error {
	subject := fmt.Sprintf("CRL %d of key %s", crl.Number, crl.KeyID)
	if len(crl.DER) == 0 {
		return models.Errorf(models.KindInvalid, "%s has no content", subject)
	}
	stamp(crl)
	res := tx.session().Model(&models.CRL{}).Where("id = ? AND (der IS NULL OR length(der) = 0)", crl.ID).
		UpdateColumns(map[string]any{"der": crl.DER, "this_update": crl.ThisUpdate, "next_update": crl.NextUpdate})
	if res.Error != nil || res.RowsAffected == 1 {
		return tx.check(res.Error, subject)
	}
	now, err := find[models.CRL](tx.ctx, tx.Queries, subject, "id = ?", crl.ID)
	if err != nil {
		return err
	}
	if !bytes.Equal(now.DER, crl.DER) {
		return models.Errorf(models.KindConflict, "%s is already published", subject)
	}
	return nil
}

// LatestCRL returns the published CRL with the highest number of the key.
func (q *Queries) LatestCRL(ctx context.Context, keyID string) (*models.CRL, error) {
	crl := new(models.CRL)
	err := q.with(ctx).Where("key_id = ? AND length(der) > 0", keyID).Order("number DESC").Take(crl).Error
	if err != nil {
		return nil, q.check(err, quoted("CRL of key", keyID))
	}
	return crl, nil
}

// RevokedCertificates returns every revoked or held certificate that the key
// signed, oldest first, expired ones too.
func (q *Queries) RevokedCertificates(ctx context.Context, keyID string) ([]RevokedEntry, error) {
	var entries []RevokedEntry
	err := q.with(ctx).Model(&models.Certificate{}).Where("issuer_key_id = ? AND state = 'revoked'", keyID).
		Order("id").Find(&entries).Error
	return entries, q.check(err, "revoked certificates")
}
