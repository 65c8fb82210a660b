// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/store"
)

// memory is what a process remembers, outside of the database, of the audit
// chain in it. A database that was restored to an earlier state knows less:
// certificates that were issued in between would be unknown, and revocations
// undone, without anybody noticing.
type memory struct {
	Origin audit.Hash `json:"origin"` // of the chain's first place: which database it is
	Seq    int64      `json:"seq"`
	Hash   audit.Hash `json:"hash"`
}

// memoryFile is in the data directory, beside the database only in the
// embedded default.
const memoryFile = "audit-tip.json"

// rememberInterval is how often the memory is written, at most.
const rememberInterval = 5 * time.Second

// checkMemory refuses a database that has less, or another past, than this
// process has seen in it. Another database than before is none of its business.
func (a *App) checkMemory(ctx context.Context) error {
	name := filepath.Join(a.cfg.DataDir, memoryFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var seen memory
	if err == nil {
		err = json.Unmarshal(text, &seen)
	}
	if err != nil {
		return fmt.Errorf("read %s, which says what this server has seen of its database: %w; remove the file if you know why", name, err)
	}
	problem, err := compareMemory(ctx, a.store, seen)
	if err != nil || problem == "" {
		return err
	}
	if !a.cfg.AcceptOlderDatabase {
		return fmt.Errorf("%s; certificates issued and revocations made since are not in it. Restore a newer backup, "+
			"or start once with --accept-older-database, which is written into the audit log", problem)
	}
	a.log.Warn("an older database is accepted", "because", problem)
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		return tx.Audit(models.Event{Actor: "system", Action: "database.accepted", Noun: "database", SubjectID: memoryFile,
			Details: map[string]string{"seen": fmt.Sprint(seen.Seq), "reason": problem}})
	})
	if err != nil {
		return err
	}
	return os.Remove(name)
}

// compareMemory says in what the database contradicts what was seen of it, or
// nothing.
func compareMemory(ctx context.Context, s *store.Store, seen memory) (problem string, err error) {
	origin, err := s.ChainHash(ctx, 1)
	if models.KindOf(err) == models.KindNotFound || err == nil && origin != seen.Origin {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	hash, err := s.ChainHash(ctx, seen.Seq)
	switch {
	case models.KindOf(err) == models.KindNotFound:
		state, err := s.AuditState(ctx)
		return fmt.Sprintf("the database is older than what this server has seen of it: its audit log ends at place %d, and it had %d", state.Tip.Seq, seen.Seq), err
	case err == nil && hash != seen.Hash:
		return fmt.Sprintf("the database has another past than this server has seen: its audit log differs at place %d or before", seen.Seq), nil
	}
	return "", err
}

// remember keeps the tip of the chain, not more often than it is worth.
func (a *App) remember(ctx context.Context) {
	tip := a.sealer.State().Tip
	if tip.Seq == 0 || tip.Seq == a.remembered.Seq || time.Since(a.rememberedAt) < rememberInterval && ctx.Err() == nil {
		return
	}
	if a.remembered.Seq == 0 {
		origin, err := a.store.ChainHash(context.WithoutCancel(ctx), 1)
		if err != nil {
			return // the next round tries again
		}
		a.remembered.Origin = origin
	}
	a.remembered.Seq, a.remembered.Hash, a.rememberedAt = tip.Seq, tip.Hash, time.Now()
	if err := replaceFile(filepath.Join(a.cfg.DataDir, memoryFile), a.remembered); err != nil {
		a.log.Warn("what was seen of the audit log is not kept", "error", err)
	}
}

// replaceFile writes v as JSON in the place of what is there.
func replaceFile(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
