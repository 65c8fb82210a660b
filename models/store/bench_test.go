// SPDX-License-Identifier: MIT

package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// Each benchmark writes one request, with a CSR of usual size, per operation.
// BenchmarkBareInsert is the floor to compare with: one prepared INSERT that
// commits by itself.

func benchRequest(n int64) *models.Request {
	r := newRequest(fmt.Sprintf("%064d", n))
	r.CSR = make([]byte, 400)
	return r
}

func benchStores(b *testing.B, run func(b *testing.B, s *store.Store)) {
	b.Run("sqlite", func(b *testing.B) { run(b, fixture.Open(b, fixture.SQLite(b))) })
	b.Run("postgres", func(b *testing.B) { run(b, fixture.Open(b, fixture.Postgres(b))) })
}

func BenchmarkWriteSingle(b *testing.B) {
	benchStores(b, func(b *testing.B, s *store.Store) {
		var n int64
		for b.Loop() {
			n++
			r := benchRequest(n)
			if err := s.Write(background, func(tx *store.Tx) error { _, err := tx.InsertRequest(r); return err }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	})
}

func BenchmarkWriteParallel(b *testing.B) {
	for _, callers := range []int{16, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			benchStores(b, func(b *testing.B, s *store.Store) {
				var n atomic.Int64
				spread(b, callers, func() error {
					r := benchRequest(n.Add(1))
					return s.Write(background, func(tx *store.Tx) error { _, err := tx.InsertRequest(r); return err })
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			})
		})
	}
}

// BenchmarkIssuance is the hot path: request, reservation and event in one
// Write, recording, request and event in the next.
func BenchmarkIssuance(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			benchStores(b, func(b *testing.B, s *store.Store) {
				var n atomic.Int64
				spread(b, callers, func() error { return issueOne(s, n.Add(1)) })
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
			})
		})
	}
}

func issueOne(s *store.Store, n int64) error {
	r := benchRequest(n)
	c := newCertificate(r.Key)
	c.TBS = make([]byte, 500)
	event := models.Event{Actor: "device:press-01", Action: "certificate.issued", Noun: "certificate", DomainID: "domain", DeviceID: "device"}
	if err := s.Write(background, func(tx *store.Tx) error {
		r.State = models.RequestReserved
		_, e1 := tx.InsertRequest(r)
		_, e2 := tx.ReserveCertificate(c)
		return errors.Join(e1, e2, tx.Audit(event))
	}); err != nil {
		return err
	}
	return s.Write(background, func(tx *store.Tx) error {
		_, err := tx.RecordCertificate(c.ID, make([]byte, 600), r.Key)
		r.State, r.CertificateID = models.RequestIssued, c.ID
		return errors.Join(err, tx.SaveRequest(r), tx.Audit(event))
	})
}

// spread runs b.N operations on a number of callers.
func spread(b *testing.B, callers int, operation func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	together(callers, func(int) {
		for left.Add(-1) >= 0 {
			if err := operation(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkBareInsert(b *testing.B) {
	const insert = "INSERT INTO bare (id, body) VALUES ($1, $2)"
	run := func(b *testing.B, callers int, driver, dsn, bytes string) {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(max(1, min(callers, 20)))
		if driver == "sqlite" {
			db.SetMaxOpenConns(1)
		}
		if _, err := db.Exec("CREATE TABLE bare (id TEXT PRIMARY KEY, body " + bytes + ")"); err != nil {
			b.Fatal(err)
		}
		stmt, err := db.Prepare(insert)
		if err != nil {
			b.Fatal(err)
		}
		body := make([]byte, 800)
		var n atomic.Int64
		spread(b, callers, func() error { _, err := stmt.Exec(fmt.Sprint(n.Add(1)), body); return err })
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	}
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(callers, "/sqlite"), func(b *testing.B) {
			run(b, callers, "sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)", "BLOB")
		})
		b.Run(fmt.Sprint(callers, "/postgres"), func(b *testing.B) {
			run(b, callers, "pgx", strings.TrimSpace(fixture.Postgres(b)), "BYTEA")
		})
	}
}
