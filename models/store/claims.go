// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/trustloom/trustloom/models"
)

// Claim is a name that a certificate claims for its device in its domain.
type Claim struct {
	DomainID      models.DomainID      `gorm:"primaryKey"`
	Name          string               `gorm:"primaryKey"` // hex SHA-256 of what is claimed
	CertificateID models.CertificateID `gorm:"primaryKey"`
	DeviceID      models.DeviceID
}

// counts says which certificates are still good for something: a held one may
// be released.
const counts = "(certificates.state IN ('reserved', 'signing', 'issued') OR certificates.revoked_reason = 'certificateHold')"

// ClaimNames notes that the reserved certificate c has names that no valid
// certificate of another device of the domain may have. It is KindDenied if
// there is one. Transactions that claim the same name wait for each other.
func (tx *Tx) ClaimNames(c *models.Certificate, names []string) error {
	if len(names) == 0 {
		return nil
	}
	hashed := hashNames(names)
	locks := make([]string, len(hashed))
	for i, name := range hashed {
		locks[i] = "claim/" + string(c.DomainID) + "/" + name
	}
	if err := tx.alone(locks...); err != nil {
		return err
	}
	if err := tx.CheckNames(tx.ctx, c, names); err != nil {
		return err
	}
	rows := make([]Claim, len(hashed))
	for i, name := range hashed {
		rows[i] = Claim{DomainID: c.DomainID, Name: name, CertificateID: c.ID, DeviceID: c.DeviceID}
	}
	return tx.check(tx.session().Create(&rows).Error, quoted("certificate", c.ID))
}

// CheckNames is KindDenied if a valid certificate of another device of the
// domain has claimed one of the names.
func (q *Queries) CheckNames(ctx context.Context, c *models.Certificate, names []string) error {
	if len(names) == 0 {
		return nil
	}
	var taken []string
	err := q.with(ctx).Model(&Claim{}).Joins("JOIN certificates ON certificates.id = claims.certificate_id").
		Where("claims.domain_id = ? AND claims.name IN ? AND claims.device_id <> ?", c.DomainID, hashNames(names), c.DeviceID).
		Where("certificates.not_after > ?", instant(q.clock())).Where(counts).
		Limit(1).Pluck("claims.name", &taken).Error
	if err != nil || len(taken) == 0 {
		return q.check(err, quoted("certificate", c.ID))
	}
	for _, name := range names {
		if hashName(name) == taken[0] {
			return models.Errorf(models.KindDenied, "another device of the domain has a valid certificate with %q, which the profile lets one device have", name)
		}
	}
	return models.Errorf(models.KindDenied, "another device of the domain has a valid certificate with one of the names")
}

// HoldActive refuses the reserved certificate c with KindDenied if its device
// then had more than maximum valid certificates of its profile. Those that
// have a successor, and the one that c replaces, do not count.
// Transactions for the same device and profile wait for each other.
func (tx *Tx) HoldActive(c *models.Certificate, maximum int) error {
	if maximum == 0 {
		return nil
	}
	if err := tx.alone("active/" + string(c.DeviceID) + "/" + c.ProfileName); err != nil {
		return err
	}
	return tx.CheckActive(tx.ctx, c, maximum)
}

// CheckActive is HoldActive without waiting for others; c may be one that is
// not reserved.
func (q *Queries) CheckActive(ctx context.Context, c *models.Certificate, maximum int) error {
	if maximum == 0 {
		return nil
	}
	var active int64
	err := q.with(ctx).Model(&models.Certificate{}).
		Where("device_id = ? AND profile_name = ? AND id <> ? AND id <> ?", c.DeviceID, c.ProfileName, c.ID, c.PredecessorID).
		Where("not_after > ?", instant(q.clock())).Where(counts).
		Where(`NOT EXISTS (SELECT 1 FROM certificates AS s WHERE s.device_id = certificates.device_id
			AND s.predecessor_id = certificates.id AND s.state IN ('issued', 'revoked'))`).
		Count(&active).Error
	if err != nil {
		return q.check(err, quoted("certificate", c.ID))
	}
	if int(active) >= maximum {
		return models.Errorf(models.KindDenied, "the device has %d valid certificates of profile %s, which permits %d: renew one, or have one revoked", active, c.ProfileName, maximum)
	}
	return nil
}

// alone makes transactions that give the same texts wait for each other until
// they end. SQLite has one writer anyway. Locks are taken in one order, so
// that nobody waits in a circle.
func (tx *Tx) alone(texts ...string) error {
	if tx.db.Name() == sqliteDriver {
		return nil
	}
	keys := make([]int64, len(texts))
	for i, t := range texts {
		sum := sha256.Sum256([]byte(t))
		keys[i] = int64(binary.BigEndian.Uint64(sum[:8])) // any number will do
	}
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		if err := tx.session().Exec("SELECT pg_advisory_xact_lock(?)", key).Error; err != nil {
			return tx.check(err, "name")
		}
	}
	return nil
}

// hashNames returns what is stored of names, each once and sorted: an index
// entry does not take names of any length.
func hashNames(names []string) []string {
	hashed := make([]string, len(names))
	for i, name := range names {
		hashed[i] = hashName(name)
	}
	slices.Sort(hashed)
	return slices.Compact(hashed)
}

func hashName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}
