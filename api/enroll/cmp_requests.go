// SPDX-License-Identifier: MIT

package enroll

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// errTransaction answers whoever uses the identifier of a transaction for
// something else, or that of somebody else.
var errTransaction = cmp.WithFailInfo(
	models.Errorf(models.KindConflict, "the transactionID was used before: choose a new one for each transaction"), cmp.FailTransactionIDInUse)

// findTransaction is find for protocols whose requests have an identifier. Its
// request is found by that alone, and is an answer only to the same request of
// the same sender. No result is void: who wants another certificate begins
// another transaction.
func (d *Door) findTransaction(ctx context.Context, s *Submission) (string, *models.Request, error) {
	key := models.TransactionKey(s.Domain.ID, s.Transaction)
	req, err := d.cfg.Store.FindRequestByKey(ctx, key)
	if models.KindOf(err) == models.KindNotFound {
		return key, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	same := req.AuthMethod == s.Who.Method && req.AuthSubject == s.Who.Subject && req.Kind == s.Kind && req.ProfileName == s.Profile && req.Protocol == s.Protocol &&
		(s.KeyDigest != "" || bytes.Equal(req.CSR, s.CSR.DER)) && (s.Predecessor == nil || s.Predecessor.ID == req.PredecessorID)
	if !same {
		return "", nil, errTransaction
	}
	return key, req, nil
}

// transacted reports whether a request is known by its transaction alone.
func (s *Submission) transacted() bool {
	return models.IsCMP(s.Protocol)
}

// flying names what requests at the same moment share: the key, and for
// protocols whose keys hold nothing but an identifier all that has to be the
// same.
func (s *Submission) flying(key string) string {
	if !s.transacted() {
		return key
	}
	return key + " " + string(s.Who.Method) + " " + s.Who.Subject + " " + string(s.Kind) + " " + s.Profile + " " + s.digest()
}

// submission reduces a request to what all protocols have in common.
func (c *CMP) submission(ctx context.Context, in *cmp.Enrollment, domain *models.Domain, who *party) (*Submission, error) {
	if len(in.Transaction.ID) == 0 {
		return nil, models.Errorf(models.KindInvalid, "the message has no transactionID")
	}
	if in.Request == nil {
		return nil, badTemplate("there is nothing in the request")
	}
	if in.Proof == cmp.ProofByRA && who.ra == nil {
		return nil, models.Errorf(models.KindDenied, "only a registration authority says that it verified the proof of possession (raVerified)")
	}
	s := &Submission{Protocol: models.ProtocolCMP, Transaction: transactionText(in.Transaction.ID), Domain: domain, Profile: in.Label.Profile,
		CSR: in.Request, Address: in.Peer.Address, RequestID: in.Peer.RequestID, Who: who.identity}
	switch {
	case in.Operation == cmp.OpKeyUpdate:
		return s, who.renews(s, in.OldCert)
	case who.ra != nil:
		return s, c.vouched(ctx, s, in.Operation, who)
	case who.held == nil:
		s.Kind = models.KindOnboarding
	case in.Operation == cmp.OpInit:
		return nil, models.Errorf(models.KindDenied, "an ir is for who has no certificate of domain %s yet; ask with cr, or renew with kur", domain.Name)
	case who.held.Kind != models.CertificateDomainCredential:
		return nil, models.Errorf(models.KindDenied, "an application certificate does not enroll others: use the domain credential")
	default:
		s.Kind = models.KindEnrollment
	}
	return s, c.chooseProfile(s)
}

// chooseProfile takes the profile that a path without one means: the domain
// credential for an onboarding, and otherwise the one that there is beside it.
func (c *CMP) chooseProfile(s *Submission) error {
	if s.Profile != "" {
		return nil
	}
	if s.Kind == models.KindOnboarding {
		s.Profile = defaultProfile
		return nil
	}
	for _, name := range s.Domain.Profiles {
		if name == defaultProfile {
			continue
		}
		if s.Profile != "" {
			return models.Errorf(models.KindInvalid, "domain %s has several profiles: name one of them in the path, /.well-known/cmp/p/%s/PROFILE", s.Domain.Name, s.Domain.Name)
		}
		s.Profile = name
	}
	if s.Profile == "" {
		return models.Errorf(models.KindInvalid, "domain %s has no profile for application certificates", s.Domain.Name)
	}
	return nil
}

// generate has s ask for a certificate of a key that is made here (RFC 9483
// §4.1.6), unless the same transaction had one made before. It is kept sealed
// until the certificate is there, and given once.
func (c *CMP) generate(ctx context.Context, s *Submission) error {
	if c.cfg.Deliveries == nil {
		return badTemplate("keys are not made here; make the key on the device and send its public key")
	}
	if err := s.Domain.Offers(models.OpServerKeyGen); err != nil {
		return cmp.WithFailInfo(err, cmp.FailNotAuthorized)
	}
	if err := policy.MakesKeys(s.Domain); err != nil {
		return err
	}
	s.Protocol, s.KeyDigest = models.ProtocolCMPKeyGen, s.CSR.SHA256
	algorithm := s.CSR.KeyAlgorithm
	if algorithm == "" {
		algorithm = models.DeliveryKeys[0]
	}
	if !slices.Contains(models.DeliveryKeys, algorithm) {
		return badTemplate("keys of this kind are not made for devices; ask for one of %v", models.DeliveryKeys)
	}
	key := models.TransactionKey(s.Domain.ID, s.Transaction)
	if _, err := c.door.cfg.Store.FindRequestByKey(ctx, key); models.KindOf(err) != models.KindNotFound {
		s.Alongside = notTheirKey // should the request not be found again
		return err
	}
	if s.Who.SecretUsed { // before a key is made
		return errMAC
	}
	made, err := c.cfg.Deliveries.make(ctx, algorithm)
	if err != nil {
		return err
	}
	asked := s.CSR.Request
	if s.CSR, err = signRequest(made, &x509.CertificateRequest{RawSubject: asked.RawSubject, ExtraExtensions: asked.Extensions}); err != nil {
		return err
	}
	toConfirm := s.Alongside
	row := &models.Delivery{ID: models.NewID[models.DeliveryID](), Channel: models.DeliverByCMP, KeyAlgorithm: s.CSR.KeyAlgorithm, Actor: "device:" + s.Who.Device.Name}
	if err := c.cfg.Deliveries.prepare(s, row, made); err != nil {
		return err
	}
	if toDeliver := s.Alongside; toConfirm != nil {
		s.Alongside = func(tx *store.Tx, req *models.Request) error {
			if err := toDeliver(tx, req); err != nil {
				return err
			}
			return toConfirm(tx, req)
		}
	}
	return nil
}

// handOver puts the key that was made here into the outcome. It is destroyed
// by that: who lost the answer asks anew.
func (c *CMP) handOver(ctx context.Context, row *models.Certificate, who *party, peer cmp.Peer, out *cmp.Outcome) error {
	if c.cfg.Deliveries == nil {
		return models.Errorf(models.KindUnavailable, "keys are not handed over by this process")
	}
	req, err := c.door.cfg.Store.FindRequest(ctx, row.RequestID)
	if err != nil {
		return err
	}
	if !who.sent(req) { // another sender's came first, at the same moment
		return errTransaction
	}
	delivery, err := c.door.cfg.Store.FindDeliveryByRequest(ctx, row.RequestID)
	if err != nil {
		return err
	}
	_, err = c.cfg.Deliveries.collect(ctx, delivery.ID, who.actor(), peer.Address, func(p *parcel) (*models.DeliveryPackage, error) {
		out.Key = p.key
		return &models.DeliveryPackage{}, nil
	})
	if err != nil {
		out.Key = nil
	}
	return err
}
