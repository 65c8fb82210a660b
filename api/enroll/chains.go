// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/sha256"
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

// chain returns the chain of a CA. The rows are read every time: their state
// must be the present one.
func (d *Door) chain(ctx context.Context, id models.CAID) (chain, error) {
	authorities, err := d.cfg.Store.CAChain(ctx, id)
	if err != nil {
		return chain{}, err
	}
	return d.parse(authorities)
}

// parse returns the chain that its rows make up.
func (d *Door) parse(authorities []*models.CA) (chain, error) {
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
func (d *Door) verifyOwn(above []*models.CA, leaf *x509.Certificate, now time.Time) (*models.CA, error) {
	c, err := d.parse(above)
	if err != nil {
		return nil, err
	}
	for _, ca := range c.authorities {
		if ca.State == models.CARevoked {
			return nil, models.Errorf(models.KindUnauthenticated, "the CA %s of the client certificate is revoked", ca.Name)
		}
	}
	if err := d.paths.verify(leaf, c.certs, now); err != nil {
		return nil, models.Errorf(models.KindUnauthenticated, "the client certificate does not verify").Because(err)
	}
	return c.authorities[0], nil
}

// paths remembers which paths are valid, and when, so that the signatures on
// one are not verified with each request over the same connection. What can
// change, the states of the rows, is no part of it. The zero value is ready.
type paths struct {
	mu    sync.Mutex
	valid map[[sha256.Size]byte]period
}

// period is when all certificates of a path are valid.
type period struct {
	notBefore, notAfter time.Time
}

// maxPaths bounds what is remembered.
const maxPaths = 4096

// verify validates the path from leaf over its issuer up to the root, the last
// of above.
func (p *paths) verify(leaf *x509.Certificate, above []*x509.Certificate, now time.Time) error {
	key, valid := describe(leaf, above)
	p.mu.Lock()
	known, ok := p.valid[key]
	p.mu.Unlock()
	if ok && !now.Before(known.notBefore) && !now.After(known.notAfter) {
		return nil
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(above[len(above)-1])
	for _, cert := range above[:len(above)-1] {
		intermediates.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.valid == nil || len(p.valid) >= maxPaths {
		p.valid = map[[sha256.Size]byte]period{}
	}
	p.valid[key] = valid
	return nil
}

// describe returns a digest of all certificates of a path, and when they are
// valid.
func describe(leaf *x509.Certificate, above []*x509.Certificate) (key [sha256.Size]byte, valid period) {
	h := sha256.New()
	h.Write(leaf.Raw) // DER says itself where it ends
	valid = period{leaf.NotBefore, leaf.NotAfter}
	for _, cert := range above {
		h.Write(cert.Raw)
		if cert.NotBefore.After(valid.notBefore) {
			valid.notBefore = cert.NotBefore
		}
		if cert.NotAfter.Before(valid.notAfter) {
			valid.notAfter = cert.NotAfter
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), valid
}
