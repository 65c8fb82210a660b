// SPDX-License-Identifier: MIT

package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

var profilesByName = order[models.Profile]{"profiles", "name", func(p *models.Profile) string { return p.Name }}

// current selects the highest version of each name.
const current = "version = (SELECT MAX(newer.version) FROM %s AS newer WHERE newer.name = %s.name)"

// InsertProfile adds p as the next version of its name and sets p.Version.
func (tx *Tx) InsertProfile(p *models.Profile) error {
	setDefault(&p.ID, models.NewID[models.ProfileID]())
	setDefault(&p.CreatedAt, tx.clock())
	highest := func() *gorm.DB {
		return tx.session().Model(&models.Profile{}).Select("COALESCE(MAX(version), 0)").Where("name = ?", p.Name)
	}
	return tx.addVersion(p, quoted("profile", p.Name), highest, func(n int64) { p.Version = int(n) })
}

// FindProfile returns the current version of a profile.
func (q *Queries) FindProfile(ctx context.Context, name string) (*models.Profile, error) {
	return find[models.Profile](ctx, q, quoted("profile", name), "name = ? ORDER BY version DESC", name)
}

// FindProfileVersion returns one version of a profile.
func (q *Queries) FindProfileVersion(ctx context.Context, name string, version int) (*models.Profile, error) {
	return find[models.Profile](ctx, q, quoted("version of profile", name), "name = ? AND version = ?", name, version)
}

// ListProfiles returns the current version of each profile, by name.
func (q *Queries) ListProfiles(ctx context.Context, page Page) ([]models.Profile, string, error) {
	return list(q, q.with(ctx).Where(currentOf("profiles")), profilesByName, page)
}
