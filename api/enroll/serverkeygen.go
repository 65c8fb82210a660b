// SPDX-License-Identifier: MIT

package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// Delivering lets the door make keys for devices that ask for them
// (serverkeygen); without it the operation is not offered. It returns e.
func (e *EST) Delivering(d *Deliveries) *EST {
	e.deliveries = d
	return e
}

// ServerKeyGen makes a key of the same kind as the request's own, certifies it
// like any other, and hands it over, once (RFC 7030 §4.4). The device proves
// itself as for SimpleEnroll. While the request waits the key is kept sealed;
// the same request asked again gets it when it is there. After that, and for
// anybody else, there is nothing: an answer that was lost is replaced by a new
// request with another CSR.
func (e *EST) ServerKeyGen(ctx context.Context, label est.Label, csr *pki.CSR, peer est.Peer) (est.KeyResult, error) {
	if e.deliveries == nil {
		return est.KeyResult{}, models.Errorf(models.KindNotFound, "serverkeygen is not offered; make the key on the device and use simpleenroll")
	}
	domain, err := e.door.offering(ctx, label.Domain, models.OpServerKeyGen, peer)
	if err != nil {
		return est.KeyResult{}, err
	}
	who, err := e.authenticate(ctx, domain, peer)
	if err != nil {
		return est.KeyResult{}, err
	}
	recipient, err := recipientOf(csr, peer, who)
	if err != nil {
		return est.KeyResult{}, err
	}
	s := &Submission{Protocol: models.ProtocolServerKeyGen, Kind: models.KindOnboarding, Domain: domain, Profile: label.Profile, Who: who, CSR: csr,
		Address: peer.Address, Bound: peer.Bound}
	s.KeyDigest = s.digest()
	if s.Profile == "" {
		s.Profile = defaultProfile
	}
	if who.Method == models.AuthDomainCredential {
		s.Kind = models.KindEnrollment
	}
	return e.deliveries.generate(ctx, s, recipient)
}

// recipientOf returns the certificate to whose key the new one is to be
// encrypted, or nil if TLS is enough for the client. Only the key that it
// authenticates with can be meant: for any other nobody proved who has it. A
// wish that cannot be met is refused, never left out.
func recipientOf(csr *pki.CSR, peer est.Peer, who Identity) (*x509.Certificate, error) {
	wish, err := csr.KeyEncryption()
	switch {
	case err != nil:
		return nil, err
	case !wish.Wanted():
		return nil, nil
	case wish.Symmetric != nil:
		return nil, models.Errorf(models.KindInvalid, "there is no secret shared with the device to encrypt its key with (DecryptKeyIdentifier); name the key of the TLS client certificate (AsymmetricDecryptKeyIdentifier)")
	case !wish.AES256:
		return nil, models.Errorf(models.KindInvalid, "keys are encrypted with AES-256-CBC, which is not among the SMIMECapabilities of the request")
	case who.Method == models.AuthPassword || len(peer.Certificates) == 0:
		return nil, models.Errorf(models.KindDenied, "a key is encrypted to the TLS client certificate only, and a password authenticated this request")
	case len(peer.Certificates[0].SubjectKeyId) == 0 || !bytes.Equal(peer.Certificates[0].SubjectKeyId, wish.Asymmetric):
		return nil, models.Errorf(models.KindDenied, "AsymmetricDecryptKeyIdentifier is not the subject key identifier of the TLS client certificate: a key is encrypted to nobody else")
	case !pki.CanEnvelope(peer.Certificates[0]):
		return nil, models.Errorf(models.KindInvalid, "nothing can be encrypted to the key of the TLS client certificate; use one with an RSA or EC key")
	}
	return peer.Certificates[0], nil
}

// generate takes a request for a key to its answer.
func (d *Deliveries) generate(ctx context.Context, s *Submission, recipient *x509.Certificate) (est.KeyResult, error) {
	_, existing, err := d.door.find(ctx, s)
	if err != nil {
		return est.KeyResult{}, err
	}
	if existing != nil {
		s.Alongside = notTheirKey // should the request become void before it is found again
		return d.answer(ctx, s, recipient)
	}
	if s.Who.SecretUsed { // before a key is made
		return est.KeyResult{}, errCredentials
	}
	if !slices.Contains(models.DeliveryKeys, s.CSR.KeyAlgorithm) {
		return est.KeyResult{}, models.Errorf(models.KindInvalid, "keys of this kind are not made for devices; sign the request with one of %v", models.DeliveryKeys)
	}
	key, err := d.make(ctx, s.CSR.KeyAlgorithm)
	if err != nil {
		return est.KeyResult{}, err
	}
	asked := s.CSR.Request
	if s.CSR, err = signRequest(key, &x509.CertificateRequest{RawSubject: asked.RawSubject, ExtraExtensions: asked.Extensions}); err != nil {
		return est.KeyResult{}, err
	}
	row := &models.Delivery{ID: models.NewID[models.DeliveryID](), Channel: models.DeliverByEST, KeyAlgorithm: s.CSR.KeyAlgorithm, Actor: "device:" + s.Who.Device.Name}
	if err := d.prepare(s, row, key); err != nil {
		return est.KeyResult{}, err
	}
	return d.answer(ctx, s, recipient)
}

// notTheirKey refuses to store a request whose key is the one of the device,
// which only asked for another.
func notTheirKey(*store.Tx, *models.Request) error {
	return models.Errorf(models.KindUnavailable, "the request ended at this moment; send it again").After(time.Second)
}

// answer submits the request and hands the key over once its certificate is
// there.
func (d *Deliveries) answer(ctx context.Context, s *Submission, recipient *x509.Certificate) (est.KeyResult, error) {
	answer, err := d.door.Submit(ctx, s)
	if err != nil || answer.Certificate == nil {
		return est.KeyResult{Result: est.Result{RetryAfter: answer.RetryAfter}}, err
	}
	row, err := d.door.cfg.Store.FindDeliveryByRequest(ctx, answer.Certificate.RequestID)
	if err != nil {
		return est.KeyResult{}, err
	}
	var result est.KeyResult
	_, err = d.collect(ctx, row.ID, "device:"+s.Who.Device.Name, s.Address, func(p *parcel) (out *models.DeliveryPackage, err error) {
		result.Certificates = []*x509.Certificate{p.cert}
		if recipient == nil {
			result.Key, err = x509.MarshalPKCS8PrivateKey(p.key)
			return &models.DeliveryPackage{}, err
		}
		signer, signedBy, err := d.signer()
		if err != nil {
			return nil, err
		}
		result.Enveloped = true
		result.Key, err = pki.EnvelopeKey(p.key, recipient, signedBy, signer)
		return &models.DeliveryPackage{}, err
	})
	if err != nil {
		clear(result.Key)
		return est.KeyResult{}, err
	}
	return result, nil
}

// KeySigner returns the key with which the server says that it made a key (RFC
// 7030 §4.4.2), and its certificate.
type KeySigner func() (crypto.Signer, *x509.Certificate, error)
