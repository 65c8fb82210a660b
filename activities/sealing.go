// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/store"
)

// SealerConfig is what a Sealer needs from outside.
type SealerConfig struct {
	Store    *store.Store
	Keys     hsm.Stores
	KeyStore string // where the audit-signing key is made
	KeyName  string // its identifier there, see AuditKeyName
	Now      func() time.Time
	Logger   *slog.Logger
}

// Sealer gives audit events their places in the hash chain and signs the head
// of the chain. It is no activity: it has no story, and runs in every process.
type Sealer struct {
	cfg     SealerConfig
	signing sync.Mutex

	mu    sync.Mutex
	state store.AuditState
}

// NewSealer returns a Sealer over cfg.
func NewSealer(cfg SealerConfig) *Sealer { return &Sealer{cfg: cfg} }

// AuditKeyName is the identifier of an installation's audit-signing key: two
// that share a token do not share the key.
func AuditKeyName(sealingKey []byte) string {
	mac := hmac.New(sha256.New, sealingKey)
	mac.Write([]byte("trustloom audit key name 1"))
	return "audit-" + hex.EncodeToString(mac.Sum(nil)[:12])
}

// sealBatch is how many events one transaction seals.
const sealBatch = 4 * audit.MaxEntries

// Seal gives every event its place that can have one.
func (s *Sealer) Seal(ctx context.Context) error {
	for {
		sealed, err := s.cfg.Store.SealAudit(ctx, sealBatch)
		if err != nil {
			return err
		}
		if sealed.Forged > 0 {
			s.cfg.Logger.Error("audit events without a valid code: somebody wrote them into the database, or a process has another sealing key",
				"events", sealed.Forged, "up_to", sealed.Tip.Seq)
		}
		if sealed.Busy || !sealed.More {
			return s.note(ctx)
		}
	}
}

// note reads where the chain stands, for State.
func (s *Sealer) note(ctx context.Context) error {
	state, err := s.cfg.Store.AuditState(ctx)
	if err == nil {
		s.mu.Lock()
		s.state = state
		s.mu.Unlock()
	}
	return err
}

// State is what the last Seal saw.
func (s *Sealer) State() store.AuditState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// SignHead seals what there is, signs the head of the chain and stores it. A
// head of the same place that is there already is returned instead. It is
// KindConflict while there is no event.
func (s *Sealer) SignHead(ctx context.Context) (*models.AuditHead, error) {
	s.signing.Lock()
	defer s.signing.Unlock()
	if err := s.Seal(ctx); err != nil {
		return nil, err
	}
	state, err := s.cfg.Store.AuditState(ctx)
	if err != nil {
		return nil, err
	}
	if state.Tip.Seq == 0 {
		return nil, models.Errorf(models.KindConflict, "there is no audit event yet")
	}
	if state.LastHead != nil && state.LastHead.Seq == state.Tip.Seq {
		return state.LastHead, nil
	}
	signer, certificate, err := s.key(ctx, state.LastHead)
	if err != nil {
		return nil, err
	}
	head, err := audit.SignHead(state.Tip, s.cfg.Now(), signer, certificate)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Store.Write(ctx, func(tx *store.Tx) error { return tx.AddAuditHead(head) }); err != nil {
		return nil, err
	}
	return head, s.note(ctx)
}

// key returns the audit-signing key, made at its first use, and the
// certificate of it: that of the last head if it is the same key.
func (s *Sealer) key(ctx context.Context, last *models.AuditHead) (crypto.Signer, *x509.Certificate, error) {
	keys, err := s.cfg.Keys.Find(s.cfg.KeyStore)
	if err != nil {
		return nil, nil, err
	}
	public, err := keys.Generate(ctx, s.cfg.KeyName, models.ECP256)
	if err != nil {
		return nil, nil, fmt.Errorf("make the audit-signing key: %w", err)
	}
	signer, err := keys.Signer(ctx, s.cfg.KeyName)
	if err != nil {
		return nil, nil, fmt.Errorf("find the audit-signing key: %w", err)
	}
	id, err := audit.PublicKeyID(public)
	if err != nil {
		return nil, nil, err
	}
	if last != nil && last.KeyID == id {
		if certificate, err := x509.ParseCertificate(last.Certificate); err == nil && audit.KeyID(certificate) == id {
			return signer, certificate, nil
		}
	}
	certificate, err := audit.NewCertificate(signer, s.cfg.Now())
	if err != nil {
		return nil, nil, err
	}
	return signer, certificate, s.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		return tx.Audit(models.Event{
			Actor: system, Action: store.ActionAuditKeyUsed, Noun: "audit", SubjectID: id,
			Details: map[string]string{"key_store": s.cfg.KeyStore, "key": s.cfg.KeyName},
		})
	})
}

// TrustedKeys returns the identifiers of the audit-signing keys that this
// installation has, in any of its key stores, and of those that it noted in an
// authenticated event when it began to use them: heads signed with another key
// are not its own.
func (s *Sealer) TrustedKeys(ctx context.Context) ([]string, error) {
	ids, err := s.cfg.Store.AuditKeys(ctx)
	if err != nil {
		return nil, err
	}
	for name, keys := range s.cfg.Keys {
		signer, err := keys.Signer(ctx, s.cfg.KeyName)
		if models.KindOf(err) == models.KindNotFound {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find the audit-signing key in key store %s: %w", name, err)
		}
		id, err := audit.PublicKeyID(signer.Public())
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		ids = []string{"none"} // nothing was signed yet: any head is somebody else's
	}
	return ids, nil
}
