// SPDX-License-Identifier: MIT

package operations

import (
	"context"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// purgeAtOnce is how many certificates one call purges at most: it is answered
// before anybody gives it up.
const purgeAtOnce = 10 * store.PurgeBatch

// PreviewPurge says what a purge of a domain would remove at this moment, under
// its retention rule or another one, by the condition that the purge has.
func (o *Operations) PreviewPurge(ctx context.Context, who Caller, name string, q api.PurgeQuery) (*api.PurgePreview, error) {
	if err := auth.Authorize(who.Principal, auth.ReadCertificates); err != nil {
		return nil, err
	}
	domain, err := domainNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	if q.Retention != "" {
		if domain.Retention, err = models.ParseRetention(q.Retention); err != nil {
			return nil, err
		}
	}
	out := &api.PurgePreview{Retention: models.FormatRetention(domain.Retention), Items: []api.Certificate{}}
	if domain.Retention == 0 {
		return out, nil
	}
	rule := store.PurgeRule{DomainID: domain.ID, Retention: domain.Retention, Now: o.now()}
	if out.Count, err = o.store.CountPurgeable(ctx, rule); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListPurgeable(ctx, rule, pageOf(q.PageQuery))
	if err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	page, err := wirePage(rows, next, func(c *models.Certificate) (api.Certificate, error) { return wireCertificate(ctx, names, c, o.now()) })
	if err != nil {
		return nil, err
	}
	out.Before, out.Items, out.NextCursor = rule.Before(), page.Items, page.NextCursor
	return out, nil
}

// PurgeDomain removes now, up to a bound, what the retention rule of a domain
// does not keep, as the job does that runs every hour. Called again it goes on.
// It is KindConflict for a domain that keeps everything.
func (o *Operations) PurgeDomain(ctx context.Context, who Caller, name string) (*api.Purge, error) {
	if err := auth.Authorize(who.Principal, auth.PurgeCertificates); err != nil {
		return nil, err
	}
	domain, err := domainNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	if domain.Retention == 0 {
		return nil, models.Errorf(models.KindConflict, "domain %s keeps its certificates for ever: give it a retention rule first (trustloom domains set %s --retention 90d)", name, name)
	}
	done, err := o.store.Purge(ctx, store.PurgeOrder{DomainID: domain.ID, Limit: purgeAtOnce, Event: who.event("", "", "")})
	if err != nil {
		return nil, err
	}
	return &api.Purge{Purged: done.Count, More: done.More}, nil
}

// retentionChanged says in the audit event of a domain what its rule was and is.
func retentionChanged(before, row *models.Domain, event *models.Event) {
	if before.Retention != row.Retention {
		event.Details["retention_before"], event.Details["retention"] = models.FormatRetention(before.Retention), models.FormatRetention(row.Retention)
	}
}

// foundOrPurged is found for a certificate. Who may have seen one that was
// purged is told so.
func foundOrPurged(ctx context.Context, q reader, who Caller, err error, id models.CertificateID) error {
	stone, missing := q.FindTombstone(ctx, id)
	if models.KindOf(err) != models.KindNotFound || missing != nil {
		return found(err, "certificate", string(id))
	}
	if _, err := inScope(ctx, q, who, stone.DomainID, "certificate", string(id)); err != nil {
		return err
	}
	return models.Errorf(models.KindNotFound, "%s; the audit log has what is known of it: trustloom audit list --subject %s", stone.Epitaph(), id)
}
