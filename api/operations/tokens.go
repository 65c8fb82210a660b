// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

const maxTokenDomains = 100

// ListOperators lists the operators by name.
func (o *Operations) ListOperators(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.Operator], error) {
	if err := auth.Authorize(who.Principal, auth.ReadOperators); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListOperators(ctx, pageOf(q))
	if err != nil {
		return nil, err
	}
	return wirePage(rows, next, func(p *models.Operator) (api.Operator, error) {
		return api.Operator{ID: string(p.ID), Name: p.Name, Disabled: p.Disabled, CreatedAt: p.CreatedAt}, nil
	})
}

// ListTokens lists the tokens by name, without the tokens themselves.
func (o *Operations) ListTokens(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.Token], error) {
	if err := auth.Authorize(who.Principal, auth.ReadTokens); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListTokens(ctx, pageOf(q))
	if err != nil {
		return nil, err
	}
	return wirePage(rows, next, func(t *models.Token) (api.Token, error) {
		operator, err := o.store.FindOperator(ctx, t.OperatorID)
		if err != nil {
			return api.Token{}, err
		}
		return wireToken(t, operator.Name), nil
	})
}

// CreateToken creates a token, and its operator if there is none of that
// name. The answer, and no later one, has the token.
func (o *Operations) CreateToken(ctx context.Context, who Caller, in api.TokenCreation) (*api.Token, error) {
	if err := auth.Authorize(who.Principal, auth.WriteTokens); err != nil {
		return nil, err
	}
	if in.Operator == "" {
		in.Operator = in.Name
	}
	row, err := o.newToken(in)
	if err != nil {
		return nil, err
	}
	token, hash := auth.NewToken()
	row.Hash = hash
	err = o.write(ctx, func(tx *store.Tx) error {
		for _, name := range row.Domains {
			if _, err := domainNamed(ctx, tx.Queries, who, name); err != nil {
				return err
			}
		}
		operator, err := ensureOperator(ctx, tx, who, in.Operator)
		if err != nil {
			return err
		}
		row.OperatorID = operator.ID
		if err := tx.InsertToken(row); err != nil {
			return err
		}
		return tx.Audit(who.event("token.created", "token", string(row.ID), "name", row.Name, "operator", operator.Name,
			"role", string(row.Role), "domains", strings.Join(row.Domains, ", ")))
	})
	if err != nil {
		return nil, err
	}
	out := wireToken(row, in.Operator)
	out.Token = token
	return &out, nil
}

// newToken validates what can be without the store.
func (o *Operations) newToken(in api.TokenCreation) (*models.Token, error) {
	if err := models.CheckName("token", in.Name); err != nil {
		return nil, err
	}
	if err := models.CheckName("operator", in.Operator); err != nil {
		return nil, err
	}
	if err := oneOf("role", in.Role, models.Roles); err != nil {
		return nil, err
	}
	if len(in.Domains) > maxTokenDomains {
		return nil, models.Errorf(models.KindInvalid, "a token is limited to at most %d domains", maxTokenDomains)
	}
	domains := slices.Clone(in.Domains)
	slices.Sort(domains)
	row := &models.Token{
		ID: models.NewID[models.TokenID](), Name: in.Name, Role: in.Role, Domains: slices.Compact(domains),
	}
	if in.ExpiresIn != 0 {
		at := models.UTC(o.now()).Add(in.ExpiresIn.Std())
		row.ExpiresAt = &at
	}
	return row, nil
}

func ensureOperator(ctx context.Context, tx *store.Tx, who Caller, name string) (*models.Operator, error) {
	operator, err := tx.FindOperatorByName(ctx, name)
	if err == nil {
		if operator.Disabled {
			return nil, models.Errorf(models.KindConflict, "operator %s is disabled", name)
		}
		return operator, nil
	}
	if err := ifAbsent(err); err != nil {
		return nil, err
	}
	operator = &models.Operator{ID: models.NewID[models.OperatorID](), Name: name}
	if err := tx.InsertOperator(operator); err != nil {
		return nil, err
	}
	return operator, tx.Audit(who.event("operator.created", "operator", string(operator.ID), "name", name))
}

// RevokeToken ends a token at once. The last token that may make new ones is
// kept: nobody could get in again.
func (o *Operations) RevokeToken(ctx context.Context, who Caller, name string) error {
	if err := auth.Authorize(who.Principal, auth.WriteTokens); err != nil {
		return err
	}
	return o.write(ctx, func(tx *store.Tx) error {
		if err := tx.LockTokens(); err != nil { // each of two that revoke each other would see the other
			return err
		}
		row, err := tx.FindTokenByName(ctx, name)
		if err != nil {
			return found(err, "token", name)
		}
		if row.RevokedAt != nil {
			return models.Errorf(models.KindConflict, "token %s is revoked already", name)
		}
		if err := o.checkNotLast(ctx, tx, row); err != nil {
			return err
		}
		now := models.UTC(o.now())
		row.RevokedAt = &now
		if err := tx.SaveToken(row); err != nil {
			return err
		}
		return tx.Audit(who.event("token.revoked", "token", string(row.ID), "name", name))
	})
}

func (o *Operations) checkNotLast(ctx context.Context, tx *store.Tx, row *models.Token) error {
	if !o.makesTokens(row) {
		return nil
	}
	for page := (store.Page{Limit: store.MaxLimit}); ; {
		rows, next, err := tx.ListTokens(ctx, page)
		if err != nil {
			return err
		}
		for i := range rows {
			if rows[i].ID != row.ID && o.makesTokens(&rows[i]) {
				return nil
			}
		}
		if next == "" {
			return models.Errorf(models.KindConflict, "token %s is the last that can make new ones; create another one first", row.Name)
		}
		page.Cursor = next
	}
}

// makesTokens reports whether a token is good for making others.
func (o *Operations) makesTokens(t *models.Token) bool {
	return auth.Allowed(t.Role, auth.WriteTokens) && len(t.Domains) == 0 && t.RevokedAt == nil &&
		(t.ExpiresAt == nil || o.now().Before(*t.ExpiresAt))
}

func wireToken(t *models.Token, operator string) api.Token {
	return api.Token{
		ID: string(t.ID), Name: t.Name, Operator: operator, Role: t.Role, Domains: t.Domains,
		ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt, CreatedAt: t.CreatedAt,
	}
}
