// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/trustloom/trustloom/models"
)

// NewSchema makes a schema in the PostgreSQL database of a URL, for one
// measurement, which needs the right to do so. It returns the URL under which
// the database is that schema only, and what removes it with all it holds.
func NewSchema(ctx context.Context, target string) (within string, drop func(context.Context) error, err error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", nil, models.Errorf(models.KindInvalid, "the database URL is not of the form postgres://user@host/name")
	}
	name := "trustloom_bench_" + strings.ToLower(rand.Text()[:8])
	if err := postgresExec(ctx, target, "CREATE SCHEMA "+name); err != nil {
		return "", nil, err
	}
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return u.String(), func(ctx context.Context) error {
		return postgresExec(ctx, target, "DROP SCHEMA "+name+" CASCADE")
	}, nil
}

func postgresExec(ctx context.Context, target, statement string) error {
	config, err := pgx.ParseConfig(target)
	if err != nil {
		return models.Errorf(models.KindInvalid, "the database URL cannot be parsed").Because(err)
	}
	pool := stdlib.OpenDB(*config)
	_, err = pool.ExecContext(ctx, statement)
	return translate(errors.Join(err, pool.Close()), "database")
}

// Reference inserts rows as plainly as a database lets one: the yardstick of
// `trustloomd bench`, against which what the Store adds is seen. Every row is
// a transaction of its own and as durable as those of the Store. There is no
// gorm, no index but the primary key, and no group commit.
type Reference struct {
	pool        *sql.DB
	insert      *sql.Stmt
	connections int
}

// referenceRow is about the size of a certificate's row without its texts.
const referenceRow = 1024

// OpenReference connects to a database that is there for the measurement only,
// a SQLite file of its own or a schema of NewSchema, and makes the table.
func OpenReference(ctx context.Context, target string, connections int) (*Reference, error) {
	var pool *sql.DB
	kind := sqliteDialect
	if path, ok := strings.CutPrefix(target, "sqlite:"); ok {
		var err error
		if pool, err = sql.Open(sqliteDriver, sqliteDSN(path, "journal_mode(WAL)", "synchronous(FULL)")); err != nil {
			return nil, translate(err, "database")
		}
	} else {
		config, err := pgx.ParseConfig(target)
		if err != nil {
			return nil, models.Errorf(models.KindInvalid, "the database URL cannot be parsed").Because(err)
		}
		pool, kind = stdlib.OpenDB(*config), postgresDialect
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	r := &Reference{pool: pool, connections: connections}
	if err := r.prepare(ctx, kind); err != nil {
		return nil, errors.Join(translate(err, "database"), pool.Close())
	}
	return r, nil
}

func (r *Reference) prepare(ctx context.Context, kind dialect) (err error) {
	table := types[kind].Replace("CREATE TABLE IF NOT EXISTS reference (id {text} NOT NULL PRIMARY KEY, body {bytes} NOT NULL)")
	if _, err = r.pool.ExecContext(ctx, table); err != nil {
		return fmt.Errorf("make the table: %w", err)
	}
	if r.insert, err = r.pool.PrepareContext(ctx, "INSERT INTO reference (id, body) VALUES ($1, $2)"); err != nil {
		return fmt.Errorf("prepare the insert: %w", err)
	}
	return nil
}

// Run inserts rows over all connections at once until ctx ends, and returns
// how many. Each connection inserts at least one row.
func (r *Reference) Run(ctx context.Context) (int, error) {
	var inserted atomic.Int64
	var wg sync.WaitGroup
	failures := make([]error, r.connections)
	for i := range r.connections {
		wg.Go(func() {
			body := make([]byte, referenceRow)
			for failures[i] == nil {
				// The end of ctx must not interrupt a statement: it would count as failed.
				_, failures[i] = r.insert.ExecContext(context.WithoutCancel(ctx), models.NewID[string](), body)
				if inserted.Add(1); ctx.Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return int(inserted.Load()), translate(errors.Join(failures...), "reference rows")
}

// Close disconnects.
func (r *Reference) Close() error { return errors.Join(r.insert.Close(), r.pool.Close()) }
