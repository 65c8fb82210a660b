// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// fingerprints makes digests that are sorted.
func fingerprints(from, n int) []string {
	made := make([]string, n)
	for i := range made {
		made[i] = fmt.Sprintf("%064x", from+i)
	}
	return made
}

func TestKeysOnListsAreInTheWay(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		change := func(name string, add, remove []string, wantAdded, wantRemoved int) {
			t.Helper()
			write(t, s, func(tx *store.Tx) error {
				added, removed, err := tx.ChangeBlocklist(name, add, remove)
				if err == nil && (added != wantAdded || removed != wantRemoved) {
					t.Errorf("added %d, removed %d", added, removed)
				}
				return err
			})
		}
		keys := fingerprints(0, 1200) // several statements
		change("debian", keys, nil, 1200, 0)
		change("debian", keys[:3], nil, 0, 0)
		change("incidents", keys[:2], nil, 2, 0)
		change("debian", nil, keys[1:600], 0, 599)
		for key, list := range map[string]string{keys[0]: "in", keys[1]: "incidents", keys[2]: "", keys[1199]: "debian"} {
			obstacle, err := s.KeyInTheWay(ctx, key, "device")
			if err != nil || (obstacle == nil) != (list == "") || obstacle != nil && !strings.Contains("debian incidents", obstacle.Blocklist) {
				t.Errorf("key %s: %+v, %v", key, obstacle, err)
			}
			if err := s.CheckBlocklists(ctx, key); (err == nil) != (list == "") || err != nil && models.KindOf(err) != models.KindDenied {
				t.Errorf("key %s: %v", key, err)
			}
		}
		if row := must[*models.Blocklist](t)(s.FindBlocklist(ctx, "debian")); row.KeyCount != 601 {
			t.Errorf("%+v", row)
		}
		listed := pages(t, func(k models.BlockedKey) string { return k.SPKISHA256 }, func(p store.Page) ([]models.BlockedKey, string, error) {
			return s.ListBlockedKeys(ctx, "incidents", "", p)
		})
		if listed != strings.Join(keys[:2], " ") {
			t.Errorf("listed %s", listed)
		}
		write(t, s, func(tx *store.Tx) error { return tx.DeleteBlocklist("debian") })
		if obstacle, err := s.KeyInTheWay(ctx, keys[1199], "device"); err != nil || obstacle != nil {
			t.Errorf("%+v %v", obstacle, err)
		}
		wantKind(t, s.Write(ctx, func(tx *store.Tx) error { return tx.DeleteBlocklist("debian") }), models.KindNotFound)
	})
}

func TestListsOfKeysAreBounded(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		change := func(name string, add []string) error {
			return s.Write(context.Background(), func(tx *store.Tx) error {
				_, _, err := tx.ChangeBlocklist(name, add, nil)
				return err
			})
		}
		if err := change("0", fingerprints(0, 1)); err != nil {
			t.Fatal(err)
		}
		write(t, s, func(tx *store.Tx) error {
			return tx.Exec(fmt.Sprintf("UPDATE blocklists SET key_count = %d", models.MaxBlockedKeys-1))
		})
		wantKind(t, change("1", fingerprints(5, 2)), models.KindConflict)
		if err := change("1", fingerprints(5, 1)); err != nil {
			t.Error(err)
		}
		for i := 2; i < models.MaxBlocklists; i++ {
			if err := change(fmt.Sprint(i), nil); err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, change("one-too-many", nil), models.KindConflict)
		if err := change("7", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestCertificatesOfBlockedKeys(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		good, old, other := newCertificate("good"), newCertificate("old"), newCertificate("other")
		good.SPKISHA256, old.SPKISHA256, old.NotAfter = fingerprints(1, 1)[0], fingerprints(2, 1)[0], later(time.Minute)
		write(t, s, func(tx *store.Tx) error {
			for _, c := range []*models.Certificate{good, old, other} {
				if _, err := tx.ReserveCertificate(c); err != nil {
					return err
				}
			}
			return nil
		})
		found, err := s.CertificatesOfKeys(t.Context(), fingerprints(0, 1500), later(time.Hour), 10)
		if err != nil || len(found) != 1 || found[0].ID != good.ID {
			t.Errorf("%d certificates, %v", len(found), err)
		}
	})
}
