// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"fmt"
	"slices"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Bounds of one change of a blocklist, and of what its answer names.
const (
	maxBlockedAtOnce = 10_000
	maxInUse         = 100
)

// ListBlocklists lists the lists of keys that nobody may use, by name.
func (o *Operations) ListBlocklists(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.Blocklist], error) {
	if err := auth.Authorize(who.Principal, auth.ReadBlocklists); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListBlocklists(ctx, pageOf(q))
	if err != nil {
		return nil, err
	}
	return wirePage(rows, next, func(row *models.Blocklist) (api.Blocklist, error) { return wireBlocklist(row), nil })
}

// ListBlockedKeys lists the keys on a list.
func (o *Operations) ListBlockedKeys(ctx context.Context, who Caller, name string, q api.BlockedKeyFilter) (*api.Page[api.BlockedKey], error) {
	if err := auth.Authorize(who.Principal, auth.ReadBlocklists); err != nil {
		return nil, err
	}
	if _, err := o.store.FindBlocklist(ctx, name); err != nil {
		return nil, found(err, "blocklist", name)
	}
	if q.Fingerprint != "" {
		var err error
		if q.Fingerprint, err = models.ParseKeyFingerprint(q.Fingerprint); err != nil {
			return nil, err
		}
	}
	rows, next, err := o.store.ListBlockedKeys(ctx, name, q.Fingerprint, pageOf(q.PageQuery))
	if err != nil {
		return nil, err
	}
	return wirePage(rows, next, func(row *models.BlockedKey) (api.BlockedKey, error) {
		return api.BlockedKey{Fingerprint: row.SPKISHA256}, nil
	})
}

// ChangeBlocklist puts keys on a list and takes keys off it. The same again
// changes nothing. Certificates that have such a key stay as they are; the
// answer names those that are valid.
func (o *Operations) ChangeBlocklist(ctx context.Context, who Caller, name string, in api.BlocklistChange) (*api.BlocklistChanged, error) {
	if err := auth.Authorize(who.Principal, auth.WriteBlocklists); err != nil {
		return nil, err
	}
	if err := models.CheckName("blocklist", name); err != nil {
		return nil, err
	}
	add, remove, err := blockedKeysIn(in)
	if err != nil {
		return nil, err
	}
	out := &api.BlocklistChanged{InUse: []api.BlockedCertificate{}}
	err = o.write(ctx, func(tx *store.Tx) error {
		if len(add) == 0 {
			if _, err := tx.FindBlocklist(ctx, name); err != nil {
				return found(err, "blocklist", name)
			}
		}
		if out.Added, out.Removed, err = tx.ChangeBlocklist(name, add, remove); err != nil {
			return err
		}
		row, err := tx.FindBlocklist(ctx, name)
		if err != nil {
			return err
		}
		out.Blocklist = wireBlocklist(row)
		if out.Added == 0 && out.Removed == 0 {
			return nil
		}
		return tx.Audit(who.event("blocklist.changed", "blocklist", name, "added", fmt.Sprint(out.Added), "removed", fmt.Sprint(out.Removed), "keys", fmt.Sprint(row.KeyCount)))
	})
	if err != nil {
		return nil, err
	}
	rows, err := o.store.CertificatesOfKeys(ctx, add, o.now(), maxInUse)
	for _, row := range rows {
		out.InUse = append(out.InUse, api.BlockedCertificate{ID: string(row.ID), Kind: string(row.Kind), Serial: row.Serial, Subject: row.Subject})
	}
	return out, err
}

// blockedKeysIn reads the fingerprints of a change, each once.
func blockedKeysIn(in api.BlocklistChange) (add, remove []string, err error) {
	switch n := len(in.Add) + len(in.Remove); {
	case n == 0:
		return nil, nil, models.Errorf(models.KindInvalid, "add and remove are empty; give the SHA-256 digests of public keys")
	case n > maxBlockedAtOnce:
		return nil, nil, models.Errorf(models.KindInvalid, "%d keys are too many for one request; send at most %d at once", n, maxBlockedAtOnce)
	}
	for _, part := range []struct {
		given []string
		into  *[]string
	}{{in.Add, &add}, {in.Remove, &remove}} {
		for _, text := range part.given {
			fingerprint, err := models.ParseKeyFingerprint(text)
			if err != nil {
				return nil, nil, err
			}
			*part.into = append(*part.into, fingerprint)
		}
		slices.Sort(*part.into)
		*part.into = slices.Compact(*part.into)
	}
	for _, fingerprint := range remove {
		if _, both := slices.BinarySearch(add, fingerprint); both {
			return nil, nil, models.Errorf(models.KindInvalid, "key %s is to be added and to be removed", fingerprint)
		}
	}
	return add, remove, nil
}

// DeleteBlocklist removes a list: its keys may be used again.
func (o *Operations) DeleteBlocklist(ctx context.Context, who Caller, name string) error {
	if err := auth.Authorize(who.Principal, auth.WriteBlocklists); err != nil {
		return err
	}
	return o.write(ctx, func(tx *store.Tx) error {
		row, err := tx.FindBlocklist(ctx, name)
		if err != nil {
			return found(err, "blocklist", name)
		}
		if err := tx.DeleteBlocklist(name); err != nil {
			return err
		}
		return tx.Audit(who.event("blocklist.deleted", "blocklist", name, "keys", fmt.Sprint(row.KeyCount)))
	})
}

func wireBlocklist(row *models.Blocklist) api.Blocklist {
	return api.Blocklist{Name: row.Name, Keys: row.KeyCount, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt}
}
