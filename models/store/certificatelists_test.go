// SPDX-License-Identifier: MIT

package store_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestEveryCombinationOfFilters compares the pages under every combination of
// filters with a walk over all certificates.
func TestEveryCombinationOfFilters(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		all := assortment(t, s)
		slices.SortFunc(all, func(a, b models.Certificate) int {
			return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.ID, b.ID))
		})
		for _, f := range combinations(all) {
			var want []string
			for i := range all {
				if selects(f, &all[i]) {
					want = append(want, all[i].RequestKey)
				}
			}
			got := pagesOf(t, s, f, 1+rand.N(7))
			if strings.Join(got, " ") != strings.Join(want, " ") {
				f.Page = store.Page{}
				t.Fatalf("filter %+v: got %v, want %v", f, got, want)
			}
		}
	})
}

// pagesOf returns the keys on all pages of a size.
func pagesOf(t *testing.T, s *store.Store, f store.CertificateFilter, size int) (keys []string) {
	for {
		f.Limit = size
		rows, next, err := s.ListCertificates(background, f)
		if err != nil {
			t.Fatalf("filter %+v: %v", f, err)
		}
		if next != "" && len(rows) != size || len(rows) > size {
			t.Fatalf("filter %+v: a page of %d has %d rows", f, size, len(rows))
		}
		for _, c := range rows {
			keys = append(keys, c.RequestKey)
		}
		if f.Cursor = next; next == "" {
			return keys
		}
	}
}

// assortment stores certificates of all kinds, some of which expire together.
func assortment(t *testing.T, s *store.Store) (all []models.Certificate) {
	source := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[source.IntN(len(of))] }
	write(t, s, func(tx *store.Tx) error {
		for i := range 120 {
			c := newCertificate(fmt.Sprint(i))
			c.DomainID, c.DeviceID = models.DomainID(pick("", "a", "b", "c")), models.DeviceID(pick("", "x", "y", "z"))
			c.Kind = models.CertificateKind(pick("ca", "application", "domain_credential"))
			c.NotAfter = later(time.Duration(source.IntN(7)-3) * time.Hour)
			if err := storedAs(tx, c, source.IntN(6)); err != nil {
				return err
			}
			now, err := tx.FindCertificate(t.Context(), c.ID)
			if err != nil {
				return err
			}
			all = append(all, *now)
		}
		return nil
	})
	return all
}

// storedAs stores a certificate: 0 reserved, 1 to 3 issued, 4 and 5 imported;
// 3 and 5 are revoked.
func storedAs(tx *store.Tx, c *models.Certificate, how int) error {
	if how >= 4 {
		c.DER, c.Fingerprint = []byte(c.RequestKey), "fp-"+c.RequestKey
		if _, err := tx.InsertImported(c); err != nil {
			return err
		}
	} else if _, err := tx.ReserveCertificate(c); err != nil || how == 0 {
		return err
	} else if _, err := tx.RecordCertificate(c.ID, []byte(c.RequestKey), "fp-"+c.RequestKey); err != nil {
		return err
	}
	if how == 3 || how == 5 {
		return tx.RevokeCertificate(c.ID, "superseded", later(0))
	}
	return nil
}

// combinations are all filters over values that some, and that none have.
func combinations(all []models.Certificate) (list []store.CertificateFilter) {
	now := later(0)
	scopes := [][]models.DomainID{nil, {}, {"b"}, {"c", "a", "c", "none"}, {""}}
	for _, status := range []string{"", store.StatusReserved, store.StatusValid, store.StatusExpired, store.StatusRevoked} {
		for _, domain := range []models.DomainID{"", "a", "none"} {
			for _, device := range []models.DeviceID{"", "y"} {
				for _, origin := range []models.CertificateOrigin{"", models.CertificateMade, models.CertificateImported} {
					for _, before := range []time.Time{{}, now, now.Add(-time.Hour), now.Add(2 * time.Hour)} {
						for _, scope := range scopes {
							for _, kind := range []models.CertificateKind{"", models.CertificateCA, models.CertificateApplication} {
								for _, serial := range []string{"", all[0].Serial} {
									if rand.N(8) > 0 {
										continue // all would take long; another run takes others
									}
									list = append(list, store.CertificateFilter{Now: now, Status: status, DomainID: domain, DeviceID: device,
										Origin: origin, ExpiresBefore: before, Domains: scope, Kind: kind, Serial: serial})
								}
							}
						}
					}
				}
			}
		}
	}
	return list
}

// selects says what the documentation of the fields of a filter does.
func selects(f store.CertificateFilter, c *models.Certificate) bool {
	recorded, now := c.State == models.CertificateIssued, f.Now.Truncate(time.Microsecond)
	status := map[string]bool{"": true, store.StatusReserved: c.State == models.CertificateReserved, store.StatusRevoked: c.State == models.CertificateRevoked,
		store.StatusValid: recorded && !c.NotAfter.Before(now), store.StatusExpired: recorded && c.NotAfter.Before(now)}
	return status[f.Status] && (f.DomainID == "" || f.DomainID == c.DomainID) && (f.DeviceID == "" || f.DeviceID == c.DeviceID) &&
		(f.Kind == "" || f.Kind == c.Kind) && (f.Serial == "" || f.Serial == c.Serial) && (f.Origin == "" || f.Origin == c.Origin) &&
		(f.ExpiresBefore.IsZero() || c.NotAfter.Before(f.ExpiresBefore.Truncate(time.Microsecond))) && (f.Domains == nil || slices.Contains(f.Domains, c.DomainID))
}

// TestCursorsOfAnotherOrder refuses what the list before this order gave out,
// and times that no certificate has.
func TestCursorsOfAnotherOrder(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		for _, key := range []string{"01JD0000000000000000000000", "/a", "1/", "x/a", "01/a", "+1/a", "9223372036854775807/a", "-9223372036854775808/a", "99999999999999999999/a"} {
			_, _, err := s.ListCertificates(background, store.CertificateFilter{Page: store.Page{Cursor: models.Cursor("certificates", key)}})
			wantKind(t, err, models.KindInvalid)
		}
	})
}
