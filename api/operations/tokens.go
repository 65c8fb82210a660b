// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

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
		if err := domainsExist(ctx, tx, who, row.Domains); err != nil {
			return err
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
	domains, err := limit(in.Domains)
	if err != nil {
		return nil, err
	}
	row := &models.Token{ID: models.NewID[models.TokenID](), Name: in.Name, Role: in.Role, Domains: domains}
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

// ChangeToken changes what a token may do, or when it ends, at once.
func (o *Operations) ChangeToken(ctx context.Context, who Caller, name string, in api.TokenChange) (*api.Token, error) {
	if err := auth.Authorize(who.Principal, auth.WriteTokens); err != nil {
		return nil, err
	}
	rights, err := newRights(in.Role, in.Domains, in.AllDomains)
	if err != nil {
		return nil, err
	}
	var out api.Token
	return &out, o.write(ctx, func(tx *store.Tx) error {
		return o.keepingAWayIn(ctx, tx, "token "+name, func() error {
			row, err := tx.FindTokenByName(ctx, name)
			if err != nil {
				return found(err, "token", name)
			}
			if row.Session && !rights.none() {
				return models.Errorf(models.KindConflict, "%s is a session: its role and its domains are those of the operator", name)
			}
			if err := rights.apply(ctx, tx, who, &row.Role, &row.Domains); err != nil {
				return err
			}
			if in.ExpiresIn != 0 {
				at := models.UTC(o.now()).Add(in.ExpiresIn.Std())
				row.ExpiresAt = &at
			}
			if err := tx.SaveToken(row); err != nil {
				return err
			}
			operator, err := tx.FindOperator(ctx, row.OperatorID)
			if err != nil {
				return err
			}
			out = wireToken(row, operator.Name)
			return tx.Audit(who.event("token.changed", "token", string(row.ID), "name", name, "role", string(row.Role),
				"domains", strings.Join(row.Domains, ", "), "expires_in", in.ExpiresIn.String()))
		})
	})
}

// RevokeToken ends a token at once. The last one that may make new ones is
// kept: nobody could get in again.
func (o *Operations) RevokeToken(ctx context.Context, who Caller, name string) error {
	if err := auth.Authorize(who.Principal, auth.WriteTokens); err != nil {
		return err
	}
	return o.write(ctx, func(tx *store.Tx) error {
		return o.keepingAWayIn(ctx, tx, "token "+name, func() error {
			row, err := tx.FindTokenByName(ctx, name)
			if err != nil {
				return found(err, "token", name)
			}
			return o.revoke(tx, who, row)
		})
	})
}

func (o *Operations) revoke(tx *store.Tx, who Caller, row *models.Token) error {
	if row.RevokedAt != nil {
		return models.Errorf(models.KindConflict, "token %s is revoked already", row.Name)
	}
	now := models.UTC(o.now())
	row.RevokedAt = &now
	if err := tx.SaveToken(row); err != nil {
		return err
	}
	return tx.Audit(who.event("token.revoked", "token", string(row.ID), "name", row.Name))
}

func wireToken(t *models.Token, operator string) api.Token {
	return api.Token{
		ID: string(t.ID), Name: t.Name, Operator: operator, Role: t.Role, Domains: t.Domains, Session: t.Session,
		ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt, CreatedAt: t.CreatedAt,
	}
}
