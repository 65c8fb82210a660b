// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"gorm.io/gorm/clause"

	"github.com/trustloom/trustloom/models"
)

// PurgeBatch is how many certificates one transaction purges at most.
const PurgeBatch = 200

// PurgeOrder says what is purged, and on whose behalf.
type PurgeOrder struct {
	DomainID models.DomainID
	Limit    int           // certificates at most; 0 means all
	Pause    time.Duration // after each batch, so that others have their turn
	Event    models.Event  // who does it: begins the audit event of each certificate
	Done     func(n int)   // unless nil, is told after each batch how many it had
}

// Purged is what a purge did.
type Purged struct {
	Count int
	More  bool // there may be more: Limit was reached
}

// Purge removes the certificates of a domain that its retention rule does not
// keep any longer, the longest expired first, and leaves a tombstone and an
// audit event for each. A batch is one transaction, and one at a time of all
// processes; whatever stops it, the next call goes on from there. A domain
// without a rule keeps everything.
func (s *Store) Purge(ctx context.Context, o PurgeOrder) (Purged, error) {
	var done Purged
	var last purgeKey
	for {
		domain, err := s.FindDomain(ctx, o.DomainID)
		if err != nil || domain.Retention == 0 {
			return done, err
		}
		limit := PurgeBatch
		if o.Limit > 0 {
			limit = min(limit, o.Limit-done.Count)
		}
		// Found outside the transaction: what looks at many rows keeps nobody waiting.
		keys, err := s.nextPurgeable(ctx, purgeRule(domain, s.clock()), last, limit)
		if err != nil || len(keys) == 0 {
			return done, err
		}
		n, err := s.purgeBatch(ctx, o, keys)
		if err != nil {
			return done, err
		}
		done.Count, last = done.Count+n, keys[len(keys)-1]
		if o.Done != nil {
			o.Done(n)
		}
		if done.More = o.Limit > 0 && done.Count >= o.Limit; done.More {
			return done, nil
		}
		if err := pause(ctx, o.Pause); err != nil {
			return done, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return translate(ctx.Err(), "purge")
	}
}

// purgeBatch purges those of keys that may be, at this moment.
func (s *Store) purgeBatch(ctx context.Context, o PurgeOrder, keys []purgeKey) (n int, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		if err := tx.alone("purge"); err != nil {
			return err
		}
		domain, err := tx.FindDomain(ctx, o.DomainID)
		if err != nil || domain.Retention == 0 {
			return err
		}
		rows, err := tx.bury(purgeRule(domain, tx.clock()), idsOf(keys))
		n = len(rows)
		for i := range rows {
			if err == nil {
				err = tx.Audit(purgeEvent(&rows[i], domain, o.Event))
			}
		}
		return err
	})
	return n, err
}

// bury replaces certificates by tombstones.
func (tx *Tx) bury(rule PurgeRule, ids []models.CertificateID) ([]models.Tombstone, error) {
	const subject = "certificates to purge"
	var rows []models.Tombstone
	query := rule.condition(tx.session().Table("certificates")).
		Where("id IN ? AND domain_id = ? AND not_after < ?", ids, rule.DomainID, rule.Before()).Order("id").
		Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}) // SQLite has one writer anyway
	err := query.Select("id", "request_key", "request_id", "kind", "issuer_ca_id", "issuer_key_id", "serial", "tbs_sha256", "fingerprint", "spki_sha256",
		"domain_id", "device_id", "profile_name", "subject", "not_after", "predecessor_id", "revoked_at", "revoked_reason", "origin").Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, tx.check(err, subject)
	}
	stones, gone := make([]*models.Tombstone, len(rows)), make([]models.CertificateID, len(rows))
	for i := range rows {
		rows[i].PurgedAt = tx.clock()
		stamp(&rows[i])
		stones[i], gone[i] = &rows[i], rows[i].ID
	}
	if err := tx.addTombstones(stones); err != nil {
		return nil, err
	}
	if err := tx.session().Where("noun = 'certificate' AND subject_id IN ?", gone).Delete(&models.Annotation{}).Error; err != nil {
		return nil, tx.check(err, subject)
	}
	res := tx.session().Where("id IN ?", gone).Delete(&models.Certificate{}) // and their claims
	if res.Error == nil && int(res.RowsAffected) != len(gone) {
		return nil, changed("a certificate")
	}
	return rows, tx.check(res.Error, subject)
}

func (tx *Tx) addTombstones(stones []*models.Tombstone) error {
	list, err := insertsOf(tx, stones)
	if err != nil {
		return err
	}
	counts, err := tx.pipeline(list, "tombstones")
	for i, n := range counts {
		if err == nil && int(n) != list[i].rows {
			err = models.Errorf(models.KindInternal, "a certificate to purge has the serial number or the request of one that was purged before; run trustloomd check")
		}
	}
	return err
}

// purgeEvent is e about one certificate.
func purgeEvent(t *models.Tombstone, domain *models.Domain, e models.Event) models.Event {
	details := map[string]string{"serial": t.Serial, "issuer_key_id": t.IssuerKeyID, "sha256": t.Fingerprint, "not_after": t.NotAfter.Format(time.RFC3339), "retention": domain.Retention.String()}
	for key, value := range e.Details {
		details[key] = value
	}
	e.Action, e.Noun, e.SubjectID, e.Details = "certificate.purged", "certificate", string(t.ID), details
	e.DomainID, e.DeviceID, e.RequestID = t.DomainID, t.DeviceID, t.RequestID
	return e
}
