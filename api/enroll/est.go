// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// defaultProfile is what an EST label without a profile means: the domain
// credential.
const defaultProfile = "domain_credential"

// EST is the door for devices that speak EST (RFC 7030, RFC 8951).
type EST struct {
	door       *Door
	deliveries *Deliveries // nil: keys are not made here
}

// NewEST returns the EST side of the door; it implements est.Backend.
func NewEST(door *Door) *EST { return &EST{door: door} }

// CACerts returns the issuing CA of the domain and its chain up to the root
// (RFC 7030 §4.1).
func (e *EST) CACerts(ctx context.Context, label est.Label) ([]*x509.Certificate, error) {
	domain, err := e.door.domain(ctx, label.Domain)
	if err != nil {
		return nil, err
	}
	c, err := e.door.chain(ctx, domain.IssuingCAID)
	return c.certs, err
}

// SimpleEnroll onboards a device that authenticates with its one-time secret
// or its IDevID, or issues an application certificate to one that
// authenticates with its domain credential (RFC 7030 §4.2.1).
func (e *EST) SimpleEnroll(ctx context.Context, label est.Label, csr *pki.CSR, peer est.Peer) (est.Result, error) {
	domain, err := e.door.offering(ctx, label.Domain, models.OpSimpleEnroll, peer)
	if err != nil {
		return est.Result{}, err
	}
	who, err := e.authenticate(ctx, domain, peer)
	if err != nil {
		return est.Result{}, err
	}
	s := &Submission{Protocol: "est", Kind: models.KindOnboarding, Domain: domain, Profile: label.Profile, Who: who, CSR: csr, Address: peer.Address, RequestID: peer.RequestID, Bound: peer.Bound}
	if s.Profile == "" {
		s.Profile = defaultProfile
	}
	if who.Method == models.AuthDomainCredential {
		s.Kind = models.KindEnrollment
	}
	return e.submit(ctx, s)
}

// SimpleReenroll renews the certificate that the device authenticates with
// (RFC 7030 §4.2.2): same subject, same names, same profile.
func (e *EST) SimpleReenroll(ctx context.Context, label est.Label, csr *pki.CSR, peer est.Peer) (est.Result, error) {
	seen, err := e.door.foresee(ctx, label.Domain, csr, peer)
	if err != nil {
		return est.Result{}, err
	}
	domain, held, err := e.door.renewing(ctx, label.Domain, seen, peer)
	if err != nil {
		return est.Result{}, err
	}
	who, err := e.door.byPredecessor(ctx, domain, peer, held)
	if err != nil {
		return est.Result{}, err
	}
	if err := pki.SameSubjectAndSAN(csr, peer.Certificates[0]); err != nil {
		return est.Result{}, err
	}
	s := &Submission{
		Protocol: "est", Kind: models.KindRenewal, Domain: domain, Profile: label.Profile, Who: who, CSR: csr,
		Predecessor: who.Certificate, Address: peer.Address, RequestID: peer.RequestID, Bound: peer.Bound, Seen: seen,
	}
	if s.Profile == "" {
		s.Profile = who.Certificate.ProfileName
	}
	return e.submit(ctx, s)
}

// authenticate takes the one method that the request itself names: HTTP
// authentication if it carries any, the TLS client certificate otherwise.
func (e *EST) authenticate(ctx context.Context, domain *models.Domain, peer est.Peer) (Identity, error) {
	switch {
	case peer.HasBasic:
		return e.door.byPassword(ctx, domain, models.ESTPassword, peer)
	case len(peer.Certificates) > 0:
		return e.door.byCertificate(ctx, domain, peer)
	}
	return Identity{}, models.Errorf(models.KindUnauthenticated, "authenticate with the device's name and one-time password, or with a TLS client certificate")
}

func (e *EST) submit(ctx context.Context, s *Submission) (est.Result, error) {
	answer, err := e.door.Submit(ctx, s)
	if err != nil || answer.Certificate == nil {
		return est.Result{RetryAfter: answer.RetryAfter}, err
	}
	cert, err := x509.ParseCertificate(answer.Certificate.DER)
	if err != nil {
		return est.Result{}, fmt.Errorf("parse certificate %s: %w", answer.Certificate.ID, err)
	}
	return est.Result{Certificates: []*x509.Certificate{cert}}, nil
}

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
		var cert *models.Certificate
		err := d.limit(s)
		if err == nil {
			if cert, err = d.hope(ctx, s, key); cert != nil {
				return Answer{Certificate: cert, New: true}, nil
			}
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
			if models.KindOf(err) != models.KindLimited {
				d.unlimit(s)
			}
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
