// SPDX-License-Identifier: MIT

package cmp

import (
	"context"
	"encoding/asn1"
	"slices"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// oidKeyGeneration is the extended key usage of who makes keys for others,
// id-kp-cmKGA (RFC 9810 §4.5).
var oidKeyGeneration = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 32}

// wantsKey reports whether a request in the message leaves the making of the
// key to the CA, or the request did that a pollReq asks about.
func (e *exchange) wantsKey() bool {
	return e.in.Body.Type == BodyPollReq && e.course.generated() || slices.ContainsFunc(e.in.Body.Requests, func(request CertReqMsg) bool {
		_, wants := request.Request.Template.WantsKey()
		return wants
	})
}

// readKeyless reads a request for a key that is made here (RFC 9483 §4.1.6).
func (e *exchange) readKeyless(in *Enrollment, request *CertReqMsg) error {
	if request.POPO != nil {
		return badPOP("there is a proof of possession, but no public key; leave the proof out if the CA is to make the key")
	}
	der, err := request.Request.Template.Marshal()
	if err != nil {
		return err
	}
	in.Request, err = pki.ParseKeylessTemplate(der)
	return withDefault(err, models.KindInvalid, FailBadCertTemplate)
}

// keyPair is the certificate, encrypted if that is the proof of possession,
// with the key if it was made here.
func (e *exchange) keyPair(outcome Outcome) (*CertifiedKeyPair, error) {
	pair := &CertifiedKeyPair{Certificate: outcome.Certificate.Raw}
	if e.course.proof() == ProofEncrypted && !outcome.Confirmed {
		enveloped, err := pki.EnvelopedCertificate(outcome.Certificate)
		if err != nil {
			return nil, err
		}
		pair.Certificate, pair.EncryptedCert = nil, &EncryptedKey{EnvelopedData: enveloped}
	}
	if !e.course.generated() {
		return pair, nil
	}
	if outcome.Key == nil {
		return nil, refuse(FailIncorrectData, models.KindConflict, "the private key was handed over already; it was destroyed then")
	}
	enveloped, err := e.envelopKey(outcome)
	pair.PrivateKey = &EncryptedKey{EnvelopedData: enveloped}
	return pair, err
}

// findGenerator makes sure that a key can be sent, before the Backend, which
// gives it once, is asked for it.
func (s *responder) findGenerator(ctx context.Context, e *exchange) error {
	if err := checkEnveloped(e.in.Header.Version); err != nil {
		return err
	}
	if !e.mac && !pki.CanEnvelope(e.cert) {
		return refuse(FailBadCertTemplate, models.KindInvalid, "a key that is made here cannot be sent encrypted to the key that signed; sign with an RSA or EC key")
	}
	own, err := s.backend.Protector(ctx, e.label)
	if err != nil {
		return err
	}
	if len(own.Chain) == 0 || !slices.ContainsFunc(own.Chain[0].UnknownExtKeyUsage, oidKeyGeneration.Equal) {
		return models.Errorf(models.KindInternal, "the CMP protection certificate has not the extended key usage id-kp-cmKGA")
	}
	e.generator = own
	return nil
}

// envelopKey encrypts a key to the sender, the way its message was protected:
// to the key of its certificate, or with the shared secret.
func (e *exchange) envelopKey(outcome Outcome) ([]byte, error) {
	own, to := e.generator, pki.Recipient{Certificate: e.cert, Password: e.password}
	if e.cert != nil {
		to.ByKeyID = len(e.cert.SubjectKeyId) > 0
	}
	return pki.EnvelopedKey(outcome.Key, to, own.Chain[0], own.Signer)
}
