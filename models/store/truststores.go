// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

var (
	truststoresByName   = order[models.Truststore]{"truststores", "name", func(t *models.Truststore) string { return t.Name }}
	truststoreVersions  = order[models.Truststore]{"truststore versions", "id", func(t *models.Truststore) string { return string(t.ID) }}
	registrationsByName = order[models.Registration]{"registrations", "name", func(r *models.Registration) string { return r.Name }}
)

func currentOf(table string) string { return fmt.Sprintf(current, table, table) }

// InsertTruststore adds t as the next version of its name and sets t.Version.
func (tx *Tx) InsertTruststore(t *models.Truststore) error {
	setDefault(&t.ID, models.NewID[models.TruststoreID]())
	setDefault(&t.CreatedAt, tx.clock())
	highest := func() *gorm.DB {
		return tx.session().Model(&models.Truststore{}).Select("COALESCE(MAX(version), 0)").Where("name = ?", t.Name)
	}
	return tx.addVersion(t, quoted("truststore", t.Name), highest, func(n int64) { t.Version = int(n) })
}

// FindTruststore returns the current version of a truststore.
func (q *Queries) FindTruststore(ctx context.Context, name string) (*models.Truststore, error) {
	t := new(models.Truststore)
	if err := q.with(ctx).Where("name = ?", name).Order("version DESC").Take(t).Error; err != nil {
		return nil, q.check(err, quoted("truststore", name))
	}
	return t, nil
}

// FindTruststoreVersion returns one version of a truststore.
func (q *Queries) FindTruststoreVersion(ctx context.Context, name string, version int) (*models.Truststore, error) {
	subject := fmt.Sprintf("version %d of truststore %q", version, name)
	return find[models.Truststore](ctx, q, subject, "name = ? AND version = ?", name, version)
}

// ListTruststoreVersions returns the versions of a truststore, oldest first.
func (q *Queries) ListTruststoreVersions(ctx context.Context, name string, page Page) ([]models.Truststore, string, error) {
	return list(q, q.with(ctx).Where("name = ?", name), truststoreVersions, page)
}

// ListTruststores returns the current version of each truststore, by name.
func (q *Queries) ListTruststores(ctx context.Context, page Page) ([]models.Truststore, string, error) {
	return list(q, q.with(ctx).Where(currentOf("truststores")), truststoresByName, page)
}

// InsertRegistration adds a registration. It is KindConflict if the name is
// taken or the domain does not exist.
func (tx *Tx) InsertRegistration(r *models.Registration) error {
	tx.fresh((*string)(&r.ID), &r.Revision, &r.CreatedAt, &r.UpdatedAt)
	return tx.add(r, quoted("registration", r.Name))
}

// DeleteRegistration removes a registration. Devices that it made stay.
func (tx *Tx) DeleteRegistration(name string) error {
	subject := quoted("registration", name)
	res := tx.session().Where("name = ?", name).Delete(&models.Registration{})
	if res.Error == nil && res.RowsAffected == 0 {
		return models.Errorf(models.KindNotFound, "%s does not exist", subject)
	}
	return tx.check(res.Error, subject)
}

// FindRegistration returns the registration with this name.
func (q *Queries) FindRegistration(ctx context.Context, name string) (*models.Registration, error) {
	return find[models.Registration](ctx, q, quoted("registration", name), "name = ?", name)
}

// ListRegistrations returns registrations by name.
func (q *Queries) ListRegistrations(ctx context.Context, page Page) ([]models.Registration, string, error) {
	return list(q, q.with(ctx), registrationsByName, page)
}

// RegistrationsOfDomain returns all registrations of a domain, by name.
func (q *Queries) RegistrationsOfDomain(ctx context.Context, id models.DomainID) ([]models.Registration, error) {
	var rows []models.Registration
	err := q.with(ctx).Where("domain_id = ?", id).Order("name").Find(&rows).Error
	return rows, q.check(err, "registrations")
}
