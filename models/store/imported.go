// SPDX-License-Identifier: MIT

package store

import (
	"context"

	"github.com/trustloom/trustloom/models"
)

// InsertImported adds a certificate that was issued elsewhere. It reports false
// if one with the same issuer and serial number is known: then c becomes the
// row that exists, which may be of other bytes.
func (tx *Tx) InsertImported(c *models.Certificate) (added bool, err error) {
	if len(c.DER) == 0 || c.Fingerprint == "" || c.IssuerKeyID == "" || c.Serial == "" {
		return false, models.Errorf(models.KindInvalid, "a certificate is imported with its bytes, fingerprint, issuer key and serial number")
	}
	c.Origin, c.State, c.RequestKey = models.CertificateImported, models.CertificateIssued, "imported/"+c.Fingerprint
	var revision int
	tx.fresh((*string)(&c.ID), &revision, &c.CreatedAt, &c.UpdatedAt)
	known, err := tx.FindAnyCertificate(tx.ctx, c.Fingerprint)
	if models.KindOf(err) == models.KindNotFound {
		known, err = tx.FindCertificateBySerial(tx.ctx, c.IssuerKeyID, c.Serial)
	}
	if err == nil {
		*c = *known
		return false, nil
	}
	if models.KindOf(err) != models.KindNotFound {
		return false, err
	}
	return true, tx.add(c, quoted("certificate with serial number", c.Serial))
}

// FindAnyCertificate returns the certificate with this hex SHA-256 fingerprint,
// wherever it was issued.
func (q *Queries) FindAnyCertificate(ctx context.Context, fingerprint string) (*models.Certificate, error) {
	return find[models.Certificate](ctx, q, quoted("certificate with fingerprint", fingerprint),
		"fingerprint = ? AND fingerprint <> ''", fingerprint)
}

// DevicesWithSerial returns at most limit devices of a domain that have this
// serial number.
func (q *Queries) DevicesWithSerial(ctx context.Context, domain models.DomainID, serial string, limit int) ([]models.Device, error) {
	var rows []models.Device
	err := q.with(ctx).Where("domain_id = ? AND serial_number = ? AND serial_number <> ''", domain, serial).Order("name").Limit(limit).Find(&rows).Error
	return rows, q.check(err, "devices")
}
