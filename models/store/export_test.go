// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"runtime"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm/schema"
)

// Pool gives tests the connections behind a store.
func Pool(s *Store) *sql.DB { return s.pool }

// Columns returns the table of a noun and the columns that gorm writes.
func Columns(row any) (table string, columns []string, err error) {
	parsed, err := schema.Parse(row, &sync.Map{}, gormConfig(false).NamingStrategy)
	if err != nil {
		return "", nil, err
	}
	for _, f := range parsed.Fields {
		if f.DBName != "" {
			columns = append(columns, f.DBName)
		}
	}
	return parsed.Table, columns, nil
}

// Exec runs a statement of a test.
func (tx *Tx) Exec(statement string) error { return tx.session().Exec(statement).Error }

// Steps returns how many migrations there are.
func Steps() int { return len(migrations()) }

// InsertRow adds a row without gorm; false if only gorm can.
func InsertRow(tx *Tx, row any) (bool, error) {
	t := tx.tableOf(row)
	if t == nil {
		return false, nil
	}
	_, err := t.insert(tx.ctx, tx.Queries, row, nil)
	return true, err
}

// ReadRow reads the row with an identifier by gorm and without it.
func ReadRow(tx *Tx, id string, gorms, ours any) error {
	if err := tx.session().Where("id = ?", id).Take(gorms).Error; err != nil {
		return err
	}
	return tx.tableOf(ours).take(tx.ctx, tx.Queries, ours, "id = ?", []any{id})
}

// Gather keeps issuances waiting until n of them do, so that they are stored
// together. start has to begin them.
func Gather(s *Store, n int, start func()) {
	g := &s.issuances
	g.once.Do(func() { g.turn = make(chan struct{}, issuanceTurns) })
	for range issuanceTurns {
		g.turn <- struct{}{}
	}
	start()
	for waiting := 0; waiting < n; runtime.Gosched() {
		g.mu.Lock()
		waiting = len(g.waiting)
		g.mu.Unlock()
	}
	for range issuanceTurns {
		<-g.turn
	}
}

// Turns returns how many store issuances at this moment.
func Turns(s *Store) int { return len(s.issuances.turn) }

// OpenFirst makes a database as the first version of Trustloom made it.
func OpenFirst(ctx context.Context, url string) (*sql.DB, error) {
	path, lite := strings.CutPrefix(url, "sqlite:")
	kind, open := postgresDialect, func() (*sql.DB, error) { return connectPostgres(Config{URL: url}, postgresSettings) }
	if lite {
		kind, open = sqliteDialect, func() (*sql.DB, error) { return sql.Open(sqliteDriver, sqliteDSN(path, writerPragmas...)) }
	}
	pool, err := open()
	if err != nil {
		return nil, err
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	first := migrations()[0]
	if err := runStatements(ctx, tx, kind, migrationTable+first.sql); err != nil {
		return nil, rolledBack(tx, err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO schema_migrations (name, applied_at) VALUES ($1, $2)", first.name, time.Now().UTC()); err != nil {
		return nil, rolledBack(tx, err)
	}
	return pool, tx.Commit()
}
