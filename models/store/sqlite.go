// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	// The driver "sqlite", in Go. (github.com/glebarez/sqlite registers the
	// same name and panics next to Temporal's server.)
	_ "modernc.org/sqlite"

	"github.com/trustloom/trustloom/models"
)

const (
	sqliteDriver  = "sqlite"
	sqliteReaders = 4
)

// writerPragmas are the settings of the writer's connection. The WAL is
// carried over into the database at 16 MiB instead of 4: a page that many
// transactions change is then copied once for more of them. What is deleted is
// overwritten: keys that were delivered are to be gone (see Scrub).
var writerPragmas = []string{"journal_mode(WAL)", "synchronous(FULL)", "cache_size(-32000)", "wal_autocheckpoint(4000)", "secure_delete(1)"}

// openSQLite opens or creates the file of the URL: one connection for the writer
// and a pool of readers.
func openSQLite(ctx context.Context, cfg Config) (*Store, error) {
	path := strings.TrimPrefix(cfg.URL, "sqlite:")
	if path == "" || path == ":memory:" {
		return nil, models.Errorf(models.KindInvalid, "the database URL sqlite:<path> must name a file")
	}
	path, err := createFile(path)
	if err != nil {
		return nil, translate(err, "database")
	}
	writing, err := sql.Open(sqliteDriver, sqliteDSN(path, writerPragmas...))
	if err != nil {
		return nil, translate(err, "database")
	}
	writing.SetMaxOpenConns(1)
	if err := migrateSQLite(ctx, writing, cfg.Now); err != nil {
		return nil, errors.Join(err, writing.Close())
	}
	reading, db, err := openReaders(path, cfg.MaxConns)
	if err != nil {
		return nil, errors.Join(translate(err, "database"), writing.Close())
	}
	w := startWriter(func(ctx context.Context) (*session, error) { return openSession(ctx, writing) }, cfg.Now)
	return &Store{
		Queries: &Queries{db: db, now: cfg.Now},
		pool:    reading,
		writer:  w,
		close:   once(func() error { return errors.Join(w.stop(), reading.Close(), writing.Close()) }),
	}, nil
}

// openReaders opens connections that cannot write.
func openReaders(path string, conns int) (*sql.DB, *gorm.DB, error) {
	pool, err := sql.Open(sqliteDriver, sqliteDSN(path, "query_only(1)", "cache_size(-8000)"))
	if err != nil {
		return nil, nil, fmt.Errorf("open the readers: %w", err)
	}
	if conns <= 0 {
		conns = sqliteReaders
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db, err := gorm.Open(sqlite.New(sqlite.Config{DriverName: sqliteDriver, Conn: pool}), gormConfig(true))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open gorm over the readers: %w", err), pool.Close())
	}
	return pool, db, nil
}

// createFile makes sure that the file exists and that only its owner can read
// it (SQLite gives its companions -wal and -shm the same mode), and returns
// the absolute path.
func createFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolve database path: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("create database file: %w", err)
	}
	return path, f.Close()
}

func sqliteDSN(path string, pragmas ...string) string {
	options := url.Values{
		"_pragma":              append([]string{"busy_timeout(10000)", "foreign_keys(1)"}, pragmas...),
		"_txlock":              {"immediate"},
		"_time_integer_format": {"unix_micro"},
		"_inttotime":           {"1"},
		"_timezone":            {"UTC"},
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}).String()
}

// session is the writer's connection, with gorm over it. Its statements stay
// prepared as long as it lives.
type session struct {
	conn    *sql.Conn
	db      *gorm.DB
	control map[string]*sql.Stmt
}

// The statements of a session that bracket transactions.
const (
	sqlBegin      = "BEGIN IMMEDIATE"
	sqlCommit     = "COMMIT"
	sqlRollback   = "ROLLBACK"
	sqlSavepoint  = "SAVEPOINT caller"
	sqlRelease    = "RELEASE caller"
	sqlRollbackTo = "ROLLBACK TO caller"
)

func openSession(ctx context.Context, pool *sql.DB) (*session, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect the writer: %w", err)
	}
	db, err := gorm.Open(sqlite.New(sqlite.Config{DriverName: sqliteDriver, Conn: conn}), gormConfig(true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open gorm over the writer: %w", err), conn.Close())
	}
	s := &session{conn: conn, db: db, control: map[string]*sql.Stmt{}}
	for _, text := range []string{sqlBegin, sqlCommit, sqlRollback, sqlSavepoint, sqlRelease, sqlRollbackTo} {
		if s.control[text], err = conn.PrepareContext(ctx, text); err != nil {
			return nil, errors.Join(fmt.Errorf("prepare %s: %w", text, err), conn.Close())
		}
	}
	return s, nil
}

// exec runs one of the bracketing statements.
func (s *session) exec(text string) error {
	if _, err := s.control[text].ExecContext(context.Background()); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

// close gives the connection up. The pool opens a new one for the next session,
// and whatever transaction was open on this one is gone with it.
func (s *session) close() {
	_ = s.conn.Raw(func(any) error { return errDiscard })
	_ = s.conn.Close()
}

// migrateSQLite runs the migrations on the writer's pool.
func migrateSQLite(ctx context.Context, pool *sql.DB, now func() time.Time) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return translate(fmt.Errorf("open database: %w", err), "database")
	}
	defer func() { _ = conn.Close() }()
	tx, err := conn.BeginTx(ctx, nil) // immediate, by _txlock
	if err != nil {
		return translate(fmt.Errorf("begin migration: %w", err), "database")
	}
	return migrate(ctx, tx, sqliteDialect, now)
}
