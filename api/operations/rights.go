// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"slices"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

const maxTokenDomains = 100

// limit returns the domains that a token or an operator is limited to, sorted;
// nil, where nothing was said, means all. A list without any is refused: it
// could be read as all or as none.
func limit(domains []string) ([]string, error) {
	switch {
	case domains == nil:
		return nil, nil
	case len(domains) == 0:
		return nil, models.Errorf(models.KindInvalid, "domains is empty: name the domains, or leave it out for all")
	case len(domains) > maxTokenDomains:
		return nil, models.Errorf(models.KindInvalid, "at most %d domains can be named", maxTokenDomains)
	}
	sorted := slices.Clone(domains)
	slices.Sort(sorted)
	return slices.Compact(sorted), nil
}

func domainsExist(ctx context.Context, tx *store.Tx, who Caller, domains []string) error {
	for _, name := range domains {
		if _, err := domainNamed(ctx, tx.Queries, who, name); err != nil {
			return err
		}
	}
	return nil
}

// rights are a change of role and domains.
type rights struct {
	role    models.Role
	domains []string
	all     bool
}

func newRights(role models.Role, domains []string, all bool) (rights, error) {
	if role != "" {
		if err := oneOf("role", role, models.Roles); err != nil {
			return rights{}, err
		}
	}
	if all && domains != nil {
		return rights{}, models.Errorf(models.KindInvalid, "domains and all_domains exclude each other")
	}
	domains, err := limit(domains)
	return rights{role, domains, all}, err
}

// none reports whether nothing changes.
func (r rights) none() bool { return r.role == "" && r.domains == nil && !r.all }

func (r rights) apply(ctx context.Context, tx *store.Tx, who Caller, role *models.Role, domains *[]string) error {
	if err := domainsExist(ctx, tx, who, r.domains); err != nil {
		return err
	}
	if r.role != "" {
		*role = r.role
	}
	if r.domains != nil || r.all {
		*domains = r.domains
	}
	return nil
}

// waysIn counts the tokens and people that can let others in.
type waysIn struct {
	lasting int // that never end by themselves
	present int // that are good now
}

// keepingAWayIn makes a change unless nobody could create tokens after it.
// Whoever else changes tokens or operators waits. A token that ends does not
// count while there is one that does not: otherwise time would lock all out.
func (o *Operations) keepingAWayIn(ctx context.Context, tx *store.Tx, subject string, change func() error) error {
	if err := tx.LockTokens(); err != nil { // each of two that revoke each other would see the other
		return err
	}
	before, err := o.waysIn(ctx, tx)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after, err := o.waysIn(ctx, tx)
	if err != nil {
		return err
	}
	if (before.lasting > 0 && after.lasting == 0) || (before.present > 0 && after.present == 0) {
		return models.Errorf(models.KindConflict, "%s is the last that can make new ones; create another one first, one that does not expire", subject)
	}
	return nil
}

func (o *Operations) waysIn(ctx context.Context, tx *store.Tx) (ways waysIn, err error) {
	people := map[models.OperatorID]*models.Operator{}
	err = eachPage(func(page store.Page) (string, error) {
		rows, next, err := tx.ListOperators(ctx, page)
		for i := range rows {
			people[rows[i].ID] = &rows[i]
			if err == nil && makesTokens(&rows[i]) {
				err = o.countCertificates(ctx, tx, rows[i].ID, &ways)
			}
		}
		return next, err
	})
	if err != nil {
		return waysIn{}, err
	}
	return ways, eachPage(func(page store.Page) (string, error) {
		rows, next, err := tx.ListTokens(ctx, page)
		for i := range rows {
			o.countToken(&rows[i], people[rows[i].OperatorID], &ways)
		}
		return next, err
	})
}

// makesTokens reports whether an operator may, by login or certificate.
func makesTokens(p *models.Operator) bool {
	return !p.Disabled && p.Domains == nil && auth.Allowed(p.Role, auth.WriteTokens)
}

func (o *Operations) countCertificates(ctx context.Context, tx *store.Tx, id models.OperatorID, ways *waysIn) error {
	if o.people == nil {
		return nil // without an operators' CA none counts
	}
	certificates, err := tx.OperatorCertificates(ctx, id)
	if len(certificates) > 0 {
		ways.lasting++
		ways.present++
	}
	return err
}

func (o *Operations) countToken(t *models.Token, p *models.Operator, ways *waysIn) {
	switch {
	case p == nil || p.Disabled || t.RevokedAt != nil || (t.ExpiresAt != nil && !o.now().Before(*t.ExpiresAt)):
		return
	case t.Session && !makesTokens(p):
		return
	case !t.Session && (t.Domains != nil || !auth.Allowed(t.Role, auth.WriteTokens)):
		return
	}
	ways.present++
	if t.ExpiresAt == nil {
		ways.lasting++
	}
}

// eachPage reads a list to its end.
func eachPage(read func(store.Page) (next string, err error)) error {
	for page := (store.Page{Limit: store.MaxLimit}); ; {
		next, err := read(page)
		if err != nil || next == "" {
			return err
		}
		page.Cursor = next
	}
}
