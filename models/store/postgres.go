// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

const (
	postgresConns = 20
	// migrationLock is the advisory lock under which one process migrates
	// while others that start wait ("trustloo" in ASCII).
	migrationLock = 0x7472757374_6c6f6f
)

// postgresSettings hold unless the URL says otherwise: nothing waits for ever.
var postgresSettings = map[string]string{
	"application_name":                    "trustloom",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "60s",
	"jit":                                 "off", // no statement runs as long as translating it takes
}

func openPostgres(ctx context.Context, cfg Config) (*Store, error) {
	pool, err := connectPostgres(cfg, postgresSettings)
	if err != nil {
		return nil, err
	}
	if err := migratePostgres(ctx, pool, cfg.Now); err != nil {
		_ = pool.Close()
		return nil, err
	}
	return overPostgres(pool, cfg)
}

// connectPostgres opens a pool whose connections have the settings.
func connectPostgres(cfg Config, settings map[string]string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		// The parser's own error leaves out the password.
		return nil, models.Errorf(models.KindInvalid, "the database URL cannot be parsed").Because(err)
	}
	for name, value := range settings {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(inUTC))
	conns := cfg.MaxConns
	if conns <= 0 {
		conns = postgresConns
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(time.Hour)
	return pool, nil
}

// overPostgres is a Store over a pool.
func overPostgres(pool *sql.DB, cfg Config) (*Store, error) {
	// pgx keeps the statements of each connection prepared. gorm's own cache
	// would prepare and close them anew in every transaction.
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), gormConfig(false))
	if err != nil {
		_ = pool.Close()
		return nil, translate(err, "database")
	}
	return &Store{
		Queries: &Queries{db: db, now: cfg.Now},
		pool:    pool,
		close:   once(pool.Close),
	}, nil
}

// inUTC makes a connection return times in UTC instead of the local zone.
func inUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// writePostgres is Write with a transaction of its own.
func (s *Store) writePostgres(ctx context.Context, fn func(*Tx) error) error {
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return translate(err, "transaction")
	}
	defer func() { _ = conn.Close() }() // back into the pool
	bare, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return translate(err, "transaction")
	}
	db := s.db.Session(&gorm.Session{Context: ctx, NewDB: true})
	db.Statement.ConnPool = bare
	tx := newTx(ctx, db, s.now, false)
	tx.conn = conn
	committed := false
	defer func() {
		tx.end()
		if !committed {
			_ = bare.Rollback() // an error, or a panic of fn that passes through
		}
	}()
	if err := tx.run(fn); err != nil {
		return err
	}
	committed = true
	return translate(bare.Commit(), "transaction")
}

func migratePostgres(ctx context.Context, pool *sql.DB, now func() time.Time) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return translate(fmt.Errorf("connect to the database: %w", err), "database")
	}
	if _, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = 0"); err != nil {
		return translate(rolledBack(tx, err), "database")
	}
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
		return translate(rolledBack(tx, fmt.Errorf("wait for the migration lock: %w", err)), "database")
	}
	return migrate(ctx, tx, postgresDialect, now)
}
