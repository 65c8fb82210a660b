// SPDX-License-Identifier: MIT

package store

import (
	"context"

	"github.com/trustloom/trustloom/models"
)

var tombstonesByID = order[models.Tombstone]{"tombstones", "id", func(t *models.Tombstone) string { return string(t.ID) }}

// FindTombstone returns what is kept of the purged certificate with this
// identifier.
func (q *Queries) FindTombstone(ctx context.Context, id models.CertificateID) (*models.Tombstone, error) {
	return find[models.Tombstone](ctx, q, quoted("purged certificate", id), "id = ?", id)
}

// FindTombstoneByRequestKey returns what is kept of the purged certificate of
// this request key.
func (q *Queries) FindTombstoneByRequestKey(ctx context.Context, key string) (*models.Tombstone, error) {
	return find[models.Tombstone](ctx, q, quoted("purged certificate of request key", key), "request_key = ?", key)
}

// FindTombstoneBySerial returns what is kept of the purged certificate with
// this serial number of the CA key; both are lower-case hex.
func (q *Queries) FindTombstoneBySerial(ctx context.Context, keyID, serial string) (*models.Tombstone, error) {
	return find[models.Tombstone](ctx, q, quoted("purged certificate with serial number", serial),
		"issuer_key_id = ? AND serial = ?", keyID, serial)
}

// FindTombstoneByFingerprint returns what is kept of the purged certificate
// with this hex SHA-256 fingerprint.
func (q *Queries) FindTombstoneByFingerprint(ctx context.Context, fingerprint string) (*models.Tombstone, error) {
	return find[models.Tombstone](ctx, q, quoted("purged certificate with fingerprint", fingerprint), "fingerprint = ?", fingerprint)
}

// ListTombstones returns what is kept of all purged certificates, in the order
// in which they were issued.
func (q *Queries) ListTombstones(ctx context.Context, page Page) ([]models.Tombstone, string, error) {
	return list(q, q.with(ctx), tombstonesByID, page)
}

// OrPurged returns err, or, if err says that a certificate does not exist and
// that is because it was purged, KindDenied with a sentence that says so. known
// returns its tombstone.
func OrPurged(err error, known func() (*models.Tombstone, error)) error {
	if models.KindOf(err) != models.KindNotFound {
		return err
	}
	stone, missing := known()
	if models.KindOf(missing) == models.KindNotFound {
		return err
	}
	if missing != nil {
		return missing
	}
	return models.Errorf(models.KindDenied, "%s", stone.Epitaph()).Because(err)
}

// WhyPurged says why a certificate must not be imported: it was here and was
// purged, or one that was has its serial number. It is empty for others.
func (q *Queries) WhyPurged(ctx context.Context, c *models.Certificate) (string, error) {
	stone, err := q.FindTombstoneBySerial(ctx, c.IssuerKeyID, c.Serial)
	if models.KindOf(err) == models.KindNotFound {
		stone, err = q.FindTombstoneByFingerprint(ctx, c.Fingerprint)
	}
	switch {
	case models.KindOf(err) == models.KindNotFound:
		return "", nil
	case err != nil:
		return "", err
	case stone.Fingerprint == c.Fingerprint:
		return "it was here: " + stone.Epitaph(), nil
	}
	return "another certificate of the same issuer had the serial number " + c.Serial + ": " + stone.Epitaph(), nil
}
