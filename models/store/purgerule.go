// SPDX-License-Identifier: MIT

package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// PurgeRule selects what the retention of a domain does not keep at a moment.
type PurgeRule struct {
	DomainID  models.DomainID
	Retention models.Duration // not 0
	Now       time.Time
}

func purgeRule(d *models.Domain, now time.Time) PurgeRule {
	return PurgeRule{DomainID: d.ID, Retention: d.Retention, Now: now}
}

// Before is when certificates expired that are not kept any longer.
func (r PurgeRule) Before() time.Time { return instant(r.Now.Add(-r.Retention.Std())) }

// condition restricts a query of certificates that expired before the rule's
// time to those that may be purged. It is the only place that says so.
//
//   - CA certificates stay: chains and CRLs rest on them; and so does what was
//     never signed.
//   - A key that was compromised is refused by its certificate, and one on hold
//     waits for a decision.
//   - A revoked certificate must have been on a CRL issued after its validity
//     (RFC 5280 §3.3). The latest CRL is read, which lists all revoked ones; the
//     margin is for a revocation that was not committed when that was made.
//   - A request that has not ended may need its own certificate, the one it
//     replaces, and the one that proved who asks; so does a delivery,
//     and a transaction of CMP that waits for its confirmation.
//   - One that replaced a certificate which is still in force keeps that from
//     counting as the device's own a second time.
func (r PurgeRule) condition(query *gorm.DB) *gorm.DB {
	margin := "interval '1 minute'"
	if query.Name() == sqliteDriver {
		margin = "60000000"
	}
	return query.
		Where("kind <> 'ca' AND state IN ('issued', 'revoked') AND length(der) > 0 AND revoked_reason NOT IN ('keyCompromise', 'certificateHold')").
		Where(fmt.Sprintf(`(state = 'issued' OR EXISTS (SELECT 1 FROM (SELECT this_update FROM crls WHERE crls.key_id = certificates.issuer_key_id
			AND length(crls.der) > 0 ORDER BY number DESC LIMIT 1) AS latest
			WHERE latest.this_update > certificates.not_after AND latest.this_update > certificates.revoked_at + %s))`, margin)).
		Where("request_id NOT IN (SELECT id FROM requests WHERE "+unfinished+")").
		Where("id NOT IN (SELECT predecessor_id FROM requests WHERE "+unfinished+")").
		Where("fingerprint NOT IN (SELECT auth_subject FROM requests WHERE "+unfinished+")").
		Where("request_id NOT IN (SELECT request_id FROM deliveries WHERE NOT settled)").
		Where("request_id NOT IN (SELECT request_id FROM cmp_transactions WHERE state = 'open' AND request_id <> '')").
		Where("NOT EXISTS (SELECT 1 FROM certificates AS replaced WHERE replaced.id = certificates.predecessor_id AND replaced.not_after >= ?)", instant(r.Now))
}

// purgeKey is the place of a certificate among those to purge.
type purgeKey struct {
	ID       models.CertificateID
	NotAfter time.Time
}

func (k purgeKey) compare(other purgeKey) int {
	return cmp.Or(k.NotAfter.Compare(other.NotAfter), strings.Compare(string(k.ID), string(other.ID)))
}

// purgeWalks are the parts of the certificates of a domain that are ordered by
// expiry in an index each, from a place to the rule's time: what is valid is
// not met. As for certificateWalks, the front of the index is compared with
// both ends, so that no planner takes another one.
func (q *Queries) purgeWalks(ctx context.Context, rule PurgeRule, after purgeKey) (walks []*gorm.DB) {
	if after.ID == "" {
		after.NotAfter = beforeAll
	}
	for _, state := range []models.CertificateState{models.CertificateIssued, models.CertificateRevoked} {
		for _, origin := range []models.CertificateOrigin{models.CertificateMade, models.CertificateImported} {
			walk := rule.condition(q.with(ctx).Table("certificates")).
				Where("state = '"+string(state)+"'"). // a constant, for the partial index
				Where("(domain_id, origin, not_after, id) > (?, ?, ?, ?)", rule.DomainID, origin, instant(after.NotAfter), after.ID)
			walks = append(walks, walk.Where("(domain_id, origin, not_after) < (?, ?, ?)", rule.DomainID, origin, rule.Before()))
		}
	}
	return walks
}

// nextPurgeable returns what a rule selects after a place, the longest expired first.
func (q *Queries) nextPurgeable(ctx context.Context, rule PurgeRule, after purgeKey, limit int) ([]purgeKey, error) {
	var keys []purgeKey
	for _, walk := range q.purgeWalks(ctx, rule, after) {
		var some []purgeKey
		if err := walk.Select("id", "not_after").Order("domain_id, origin, not_after, id").Limit(limit).Find(&some).Error; err != nil {
			return nil, q.check(err, "certificates to purge")
		}
		keys = append(keys, some...)
	}
	slices.SortFunc(keys, purgeKey.compare)
	return keys[:min(len(keys), limit)], nil
}

// purgeList names the list in cursors.
const purgeList = "certificates to purge"

// ListPurgeable returns what a rule selects, without bytes, the longest expired
// first.
func (q *Queries) ListPurgeable(ctx context.Context, rule PurgeRule, page Page) ([]models.Certificate, string, error) {
	limit, text, err := page.open(purgeList)
	if err != nil {
		return nil, "", err
	}
	var after purgeKey
	if text != "" {
		if after.NotAfter, after.ID, err = parseExpiryKey(purgeList, text); err != nil {
			return nil, "", err
		}
	}
	keys, err := q.nextPurgeable(ctx, rule, after, limit+1)
	if err != nil || len(keys) == 0 {
		return nil, "", err
	}
	next := ""
	if len(keys) > limit {
		keys = keys[:limit]
		last := keys[limit-1]
		next = models.Cursor(purgeList, expiryKey(last.NotAfter, last.ID))
	}
	var rows []models.Certificate
	err = q.with(ctx).Omit("tbs", "der").Where("id IN ?", idsOf(keys)).Order("not_after, id").Find(&rows).Error
	return rows, next, q.check(err, purgeList)
}

func idsOf(keys []purgeKey) []models.CertificateID {
	ids := make([]models.CertificateID, len(keys))
	for i, key := range keys {
		ids[i] = key.ID
	}
	return ids
}

// CountPurgeable returns how many certificates a rule selects.
func (q *Queries) CountPurgeable(ctx context.Context, rule PurgeRule) (int, error) {
	var all int64
	for _, walk := range q.purgeWalks(ctx, rule, purgeKey{}) {
		var n int64
		if err := walk.Count(&n).Error; err != nil {
			return 0, q.check(err, purgeList)
		}
		all += n
	}
	return int(all), nil
}
