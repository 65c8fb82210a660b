// SPDX-License-Identifier: MIT

package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// authority is a CA with its parsed certificate.
type authority struct {
	row         *models.CA
	certificate *x509.Certificate
}

func (c *checker) authorities(ctx context.Context) error {
	c.cas, c.byID = map[string]*authority{}, map[models.CAID]*authority{}
	list := func(p store.Page) ([]models.CA, string, error) { return c.Store.ListCAs(ctx, p) }
	return pages(ctx, c, "CAs", list, func(_ context.Context, rows []models.CA) error {
		for i := range rows {
			ca := &rows[i]
			if len(ca.CertificateDER) == 0 {
				continue
			}
			certificate, err := x509.ParseCertificate(ca.CertificateDER)
			if err != nil {
				c.broken(soundness, "CA "+ca.Name, "its certificate cannot be parsed: %v", err)
				continue
			}
			one := &authority{ca, certificate}
			c.byID[ca.ID] = one
			if known := c.cas[ca.KeyID]; known == nil || known.row.Keyless() {
				c.cas[ca.KeyID] = one // a key may have further certificates, of CAs elsewhere
			}
		}
		return nil
	})
}

func (c *checker) certificates(ctx context.Context) error {
	list := func(p store.Page) ([]models.Certificate, string, error) {
		return c.Store.ListCertificates(ctx, store.CertificateFilter{Page: p})
	}
	return pages(ctx, c, "certificates", list, func(ctx context.Context, rows []models.Certificate) error {
		if err := c.intents(ctx, rows); err != nil {
			return err
		}
		return each(rows, func(row *models.Certificate) error { return c.certificate(ctx, row) })
	})
}

// certificate checks one row against its own bytes and its request.
func (c *checker) certificate(ctx context.Context, row *models.Certificate) error {
	subject := "certificate " + string(row.ID)
	if len(row.DER) == 0 {
		if row.State == models.CertificateIssued || row.State == models.CertificateRevoked {
			c.broken(oneEach, subject, "it is %s, but its bytes are missing", row.State)
		}
		return nil
	}
	certificate, err := x509.ParseCertificate(row.DER)
	if err != nil {
		c.broken(soundness, subject, "it cannot be parsed: %v", err)
		return nil
	}
	c.sameAsRow(subject, row, certificate)
	c.sound(subject, row, certificate)
	return c.ofRequest(ctx, subject, row)
}

// sameAsRow compares the bytes with the columns by which they are found.
func (c *checker) sameAsRow(subject string, row *models.Certificate, certificate *x509.Certificate) {
	sum := sha256.Sum256(row.DER)
	if hex.EncodeToString(sum[:]) != row.Fingerprint {
		c.broken(uniqueness, subject, "its fingerprint is another than that of its bytes")
	}
	if serial := pki.SerialHex(certificate.SerialNumber); serial != row.Serial {
		c.broken(uniqueness, subject, "its row says serial number %s, its bytes say %s", row.Serial, serial)
	}
	if !certificate.NotAfter.Equal(row.NotAfter) || !certificate.NotBefore.Equal(row.NotBefore) {
		c.broken(uniqueness, subject, "its row says valid until %s, its bytes say %s", row.NotAfter, certificate.NotAfter)
	}
	if row.Origin != models.CertificateImported && !bytes.Equal(certificate.RawTBSCertificate, row.TBS) {
		c.broken(intentFirst, subject, "what was signed are not the bytes that were reserved")
	}
}

// sound verifies and lints one certificate. How one is made that was issued
// elsewhere is no promise of ours; but if it names a CA, that has signed it.
func (c *checker) sound(subject string, row *models.Certificate, certificate *x509.Certificate) {
	issuer, imported := c.issuer(row), row.Origin == models.CertificateImported
	if issuer == nil {
		if imported && row.IssuerCAID == "" {
			return // its issuer is known by its name only
		}
		c.broken(soundness, subject, "its issuer, the CA with the key %s, is not known", row.IssuerKeyID)
		return
	}
	if err := certificate.CheckSignatureFrom(issuer.certificate); err != nil {
		c.broken(soundness, subject, "the signature of CA %s does not verify: %v", issuer.row.Name, err)
	}
	if imported {
		return
	}
	if certificate.NotAfter.After(issuer.certificate.NotAfter) {
		c.broken(soundness, subject, "it outlives its issuer %s", issuer.row.Name)
	}
	if err := c.linter.Lint(row.DER); err != nil {
		c.broken(soundness, subject, "%s", models.PublicText(err))
	}
}

// issuer returns the CA that a certificate says to be of, nil if there is none.
func (c *checker) issuer(row *models.Certificate) *authority {
	if one := c.byID[row.IssuerCAID]; one != nil && one.row.KeyID == row.IssuerKeyID {
		return one
	}
	return c.cas[row.IssuerKeyID]
}

// ofRequest checks that certificate and request name each other.
func (c *checker) ofRequest(ctx context.Context, subject string, row *models.Certificate) error {
	if row.RequestID == "" {
		if row.Kind != models.CertificateCA && row.Kind != models.CertificateProtector && row.Origin != models.CertificateImported {
			c.broken(oneEach, subject, "nobody requested it")
		}
		return nil
	}
	req, err := c.Store.FindRequest(ctx, row.RequestID)
	if gone(err) {
		c.broken(oneEach, subject, "its request %s does not exist", row.RequestID)
		return nil
	}
	if err != nil {
		return err
	}
	if req.Key != row.RequestKey {
		c.broken(oneEach, subject, "it belongs to another key than its request %s", req.ID)
	}
	if req.DomainID != row.DomainID || req.DeviceID != row.DeviceID {
		c.broken(separation, subject, "it is of another device or domain than its request %s", req.ID)
	}
	if req.CertificateID != row.ID && (req.CertificateID != "" || c.settled(row.UpdatedAt)) {
		c.broken(oneEach, subject, "its request %s is %s and names certificate %q", req.ID, req.State, req.CertificateID)
	}
	return nil
}

// The events that an issuance leaves.
const (
	eventReserved = "certificate.reserved"
	eventIssued   = "certificate.issued"
	eventImported = "certificate.imported" // of those that were issued elsewhere
)

// intents checks that each certificate was reserved, with the bytes that were
// signed, before it was issued.
func (c *checker) intents(ctx context.Context, rows []models.Certificate) error {
	subjects := make([]string, len(rows))
	for i := range rows {
		subjects[i] = string(rows[i].ID)
	}
	events, err := c.Store.EventsAbout(ctx, subjects, eventReserved, eventIssued, eventImported)
	if err != nil {
		return err
	}
	reserved, issued, imported := map[string]*models.Event{}, map[string]*models.Event{}, map[string]*models.Event{}
	for i := range events {
		switch e := &events[i]; e.Action {
		case eventReserved:
			reserved[e.SubjectID] = e
		case eventIssued:
			issued[e.SubjectID] = e
		case eventImported:
			imported[e.SubjectID] = e
		}
	}
	for i := range rows {
		if rows[i].Origin == models.CertificateImported {
			c.fromElsewhere(&rows[i], imported[string(rows[i].ID)])
			continue
		}
		c.intent(&rows[i], reserved[string(rows[i].ID)], issued[string(rows[i].ID)])
	}
	return nil
}

// fromElsewhere checks a certificate that says to be issued elsewhere, so that
// nobody hides one of ours by that. The event of a CA's is that of its CA.
func (c *checker) fromElsewhere(row *models.Certificate, imported *models.Event) {
	subject := "certificate " + string(row.ID)
	if row.Attempts != 0 || row.RequestID != "" || !strings.HasPrefix(row.RequestKey, "imported/") {
		c.broken(intentFirst, subject, "it says that it was issued elsewhere, but it was requested or signed here")
	}
	if imported == nil && row.Kind != models.CertificateCA {
		c.broken(intentFirst, subject, "it says that it was issued elsewhere, but the audit log does not know who imported it")
	}
}

func (c *checker) intent(row *models.Certificate, reserved, issued *models.Event) {
	subject := "certificate " + string(row.ID)
	if row.Kind == models.CertificateCA && strings.HasPrefix(row.RequestKey, "ca/") {
		return // its intent is the event of its CA
	}
	if reserved == nil {
		c.broken(intentFirst, subject, "the audit log knows no intent for it")
		return
	}
	if hash := reserved.Details["tbs_sha256"]; hash != row.TBSSHA256 {
		c.broken(intentFirst, subject, "its intent was for the bytes %s, its row holds %s", hash, row.TBSSHA256)
	}
	if len(row.DER) == 0 {
		return
	}
	if row.Attempts == 0 {
		c.broken(intentFirst, subject, "it is signed, but no attempt to sign was counted")
	}
	if issued == nil {
		c.broken(intentFirst, subject, "it is signed, but the audit log does not know")
	} else if issued.At.Before(reserved.At) {
		c.broken(intentFirst, subject, "it was issued before it was intended")
	}
}
