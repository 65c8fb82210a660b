// SPDX-License-Identifier: MIT

package store

import (
	"context"

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
