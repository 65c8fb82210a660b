// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/trustloom/trustloom/models"
)

// chain is the certificates of a CA up to its root, parsed.
type chain struct {
	authorities []*models.CA
	certs       []*x509.Certificate // the CA's own first, the root last
}

// chain returns the chain of a CA. The rows are read every time: their state
// must be the present one.
func (d *Door) chain(ctx context.Context, id models.CAID) (chain, error) {
	authorities, err := d.cfg.Store.CAChain(ctx, id)
	if err != nil {
		return chain{}, err
	}
	c := chain{authorities: authorities}
	for _, ca := range authorities {
		cert, err := d.certs.Parse(ca.CertificateDER)
		if err != nil {
			return chain{}, fmt.Errorf("parse certificate of CA %s: %w", ca.Name, err)
		}
		c.certs = append(c.certs, cert)
	}
	return c, nil
}

// verifyOwn validates the path of a certificate that we issued (RFC 5280 §6)
// and refuses it if a CA above it was revoked. The extended key usage does not
// matter here: a server certificate renews itself, too. It returns the CA.
func (d *Door) verifyOwn(ctx context.Context, row *models.Certificate, leaf *x509.Certificate, now time.Time) (*models.CA, error) {
	c, err := d.chain(ctx, row.IssuerCAID)
	if err != nil {
		return nil, err
	}
	for _, ca := range c.authorities {
		if ca.State == models.CARevoked {
			return nil, models.Errorf(models.KindUnauthenticated, "the CA %s of the client certificate is revoked", ca.Name)
		}
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(c.certs[len(c.certs)-1])
	for _, cert := range c.certs[:len(c.certs)-1] {
		intermediates.AddCert(cert)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, models.Errorf(models.KindUnauthenticated, "the client certificate does not verify").Because(err)
	}
	return c.authorities[0], nil
}
