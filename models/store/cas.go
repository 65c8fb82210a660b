// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// maxChain bounds how many CAs are above each other.
const maxChain = 16

var casByName = order[models.CA]{"CAs", "name", func(c *models.CA) string { return c.Name }}

// InsertCA adds a CA; an empty ID and unset times are filled in. It is
// KindConflict if the name is taken.
func (tx *Tx) InsertCA(ca *models.CA) error {
	if err := known(models.CATransitions, "CA", ca.State); err != nil {
		return err
	}
	setDefault(&ca.Origin, models.CAMade)
	tx.fresh((*string)(&ca.ID), &ca.Revision, &ca.CreatedAt, &ca.UpdatedAt)
	return tx.add(ca, quoted("CA", ca.Name))
}

// SaveCA writes all fields but CreatedAt. It is KindConflict if ca is not the
// present revision or its state cannot follow the present one.
func (tx *Tx) SaveCA(ca *models.CA) error {
	l := lock{quoted("CA", ca.Name), string(ca.ID), &ca.Revision, &ca.UpdatedAt}
	saved, err := tx.save(ca, l, nil, "state IN ?", predecessors(models.CATransitions, ca.State))
	if saved || err != nil {
		return err
	}
	now, err := tx.FindCA(tx.ctx, ca.ID)
	if err != nil {
		return err
	}
	return refused(l, now.Revision, models.CATransitions, now.State, ca.State)
}

// FindCA returns the CA with this identifier.
func (q *Queries) FindCA(ctx context.Context, id models.CAID) (*models.CA, error) {
	return find[models.CA](ctx, q, quoted("CA", id), "id = ?", id)
}

// FindCAByName returns the CA with this name.
func (q *Queries) FindCAByName(ctx context.Context, name string) (*models.CA, error) {
	return find[models.CA](ctx, q, quoted("CA", name), "name = ?", name)
}

// FindCAByKeyID returns the CA that has the key with this SubjectKeyIdentifier
// (lower-case hex).
func (q *Queries) FindCAByKeyID(ctx context.Context, keyID string) (*models.CA, error) {
	return find[models.CA](ctx, q, quoted("CA with key", keyID), "key_id = ?", keyID)
}

// ListCAs returns CAs by name.
func (q *Queries) ListCAs(ctx context.Context, page Page) ([]models.CA, string, error) {
	return list(q, q.with(ctx), casByName, page)
}

// AllCAs returns every CA, by name.
func (q *Queries) AllCAs(ctx context.Context) ([]*models.CA, error) {
	var all []*models.CA
	for page := (Page{Limit: MaxLimit}); ; {
		rows, next, err := q.ListCAs(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			all = append(all, &rows[i])
		}
		if next == "" {
			return all, nil
		}
		page.Cursor = next
	}
}

// DeleteCA removes a CA that nothing refers to: no CA below it, no domain, no
// certificate that it issued, no CRL. It is KindConflict, saying what does,
// otherwise. What tells of it in the audit log stays.
func (tx *Tx) DeleteCA(ca *models.CA) error {
	uses := []struct{ what, query string }{
		{"a CA below it", "SELECT COUNT(*) FROM cas WHERE issuer_id = ?"},
		{"a domain", "SELECT COUNT(*) FROM domains WHERE issuing_ca_id = ?"},
		{"a certificate that it issued", "SELECT COUNT(*) FROM (SELECT id FROM certificates WHERE issuer_key_id = ? AND kind <> 'ca' LIMIT 1) AS found"},
		{"a purged certificate that it issued", "SELECT COUNT(*) FROM (SELECT id FROM tombstones WHERE issuer_key_id = ? LIMIT 1) AS found"},
		{"a CRL", "SELECT COUNT(*) FROM crls WHERE ca_id = ?"},
	}
	for _, use := range uses {
		subject := string(ca.ID)
		if strings.HasSuffix(use.what, "certificate that it issued") {
			subject = ca.KeyID
		}
		var count int64
		if err := tx.session().Raw(use.query, subject).Scan(&count).Error; err != nil {
			return tx.check(err, quoted("CA", ca.Name))
		}
		if count > 0 {
			return models.Errorf(models.KindConflict, "CA %s cannot be removed: there is %s", ca.Name, use.what)
		}
	}
	if ca.CertificateID != "" {
		if err := tx.session().Where("id = ?", ca.CertificateID).Delete(&models.Certificate{}).Error; err != nil {
			return tx.check(err, quoted("CA", ca.Name))
		}
	}
	res := tx.session().Where("id = ? AND revision = ?", ca.ID, ca.Revision).Delete(&models.CA{})
	if res.Error == nil && res.RowsAffected == 0 {
		return changed(quoted("CA", ca.Name))
	}
	return tx.check(res.Error, quoted("CA", ca.Name))
}

// CAChain returns the CA, its issuer, and so on up to the root. It is
// KindInternal if the rows do not end in a root.
func (q *Queries) CAChain(ctx context.Context, id models.CAID) ([]*models.CA, error) {
	var chain []*models.CA
	for id != "" || len(chain) == 0 {
		if len(chain) == maxChain {
			return nil, models.Errorf(models.KindInternal, "CA %s has more than %d CAs above it", chain[0].ID, maxChain)
		}
		ca, err := q.FindCA(ctx, id)
		if err != nil {
			return nil, err
		}
		chain, id = append(chain, ca), ca.IssuerID
	}
	return chain, nil
}
