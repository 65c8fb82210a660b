// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// write runs fn in a transaction that must succeed.
func write(t testing.TB, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), fn); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// wantKind checks the kind of an error.
func wantKind(t testing.TB, err error, kind models.Kind) {
	t.Helper()
	if err == nil || models.KindOf(err) != kind {
		t.Errorf("got error %v, want %s", err, kind)
	}
}

// same compares what was written with what was read.
func same[T any](t testing.TB, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// must returns v of a call that must succeed.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// together runs n functions at the same time.
func together(n int, fn func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	all.Wait()
}

// later is a time with nanoseconds in a zone that is not UTC.
func later(d time.Duration) time.Time {
	return time.Date(2027, 3, 4, 5, 6, 7, 123456789, time.FixedZone("UTC+2", 7200)).Add(d)
}

func newCA(name string) *models.CA {
	return &models.CA{
		Name: name, Type: models.CARoot, State: models.CAPending, Generation: 1,
		Key:      models.KeyRef{Store: models.StoreSoftware, ID: "key-" + name, Algorithm: models.ECP256},
		Subject:  models.Name{CommonName: "Plant " + name, Country: "DE"},
		Validity: models.Duration(10 * time.Hour), Demo: true,
	}
}

func newDomain(name string, ca models.CAID) *models.Domain {
	return &models.Domain{Name: name, IssuingCAID: ca, Profiles: []string{"tls_server", "generic"}, Approval: models.ApprovalPolicy{
		Onboarding: &models.ApprovalRule{Steps: []models.ApprovalStep{{Name: "operator", Quorum: 2}}, Deadline: models.Duration(72 * time.Hour)}}}
}

func newDevice(name string, domain models.DomainID) *models.Device {
	return &models.Device{Name: name, SerialNumber: "4711", DomainID: domain, State: models.DeviceRegistered,
		Method: models.ESTPassword, SecretHash: []byte{1, 2, 3}, Epoch: 1, Metadata: map[string]string{"line": "3"}}
}

func newRequest(key string) *models.Request {
	return &models.Request{Key: key, Kind: models.KindOnboarding, State: models.RequestReceived, Protocol: "est",
		DomainID: "domain", DeviceID: "device", ProfileName: "generic", ProfileVersion: 2, CSR: []byte("csr"),
		AuthMethod: models.AuthPassword, AuthSubject: "press-01",
		Decision: models.Decision{Outcome: models.OutcomeIssue, Reasons: []string{"nothing is in the way"}}}
}

func newCertificate(key string) *models.Certificate {
	return &models.Certificate{RequestKey: key, RequestID: "request", Kind: models.CertificateApplication, IssuerCAID: "ca",
		IssuerKeyID: "aa11", Serial: "5e" + key, TBS: []byte("tbs " + key), TBSSHA256: "d1", SPKISHA256: "d2",
		DomainID: "domain", DeviceID: "device", Subject: "CN=press-01", SANs: []string{"dns:press-01"},
		NotBefore: later(0), NotAfter: later(24 * time.Hour)}
}

// plant adds a CA and a domain.
func plant(t testing.TB, s *store.Store) (*models.CA, *models.Domain) {
	t.Helper()
	ca := newCA("root")
	var d *models.Domain
	write(t, s, func(tx *store.Tx) error {
		if err := tx.InsertCA(ca); err != nil {
			return err
		}
		d = newDomain("press-shop", ca.ID)
		return tx.InsertDomain(d)
	})
	return ca, d
}

// pages reads a whole list in pages of two and returns the names of its rows
// joined by spaces.
func pages[T any](t testing.TB, name func(T) string, list func(store.Page) ([]T, string, error)) string {
	t.Helper()
	var names []string
	var page store.Page
	for page.Limit = 2; ; {
		rows, next, err := list(page)
		if err != nil {
			t.Fatalf("list after %q: %v", page.Cursor, err)
		}
		for _, r := range rows {
			names = append(names, name(r))
		}
		if next == "" {
			return strings.Join(names, " ")
		}
		if len(rows) != 2 {
			t.Fatalf("a page with a next one has %d rows, want 2", len(rows))
		}
		page.Cursor = next
	}
}

// inserted writes rows that are named 0 to n-1.
func inserted(t testing.TB, s *store.Store, n int, insert func(tx *store.Tx, name string) error) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		for i := range n {
			if err := insert(tx, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

var background = context.Background()
