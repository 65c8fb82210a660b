// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestReferenceInsertsOnEveryConnection(t *testing.T) {
	fixture.URLs(t, func(t *testing.T, url string) {
		const connections = 3
		r, err := store.OpenReference(t.Context(), url, connections)
		if err != nil {
			t.Fatal(err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		n, err := r.Run(ended)
		if err != nil || n != connections {
			t.Errorf("%d rows inserted in no time at all (%v), want one for each of %d connections", n, err, connections)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSchemaHoldsAStoreAndIsRemovedWithIt(t *testing.T) {
	url := fixture.Postgres(t)
	within, drop, err := store.NewSchema(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Config{URL: within})
	if err != nil {
		t.Fatal(err)
	}
	const tables = "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
	for _, name := range lines(t, s, tables) {
		if !strings.HasPrefix(name, "trustloom_bench_") {
			t.Errorf("table %s is outside the schema", name)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := lines(t, fixture.Open(t, url), "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'trustloom%'"); len(left) != 0 {
		t.Errorf("after the drop there is still %q", left)
	}
}

func TestSchemaNeedsPostgres(t *testing.T) {
	for _, url := range []string{"sqlite:/tmp/x.db", "mysql://host/x", "postgres", "://"} {
		if _, _, err := store.NewSchema(t.Context(), url); models.KindOf(err) != models.KindInvalid {
			t.Errorf("%q: %v, want KindInvalid", url, err)
		}
	}
}
