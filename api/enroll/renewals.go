// SPDX-License-Identifier: MIT

package enroll

import (
	"context"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// foresee reads with one statement what a renewal will ask the store for. It
// is nil if the domain or the certificate is not known: then the look-ups, one
// by one, say which.
func (d *Door) foresee(ctx context.Context, domain string, csr *pki.CSR, peer est.Peer) (*store.Renewal, error) {
	if len(peer.Certificates) == 0 || models.CheckName("domain", domain) != nil {
		return nil, nil
	}
	seen, err := d.cfg.Store.FindRenewal(ctx, domain, fingerprint(peer.Certificates[0]), csr.SPKISHA256)
	if models.KindOf(err) == models.KindNotFound {
		return nil, nil
	}
	return seen, err
}

// renewing is offering for renewals, of which more may be known already.
func (d *Door) renewing(ctx context.Context, name string, seen *store.Renewal, peer est.Peer) (*models.Domain, *store.Holding, error) {
	if seen == nil {
		domain, err := d.offering(ctx, name, models.OpSimpleReenroll, peer)
		return domain, nil, err
	}
	return seen.Domain, &seen.Holding, offers(seen.Domain, models.OpSimpleReenroll, peer)
}

// fresh answers a renewal in the hope that it is sent for the first time, as
// nearly all are: that it is not, the reservation says, and until then nobody
// has to ask.
func (d *Door) fresh(ctx context.Context, s *Submission) (Answer, error) {
	key := models.RequestKey(s.keyParts())
	return d.flight(ctx, s, key, func(ctx context.Context) (Answer, error) {
		cert, err := d.hope(ctx, s, key)
		if cert != nil {
			return Answer{Certificate: cert}, nil
		}
		if kind := models.KindOf(err); err != nil && (kind == models.KindUnavailable || kind == models.KindInternal) {
			return Answer{}, err
		}
		again, existing, lost := d.find(ctx, s)
		switch {
		case lost != nil:
			return Answer{}, lost
		case existing != nil && policy.Closed(s.Who.Device) != "":
			return Answer{}, models.Errorf(models.KindDenied, "%s", policy.Closed(s.Who.Device))
		case existing != nil:
			return d.join(ctx, existing)
		case err != nil: // refused, and not the repetition of what was granted
			return Answer{}, err
		}
		return d.begin(ctx, s, again)
	})
}

// hope issues what can be issued at once under a key that nobody has used. It
// returns neither a certificate nor an error if that is not so.
func (d *Door) hope(ctx context.Context, s *Submission, key string) (*models.Certificate, error) {
	facts, err := d.facts(ctx, s)
	if err != nil {
		return nil, err
	}
	decision, err := d.decide(ctx, s, facts)
	if err != nil || !inline(s, decision) {
		return nil, err
	}
	req := newRequest(s, key, facts.Version, decision)
	return d.cfg.Issuance.IssueFirst(ctx, req, facts, d.received(s, req))
}
