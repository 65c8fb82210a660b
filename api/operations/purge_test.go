// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// outdated imports certificates into alpha that expired a hundred days ago,
// and returns their file and identifiers.
func outdated(t *testing.T, p *fixture.Plant, n int) (file []byte, ids []string) {
	t.Helper()
	for i := range n {
		one := fixture.NewOutside(t, fmt.Sprintf("old %d", i), nil, func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage, c.NotBefore, c.NotAfter = false, x509.KeyUsageDigitalSignature, time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, -100)
		})
		file = slices.Concat(file, one.PEM())
	}
	result := ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(t.Context(), p.Boss, api.CertificateImport{Domain: "alpha", File: file}))
	for _, item := range result.Items {
		ids = append(ids, item.ID)
	}
	return file, ids
}

func TestAPurgeDoesWhatItsPreviewSays(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		file, ids := outdated(t, p, 3)
		_, err := p.Ops.PurgeDomain(ctx, p.Boss, "alpha")
		wantKind(t, err, models.KindConflict, "keeps its certificates for ever")
		short, rule, none := "29d", "90d", "none"
		_, err = p.Ops.ChangeDomain(ctx, p.Boss, "alpha", api.DomainChange{Retention: &short})
		wantKind(t, err, models.KindInvalid, "at least 30d")
		_, err = p.Ops.CreateDomain(ctx, p.Boss, api.DomainCreation{Name: "x", IssuingCA: "alpha-ca", Retention: "1d"})
		wantKind(t, err, models.KindInvalid, "at least 30d")
		if got := ok[*api.PurgePreview](t)(p.Ops.PreviewPurge(ctx, p.Boss, "alpha", api.PurgeQuery{})); got.Retention != "none" || got.Count != 0 || got.Items == nil {
			t.Errorf("without a rule: %+v", got)
		}
		if got := ok[*api.PurgePreview](t)(p.Ops.PreviewPurge(ctx, p.Boss, "alpha", api.PurgeQuery{Retention: "101d"})); got.Count != 0 {
			t.Errorf("with a longer one: %+v", got)
		}

		d := ok[*api.Domain](t)(p.Ops.ChangeDomain(ctx, p.Boss, "alpha", api.DomainChange{Retention: &rule}))
		if e := lastEvent(t, p, d.ID); d.Retention != "90d" || e.Details["retention"] != "90d" || e.Details["retention_before"] != "none" {
			t.Errorf("domain %+v, event %+v", d, e)
		}
		var seen []string
		q := api.PurgeQuery{PageQuery: api.PageQuery{Limit: 2}}
		for {
			page := ok[*api.PurgePreview](t)(p.Ops.PreviewPurge(ctx, p.Boss, "alpha", q))
			for _, item := range page.Items {
				seen = append(seen, item.ID)
			}
			if q.Cursor = page.NextCursor; page.Count != 3 || q.Cursor == "" {
				break
			}
		}
		if !slices.Equal(seen, ids) {
			t.Errorf("previewed %v, want %v", seen, ids)
		}
		if got := ok[*api.Purge](t)(p.Ops.PurgeDomain(ctx, p.Boss, "alpha")); *got != (api.Purge{Purged: 3}) {
			t.Errorf("purged %+v", got)
		}
		if got := ok[*api.Purge](t)(p.Ops.PurgeDomain(ctx, p.Boss, "alpha")); got.Purged != 0 {
			t.Errorf("purged again %+v", got)
		}
		if e := lastEvent(t, p, ids[0]); e.Action != "certificate.purged" || e.Actor != "operator:boss" || e.Address == "" {
			t.Errorf("event %+v", e)
		}
		_, err = p.Ops.FindCertificate(ctx, p.Boss, ids[0])
		wantKind(t, err, models.KindNotFound, "was purged at")
		_, err = p.Ops.FindCertificate(ctx, p.Caller(t, "beta-admin", models.RoleAdmin, "beta"), ids[0])
		wantKind(t, err, models.KindNotFound, "there is no certificate "+ids[0])
		again := ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(ctx, p.Boss, api.CertificateImport{Domain: "alpha", File: file}))
		for _, item := range again.Items {
			if item.Outcome != "refused" || !strings.Contains(item.Reason, "it was here") {
				t.Errorf("imported again: %+v", item)
			}
		}
		if d := ok[*api.Domain](t)(p.Ops.ChangeDomain(ctx, p.Boss, "alpha", api.DomainChange{Retention: &none})); d.Retention != "none" {
			t.Errorf("domain %+v", d)
		}
		rows, _, err := p.Store.ListCertificates(ctx, store.CertificateFilter{Origin: models.CertificateImported})
		if err != nil || len(rows) != 0 {
			t.Errorf("left: %d, %v", len(rows), err)
		}
	})
}

// TestACAWhoseCertificatesWerePurgedStays imports an expired certificate of a CA
// that has nothing else.
func TestACAWhoseCertificatesWerePurgedStays(t *testing.T) {
	p := fixture.NewPlant(t, fixture.Open(t, fixture.SQLite(t)))
	above := fixture.NewOutside(t, "Old CA", nil)
	ok[*api.CA](t)(p.Ops.CreateCA(t.Context(), p.Boss, api.CACreation{Name: "old-ca", Type: models.CAExternal, Certificate: string(above.PEM())}))
	leaf := fixture.NewOutside(t, "old", above, func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.NotBefore, c.NotAfter = false, x509.KeyUsageDigitalSignature, time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, -100)
	})
	ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(t.Context(), p.Boss, api.CertificateImport{Domain: "alpha", File: leaf.PEM()}))
	rule := "30d"
	ok[*api.Domain](t)(p.Ops.ChangeDomain(t.Context(), p.Boss, "alpha", api.DomainChange{Retention: &rule}))
	if got := ok[*api.Purge](t)(p.Ops.PurgeDomain(t.Context(), p.Boss, "alpha")); got.Purged != 1 {
		t.Errorf("purged %+v", got)
	}
	wantKind(t, p.Ops.DeleteCA(t.Context(), p.Boss, "old-ca"), models.KindConflict, "a purged certificate that it issued")
}
