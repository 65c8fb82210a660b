// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
)

// migration is one dated step of the schema. A step that was released never
// changes; what it made is pinned by schema.sqlite.sql and schema.postgres.sql.
type migration struct {
	name string // date and what it is about
	sql  string // statements, each ending in ";\n", with the placeholders of types
}

// migrations returns all steps, oldest first.
func migrations() []migration {
	return []migration{
		{"2026-11-21 first tables", firstTables},
		{"2026-11-21 domain doors", domainDoors},
		{"2026-11-21 truststores of domains", truststoresOfDomains},
		{"2026-11-21 access", access},
		{"2026-11-21 profile aliases and limits", profileLimits},
		{"2026-11-21 audit chain", auditChain},
		{"2026-11-21 deliveries", deliveryTables},
		{"2026-11-21 CAs and certificates from elsewhere", casFromElsewhere},
		{"2026-11-21 bound and quarantined idevids", boundIDevIDs},
		{"2026-11-21 groups and annotations", groupsAndAnnotations},
		{"2026-11-21 revocation of idevids", idevidRevocation},
		{"2026-11-21 devices in several domains", furtherDomains},
		{"2026-11-21 origin of what was issued at once", originOfIssued},
		{"2026-11-21 pages of certificates", pagesOfCertificates},
		{"2026-11-21 presets", domainPresets},
		{"2026-11-21 profiles of CAs", profilesOfCAs},
		{"2026-11-21 blocklists of keys", blocklists},
		{"2026-11-21 certificates by expiry", certificatesByExpiry},
		{"2026-11-21 purge", purgeTables},
		{"2026-11-21 transactions of CMP", cmpTransactions},
		{"2026-11-21 events of actors", eventsOfActors},
	}
}

const migrationTable = `CREATE TABLE IF NOT EXISTS schema_migrations (
	name {text} NOT NULL PRIMARY KEY,
	applied_at {time} NOT NULL
);
`

// migrate runs the steps that the database does not have yet, all in tx, which
// holds the lock that keeps other processes out, and commits it.
func migrate(ctx context.Context, tx *sql.Tx, d dialect, now func() time.Time) error {
	if err := runSteps(ctx, tx, d, now); err != nil {
		return translate(rolledBack(tx, err), "database")
	}
	if err := tx.Commit(); err != nil {
		return translate(fmt.Errorf("commit migrations: %w", err), "database")
	}
	return nil
}

func runSteps(ctx context.Context, tx *sql.Tx, d dialect, now func() time.Time) error {
	if err := runStatements(ctx, tx, d, migrationTable); err != nil {
		return err
	}
	applied, err := appliedSteps(ctx, tx)
	if err != nil {
		return err
	}
	for _, m := range migrations() {
		if applied[m.name] {
			delete(applied, m.name)
			continue
		}
		if err := runStatements(ctx, tx, d, m.sql); err != nil {
			return fmt.Errorf("migrate %q: %w", m.name, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO schema_migrations (name, applied_at) VALUES ($1, $2)", m.name, instant(now())); err != nil {
			return fmt.Errorf("note migration %q: %w", m.name, err)
		}
	}
	for name := range applied {
		return models.Errorf(models.KindConflict, "the database was written by a newer version of Trustloom (it has the migration %q); start that version, or restore a backup", name)
	}
	return nil
}

func appliedSteps(ctx context.Context, tx *sql.Tx) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, "SELECT name FROM schema_migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	defer func() { _ = rows.Close() }()
	applied := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read migrations: %w", err)
		}
		applied[name] = true
	}
	return applied, rows.Err()
}

func runStatements(ctx context.Context, tx *sql.Tx, d dialect, text string) error {
	for _, statement := range strings.Split(types[d].Replace(text), ";\n") {
		if statement = strings.TrimSpace(statement); statement == "" || strings.HasPrefix(statement, elsewhere) {
			continue
		}
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			first, _, _ := strings.Cut(statement, "\n")
			return fmt.Errorf("run %q: %w", first, err)
		}
	}
	return nil
}

// rolledBack ends tx and returns err with what the rollback said.
func rolledBack(tx *sql.Tx, err error) error {
	if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
		return errors.Join(err, fmt.Errorf("roll back: %w", undo))
	}
	return err
}
