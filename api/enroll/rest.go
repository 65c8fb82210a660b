// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// REST is the door for devices that have an HTTP client and JSON, and no EST:
// POST /api/v1/enroll/{domain}/{profile}. What a request means follows from
// its proof: see Enroll.
type REST struct {
	door *Door
}

// NewREST returns the REST side of the door.
func NewREST(door *Door) *REST { return &REST{door: door} }

// Outcome is a certificate with the chain of its CA up to the root, or, if
// RetryAfter is positive, "pending": ask again with the same request.
type Outcome struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate
	RetryAfter  time.Duration
}

// Enroll takes a request (PKCS #10 as PEM or base64) of the device that sent
// r. HTTP Basic with the device's name and its one-time secret onboards it. A
// TLS client certificate that was issued under the profile is renewed; the
// domain credential obtains a certificate of any other profile.
func (h *REST) Enroll(r *http.Request, domainName, profile, request string) (Outcome, error) {
	csr, err := readRequest(request)
	if err != nil {
		return Outcome{}, err
	}
	peer, err := est.PeerOf(r, "")
	if err != nil {
		return Outcome{}, err
	}
	if peer.Bound, err = est.CheckBinding(csr, r.TLS); err != nil {
		return Outcome{}, err
	}
	ctx := r.Context()
	domain, err := h.door.offering(ctx, domainName, models.OpRESTEnroll, peer)
	if err != nil {
		return Outcome{}, err
	}
	if models.CheckName("profile", profile) != nil {
		return Outcome{}, models.Errorf(models.KindNotFound, "there is no profile of that name")
	}
	s := &Submission{Protocol: "rest", Domain: domain, Profile: profile, CSR: csr, Address: peer.Address, RequestID: peer.RequestID, Bound: peer.Bound}
	if err := h.identify(ctx, s, peer); err != nil {
		return Outcome{}, err
	}
	return h.submit(ctx, s)
}

func readRequest(request string) (*pki.CSR, error) {
	der, err := pki.DecodeCSR([]byte(request))
	if err != nil {
		return nil, err
	}
	return pki.ParseCSR(der)
}

// identify authenticates the device and says what its request is.
func (h *REST) identify(ctx context.Context, s *Submission, peer est.Peer) (err error) {
	if peer.HasBasic {
		s.Kind = models.KindOnboarding
		s.Who, err = h.door.byPassword(ctx, s.Domain, models.RESTPassword, peer)
		return err
	}
	if len(peer.Certificates) == 0 {
		return models.Errorf(models.KindUnauthenticated, "authenticate with the device's name and one-time password, or with the domain credential as TLS client certificate")
	}
	if s.Who, err = h.door.byPredecessor(ctx, s.Domain, peer, nil); err != nil {
		return err
	}
	switch presented := s.Who.Certificate; {
	case presented.ProfileName == s.Domain.ProfileNamed(s.Profile):
		s.Kind, s.Predecessor = models.KindRenewal, presented
		return pki.SameSubjectAndSAN(s.CSR, peer.Certificates[0])
	case presented.Kind == models.CertificateDomainCredential:
		s.Kind, s.Who.Method = models.KindEnrollment, models.AuthDomainCredential
		return nil
	}
	return models.Errorf(models.KindDenied, "an application certificate does not enroll others: use the domain credential")
}

func (h *REST) submit(ctx context.Context, s *Submission) (Outcome, error) {
	answer, err := h.door.Submit(ctx, s)
	if err != nil || answer.Certificate == nil {
		return Outcome{RetryAfter: answer.RetryAfter}, err
	}
	cert, err := x509.ParseCertificate(answer.Certificate.DER)
	if err != nil {
		return Outcome{}, fmt.Errorf("parse certificate %s: %w", answer.Certificate.ID, err)
	}
	c, err := h.door.chain(ctx, answer.Certificate.IssuerCAID)
	return Outcome{Certificate: cert, Chain: c.certs}, err
}
