// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// The bounds of header fields, in octets. RFC 9483 §3.1 wants 128 bits.
const (
	minUnique     = 16
	maxUnique     = 64
	maxReference  = 128
	maxExtraCerts = 10
)

// checkHeader checks what needs no key (RFC 9483 §3.5). The recipient is not
// looked at: a device that has no certificate yet cannot know our name.
func (s *responder) checkHeader(e *exchange) error {
	h := &e.in.Header
	e.course = noCourse
	if n := len(h.TransactionID); n < minUnique || n > maxUnique {
		return malformed("transactionID is not there, or not %d to %d octets long", minUnique, maxUnique)
	}
	if n := len(h.SenderNonce); n < minUnique || n > maxUnique {
		return refuse(FailBadSenderNonce, models.KindInvalid, "senderNonce is not there, or not %d to %d octets long", minUnique, maxUnique)
	}
	if off := s.now().Sub(h.MessageTime).Abs(); !h.MessageTime.IsZero() && off > s.window {
		return refuse(FailBadTime, models.KindInvalid, "messageTime is %s off; set the clock of the device, or leave messageTime out", off.Round(time.Second))
	}
	switch e.in.Body.Type {
	case BodyCertConf, BodyPollReq, BodyError:
		var ours bool
		if e.course, ours = s.courseIn(e.label.Domain, h.TransactionID, h.RecipNonce); !ours {
			return refuse(FailBadRecipientNonce, models.KindInvalid, "recipNonce is not the senderNonce of an answer to the request of this transaction")
		}
	}
	if !allows(e.operation, e.in) {
		return refuse(FailBadRequest, models.KindInvalid, "the body %s does not belong to the operation %s of the path", e.in.Body.Type, e.operation)
	}
	var err error
	e.label, err = e.label.withProfile(h)
	return err
}

// authenticate verifies the protection and finds out whose it is.
func (s *responder) authenticate(ctx context.Context, e *exchange) error {
	h := &e.in.Header
	if h.ProtectionAlg == nil || e.in.Protection == nil {
		return refuse(FailBadMessageCheck, models.KindUnauthenticated, "the message is not protected; sign it, or protect it with the shared secret")
	}
	part, err := e.in.ProtectedPart()
	if err != nil {
		return err
	}
	if isMAC(h.ProtectionAlg.OID) {
		return s.authenticateMAC(ctx, e, part)
	}
	return s.authenticateSignature(ctx, e, part)
}

// authenticateMAC has the Backend find the secret. Which of reference and
// secret is wrong is not to be told from the answer, nor from when it comes.
func (s *responder) authenticateMAC(ctx context.Context, e *exchange, part []byte) error {
	h := &e.in.Header
	check, err := parseMAC(*h.ProtectionAlg)
	if err != nil {
		return err
	}
	own, err := check.fresh()
	if err != nil {
		return err
	}
	reference, ok := referenceOf(h.SenderKID)
	if !ok {
		return refuse(FailBadMessageCheck, models.KindUnauthenticated, "senderKID does not say to whom the shared secret belongs; give the reference that came with it")
	}
	var key *keyedMAC
	e.sender, err = s.backend.Secret(ctx, e.label, h.TransactionID, reference, e.peer, func(secret []byte) bool {
		if !check.verify(secret, part, e.in.Protection) || !e.checkKeyMAC(secret) {
			return false
		}
		var failed error
		if key, failed = own.with(secret); failed == nil && e.wantsKey() {
			e.password, failed = pki.NewPasswordKey(secret)
		}
		return failed == nil
	})
	switch {
	case err != nil:
		return err
	case key == nil:
		return models.Errorf(models.KindInternal, "the backend authenticated a message without its secret")
	}
	e.mac, e.protector = true, key
	return nil
}

// referenceOf reads a senderKID that names a secret: text without control
// characters.
func referenceOf(kid []byte) (string, bool) {
	reference := string(kid)
	return reference, len(kid) > 0 && len(kid) <= maxReference && utf8.Valid(kid) && !strings.ContainsFunc(reference, unicode.IsControl)
}

// authenticateSignature verifies with the key of the first of extraCerts (RFC
// 9483 §3.3), and has the Backend judge the chain.
func (s *responder) authenticateSignature(ctx context.Context, e *exchange, part []byte) error {
	h := &e.in.Header
	if _, err := schemeOf(*h.ProtectionAlg); err != nil {
		return err
	}
	chain, err := signerChain(e.in.ExtraCerts)
	if err != nil {
		return err
	}
	cert := chain[0]
	switch {
	case !sameName(h.Sender, cert.RawSubject):
		return refuse(FailBadMessageCheck, models.KindUnauthenticated, "the sender is not the subject of the certificate that signed")
	case len(h.SenderKID) > 0 && len(cert.SubjectKeyId) > 0 && !bytes.Equal(h.SenderKID, cert.SubjectKeyId):
		return refuse(FailBadMessageCheck, models.KindUnauthenticated, "senderKID is not the key identifier of the certificate that signed")
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return refuse(FailSignerNotTrusted, models.KindUnauthenticated, "the certificate that signed is not one for signatures")
	}
	wrong := refuse(FailBadMessageCheck, models.KindUnauthenticated, "the signature of the message is wrong")
	if err := verifySignature(*h.ProtectionAlg, cert.PublicKey, part, e.in.Protection, wrong); err != nil {
		return err
	}
	sender, err := s.backend.Signer(ctx, e.label, h.TransactionID, chain, e.peer)
	if err != nil {
		return withDefault(err, models.KindUnauthenticated, FailSignerNotTrusted)
	}
	own, err := s.backend.Protector(ctx, e.label)
	if err != nil {
		return err
	}
	if len(own.Chain) == 0 {
		return models.Errorf(models.KindInternal, "the backend has no certificate to protect answers with")
	}
	protects, err := newSigning(own.Signer)
	if err != nil {
		return err
	}
	e.sender, e.cert, e.protector, e.chain = sender, cert, protects, own.Chain
	return nil
}

// signerChain parses extraCerts. Those behind the first are help: what cannot
// be of any is left out, before somebody computes with its key.
func signerChain(extra [][]byte) ([]*x509.Certificate, error) {
	if len(extra) == 0 || len(extra) > maxExtraCerts {
		return nil, refuse(FailBadMessageCheck, models.KindUnauthenticated,
			"a signed message needs 1 to %d certificates in extraCerts, the signer's first", maxExtraCerts)
	}
	var chain []*x509.Certificate
	for i, raw := range extra {
		cert, err := x509.ParseCertificate(raw)
		if err == nil {
			err = pki.CheckPublicKey(cert.PublicKey)
		}
		switch {
		case err == nil:
			chain = append(chain, cert)
		case i == 0:
			return nil, refuse(FailSignerNotTrusted, models.KindUnauthenticated, "the certificate that signed cannot be read, or its key is not permitted")
		}
	}
	return chain, nil
}

// withDefault gives an error of a kind its failInfo, unless it names one.
func withDefault(err error, kind models.Kind, info FailInfo) error {
	var named *refusal
	if models.KindOf(err) != kind || errors.As(err, &named) {
		return err
	}
	return WithFailInfo(err, info)
}
