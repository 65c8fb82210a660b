// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func leafOf(t *testing.T, name string, above *fixture.Outside, change ...func(*x509.Certificate)) *fixture.Outside {
	t.Helper()
	leaf := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }
	return fixture.NewOutside(t, name, above, append([]func(*x509.Certificate){leaf}, change...)...)
}

func TestCertificatesAreImportedIntoTheInventory(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		ours := fixture.NewOutside(t, "Bought", nil)
		ok[*api.CA](t)(p.Ops.ImportCA(ctx, p.Boss, api.CAImport{Name: "bought", Key: ours.KeyPEM(t), Certificate: ours.PEM()}))
		theirs := fixture.NewOutside(t, "Unknown CA", nil)
		bound := leafOf(t, "bound", ours, func(c *x509.Certificate) { c.Subject.SerialNumber = "4711" })
		free := leafOf(t, "free", theirs, func(c *x509.Certificate) { c.Subject.SerialNumber = "none" })
		file := slices.Concat(bound.PEM(), free.PEM(), theirs.PEM())
		in := api.CertificateImport{File: file, Domain: "alpha", BindDevices: true}
		first := ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(ctx, p.Boss, in)).Items
		if len(first) != 3 || first[0].Outcome != "imported" || first[0].Device != p.Alpha.Device || first[1].Outcome != "imported" || first[1].Device != "" ||
			first[2].Outcome != "refused" || !strings.Contains(first[2].Reason, "cas add") {
			t.Fatalf("%+v", first)
		}
		again := ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(ctx, p.Boss, in)).Items
		if again[0].Outcome != "known" || again[0].ID != first[0].ID || again[1].Outcome != "known" {
			t.Errorf("%+v", again)
		}
		page := ok[*api.Page[api.Certificate]](t)(p.Ops.ListCertificates(ctx, p.Boss, api.CertificateFilter{Origin: "imported", Domain: "alpha"}))
		if len(page.Items) != 2 || page.Items[0].Issuer != "bought" || page.Items[0].Origin != models.CertificateImported || page.Items[1].Issuer != "" {
			t.Errorf("%+v", page.Items)
		}
		full := ok[*api.Certificate](t)(p.Ops.FindCertificate(ctx, p.Boss, first[1].ID))
		if full.Chain != full.PEM || full.PEM == "" {
			t.Errorf("%+v", full)
		}
		_, err := p.Ops.RevokeCertificate(ctx, p.Boss, first[1].ID, api.Revocation{Reason: "superseded"})
		wantKind(t, err, models.KindConflict, "revoke it there")
		ok[*api.Certificate](t)(p.Ops.RevokeCertificate(ctx, p.Boss, first[0].ID, api.Revocation{Reason: "superseded"}))
		revoked := ok[[]store.RevokedEntry](t)(p.Store.RevokedCertificates(ctx, ok[*models.CA](t)(p.Store.FindCAByName(ctx, "bought")).KeyID))
		if len(revoked) != 1 || revoked[0].Serial != first[0].Serial {
			t.Errorf("what goes into the CRL: %+v", revoked)
		}
		// It proves nothing about a device, and its key is nobody else's business.
		if _, err := p.Store.FindCertificateByFingerprint(ctx, first[1].Fingerprint); models.KindOf(err) != models.KindNotFound {
			t.Errorf("an imported certificate counts as issued here: %v", err)
		}
	})
}

func TestInventoriesThatAreRefused(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	ca := fixture.NewOutside(t, "CA", nil)
	one := leafOf(t, "one", ca)
	twin := leafOf(t, "twin", ca, func(c *x509.Certificate) { c.SerialNumber = one.Cert.SerialNumber })
	ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(ctx, p.Boss, api.CertificateImport{File: one.Cert.Raw}))
	result := ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(ctx, p.Boss, api.CertificateImport{File: twin.Cert.Raw}))
	if result.Items[0].Outcome != "refused" || !strings.Contains(result.Items[0].Reason, "same issuer") {
		t.Errorf("%+v", result)
	}
	file := one.PKCS12(t, filePassword, ca)
	inFile := ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(ctx, p.Boss, api.CertificateImport{File: file, Password: filePassword})).Items
	if len(inFile) != 2 || inFile[0].Outcome != "known" {
		t.Errorf("%+v", inFile)
	}
	for name, c := range map[string]struct {
		in   api.CertificateImport
		kind models.Kind
		text string
	}{
		"a wrong password":              {api.CertificateImport{File: file, Password: "wrong"}, models.KindInvalid, "password is wrong"},
		"a private key":                 {api.CertificateImport{File: one.KeyPEM(t)}, models.KindInvalid, "treat that key as disclosed"},
		"nothing":                       {api.CertificateImport{}, models.KindInvalid, "no certificate"},
		"501 of them":                   {api.CertificateImport{File: []byte(strings.Repeat(string(one.PEM()), 501))}, models.KindInvalid, "at most 500"},
		"devices without a domain":      {api.CertificateImport{File: one.PEM(), BindDevices: true}, models.KindInvalid, "needs the domain"},
		"a domain that does not exist":  {api.CertificateImport{File: one.PEM(), Domain: "none"}, models.KindNotFound, "no domain"},
		"a message without an envelope": {api.CertificateImport{File: pki.EncodePEM(one.Cert)[:100]}, models.KindInvalid, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Ops.ImportCertificates(ctx, p.Boss, c.in)
			wantKind(t, err, c.kind, c.text)
		})
	}
	_, err := p.Ops.ImportCertificates(ctx, p.Caller(t, "limited", models.RoleAdmin, "alpha"), api.CertificateImport{File: one.PEM()})
	wantKind(t, err, models.KindDenied, "")
}
