// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// FindRevocation returns how the certificates below a truststore are checked;
// the default, with the revision 0, if nobody said so.
func (q *Queries) FindRevocation(ctx context.Context, truststore string) (*models.TruststoreRevocation, error) {
	row := &models.TruststoreRevocation{}
	err := q.with(ctx).Where("truststore_name = ?", truststore).Take(row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return &models.TruststoreRevocation{TruststoreName: truststore, Policy: models.RevocationIfKnown}, nil
	}
	return row, q.check(err, quoted("revocation of truststore", truststore))
}

// SaveRevocation writes how the certificates below a truststore are checked.
// It is KindConflict if row is not the present revision.
func (tx *Tx) SaveRevocation(row *models.TruststoreRevocation) error {
	subject := quoted("revocation of truststore", row.TruststoreName)
	row.Revision, row.UpdatedAt = row.Revision+1, tx.clock()
	if row.Revision == 1 {
		added, err := tx.insert(row, subject)
		if err == nil && !added {
			err = changed(subject)
		}
		return err
	}
	res := tx.session().Model(row).Where("truststore_name = ? AND revision = ?", row.TruststoreName, row.Revision-1).
		Select("policy", "ocsp_url", "revision", "updated_at").UpdateColumns(row)
	if res.Error == nil && res.RowsAffected == 0 {
		return changed(subject)
	}
	return tx.check(res.Error, subject)
}

// newer is the order of numbers in hex without leading zeros.
const newer = "(length(number) < ? OR (length(number) = ? AND number < ?))"

// SaveForeignCRL keeps a CRL in the place of the one before of its issuer. It
// is KindConflict unless its number is higher: numbers do not go back.
func (tx *Tx) SaveForeignCRL(row *models.ForeignCRL) error {
	subject := quoted("CRL of", row.Issuer)
	row.UpdatedAt = tx.clock()
	if added, err := tx.insert(row, subject); added || err != nil {
		return err
	}
	n := len(row.Number)
	res := tx.session().Model(row).Where("truststore_name = ? AND issuer_key_sha256 = ?", row.TruststoreName, row.IssuerKeySHA256).
		Where(newer, n, n, row.Number).Select("issuer", "number", "der", "entries", "this_update", "next_update", "updated_at").UpdateColumns(row)
	if res.Error == nil && res.RowsAffected == 0 {
		return models.Errorf(models.KindConflict, "the truststore has a CRL of %q with this number or a higher one already", row.Issuer)
	}
	return tx.check(res.Error, subject)
}

// FindForeignCRL returns the CRL of a CA of a truststore, by its key.
func (q *Queries) FindForeignCRL(ctx context.Context, truststore, issuerKey string) (*models.ForeignCRL, error) {
	return find[models.ForeignCRL](ctx, q, quoted("CRL for truststore", truststore), "truststore_name = ? AND issuer_key_sha256 = ?", truststore, issuerKey)
}

// ForeignCRLs returns the CRLs of a truststore without their content, by issuer.
func (q *Queries) ForeignCRLs(ctx context.Context, truststore string) ([]models.ForeignCRL, error) {
	var rows []models.ForeignCRL
	err := q.with(ctx).Omit("der").Where("truststore_name = ?", truststore).Order("issuer, issuer_key_sha256").Find(&rows).Error
	return rows, q.check(err, "CRLs")
}
