// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Inspect opens a database that exists for reading only: it changes nothing,
// not even the schema, and may run beside a server. It is KindNotFound if the
// database is not there, and KindConflict if it was written by another version.
func Inspect(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	path, lite := strings.CutPrefix(cfg.URL, "sqlite:")
	open := inspectPostgres
	if lite {
		open = func(cfg Config) (*Store, error) { return inspectSQLite(cfg, path) }
	}
	s, err := open(cfg)
	if err != nil {
		return nil, err
	}
	s.sealed, s.key = true, cfg.AuditKey
	if err := s.ofThisVersion(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func inspectSQLite(cfg Config, path string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, models.Errorf(models.KindNotFound, "there is no database %s", path).Because(err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, translate(err, "database")
	}
	pool, db, err := openReaders(path, cfg.MaxConns)
	if err != nil {
		return nil, translate(err, "database")
	}
	return &Store{Queries: &Queries{db: db, now: cfg.Now}, pool: pool, close: once(pool.Close)}, nil
}

func inspectPostgres(cfg Config) (*Store, error) {
	settings := maps.Clone(postgresSettings)
	settings["default_transaction_read_only"] = "on"
	pool, err := connectPostgres(cfg, settings)
	if err != nil {
		return nil, err
	}
	return overPostgres(pool, cfg)
}

// ofThisVersion checks that the database has exactly our migrations.
func (s *Store) ofThisVersion(ctx context.Context) error {
	tx, err := s.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return translate(err, "database")
	}
	defer func() { _ = tx.Rollback() }()
	applied, err := appliedSteps(ctx, tx)
	if err != nil {
		return models.Errorf(models.KindConflict, "this is not a database of Trustloom, or one that was never finished").Because(err)
	}
	for _, m := range migrations() {
		if !applied[m.name] {
			return models.Errorf(models.KindConflict, "the database was written by an older version of Trustloom: start this version's server on it once")
		}
		delete(applied, m.name)
	}
	if len(applied) > 0 {
		return models.Errorf(models.KindConflict, "the database was written by a newer version of Trustloom: use that version's program")
	}
	return nil
}

var crlsByID = order[models.CRL]{"crls", "id", func(c *models.CRL) string { return string(c.ID) }}

// ListCRLs returns the CRLs of all keys, oldest first, intended ones (without
// DER) too.
func (q *Queries) ListCRLs(ctx context.Context, page Page) ([]models.CRL, string, error) {
	return list(q, q.with(ctx), crlsByID, page)
}

// EventsAbout returns the events with one of the actions about the subjects,
// oldest first. It is for at most MaxLimit subjects at a time.
func (q *Queries) EventsAbout(ctx context.Context, subjects []string, actions ...string) ([]models.Event, error) {
	if len(subjects) > MaxLimit {
		return nil, models.Errorf(models.KindInvalid, "%d subjects are more than %d", len(subjects), MaxLimit)
	}
	var events []models.Event
	err := q.with(ctx).Where("subject_id IN ? AND action IN ?", subjects, actions).Order("id").Find(&events).Error
	return events, q.check(err, "events")
}

// PromisesAbout returns the outbox items about one subject.
func (q *Queries) PromisesAbout(ctx context.Context, subject string) ([]models.OutboxItem, error) {
	var items []models.OutboxItem
	err := q.with(ctx).Where("subject_id = ?", subject).Order("id").Find(&items).Error
	return items, q.check(err, "outbox")
}
