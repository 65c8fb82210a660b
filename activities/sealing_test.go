// SPDX-License-Identifier: MIT

package activities_test

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func sealer(t *testing.T, s *store.Store, keys hsm.KeyStore, name string) *activities.Sealer {
	t.Helper()
	return activities.NewSealer(activities.SealerConfig{
		Store: s, Keys: hsm.Stores{models.StoreSoftware: keys}, KeyStore: models.StoreSoftware, KeyName: name, Now: time.Now, Logger: slog.Default(),
	})
}

func happens(t *testing.T, s *store.Store) {
	t.Helper()
	err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.Audit(models.Event{Actor: "operator:alice", Action: "x.done"}) })
	if err != nil {
		t.Fatal(err)
	}
}

func verified(t *testing.T, s *store.Store, by *activities.Sealer) audit.Walk {
	t.Helper()
	heads, err := by.TrustedKeys(t.Context())
	walk := audit.Walk{}
	for done := false; !done && err == nil; {
		done, err = s.CheckAudit(t.Context(), &walk, heads)
	}
	if err != nil {
		t.Fatal(err)
	}
	return walk
}

func TestHeadsAreSignedInSoftwareAndOnAToken(t *testing.T) {
	token, err := hsm.OpenPKCS11(fixture.SoftHSM(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = token.Close() })
	software, err := hsm.OpenSoftware(hsm.SoftwareConfig{Dir: t.TempDir(), SealingKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]hsm.KeyStore{"software": software, "token": token} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), store.Config{URL: fixture.SQLite(t), AuditKey: audit.NewKey(make([]byte, 32))})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			by := sealer(t, s, keys, activities.AuditKeyName([]byte(name)))
			if _, err := by.SignHead(t.Context()); models.KindOf(err) != models.KindConflict {
				t.Errorf("an empty log: %v", err)
			}
			happens(t, s)
			first, err := by.SignHead(t.Context())
			second, again := by.SignHead(t.Context())   // of the event of the key
			third, repeated := by.SignHead(t.Context()) // nothing has happened since
			if err := errors.Join(err, again, repeated); err != nil {
				t.Fatal(err)
			}
			if first.Seq != 1 || second.Seq != 2 || third.Seq != 2 || first.KeyID != second.KeyID || !slices.Equal(first.Certificate, second.Certificate) {
				t.Errorf("heads %+v, %+v, %+v", first, second, third)
			}
			if walk := verified(t, s, by); len(walk.Findings) > 0 || walk.Heads != 2 {
				t.Errorf("found %+v", walk)
			}
			stranger := audit.Walk{}
			stranger.Head(second, audit.Tip{Seq: 2, Hash: audit.Hash(second.Hash)}, audit.Trust{Heads: []string{"another"}})
			if stranger.Sound() {
				t.Error("a head of another key is taken for ours")
			}
			if state := by.State(); state.Tip.Seq == 0 || state.LastHead == nil {
				t.Errorf("state %+v", state)
			}
		})
	}
}
