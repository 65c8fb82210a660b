// SPDX-License-Identifier: MIT

package check_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/cmd/trustloomd/check"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// logged opens a database with an event and a head that the installation signed.
func logged(t *testing.T, url string, key audit.Key) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: url, AuditKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	keys, err := hsm.OpenSoftware(hsm.SoftwareConfig{Dir: t.TempDir(), SealingKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	sealer := activities.NewSealer(activities.SealerConfig{
		Store: s, Keys: hsm.Stores{models.StoreSoftware: keys}, KeyStore: models.StoreSoftware, KeyName: "audit-test", Now: time.Now, Logger: slog.Default(),
	})
	happens(t, s, models.Event{Actor: "operator:alice", Action: "x.done"})
	if _, err := sealer.SignHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func happens(t *testing.T, s *store.Store, e models.Event) {
	t.Helper()
	if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.Audit(e) }); err != nil {
		t.Fatal(err)
	}
}

// signs puts a head of the chain as it is into the database, signed with a key
// that anybody may have made.
func signs(t *testing.T, s *store.Store) (keyID string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := audit.NewCertificate(key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.AuditState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, err := audit.SignHead(state.Tip, time.Now(), key, cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.AddAuditHead(head) }); err != nil {
		t.Fatal(err)
	}
	return head.KeyID
}

// chain returns what a check by somebody with a key, or without one, says
// about the audit log.
func chain(t *testing.T, url string, key audit.Key) (texts []string) {
	t.Helper()
	s, err := store.Inspect(t.Context(), store.Config{URL: url, Now: time.Now, AuditKey: key})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	report, err := check.Run(t.Context(), check.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Invariant == "I8" {
			texts = append(texts, f.Problem)
		}
	}
	return texts
}

func TestHeadsOfStrangersAreFound(t *testing.T) {
	own := audit.NewKey(make([]byte, 32))
	for dialect, url := range map[string]string{"sqlite": fixture.SQLite(t), "postgres": fixture.Postgres(t)} {
		t.Run(dialect, func(t *testing.T) {
			s := logged(t, url, own)
			for name, key := range map[string]audit.Key{"with the sealing key": own, "without it": {}} {
				if found := chain(t, url, key); len(found) != 0 {
					t.Errorf("the installation's own head, %s: %q", name, found)
				}
			}
			stranger := signs(t, s)
			for name, key := range map[string]audit.Key{"with the sealing key": own, "without it": {}} {
				if found := chain(t, url, key); len(found) != 1 || !strings.Contains(found[0], "not the audit-signing key of this installation") {
					t.Errorf("a stranger's head, %s: %q", name, found)
				}
			}
			// Who can write into the database can write the note, too, but not its code.
			forger, err := store.Open(t.Context(), store.Config{URL: url, AuditKey: audit.NewKey([]byte("another installation's key: 32 b"))})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = forger.Close() }()
			happens(t, forger, models.Event{Actor: "system", Action: store.ActionAuditKeyUsed, Noun: "audit", SubjectID: stranger})
			if found := chain(t, url, own); len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), "not the audit-signing key") {
				t.Errorf("a stranger's head with a forged note: %q", found)
			}
		})
	}
}
