// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/trustloom/trustloom/models"
)

var (
	blocklistsByName = order[models.Blocklist]{"blocklists", "name", func(b *models.Blocklist) string { return b.Name }}
	keysOfBlocklist  = order[models.BlockedKey]{"blocked keys", "spki_sha256", func(k *models.BlockedKey) string { return k.SPKISHA256 }}
)

// keysAtOnce bounds the parameters of one statement.
const keysAtOnce = 500

// Obstacle is what forbids to certify a key: a blocklist, or a certificate of
// another holder (be it a CA) or one that was revoked because of its key.
type Obstacle struct {
	Blocklist     string
	DeviceID      models.DeviceID
	RevokedReason models.RevocationReason
}

// inTheWay asks for both with one statement. Its parameters are the key, the
// holder, and the key.
var inTheWay = "SELECT '', k.device_id, COALESCE(k.revoked_reason, '') " + forbidsKey("?") +
	" UNION ALL SELECT b.blocklist, '', '' " + blocksKey + " LIMIT 1"

// keyFree is the condition that neither is in the way of holder, an expression,
// for statements that know already what else they rest on. The key is the first
// parameter, and the last.
func keyFree(holder string) string {
	return "NOT EXISTS (SELECT 1 " + forbidsKey(holder) + ") AND NOT EXISTS (SELECT 1 " + blocksKey + ")"
}

// forbidsKey finds the certificates, k, that forbid a key to holder.
func forbidsKey(holder string) string {
	return "FROM certificates AS k WHERE k.spki_sha256 = ? AND ((k.device_id <> " + holder +
		" AND (k.origin = 'issued' OR k.kind = 'ca' OR k.device_id <> '')) OR k.revoked_reason IN ('keyCompromise', 'certificateHold'))"
}

// blocksKey finds the blocklists, b, that have a key.
const blocksKey = "FROM blocked_keys AS b WHERE b.spki_sha256 = ?"

// KeyInTheWay returns what forbids to certify a key for a device, nil if there
// is nothing. A certificate that was imported and belongs to nobody forbids
// nothing.
func (q *Queries) KeyInTheWay(ctx context.Context, spkiSHA256 string, device models.DeviceID) (*Obstacle, error) {
	const subject = "certificate that forbids the key"
	ctx, err := q.ready(ctx)
	if err != nil {
		return nil, q.check(err, subject)
	}
	found := &Obstacle{}
	rows, err := q.db.Statement.ConnPool.QueryContext(ctx, q.numbered(inTheWay), spkiSHA256, string(device), spkiSHA256)
	if err != nil {
		return nil, q.check(err, subject)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, q.check(rows.Err(), subject)
	}
	if err := rows.Scan(&found.Blocklist, &found.DeviceID, &found.RevokedReason); err != nil {
		return nil, q.check(err, subject)
	}
	return found, q.check(rows.Close(), subject)
}

// CheckBlocklists is KindDenied if a key is on a list of keys that nobody may
// use.
func (q *Queries) CheckBlocklists(ctx context.Context, spkiSHA256 string) error {
	var row models.BlockedKey
	err := q.with(ctx).Where("spki_sha256 = ?", spkiSHA256).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil
	}
	if err != nil {
		return q.check(err, "blocked key")
	}
	return Blocked(row.Blocklist)
}

// Blocked is the refusal of a key that is on a list.
func Blocked(list string) error {
	return models.Errorf(models.KindDenied, "the key is on the list %q of keys that must not be used (leaked, or of a broken generator): make a new key", list)
}

// FindBlocklist returns the list with this name.
func (q *Queries) FindBlocklist(ctx context.Context, name string) (*models.Blocklist, error) {
	return find[models.Blocklist](ctx, q, quoted("blocklist", name), "name = ?", name)
}

// ListBlocklists returns the lists by name.
func (q *Queries) ListBlocklists(ctx context.Context, page Page) ([]models.Blocklist, string, error) {
	return list(q, q.with(ctx), blocklistsByName, page)
}

// ListBlockedKeys returns the keys of a list by fingerprint, or the one with
// this fingerprint.
func (q *Queries) ListBlockedKeys(ctx context.Context, name, fingerprint string, page Page) ([]models.BlockedKey, string, error) {
	return list(q, matching(q.with(ctx).Where("blocklist = ?", name), "spki_sha256", fingerprint), keysOfBlocklist, page)
}

// ChangeBlocklist puts keys on a list and takes keys off it, and says how many
// were not on it and how many were. A list that does not exist is made. Writers
// wait for each other. It is KindConflict if there would be too many lists or
// keys.
func (tx *Tx) ChangeBlocklist(name string, add, remove []string) (added, removed int, err error) {
	if err := tx.alone("blocklists"); err != nil {
		return 0, 0, err
	}
	if err := tx.ensureBlocklist(name); err != nil {
		return 0, 0, err
	}
	for len(remove) > 0 {
		n := min(len(remove), keysAtOnce)
		res := tx.session().Where("blocklist = ? AND spki_sha256 IN ?", name, remove[:n]).Delete(&models.BlockedKey{})
		if res.Error != nil {
			return 0, 0, tx.check(res.Error, quoted("blocklist", name))
		}
		removed, remove = removed+int(res.RowsAffected), remove[n:]
	}
	for len(add) > 0 {
		n := min(len(add), keysAtOnce)
		rows := make([]models.BlockedKey, n)
		for i, fingerprint := range add[:n] {
			rows[i] = models.BlockedKey{SPKISHA256: fingerprint, Blocklist: name}
		}
		res := tx.session().Clauses(clause.OnConflict{DoNothing: true}).Create(&rows)
		if res.Error != nil {
			return 0, 0, tx.check(res.Error, quoted("blocklist", name))
		}
		added, add = added+int(res.RowsAffected), add[n:]
	}
	return added, removed, tx.countBlocklist(name, added-removed)
}

// ensureBlocklist makes an empty list unless there is one.
func (tx *Tx) ensureBlocklist(name string) error {
	var others int64
	if err := tx.session().Model(&models.Blocklist{}).Where("name <> ?", name).Count(&others).Error; err != nil {
		return tx.check(err, "blocklists")
	}
	if others >= models.MaxBlocklists {
		return models.Errorf(models.KindConflict, "there are %d lists of keys already, as many as there can be; delete one, or add to one", others)
	}
	now := tx.clock()
	_, err := tx.insert(&models.Blocklist{Name: name, CreatedAt: now, UpdatedAt: now}, quoted("blocklist", name))
	return err
}

// countBlocklist notes how many keys more a list has, bounded.
func (tx *Tx) countBlocklist(name string, more int) error {
	res := tx.session().Model(&models.Blocklist{}).Where("name = ?", name).
		UpdateColumns(map[string]any{"key_count": gorm.Expr("key_count + ?", more), "updated_at": tx.clock()})
	if res.Error != nil {
		return tx.check(res.Error, quoted("blocklist", name))
	}
	var all int64
	if err := tx.session().Model(&models.Blocklist{}).Select("COALESCE(SUM(key_count), 0)").Scan(&all).Error; err != nil {
		return tx.check(err, "blocklists")
	}
	if more > 0 && all > models.MaxBlockedKeys {
		return models.Errorf(models.KindConflict, "the lists would have %d keys; together they can have %d", all, models.MaxBlockedKeys)
	}
	return nil
}

// DeleteBlocklist removes a list with its keys.
func (tx *Tx) DeleteBlocklist(name string) error {
	if err := tx.alone("blocklists"); err != nil {
		return err
	}
	res := tx.session().Where("name = ?", name).Delete(&models.Blocklist{})
	if res.Error == nil && res.RowsAffected == 0 {
		return models.Errorf(models.KindNotFound, "%s does not exist", quoted("blocklist", name))
	}
	return tx.check(res.Error, quoted("blocklist", name))
}

// CertificatesOfKeys returns certificates that are good at an instant and have
// one of the keys, at most limit.
func (q *Queries) CertificatesOfKeys(ctx context.Context, fingerprints []string, at time.Time, limit int) ([]models.Certificate, error) {
	var all []models.Certificate
	for len(fingerprints) > 0 && len(all) < limit {
		n := min(len(fingerprints), keysAtOnce)
		var rows []models.Certificate
		err := q.with(ctx).Omit("der", "tbs").Where("spki_sha256 IN ? AND not_after > ?", fingerprints[:n], instant(at)).Where(counts).
			Order("id").Limit(limit - len(all)).Find(&rows).Error
		if err != nil {
			return nil, q.check(err, "certificates of blocked keys")
		}
		all, fingerprints = append(all, rows...), fingerprints[n:]
	}
	return all, nil
}
