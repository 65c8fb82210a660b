// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

func TestKindOf(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want models.Kind
	}{
		"no row":                    {gorm.ErrRecordNotFound, models.KindNotFound},
		"no row, wrapped":           {fmt.Errorf("find: %w", sql.ErrNoRows), models.KindNotFound},
		"unique violation":          {&pgconn.PgError{Code: "23505"}, models.KindConflict},
		"foreign key violation":     {&pgconn.PgError{Code: "23503"}, models.KindConflict},
		"null in a column":          {&pgconn.PgError{Code: "23502"}, models.KindInternal},
		"disk full":                 {&pgconn.PgError{Code: "53100"}, models.KindUnavailable},
		"too many connections":      {&pgconn.PgError{Code: "53300"}, models.KindUnavailable},
		"server stops":              {&pgconn.PgError{Code: "57P01"}, models.KindUnavailable},
		"deadlock":                  {&pgconn.PgError{Code: "40P01"}, models.KindUnavailable},
		"lock timeout":              {&pgconn.PgError{Code: "55P03"}, models.KindUnavailable},
		"read only replica":         {&pgconn.PgError{Code: "25006"}, models.KindUnavailable},
		"NUL in a text":             {&pgconn.PgError{Code: "22021"}, models.KindInvalid},
		"syntax error":              {&pgconn.PgError{Code: "42601"}, models.KindInternal},
		"no code":                   {&pgconn.PgError{}, models.KindInternal},
		"context over":              {context.DeadlineExceeded, models.KindUnavailable},
		"connection lost":           {io.ErrUnexpectedEOF, models.KindUnavailable},
		"connection closed":         {fmt.Errorf("commit: %w", pgconn.ErrConnClosed), models.KindUnavailable},
		"transaction over":          {sql.ErrTxDone, models.KindUnavailable},
		"pool closed":               {errors.New("sql: database is closed"), models.KindUnavailable},
		"anything else is internal": {errors.New("boom"), models.KindInternal},
	} {
		t.Run(name, func(t *testing.T) {
			err := translate(tt.err, "thing")
			if got := models.KindOf(err); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if !errors.Is(err, tt.err) {
				t.Error("the cause is lost")
			}
			if tt.want == models.KindUnavailable && models.RetryAfter(err) == 0 {
				t.Error("unavailable without a time to come back")
			}
		})
	}
	for code, want := range map[int]models.Kind{1555: models.KindConflict, 2067: models.KindConflict, 787: models.KindConflict,
		1299: models.KindInternal, 5: models.KindUnavailable, 517: models.KindUnavailable, 13: models.KindUnavailable,
		1034: models.KindUnavailable, 11: models.KindInternal, 26: models.KindInternal} {
		if got := kindOfSQLite(code); got != want {
			t.Errorf("SQLite code %d: got %s, want %s", code, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc": "abc", "abcd": "abc", "abä": "ab", "a\x00b": "ab", "\xffa": "?a"} {
		if got := clip(in, 3); got != want {
			t.Errorf("clip(%q) = %q, want %q", in, got, want)
		}
	}
}

// openWriter returns a store over a fresh file and its writer.
func openWriter(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// batch makes the writer run functions as one batch, and returns their errors.
func batch(t *testing.T, s *Store, fns ...func(tx *Tx) error) []error {
	t.Helper()
	hold, held := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.Write(context.Background(), func(*Tx) error { close(held); <-hold; return nil })
	}()
	<-held
	errs, done := make([]error, len(fns)), make(chan struct{})
	for i, fn := range fns {
		before := len(s.writer.queue)
		go func() {
			errs[i] = s.Write(context.Background(), fn)
			done <- struct{}{}
		}()
		for len(s.writer.queue) == before { // until it is queued, so that the order is known
			runtime.Gosched()
		}
	}
	close(hold)
	for range fns {
		<-done
	}
	return errs
}

func TestCallersOfOneBatchShareOneCommit(t *testing.T) {
	s := openWriter(t)
	insert := func(name string) func(tx *Tx) error {
		return func(tx *Tx) error { return tx.InsertOperator(&models.Operator{Name: name}) }
	}
	boom := errors.New("boom")
	errs := batch(t, s, insert("a"), insert("a"), func(tx *Tx) error { _ = insert("b")(tx); return boom }, insert("b"))
	if errs[0] != nil || models.KindOf(errs[1]) != models.KindConflict || errs[2] != boom || errs[3] != nil {
		t.Errorf("errors are %v", errs)
	}
}

func TestALostTransactionFailsTheWholeBatchAndTheNextOneWorks(t *testing.T) {
	s := openWriter(t)
	insert := func(name string) func(tx *Tx) error {
		return func(tx *Tx) error { return tx.InsertOperator(&models.Operator{Name: name}) }
	}
	// What SQLite does by itself when the disk is full: it rolls everything back.
	lose := func(tx *Tx) error { return tx.session().Exec("ROLLBACK").Error }
	errs := batch(t, s, insert("a"), lose, insert("c"))
	for i, err := range errs[:2] {
		if models.KindOf(err) != models.KindUnavailable {
			t.Errorf("caller %d of the lost transaction: %v", i, err)
		}
	}
	if errs[2] != nil {
		t.Errorf("the caller after it: %v", errs[2])
	}
	rows, _, err := s.ListOperators(t.Context(), Page{})
	if err != nil || len(rows) != 1 || rows[0].Name != "c" {
		t.Errorf("rows are %v, error %v; want only c", rows, err)
	}
}

func TestAnErrorOfTheDatabasePoisonsTheTransaction(t *testing.T) {
	s := openWriter(t)
	err := s.Write(t.Context(), func(tx *Tx) error {
		if err := tx.InsertOperator(&models.Operator{Name: "a"}); err != nil {
			return err
		}
		_ = tx.check(tx.session().Exec("nonsense").Error, "nonsense")
		if err := tx.InsertOperator(&models.Operator{Name: "b"}); err == nil {
			t.Error("the transaction goes on after an error")
		}
		return nil
	})
	if models.KindOf(err) != models.KindInternal || err == nil {
		t.Errorf("got %v, want Internal", err)
	}
	if rows, _, _ := s.ListOperators(t.Context(), Page{}); len(rows) != 0 {
		t.Errorf("rows are %v", rows)
	}
}

// TestLookupsUseAnIndex reads SQLite's query plans; PostgreSQL has the same
// indices and decides by statistics.
func TestLookupsUseAnIndex(t *testing.T) {
	s := openWriter(t)
	for name, tt := range map[string]struct {
		index string
		query *gorm.DB
	}{
		"unfinished requests":  {"requests_unfinished (id>?)", s.db.Model(&models.Request{}).Where(unfinished).Where("id > ?", "x").Order("id")},
		"requests in a state":  {"requests_state (state=?)", inState(s.db.Model(&models.Request{}), models.RequestFailed).Order("id")},
		"requests of a device": {"requests_device (device_id=? AND id>?)", s.db.Model(&models.Request{}).Where("device_id = ? AND id > ?", "d", "x").Order("id")},
		"requests of domains":  {"requests_domain (domain_id=? AND id>?)", within(s.db.Model(&models.Request{}), []models.DomainID{"a"}).Where("id > ?", "x")},
		"fingerprint":          {"certificates_fingerprint", s.db.Model(&models.Certificate{}).Where("fingerprint = ? AND fingerprint <> ''", "x")},
		"serial":               {"sqlite_autoindex_certificates_3 (serial=?)", s.db.Model(&models.Certificate{}).Where("serial = ?", "x")},
		"issuer and serial":    {"sqlite_autoindex_certificates_3 (serial=? AND issuer_key_id=?)", s.db.Model(&models.Certificate{}).Where("issuer_key_id = ? AND serial = ?", "x", "y")},
		"spki":                 {"certificates_spki", s.db.Model(&models.Certificate{}).Where("spki_sha256 = ?", "x")},
		"expiry":               {"certificates_expiry", s.db.Model(&models.Certificate{}).Where("not_after < ?", time.Now())},
		"of a device":          {"certificates_device (device_id=? AND not_after>?)", s.db.Model(&models.Certificate{}).Where(revocable, "x", time.Now())},
		"revoked of a key":     {"certificates_revoked (issuer_key_id=?)", s.db.Model(&models.Certificate{}).Where("issuer_key_id = ? AND state = 'revoked'", "x").Order("id")},
		"CA certificates":      {"certificates_ca (id>?)", s.db.Model(&models.Certificate{}).Where("kind = 'ca'").Where("id > ?", "x").Order("id")},
		"reserved":             {"certificates_unrecorded (id>?)", s.db.Model(&models.Certificate{}).Where(unrecorded).Where("id > ?", "x").Order("id")},
		"events of a device":   {"events_device (device_id=? AND id>?)", s.db.Model(&models.Event{}).Where("device_id <> ''").Where("device_id = ? AND id > ?", "x", "y").Order("id")},
		"events of a request":  {"events_request", s.db.Model(&models.Event{}).Where("request_id <> ''").Where("request_id = ?", "x").Order("id")},
		"events of Trustloom":  {"events_actor (actor=? AND id>?)", s.db.Model(&models.Event{}).Where("actor NOT LIKE 'device:%'").Where("actor = ? AND id > ?", "system", "y").Order("id")},
		"events by a device":   {"events_device (device_id=?", s.db.Model(&models.Event{}).Where("device_id <> ''").Where("device_id = ?", "x").Where("actor = ?", "device:x").Order("id")},
		"events of a subject":  {"events_subject", s.db.Model(&models.Event{}).Where("subject_id = ?", "x").Order("id")},
		"events of a rare noun": {"events_noun", s.db.Model(&models.Event{}).Where("noun NOT IN ('certificate', 'request')").
			Where("noun = ?", "ca").Order("id")},
		"devices of a domain": {"devices_domain (domain_id=? AND name>?)", s.db.Model(&models.Device{}).Where("domain_id = ?", "x").Where("name > ?", "y").Order("name")},
		"due promises":        {"outbox_items_due", s.db.Model(&models.OutboxItem{}).Where("not_before <= ?", time.Now()).Order("not_before, id")},
	} {
		t.Run(name, func(t *testing.T) {
			text := s.db.ToSQL(func(tx *gorm.DB) *gorm.DB {
				return tt.query.Session(&gorm.Session{DryRun: true}).Find(&[]map[string]any{})
			})
			if got := planOf(t, s, text); !strings.Contains(got, "INDEX "+tt.index) || strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("%s\n%s", text, got)
			}
		})
	}
}

// planOf returns how SQLite runs a statement.
func planOf(t *testing.T, s *Store, text string, args ...any) string {
	rows, err := s.pool.Query("EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	return plan.String()
}

// TestWalksUseTheirIndex reads SQLite's plans of the pages of certificates.
// What PostgreSQL makes of them, `trustloomd bench lists` measures.
func TestWalksUseTheirIndex(t *testing.T) {
	s := openWriter(t)
	const ofOrigin, ofDomain = " ((origin,not_after,id)>(?,?,?) AND (origin,not_after)<(?,?))", " ((domain_id,origin,not_after,id)>(?,?,?,?) AND (domain_id,origin,not_after)<(?,?,?))"
	for name, tt := range map[string]struct {
		filter CertificateFilter
		want   []string
	}{
		"none":                 {CertificateFilter{}, []string{"certificates_unrecorded", "certificates_issued" + ofOrigin, "certificates_recalled" + ofOrigin}},
		"valid":                {CertificateFilter{Status: StatusValid}, []string{"certificates_issued" + ofOrigin}},
		"revoked":              {CertificateFilter{Status: StatusRevoked}, []string{"certificates_recalled" + ofOrigin}},
		"valid of a domain":    {CertificateFilter{Status: StatusValid, DomainID: "a"}, []string{"certificates_issued_domain" + ofDomain}},
		"revoked of domains":   {CertificateFilter{Status: StatusRevoked, Domains: []models.DomainID{"a", "b"}}, []string{"certificates_recalled_domain" + ofDomain}},
		"device and more":      {CertificateFilter{Status: StatusValid, DeviceID: "d", Domains: []models.DomainID{"a"}, Origin: "issued", Kind: "x"}, []string{"certificates_device ((device_id,not_after,id)>(?,?,?) AND (device_id,not_after)<(?,?))"}},
		"serial and more":      {CertificateFilter{Status: StatusRevoked, Serial: "aa", DomainID: "a", Origin: "issued"}, []string{"sqlite_autoindex_certificates_3 (serial=?)"}},
		"CAs of a domain":      {CertificateFilter{Kind: models.CertificateCA, Status: StatusValid, DomainID: "a"}, []string{"certificates_ca"}},
		"reserved of a domain": {CertificateFilter{Status: StatusReserved, DomainID: "a"}, []string{"certificates_unrecorded"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := tt.filter.open(true)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(w.walks(), " UNION ALL ")
			plan := planOf(t, s, text, w.args...)
			for _, want := range tt.want {
				if !strings.Contains(plan, want) {
					t.Errorf("no %s", want)
				}
			}
			if strings.Contains(plan, "SCAN certificates\n") || t.Failed() {
				t.Errorf("%s\n%s", text, plan)
			}
		})
	}
}
