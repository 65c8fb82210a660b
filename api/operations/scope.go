// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"encoding/base64"
	"slices"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// reader is what both the store and a transaction can be asked.
type reader = *store.Queries

// absent is the one error for what is not there and for what is there but not
// the caller's business.
func absent(noun, name string) error {
	return models.Errorf(models.KindNotFound, "there is no %s %s", noun, name)
}

// found replaces a KindNotFound of the store by the sentence of absent.
func found(err error, noun, name string) error {
	if models.KindOf(err) == models.KindNotFound {
		return absent(noun, name)
	}
	return err
}

// sees reports whether the caller may know of a domain.
func (c Caller) sees(domain string) bool {
	return !c.Limited() || slices.Contains(c.Domains, domain)
}

// scope returns the domains that the caller is limited to, and nil for a
// caller who is not. It is empty, not nil, if all of them are gone.
func scope(ctx context.Context, q reader, who Caller) ([]models.DomainID, error) {
	if !who.Limited() {
		return nil, nil
	}
	ids := []models.DomainID{}
	for _, name := range who.Domains {
		domain, err := q.FindDomainByName(ctx, name)
		if models.KindOf(err) == models.KindNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, domain.ID)
	}
	return ids, nil
}

// domainNamed finds a domain that the caller sees.
func domainNamed(ctx context.Context, q reader, who Caller, name string) (*models.Domain, error) {
	if !who.sees(name) {
		return nil, absent("domain", name)
	}
	domain, err := q.FindDomainByName(ctx, name)
	if err != nil {
		return nil, found(err, "domain", name)
	}
	return domain, nil
}

// inScope returns the name of a row's domain, and the error of absent if the
// caller does not see it. A row without a domain belongs to the server.
func inScope(ctx context.Context, q reader, who Caller, id models.DomainID, noun, name string) (string, error) {
	if id == "" {
		if who.Limited() {
			return "", absent(noun, name)
		}
		return "", nil
	}
	domain, err := q.FindDomain(ctx, id)
	if err != nil {
		return "", found(err, noun, name)
	}
	if !who.sees(domain.Name) {
		return "", absent(noun, name)
	}
	return domain.Name, nil
}

// domainFilter returns the ID of the domain that a list is filtered by, or the
// empty ID where it is not.
func domainFilter(ctx context.Context, q reader, who Caller, name string) (models.DomainID, error) {
	if name == "" {
		return "", nil
	}
	domain, err := domainNamed(ctx, q, who, name)
	if err != nil {
		return "", err
	}
	return domain.ID, nil
}

// deviceFilter is domainFilter for a device.
func deviceFilter(ctx context.Context, q reader, who Caller, name string) (models.DeviceID, error) {
	if name == "" {
		return "", nil
	}
	device, _, err := deviceNamed(ctx, q, who, name)
	if err != nil {
		return "", err
	}
	return device.ID, nil
}

// selected is what every list of rows of domains is restricted by: the domains
// that the caller is limited to, and the domain and the device that are asked
// for by name, empty where they are not.
func (o *Operations) selected(ctx context.Context, who Caller, domain, device string) (within []models.DomainID, of models.DomainID, by models.DeviceID, err error) {
	q := o.store.Queries
	if within, err = scope(ctx, q, who); err != nil {
		return nil, "", "", err
	}
	if of, err = domainFilter(ctx, q, who, domain); err != nil {
		return nil, "", "", err
	}
	by, err = deviceFilter(ctx, q, who, device)
	return within, of, by, err
}

// names resolves identifiers to names, each once.
type names struct {
	q       reader
	cas     map[models.CAID]string
	domains map[models.DomainID]string
	devices map[models.DeviceID]string
}

func newNames(q reader) *names {
	return &names{q: q, cas: map[models.CAID]string{}, domains: map[models.DomainID]string{}, devices: map[models.DeviceID]string{}}
}

func (n *names) ca(ctx context.Context, id models.CAID) (string, error) {
	return resolve(n.cas, id, func() (string, error) {
		ca, err := n.q.FindCA(ctx, id)
		if err != nil {
			return "", err
		}
		return ca.Name, nil
	})
}

func (n *names) domain(ctx context.Context, id models.DomainID) (string, error) {
	return resolve(n.domains, id, func() (string, error) {
		domain, err := n.q.FindDomain(ctx, id)
		if err != nil {
			return "", err
		}
		return domain.Name, nil
	})
}

func (n *names) device(ctx context.Context, id models.DeviceID) (string, error) {
	return resolve(n.devices, id, func() (string, error) {
		device, err := n.q.FindDevice(ctx, id)
		if err != nil {
			return "", err
		}
		return device.Name, nil
	})
}

// resolve looks an identifier up; one that is empty or gone has no name.
func resolve[ID ~string](known map[ID]string, id ID, find func() (string, error)) (string, error) {
	if id == "" {
		return "", nil
	}
	if name, ok := known[id]; ok {
		return name, nil
	}
	name, err := find()
	if err != nil && models.KindOf(err) != models.KindNotFound {
		return "", err
	}
	known[id] = name
	return name, nil
}

// pageOf makes the store's page of a wire page query.
func pageOf(q api.PageQuery) store.Page { return store.Page{Limit: q.Limit, Cursor: q.Cursor} }

// wirePage converts a page of rows.
func wirePage[R, W any](rows []R, next string, convert func(*R) (W, error)) (*api.Page[W], error) {
	page := &api.Page[W]{Items: make([]W, 0, len(rows)), NextCursor: next}
	for i := range rows {
		item, err := convert(&rows[i])
		if err != nil {
			return nil, err
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}

// sliceNames pages through the names of what a limited caller sees, in order.
// Its cursors hold a name that the caller has seen, so they tell nothing.
func sliceNames(all []string, q api.PageQuery) (page []string, next string, err error) {
	after, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err != nil || q.Limit < 0 || q.Limit > store.MaxLimit {
		return nil, "", models.Errorf(models.KindInvalid, "limit or cursor is not valid: limit is 1 to %d, cursor the next_cursor of a page", store.MaxLimit)
	}
	if q.Limit == 0 {
		q.Limit = store.DefaultLimit
	}
	slices.Sort(all)
	all = slices.Compact(all)
	start, seen := slices.BinarySearch(all, string(after))
	if seen {
		start++
	}
	rest := all[start:]
	if len(rest) <= q.Limit {
		return rest, "", nil
	}
	return rest[:q.Limit], base64.RawURLEncoding.EncodeToString([]byte(rest[q.Limit-1])), nil
}
