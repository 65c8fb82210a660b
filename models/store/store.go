// SPDX-License-Identifier: MIT

// Package store keeps the nouns of package models in a relational database.
//
// It is the only home of gorm and of the database drivers. Two dialects have
// the same behaviour: SQLite (in process, WAL, synchronous FULL, one writer
// with group commit) and PostgreSQL. There is no document to cite: the rules
// are those of design.md §3 and §4. States change only along the transitions
// of package models, rows are saved under an optimistic lock, lists are keyset
// pages. Every time is UTC with a resolution of one microsecond.
//
// The package must not know Temporal, HTTP or any protocol, and it decides
// nothing: policy is in models/policy.
package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
)

// Config says which database to open.
type Config struct {
	URL      string           // "sqlite:<path>" or "postgres://…"
	Now      func() time.Time // the clock; nil means time.Now
	MaxConns int              // connections to PostgreSQL (default 20), or readers of SQLite (default 4)
	AuditKey audit.Key        // authenticates audit events; all processes of an installation have the same
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	*Queries
	pool   *sql.DB // PostgreSQL: all connections; SQLite: the readers
	writer *writer // SQLite only
	sealed bool    // opened by Inspect, for reading only
	close  func() error

	sealing sealing // of audit events, PostgreSQL only

	issuances issuances
	kept      kept
}

// Queries are the read methods that Store and Tx share. On a Store they see
// what is committed; on a Tx also what the transaction wrote itself.
type Queries struct {
	db     *gorm.DB
	now    func() time.Time
	key    audit.Key
	shield bool   // statements share a transaction with others and must not be interrupted
	broken *error // the first failure of a transaction, nil outside one
}

// Open connects to the database of cfg and brings its schema up to date.
// Several processes may do so at the same time. It is KindInvalid for a URL
// of another form and KindUnavailable if the database cannot be reached.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	open := openPostgres
	switch {
	case strings.HasPrefix(cfg.URL, "sqlite:"):
		open = openSQLite
	case strings.HasPrefix(cfg.URL, "postgres://"), strings.HasPrefix(cfg.URL, "postgresql://"):
	default:
		return nil, models.Errorf(models.KindInvalid, "the database URL is neither sqlite:<path> nor postgres://user@host/name")
	}
	s, err := open(ctx, cfg)
	if err == nil {
		s.key = cfg.AuditKey
	}
	return s, err
}

// Close lets the writes that were begun finish and closes all connections.
// Later calls of other methods are KindUnavailable.
func (s *Store) Close() error { return s.close() }

// Check reports whether the database answers.
func (s *Store) Check(ctx context.Context) error {
	var n int64
	return s.check(s.with(ctx).Raw("SELECT COUNT(*) FROM schema_migrations").Scan(&n).Error, "database")
}

// Write runs fn in one transaction and commits it unless fn returns an error,
// which is then returned as it is.
//
// On SQLite the transactions of concurrent callers share one COMMIT, each in
// a savepoint of its own. A call whose ctx ends while it waits for its turn is
// not run. A panic of fn rolls its part back and passes through. After an
// error of the database itself (not KindNotFound, and not the KindConflict of
// an Insert) the transaction is lost: Write returns that error even if fn does
// not. When Write fails, the rows that fn saved are to be read again.
//
// fn must not call Write: on SQLite that waits for itself. It must not keep tx.
func (s *Store) Write(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return translate(err, "transaction")
	}
	if s.sealed {
		return models.Errorf(models.KindInvalid, "the database was opened for reading only")
	}
	keyed := func(tx *Tx) error {
		tx.key = s.key
		return fn(tx)
	}
	if s.writer != nil {
		return s.writer.write(ctx, keyed)
	}
	return s.writePostgres(ctx, keyed)
}

// with returns a session for one statement.
func (q *Queries) with(ctx context.Context) *gorm.DB {
	ctx, cause := q.ready(ctx)
	db := q.db.WithContext(ctx)
	if cause != nil {
		_ = db.AddError(cause) // makes the statement fail before it reaches the database
	}
	return db
}

// ready returns the context of one statement, or why it must not reach the
// database.
func (q *Queries) ready(ctx context.Context) (context.Context, error) {
	cause := ctx.Err()
	if q.shield {
		ctx = context.WithoutCancel(ctx)
	}
	if q.broken != nil && *q.broken != nil {
		cause = *q.broken
	}
	return ctx, cause
}

// check translates the error of a statement and remembers it in a transaction.
func (q *Queries) check(err error, subject string) error {
	if err == nil {
		return nil
	}
	err = translate(err, subject)
	if q.broken != nil && *q.broken == nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		*q.broken = err
	}
	return err
}

// clock returns the present as it is stored.
func (q *Queries) clock() time.Time { return instant(q.now()) }

// instant returns t as it is stored: UTC, whole microseconds.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// once makes a Close that may be called again.
func once(f func() error) func() error { return sync.OnceValue(f) }
