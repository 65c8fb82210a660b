// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"slices"

	"github.com/trustloom/trustloom/models"
)

var domainsByName = order[models.Domain]{"domains", "name", func(d *models.Domain) string { return d.Name }}

// InsertDomain adds a domain. It is KindConflict if the name is taken or the
// issuing CA does not exist.
func (tx *Tx) InsertDomain(d *models.Domain) error {
	tx.fresh((*string)(&d.ID), &d.Revision, &d.CreatedAt, &d.UpdatedAt)
	return tx.add(d, quoted("domain", d.Name))
}

// SaveDomain writes all fields but CreatedAt. It is KindConflict if d is not
// the present revision.
func (tx *Tx) SaveDomain(d *models.Domain) error {
	l := lock{quoted("domain", d.Name), string(d.ID), &d.Revision, &d.UpdatedAt}
	saved, err := tx.save(d, l, nil, "")
	if saved || err != nil {
		return err
	}
	if _, err := tx.FindDomain(tx.ctx, d.ID); err != nil {
		return err
	}
	return changed(l.subject)
}

// FindDomain returns the domain with this identifier.
func (q *Queries) FindDomain(ctx context.Context, id models.DomainID) (*models.Domain, error) {
	return find[models.Domain](ctx, q, quoted("domain", id), "id = ?", id)
}

// FindDomainByName returns the domain with this name.
func (q *Queries) FindDomainByName(ctx context.Context, name string) (*models.Domain, error) {
	return find[models.Domain](ctx, q, quoted("domain", name), "name = ?", name)
}

// ListDomains returns domains by name.
func (q *Queries) ListDomains(ctx context.Context, page Page) ([]models.Domain, string, error) {
	return list(q, q.with(ctx), domainsByName, page)
}

// PresetsOfIssuer returns the names of the presets of the domains that a CA
// issues for, each once.
func (q *Queries) PresetsOfIssuer(ctx context.Context, id models.CAID) ([]string, error) {
	var names []string
	err := q.with(ctx).Model(&models.Domain{}).Where("issuing_ca_id = ?", id).Distinct().Order("preset").Pluck("preset", &names).Error
	return slices.DeleteFunc(names, func(name string) bool { return name == "" }), q.check(err, "domains")
}
