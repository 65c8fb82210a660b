// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// rule returns the first rule that names a group of the person.
func (l *Logins) rule(person *Identity) *LoginRule {
	for i := range l.Rules {
		if slices.Contains(person.Groups, l.Rules[i].Group) {
			return &l.Rules[i]
		}
	}
	return nil
}

// operatorOf returns the operator that the provider's subject is, with role
// and domains as the rules say now; the role is empty for who has none. Names never identify: they can change, and
// anybody may choose theirs at some providers.
func (o *Operations) operatorOf(ctx context.Context, tx *store.Tx, in LoginAnswer, person *Identity) (*models.Operator, error) {
	if err := tx.LockTokens(); err != nil { // of two first logins one waits
		return nil, err
	}
	rule := o.logins.rule(person)
	row, err := tx.FindOperatorBySubject(ctx, person.Issuer, person.Subject)
	switch {
	case models.KindOf(err) == models.KindNotFound && err != nil:
		return o.newPerson(ctx, tx, in, person, rule)
	case err != nil:
		return nil, err
	case row.Disabled:
		return nil, models.Errorf(models.KindDenied, "operator %s is disabled", row.Name)
	case rule == nil && o.logins.Create:
		rule = &LoginRule{} // in no group any more: other sessions end, too
	}
	switch {
	case rule == nil || (row.Role == rule.Role && slices.Equal(row.Domains, rule.Domains) && (row.Domains == nil) == (rule.Domains == nil)):
		return row, nil
	}
	row.Role, row.Domains = rule.Role, rule.Domains
	if err := tx.SaveOperator(row); err != nil {
		return nil, err
	}
	return row, tx.Audit(o.loginCaller(in, row).event("operator.changed", "operator", string(row.ID), operatorDetails(row)...))
}

func (o *Operations) newPerson(ctx context.Context, tx *store.Tx, in LoginAnswer, person *Identity, rule *LoginRule) (*models.Operator, error) {
	if !o.logins.Create || rule == nil {
		return nil, models.Errorf(models.KindDenied, "you are known to the OpenID provider, but not here; an administrator can enter you with --oidc-subject %q", person.Subject)
	}
	name := operatorName(person)
	if err := models.CheckName("operator", name); err != nil {
		return nil, models.Errorf(models.KindDenied, "the OpenID provider gives no name that an operator could have; an administrator can enter you with --oidc-subject %q", person.Subject)
	}
	if _, err := tx.FindOperatorByName(ctx, name); err == nil {
		return nil, models.Errorf(models.KindDenied, "there is an operator %s already, who is not known to be you; an administrator can say so with 'trustloom operators change %s --oidc-subject %q'", name, name, person.Subject)
	} else if models.KindOf(err) != models.KindNotFound {
		return nil, err
	}
	row := &models.Operator{
		ID: models.NewID[models.OperatorID](), Name: name, Role: rule.Role, Domains: rule.Domains, Issuer: person.Issuer, Subject: person.Subject,
	}
	if err := tx.InsertOperator(row); err != nil {
		return nil, err
	}
	return row, tx.Audit(o.loginCaller(in, row).event("operator.created", "operator", string(row.ID), operatorDetails(row)...))
}

var notInOperators = regexp.MustCompile(`[^a-z0-9._-]+`)

// operatorName makes a name out of what the provider calls a person, without
// the host of an e-mail address.
func operatorName(person *Identity) string {
	name, _, _ := strings.Cut(strings.ToLower(person.Name), "@")
	name = strings.Trim(notInOperators.ReplaceAllString(name, "-"), "-._")
	return strings.Trim(name[:min(len(name), 63)], "-._")
}

func (o *Operations) loginCaller(in LoginAnswer, operator *models.Operator) Caller {
	return Caller{Principal: auth.Principal{OperatorID: operator.ID, Name: operator.Name, TokenName: "login"}, Address: in.Address, RequestID: in.RequestID}
}

// sessionsKept is how long sessions that have ended stay in the list.
const sessionsKept = 30 * 24 * time.Hour

// session makes a session of an operator.
func (o *Operations) session(tx *store.Tx, in LoginAnswer, operator *models.Operator) (*LoginEnd, error) {
	if operator.Disabled || operator.Role == "" {
		return nil, models.Errorf(models.KindDenied, "operator %s is disabled or has no role", operator.Name)
	}
	now := models.UTC(o.now())
	if err := tx.DeleteSessions(now.Add(-sessionsKept)); err != nil {
		return nil, err
	}
	token, hash := auth.NewToken()
	id, until := models.NewID[models.TokenID](), now.Add(o.logins.Lifetime)
	name := strings.Trim("session-"+operator.Name[:min(len(operator.Name), 40)], "-._") + "-" + string(id)[len(id)-12:]
	row := &models.Token{ID: id, Name: name, OperatorID: operator.ID, Role: operator.Role, Domains: operator.Domains, Hash: hash, Session: true, ExpiresAt: &until}
	if err := tx.InsertToken(row); err != nil {
		return nil, err
	}
	event := o.loginCaller(in, operator).event("session.created", "token", string(row.ID), "name", name, "role", string(operator.Role), "domains", strings.Join(operator.Domains, ", "))
	return &LoginEnd{Token: token, ExpiresAt: until}, tx.Audit(event)
}
