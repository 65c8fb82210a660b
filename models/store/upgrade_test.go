// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestADatabaseOfTheFirstVersionIsUpgraded fills a database that has the first
// migration only, opens it, and renews a certificate that was issued before.
func TestADatabaseOfTheFirstVersionIsUpgraded(t *testing.T) {
	fixture.URLs(t, func(t *testing.T, url string) {
		another := fixture.SQLite
		if strings.HasPrefix(url, "postgres") {
			another = fixture.Postgres
		}
		now := fixture.Open(t, another(t))
		ca, domain := plant(t, now)
		device, old := newDevice("press-01", domain.ID), reservation("before")
		old.Certificate.IssuerCAID, old.Certificate.DomainID = ca.ID, domain.ID
		write(t, now, func(tx *store.Tx) error { return tx.InsertDevice(device) })
		old.Certificate.DeviceID, old.Request.DeviceID = device.ID, device.ID
		if err := reserve(now, old)(); err != nil {
			t.Fatal(err)
		}
		if won, err := now.Record(t.Context(), recording(old)); !won || err != nil {
			t.Fatal(won, err)
		}
		first := must[*sql.DB](t)(store.OpenFirst(t.Context(), url))
		for _, table := range []string{"cas", "domains", "devices", "requests", "certificates", "events"} {
			copyRows(t, store.Pool(now), first, table)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}

		s := fixture.Open(t, url)
		wantStored(t, s, "before", models.RequestIssued, 2)
		same(t, must[*models.Device](t)(s.FindDevice(t.Context(), device.ID)), must[*models.Device](t)(now.FindDevice(t.Context(), device.ID)))
		wanted := must[*models.Domain](t)(now.FindDomain(t.Context(), domain.ID))
		wanted.Preset = "brownfield" // nothing that worked stops
		same(t, must[*models.Domain](t)(s.FindDomain(t.Context(), domain.ID)), wanted)
		same(t, must[*models.CA](t)(s.FindCA(t.Context(), ca.ID)), must[*models.CA](t)(now.FindCA(t.Context(), ca.ID)))
		held := must[*store.Holding](t)(s.FindHolding(t.Context(), "fp before"))
		same(t, held, must[*store.Holding](t)(now.FindHolding(t.Context(), "fp before")))

		renewal := reservation("after")
		renewal.Request.Kind, renewal.Request.PredecessorID, renewal.Certificate.PredecessorID = models.KindRenewal, held.Certificate.ID, held.Certificate.ID
		if err := reserve(s, renewal)(); err != nil {
			t.Fatal(err)
		}
		if won, err := s.Record(t.Context(), recording(renewal)); !won || err != nil {
			t.Fatal(won, err)
		}
		for sealed := 0; sealed < 4; { // the events from before have their places in the chain, too
			round := must[store.Sealed](t)(s.SealAudit(context.Background(), 100))
			if round.Events == 0 {
				t.Fatalf("%d events got their places, want 4", sealed)
			}
			sealed += round.Events
		}
	})
}

// copyRows copies the columns of a table that the other database has.
func copyRows(t *testing.T, from, to *sql.DB, table string) {
	t.Helper()
	empty := must[*sql.Rows](t)(to.Query("SELECT * FROM " + table + " WHERE 1 = 0"))
	columns := must[[]string](t)(empty.Columns())
	if err := empty.Close(); err != nil {
		t.Fatal(err)
	}
	rows := must[*sql.Rows](t)(from.Query("SELECT " + strings.Join(columns, ", ") + " FROM " + table))
	defer func() { _ = rows.Close() }()
	var places []string
	for i := range columns {
		places = append(places, fmt.Sprint("$", i+1))
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		statement := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
		if _, err := to.Exec(statement, values...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
