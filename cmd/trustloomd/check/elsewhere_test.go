// SPDX-License-Identifier: MIT

package check_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/cmd/trustloomd/check"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestWhatCameFromElsewhereIsSound imports a CA with its key, below one that
// comes along without, and certificates: of that CA, of one that nobody knows,
// and one that we would never issue.
func TestWhatCameFromElsewhereIsSound(t *testing.T) {
	p := fixture.NewPlant(t, fixture.Open(t, fixture.SQLite(t)))
	root := fixture.NewOutside(t, "Offline Root", nil)
	bought := fixture.NewOutside(t, "Bought CA", root)
	if _, err := p.Ops.ImportCA(t.Context(), p.Boss, api.CAImport{Name: "bought", Key: bought.KeyPEM(t), Certificate: slices.Concat(bought.PEM(), root.PEM())}); err != nil {
		t.Fatal(err)
	}
	leaf := func(name string, above *fixture.Outside, change func(*x509.Certificate)) []byte {
		return fixture.NewOutside(t, name, above, func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
			change(c)
		}).PEM()
	}
	result, err := p.Ops.ImportCertificates(t.Context(), p.Boss, api.CertificateImport{Domain: "alpha", BindDevices: true, File: slices.Concat(
		leaf("known", bought, func(*x509.Certificate) {}),
		leaf("longer than its issuer", bought, func(c *x509.Certificate) { c.NotAfter = bought.Cert.NotAfter.AddDate(9, 0, 0) }),
		leaf("bound", fixture.NewOutside(t, "Unknown CA", nil), func(c *x509.Certificate) { c.Subject.SerialNumber = "4711" }),
	)})
	if err != nil {
		t.Fatal(err)
	}
	if found := about(t, p.Store); len(found) != 0 {
		t.Errorf("what came from elsewhere is taken for broken: %+v", found)
	}

	// A row that only says so hides nothing.
	err = p.Store.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.InsertImported(&models.Certificate{DER: root.Cert.Raw, Fingerprint: "ff", IssuerKeyID: "name:x", Serial: "01", Kind: models.CertificateApplication})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found := about(t, p.Store); !slices.ContainsFunc(found, func(f check.Finding) bool { return f.Invariant == "I2" }) {
		t.Errorf("a row of which the audit log knows nothing is taken for an import: %+v", found)
	}
	if len(result.Items) != 3 {
		t.Errorf("%+v", result.Items)
	}
}

// about returns what a check finds about certificates that were imported.
func about(t *testing.T, s *store.Store) (found []check.Finding) {
	t.Helper()
	report, err := check.Run(t.Context(), check.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	rows, _, err := s.ListCertificates(t.Context(), store.CertificateFilter{Page: store.Page{Limit: store.MaxLimit}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, f := range report.Findings {
			if row.Origin == models.CertificateImported && strings.HasSuffix(f.Subject, string(row.ID)) {
				found = append(found, f)
			}
		}
	}
	return found
}
