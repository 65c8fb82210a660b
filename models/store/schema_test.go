// SPDX-License-Identifier: MIT

package store_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

var update = flag.Bool("update", false, "rewrite schema.sqlite.sql and schema.postgres.sql")

// dumps are the queries that describe what the migrations made, one line or
// statement per row.
var dumps = map[string]string{
	"sqlite": `SELECT sql || ';' FROM sqlite_master WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name`,
	"postgres": `
SELECT line FROM (
	SELECT c.relname AS tbl, 0 AS part, lpad(a.attnum::text, 4, '0') AS place,
		c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
			|| CASE WHEN l.collname <> 'default' THEN ' collate "' || l.collname || '"' ELSE '' END
			|| CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
			|| COALESCE(' default ' || pg_get_expr(d.adbin, d.adrelid), '') AS line
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_collation l ON l.oid = a.attcollation
	LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
	WHERE c.relkind = 'r'
	UNION ALL
	SELECT c.relname, 1, x.conname, c.relname || ' constraint ' || x.conname || ' ' || pg_get_constraintdef(x.oid)
	FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
	UNION ALL
	SELECT tablename, 2, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
) AS lines ORDER BY tbl COLLATE "C", part, place COLLATE "C"`,
}

func lines(t *testing.T, s *store.Store, query string, args ...any) []string {
	t.Helper()
	rows, err := store.Pool(s).Query(query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSchemaIsWhatIsCheckedIn(t *testing.T) {
	t.Parallel()
	for dialect, url := range map[string]func(testing.TB) string{"sqlite": fixture.SQLite, "postgres": fixture.Postgres} {
		t.Run(dialect, func(t *testing.T) {
			got := strings.Join(lines(t, fixture.Open(t, url(t)), dumps[dialect]), "\n") + "\n"
			file := "schema." + dialect + ".sql"
			got = "-- What the migrations make. Rewritten by: go test ./models/store -run Schema -update\n\n" + got
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the migrations make another schema than %s (-want +got); add a migration instead of changing a released one, then run with -update:\n%s", file, diff)
			}
		})
	}
}

func TestEveryFieldHasItsColumn(t *testing.T) {
	t.Parallel()
	columns := map[string]string{
		"sqlite":   "SELECT name FROM pragma_table_info($1)",
		"postgres": "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1",
	}
	for dialect, url := range map[string]func(testing.TB) string{"sqlite": fixture.SQLite, "postgres": fixture.Postgres} {
		t.Run(dialect, func(t *testing.T) {
			s := fixture.Open(t, url(t))
			for _, row := range []any{&models.CA{}, &models.CRL{}, &models.Domain{}, &models.Profile{}, &models.Truststore{}, &models.Registration{}, &models.QuarantinedIDevID{}, &models.Annotation{}, &models.TruststoreRevocation{}, &models.ForeignCRL{},
				&models.Device{}, &models.Request{}, &models.Certificate{}, &models.Approval{}, &models.ApprovalDecision{}, &models.Operator{},
				&models.Token{}, &models.Event{}, &models.OutboxItem{}, &store.Answer{}, &models.AuditBlock{}, &models.AuditHead{}, &models.Delivery{}, &models.SealedKey{}, &models.Blocklist{}, &models.BlockedKey{}, &models.Tombstone{}} {
				table, want, err := store.Columns(row)
				if err != nil {
					t.Fatal(err)
				}
				got := lines(t, s, columns[dialect], table)
				if table == "events" { // what only the database fills in
					got = slices.DeleteFunc(got, func(c string) bool { return c == "position" })
				}
				slices.Sort(got)
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("table %s (-field +column):\n%s", table, diff)
				}
			}
		})
	}
}

func TestManyProcessesMayStartAtOnce(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		together(8, func(i int) {
			s, err := store.Open(background, store.Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := s.Check(background); err != nil {
				t.Error(err)
			}
		})
		s := fixture.Open(t, url)
		if got := lines(t, s, "SELECT name FROM schema_migrations ORDER BY name"); len(got) != store.Steps() {
			t.Errorf("migrations noted: %q", got)
		}
	})
}

func TestADatabaseOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url}))
		write(t, s, func(tx *store.Tx) error {
			return tx.Exec("INSERT INTO schema_migrations (name, applied_at) VALUES ('2099-01-01 later', '2099-01-01')")
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(background, store.Config{URL: url})
		wantKind(t, err, models.KindConflict)
	})
}
