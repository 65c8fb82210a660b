// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
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
