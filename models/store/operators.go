// SPDX-License-Identifier: MIT

package store

import (
	"context"

	"github.com/trustloom/trustloom/models"
)

var (
	operatorsByName = order[models.Operator]{"operators", "name", func(o *models.Operator) string { return o.Name }}
	tokensByName    = order[models.Token]{"tokens", "name", func(t *models.Token) string { return t.Name }}
)

// InsertOperator adds an operator. It is KindConflict if the name is taken.
func (tx *Tx) InsertOperator(o *models.Operator) error {
	tx.fresh((*string)(&o.ID), &o.Revision, &o.CreatedAt, &o.UpdatedAt)
	return tx.add(o, quoted("operator", o.Name))
}

// InsertToken adds a token. It is KindConflict if its name or hash is taken or
// its operator does not exist.
func (tx *Tx) InsertToken(t *models.Token) error {
	setDefault(&t.ID, models.NewID[models.TokenID]())
	setDefault(&t.CreatedAt, tx.clock())
	return tx.add(t, quoted("token", t.Name))
}

// SaveToken writes Role, Domains, ExpiresAt and RevokedAt. A revoked token
// never changes: that is KindConflict.
func (tx *Tx) SaveToken(t *models.Token) error {
	stamp(t)
	subject := quoted("token", t.Name)
	res := tx.session().Model(&models.Token{}).Where("id = ? AND revoked_at IS NULL", t.ID).
		Select("role", "domains", "expires_at", "revoked_at").UpdateColumns(t)
	if res.Error != nil || res.RowsAffected == 1 {
		return tx.check(res.Error, subject)
	}
	if _, err := find[models.Token](tx.ctx, tx.Queries, subject, "id = ?", t.ID); err != nil {
		return err
	}
	return models.Errorf(models.KindConflict, "%s is revoked", subject)
}

// LockTokens lets other transactions that lock, add or change tokens wait for
// the end of this one, so that what it reads of them stays true.
func (tx *Tx) LockTokens() error {
	if tx.db.Name() == sqliteDriver {
		return nil // one transaction at a time
	}
	return tx.check(tx.session().Exec("LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE").Error, "tokens")
}

// FindOperator returns the operator with this identifier.
func (q *Queries) FindOperator(ctx context.Context, id models.OperatorID) (*models.Operator, error) {
	return find[models.Operator](ctx, q, quoted("operator", id), "id = ?", id)
}

// FindOperatorByName returns the operator with this name.
func (q *Queries) FindOperatorByName(ctx context.Context, name string) (*models.Operator, error) {
	return find[models.Operator](ctx, q, quoted("operator", name), "name = ?", name)
}

// FindTokenByHash returns the token with this hash (hex SHA-256), revoked and
// expired ones too.
func (q *Queries) FindTokenByHash(ctx context.Context, hash string) (*models.Token, error) {
	return find[models.Token](ctx, q, "token", "hash = ?", hash)
}

// FindTokenByName returns the token with this name.
func (q *Queries) FindTokenByName(ctx context.Context, name string) (*models.Token, error) {
	return find[models.Token](ctx, q, quoted("token", name), "name = ?", name)
}

// ListOperators returns operators by name.
func (q *Queries) ListOperators(ctx context.Context, page Page) ([]models.Operator, string, error) {
	return list(q, q.with(ctx), operatorsByName, page)
}

// ListTokens returns tokens by name.
func (q *Queries) ListTokens(ctx context.Context, page Page) ([]models.Token, string, error) {
	return list(q, q.with(ctx), tokensByName, page)
}
