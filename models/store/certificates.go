// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// heldReason is the one revocation that can be released (RFC 5280 §5.3.1).
const heldReason models.RevocationReason = "certificateHold"

// unrecorded is the condition of the index certificates_unrecorded, word for
// word; noDER says the same of the bytes.
const (
	unrecorded = "state IN ('reserved', 'signing')"
	noDER      = "(der IS NULL OR length(der) = 0)"
)

// ReserveCertificate adds c, with its serial and to-be-signed bytes, unless a
// certificate was reserved for the same request key. Then it reports false and
// c becomes the row that exists.
func (tx *Tx) ReserveCertificate(c *models.Certificate) (reserved bool, err error) {
	setDefault(&c.State, models.CertificateReserved)
	setDefault(&c.Origin, models.CertificateMade)
	if c.State != models.CertificateReserved || len(c.DER) != 0 {
		return false, models.Errorf(models.KindInvalid, "a certificate is reserved before it is signed")
	}
	if c.RequestKey == "" || c.Serial == "" || c.IssuerKeyID == "" {
		return false, models.Errorf(models.KindInvalid, "a certificate is reserved with request key, issuer key and serial number")
	}
	var revision int
	tx.fresh((*string)(&c.ID), &revision, &c.CreatedAt, &c.UpdatedAt)
	reserved, err = tx.insert(c, quoted("certificate", c.ID), "request_key")
	if reserved || err != nil {
		return reserved, err
	}
	now, err := tx.FindCertificateByRequestKey(tx.ctx, c.RequestKey)
	if err == nil {
		*c = *now
	}
	return false, err
}

// BeginSigning counts an attempt to sign and returns the row as it is then. A
// certificate that is recorded already comes back unchanged, with its DER: the
// caller releases that and signs nothing.
func (tx *Tx) BeginSigning(id models.CertificateID) (*models.Certificate, error) {
	err := tx.session().Model(&models.Certificate{}).Where("id = ?", id).Where(unrecorded).
		UpdateColumns(map[string]any{"attempts": gorm.Expr("attempts + 1"), "state": models.CertificateSigning, "updated_at": tx.clock()}).Error
	if err != nil {
		return nil, tx.check(err, quoted("certificate", id))
	}
	return tx.FindCertificate(tx.ctx, id)
}

// RecordCertificate stores the signed certificate and its fingerprint (hex
// SHA-256) where none is stored yet. It reports false if another call was
// first: then that one's bytes are the certificate.
func (tx *Tx) RecordCertificate(id models.CertificateID, der []byte, fingerprint string) (won bool, err error) {
	if len(der) == 0 || fingerprint == "" {
		return false, models.Errorf(models.KindInvalid, "certificate %s is recorded with its bytes and fingerprint", id)
	}
	res := tx.session().Model(&models.Certificate{}).Where("id = ?", id).Where(unrecorded).Where(noDER).
		UpdateColumns(map[string]any{"der": der, "fingerprint": fingerprint, "state": models.CertificateIssued, "updated_at": tx.clock()})
	if res.Error != nil || res.RowsAffected == 1 {
		return res.Error == nil, tx.check(res.Error, quoted("certificate", id))
	}
	_, err = tx.FindCertificate(tx.ctx, id)
	return false, err
}

// RevokeCertificate revokes an issued certificate at the given time. A held
// one can be revoked for good and keeps the time of its hold. It is
// KindConflict for any other state, KindInvalid for an unknown reason.
func (tx *Tx) RevokeCertificate(id models.CertificateID, reason models.RevocationReason, at time.Time) error {
	if _, ok := models.RevocationReasons[reason]; !ok {
		return models.Errorf(models.KindInvalid, "revocation reason %q is not one of RFC 5280 §5.3.1", reason)
	}
	condition := "state = 'issued'"
	if reason != heldReason {
		condition = "(state = 'issued' OR (state = 'revoked' AND revoked_reason = 'certificateHold'))"
	}
	return tx.moveCertificate(id, models.CertificateRevoked, condition, map[string]any{
		"revoked_at": gorm.Expr("COALESCE(revoked_at, ?)", instant(at)), "revoked_reason": reason})
}

// ReleaseHold makes a held certificate valid again. It is KindConflict unless
// it is revoked with the reason certificateHold.
func (tx *Tx) ReleaseHold(id models.CertificateID) error {
	return tx.moveCertificate(id, models.CertificateIssued, "state = 'revoked' AND revoked_reason = 'certificateHold'",
		map[string]any{"revoked_at": nil, "revoked_reason": ""})
}

// moveCertificate changes the state where the condition allows it.
func (tx *Tx) moveCertificate(id models.CertificateID, to models.CertificateState, condition string, columns map[string]any) error {
	columns["state"], columns["updated_at"] = to, tx.clock()
	res := tx.session().Model(&models.Certificate{}).Where("id = ?", id).Where(condition).UpdateColumns(columns)
	if res.Error != nil || res.RowsAffected == 1 {
		return tx.check(res.Error, quoted("certificate", id))
	}
	now, err := tx.FindCertificate(tx.ctx, id)
	if err != nil {
		return err
	}
	if now.State == models.CertificateRevoked {
		return models.Errorf(models.KindConflict, "certificate %s is revoked (%s) and cannot become %s", id, now.RevokedReason, to)
	}
	return models.Errorf(models.KindConflict, "certificate %s is %s and cannot become %s", id, now.State, to)
}

// FindCertificate returns the certificate with this identifier.
func (q *Queries) FindCertificate(ctx context.Context, id models.CertificateID) (*models.Certificate, error) {
	return find[models.Certificate](ctx, q, quoted("certificate", id), "id = ?", id)
}

// FindCertificateByRequestKey returns the certificate of this request key.
func (q *Queries) FindCertificateByRequestKey(ctx context.Context, key string) (*models.Certificate, error) {
	return find[models.Certificate](ctx, q, quoted("certificate of request key", key), "request_key = ?", key)
}

// FindCertificateByFingerprint returns the certificate with this hex SHA-256
// fingerprint that was issued here.
func (q *Queries) FindCertificateByFingerprint(ctx context.Context, fingerprint string) (*models.Certificate, error) {
	return find[models.Certificate](ctx, q, quoted("certificate with fingerprint", fingerprint),
		"fingerprint = ? AND fingerprint <> '' AND origin = 'issued'", fingerprint)
}

// FindCertificateBySerial returns the certificate with this serial number of
// the CA key; both are lower-case hex.
func (q *Queries) FindCertificateBySerial(ctx context.Context, keyID, serial string) (*models.Certificate, error) {
	return find[models.Certificate](ctx, q, quoted("certificate with serial number", serial),
		"issuer_key_id = ? AND serial = ?", keyID, serial)
}
