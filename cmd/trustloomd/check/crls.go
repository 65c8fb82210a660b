// SPDX-License-Identifier: MIT

package check

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// crls checks each published CRL against its predecessor and against the
// certificates that it names. They come oldest first.
func (c *checker) crls(ctx context.Context) error {
	latest := map[string]*x509.RevocationList{}
	list := func(p store.Page) ([]models.CRL, string, error) { return c.Store.ListCRLs(ctx, p) }
	err := pages(ctx, c, "CRLs", list, func(ctx context.Context, rows []models.CRL) error {
		for i := range rows {
			if len(rows[i].DER) == 0 {
				continue // only intended
			}
			if err := c.crl(ctx, &rows[i], latest); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for keyID, crl := range latest {
		ca := c.cas[keyID]
		if ca != nil && ca.row.State == models.CAActive && c.settled(crl.NextUpdate) {
			c.broken(numbering, "CA "+ca.row.Name, "its CRL %s is out of date since %s", crl.Number, crl.NextUpdate)
		}
	}
	return nil
}

func (c *checker) crl(ctx context.Context, row *models.CRL, latest map[string]*x509.RevocationList) error {
	subject := fmt.Sprintf("CRL %d of key %s", row.Number, row.KeyID)
	crl, err := x509.ParseRevocationList(row.DER)
	if err != nil {
		c.broken(numbering, subject, "it cannot be parsed: %v", err)
		return nil
	}
	if ca := c.cas[row.KeyID]; ca == nil {
		c.broken(numbering, subject, "its issuer is not known")
	} else if err := crl.CheckSignatureFrom(ca.certificate); err != nil {
		c.broken(numbering, subject, "the signature of CA %s does not verify: %v", ca.row.Name, err)
	}
	if crl.Number == nil || crl.Number.Int64() != row.Number {
		c.broken(numbering, subject, "its bytes carry the number %v", crl.Number)
		return nil
	}
	if before := latest[row.KeyID]; before != nil && (crl.Number.Cmp(before.Number) <= 0) {
		c.broken(numbering, subject, "the CRL before it has the number %s", before.Number)
	} else if before != nil && crl.ThisUpdate.Before(before.ThisUpdate) {
		c.broken(numbering, subject, "its thisUpdate is earlier than that of CRL %s", before.Number)
	}
	latest[row.KeyID] = crl
	return c.listed(ctx, subject, row.KeyID, crl)
}

// listed checks that the CRL names nothing but certificates of this database.
func (c *checker) listed(ctx context.Context, subject, keyID string, crl *x509.RevocationList) error {
	for _, entry := range crl.RevokedCertificateEntries {
		_, err := c.Store.FindCertificateBySerial(ctx, keyID, pki.SerialHex(entry.SerialNumber))
		if gone(err) { // or it was, and has been purged
			_, err = c.Store.FindTombstoneBySerial(ctx, keyID, pki.SerialHex(entry.SerialNumber))
		}
		if gone(err) {
			c.broken(uniqueness, subject, "it revokes serial number %s, which was never issued", pki.SerialHex(entry.SerialNumber))
		} else if err != nil {
			return err
		}
	}
	return nil
}
