// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"crypto/x509"
	"sync"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// pathLife is how long a path is taken for what the database has. What is above
// a CA does not change but by a rollover, in which old and new overlap for days.
const pathLife = time.Minute

// paths remembers the certificates above CAs, so that an issuance reads none.
// The zero value is ready to use, by several goroutines at once.
type paths struct {
	mu    sync.Mutex
	known map[string]path // by the certificate at its lower end
}

type path struct {
	above []*x509.Certificate
	read  time.Time
}

// above returns the certificates above a CA, the nearest first.
func (p *paths) above(ctx context.Context, s *store.Store, ca *models.CA, now time.Time) ([]*x509.Certificate, error) {
	if ca.IssuerID == "" {
		return nil, nil
	}
	p.mu.Lock()
	known, ok := p.known[string(ca.CertificateDER)]
	p.mu.Unlock()
	if ok && now.Sub(known.read) < pathLife {
		return known.above, nil
	}
	above, err := pathAbove(ctx, s, ca)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= maxPaths {
		p.known = map[string]path{}
	}
	p.known[string(ca.CertificateDER)] = path{above, now}
	return above, nil
}

// maxPaths bounds what is remembered; there are few CAs.
const maxPaths = 1000

func pathAbove(ctx context.Context, s *store.Store, ca *models.CA) ([]*x509.Certificate, error) {
	chain, err := s.CAChain(ctx, ca.ID)
	if err != nil {
		return nil, err
	}
	return policy.PathAbove(chain)
}
