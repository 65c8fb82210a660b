// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/trustloom/trustloom/models"
)

// chain is the certificates of a CA up to its root, parsed.
type chain struct {
	authorities []*models.CA
	certs       []*x509.Certificate // the CA's own first, the root last
}

// chainCache keeps parsed certificates by the CA's certificate, so that a
// request does not parse its issuers again. The rows are read every time:
// their state must be the present one.
type chainCache struct {
	mu    sync.Mutex
	certs map[models.CertificateID]*x509.Certificate
}

func (c *chainCache) parse(ca *models.CA) (*x509.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert := c.certs[ca.CertificateID]; cert != nil {
		return cert, nil
	}
	cert, err := x509.ParseCertificate(ca.CertificateDER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of CA %s: %w", ca.Name, err)
	}
	if c.certs == nil {
		c.certs = map[models.CertificateID]*x509.Certificate{}
	}
	c.certs[ca.CertificateID] = cert
	return cert, nil
}

// chain returns the chain of a CA.
func (d *Door) chain(ctx context.Context, id models.CAID) (chain, error) {
	authorities, err := d.cfg.Store.CAChain(ctx, id)
	if err != nil {
		return chain{}, err
	}
	c := chain{authorities: authorities}
	for _, ca := range authorities {
		cert, err := d.chains.parse(ca)
		if err != nil {
			return chain{}, err
		}
		c.certs = append(c.certs, cert)
	}
	return c, nil
}

// verifyOwn validates the path of a certificate that we issued (RFC 5280 §6)
// and refuses it if a CA above it was revoked. The extended key usage does not
// matter here: a server certificate renews itself, too.
func (d *Door) verifyOwn(ctx context.Context, row *models.Certificate, leaf *x509.Certificate, now time.Time) error {
	c, err := d.chain(ctx, row.IssuerCAID)
	if err != nil {
		return err
	}
	for _, ca := range c.authorities {
		if ca.State == models.CARevoked {
			return models.Errorf(models.KindUnauthenticated, "the CA %s of the client certificate is revoked", ca.Name)
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
		return models.Errorf(models.KindUnauthenticated, "the client certificate does not verify").Because(err)
	}
	return nil
}
