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

// ListOperators lists the operators by name.
func (o *Operations) ListOperators(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.Operator], error) {
	if err := auth.Authorize(who.Principal, auth.ReadOperators); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListOperators(ctx, pageOf(q))
	if err != nil {
		return nil, err
	}
	return wirePage(rows, next, func(p *models.Operator) (api.Operator, error) { return wireOperator(p, nil), nil })
}

// FindOperator returns an operator with the certificates that are theirs.
func (o *Operations) FindOperator(ctx context.Context, who Caller, name string) (*api.Operator, error) {
	if err := auth.Authorize(who.Principal, auth.ReadOperators); err != nil {
		return nil, err
	}
	row, err := o.store.FindOperatorByName(ctx, name)
	if err != nil {
		return nil, found(err, "operator", name)
	}
	certificates, err := o.store.OperatorCertificates(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	out := wireOperator(row, certificates)
	return &out, nil
}

// CreateOperator creates a person, without any way in: a token, a certificate
// or a login follows.
func (o *Operations) CreateOperator(ctx context.Context, who Caller, in api.OperatorCreation) (*api.Operator, error) {
	if err := auth.Authorize(who.Principal, auth.WriteOperators); err != nil {
		return nil, err
	}
	if err := models.CheckName("operator", in.Name); err != nil {
		return nil, err
	}
	rights, err := newRights(in.Role, in.Domains, false)
	if err != nil {
		return nil, err
	}
	row := &models.Operator{ID: models.NewID[models.OperatorID](), Name: in.Name}
	if err := o.setSubject(row, in.OIDCSubject); err != nil {
		return nil, err
	}
	err = o.write(ctx, func(tx *store.Tx) error {
		if err := rights.apply(ctx, tx, who, &row.Role, &row.Domains); err != nil {
			return err
		}
		if err := tx.InsertOperator(row); err != nil {
			return err
		}
		return tx.Audit(who.event("operator.created", "operator", string(row.ID), operatorDetails(row)...))
	})
	if err != nil {
		return nil, err
	}
	out := wireOperator(row, nil)
	return &out, nil
}

const maxSubject = 255 // OpenID Connect Core §2, sub

func (o *Operations) setSubject(row *models.Operator, subject string) error {
	switch {
	case subject == "":
		return nil
	case o.logins.Issuer == "":
		return models.Errorf(models.KindConflict, "no OpenID provider is configured (--oidc-issuer), so oidc_subject says nothing")
	case len(subject) > maxSubject:
		return models.Errorf(models.KindInvalid, "oidc_subject is longer than %d bytes", maxSubject)
	}
	row.Issuer, row.Subject = o.logins.Issuer, subject
	return nil
}

// ChangeOperator changes role, domains or login of an operator. Sessions and
// certificates have them at their next request.
func (o *Operations) ChangeOperator(ctx context.Context, who Caller, name string, in api.OperatorChange) (*api.Operator, error) {
	rights, err := newRights(in.Role, in.Domains, in.AllDomains)
	if err != nil {
		return nil, err
	}
	return o.changeOperator(ctx, who, name, "operator.changed", func(tx *store.Tx, row *models.Operator) error {
		if err := o.setSubject(row, in.OIDCSubject); err != nil {
			return err
		}
		return rights.apply(ctx, tx, who, &row.Role, &row.Domains)
	})
}

// DisableOperator shuts a person out at once: tokens, sessions and
// certificates, and what the person said on approvals that still wait.
func (o *Operations) DisableOperator(ctx context.Context, who Caller, name string) (*api.Operator, error) {
	return o.changeOperator(ctx, who, name, "operator.disabled", func(tx *store.Tx, row *models.Operator) error {
		if row.Disabled {
			return models.Errorf(models.KindConflict, "operator %s is disabled already", name)
		}
		row.Disabled = true
		return nil
	})
}

// EnableOperator lets a person in again. What they had said on approvals stays
// void.
func (o *Operations) EnableOperator(ctx context.Context, who Caller, name string) (*api.Operator, error) {
	return o.changeOperator(ctx, who, name, "operator.enabled", func(tx *store.Tx, row *models.Operator) error {
		if !row.Disabled {
			return models.Errorf(models.KindConflict, "operator %s is not disabled", name)
		}
		row.Disabled = false
		return nil
	})
}

func (o *Operations) changeOperator(ctx context.Context, who Caller, name, action string, change func(*store.Tx, *models.Operator) error) (*api.Operator, error) {
	if err := auth.Authorize(who.Principal, auth.WriteOperators); err != nil {
		return nil, err
	}
	err := o.write(ctx, func(tx *store.Tx) error {
		return o.keepingAWayIn(ctx, tx, "operator "+name, func() error {
			row, err := tx.FindOperatorByName(ctx, name)
			if err != nil {
				return found(err, "operator", name)
			}
			if err := change(tx, row); err != nil {
				return err
			}
			if err := tx.SaveOperator(row); err != nil {
				return err
			}
			if err := tx.Audit(who.event(action, "operator", string(row.ID), operatorDetails(row)...)); err != nil || !row.Disabled {
				return err
			}
			return o.voidDecisions(ctx, tx, who, row)
		})
	})
	if err != nil {
		return nil, err
	}
	return o.FindOperator(ctx, who, name)
}

// voidDecisions takes back what a disabled person said on pending approvals.
func (o *Operations) voidDecisions(ctx context.Context, tx *store.Tx, who Caller, row *models.Operator) error {
	approvals, err := tx.VoidDecisions(row.ID)
	if err != nil {
		return err
	}
	for i := range approvals {
		a := &approvals[i]
		given, err := tx.Decisions(ctx, a.ID)
		if err != nil {
			return err
		}
		a.Recount(given, models.UTC(o.now()))
		if err := tx.SaveApproval(a); err != nil {
			return err
		}
		event := who.event("approval.voided", "approval", string(a.ID), "operator", row.Name, "step", a.Steps[a.CurrentStep].Name)
		event.DomainID, event.DeviceID, event.RequestID, event.WorkflowID = a.DomainID, a.DeviceID, a.RequestID, a.WorkflowID
		if err := tx.Audit(event); err != nil {
			return err
		}
	}
	return nil
}

func operatorDetails(row *models.Operator) []string {
	return []string{"name", row.Name, "role", string(row.Role), "domains", strings.Join(row.Domains, ", "), "oidc_subject", row.Subject}
}

func wireOperator(row *models.Operator, certificates []models.OperatorCertificate) api.Operator {
	out := api.Operator{
		ID: string(row.ID), Name: row.Name, Disabled: row.Disabled, Role: row.Role, Domains: row.Domains, OIDCSubject: row.Subject, CreatedAt: row.CreatedAt,
	}
	for _, c := range certificates {
		out.Certificates = append(out.Certificates, wireOperatorCertificate(&c))
	}
	return out
}
