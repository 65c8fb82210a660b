// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func badAnswer(format string, args ...any) *models.Error {
	return models.Errorf(models.KindUnavailable, format, args...)
}

// exchange completes the header of a message, protects and sends it, and
// checks the answer: its transaction, its nonces and its protection. An answer
// that is an error is returned as one.
func (c *Client) exchange(ctx context.Context, t *ClientTransaction, out *Message) (*Message, error) {
	if err := c.complete(t, out); err != nil {
		return nil, err
	}
	message, err := out.Marshal()
	if err != nil {
		return nil, err
	}
	m, err := c.send(ctx, message)
	if err != nil {
		return nil, err
	}
	h := &m.Header
	protected, err := c.verify(t, m)
	switch {
	case err != nil:
		return nil, err
	case !protected && m.Body.Type == BodyError && h.TransactionID == nil:
		// It could not read our message: there is nothing it could repeat.
	case !bytes.Equal(h.TransactionID, t.ID):
		return nil, badAnswer("the CMP server answered another transaction")
	case !bytes.Equal(h.RecipNonce, out.Header.SenderNonce):
		return nil, badAnswer("the CMP server answered another message: recipNonce is not ours")
	case len(h.SenderNonce) < idLength:
		return nil, badAnswer("the answer of the CMP server has no senderNonce of 128 bits")
	}
	if m.Body.Type == BodyError {
		return nil, rejection(&m.Body.Error.Status, m.Body.Error.Details...)
	}
	t.TheirNonce = h.SenderNonce
	return m, nil
}

// complete fills in the header and protects the message.
func (c *Client) complete(t *ClientTransaction, out *Message) error {
	h := &out.Header
	algorithm := c.protect.algorithm()
	h.ProtectionAlg = &algorithm
	h.Version = max(h.Version, c.cfg.Version, Version2)
	h.TransactionID, h.SenderNonce, h.RecipNonce = t.ID, newID(), t.TheirNonce
	if c.cfg.Now != nil {
		h.MessageTime = c.cfg.Now().UTC().Truncate(time.Second)
	}
	h.Recipient = c.recipient()
	h.Sender, h.SenderKID = NullDN, []byte(c.cfg.Reference)
	if c.cfg.Signer != nil {
		h.Sender, h.SenderKID = DirectoryName(c.cfg.Chain[0].RawSubject), c.cfg.Chain[0].SubjectKeyId
		out.ExtraCerts = rawOf(c.cfg.Chain)
	} else if len(h.SenderKID) == 0 {
		h.SenderKID = nil
	} else if name, err := pki.MarshalAttributes([]pki.Attribute{{OID: "2.5.4.3", Value: c.cfg.Reference}}); err == nil {
		h.Sender = DirectoryName(name) // RFC 9483 §3.1: the common name is the reference
	}
	part, err := out.ProtectedPart()
	if err != nil {
		return err
	}
	if out.Protection, err = c.protect.protect(part); err != nil {
		return models.Errorf(models.KindUnavailable, "the key that protects CMP messages does not sign").Because(err)
	}
	return nil
}

func (c *Client) recipient() GeneralName {
	switch {
	case c.cfg.Recipient != nil:
		return DirectoryName(c.cfg.Recipient)
	case len(c.cfg.Trust) == 1:
		return DirectoryName(c.cfg.Trust[0].RawSubject)
	}
	return NullDN
}

// verify checks the protection of an answer. It is false only for what may go
// without.
func (c *Client) verify(t *ClientTransaction, m *Message) (bool, error) {
	if m.Protection == nil || m.Header.ProtectionAlg == nil {
		if c.cfg.UnprotectedErrors && refuses(m) {
			return false, nil
		}
		if text := refusalText(m); text != "" {
			return false, badAnswer("the CMP server, or somebody on the way, answered without protection: %s", text)
		}
		return false, badAnswer("the answer of the CMP server is not protected")
	}
	part, err := m.ProtectedPart()
	if err != nil {
		return false, err
	}
	if isMAC(m.Header.ProtectionAlg.OID) {
		return true, c.verifyMAC(m, part)
	}
	return true, c.verifySignature(t, m, part)
}

// refuses reports whether a message gives nothing away: an error, or a
// rejection.
func refuses(m *Message) bool {
	switch {
	case m.Body.Error != nil:
		return true
	case m.Body.Replies != nil:
		return !slices.ContainsFunc(m.Body.Replies.Responses, func(r CertResponse) bool { return r.Status.Status != StatusRejection })
	case m.Body.RevReps != nil:
		return !slices.ContainsFunc(m.Body.RevReps.Status, func(s StatusInfo) bool { return s.Status != StatusRejection })
	}
	return false
}

// refusalText is what a refusal says.
func refusalText(m *Message) string {
	if m.Body.Error == nil {
		return ""
	}
	return models.PublicText(rejection(&m.Body.Error.Status, m.Body.Error.Details...))
}

func (c *Client) verifyMAC(m *Message, part []byte) error {
	if len(c.cfg.Secret) == 0 {
		return badAnswer("the CMP server protected its answer with a shared secret, and there is none")
	}
	algorithm, err := parseMAC(*m.Header.ProtectionAlg)
	if err != nil {
		return badAnswer("the protection of the CMP server's answer is not accepted: %s", models.PublicText(err)).Because(err)
	}
	if !algorithm.verify(c.cfg.Secret, part, m.Protection) {
		return badAnswer("the protection of the CMP server's answer is wrong: it does not know the shared secret, or the answer was changed")
	}
	return nil
}

// verifySignature checks the signature with the first of extraCerts, and who
// that is. All answers of a transaction are by the same.
func (c *Client) verifySignature(t *ClientTransaction, m *Message, part []byte) error {
	if len(c.cfg.Trust) == 0 {
		return badAnswer("the CMP server signed its answer, and nobody is trusted to")
	}
	chain := c.signers(m)
	if len(chain) == 0 {
		return badAnswer("the CMP server signed its answer and sent no certificate that could be checked")
	}
	cert := chain[0]
	if !sameName(m.Header.Sender, cert.RawSubject) {
		return badAnswer("the sender of the CMP server's answer is not the subject of the certificate that signed")
	}
	wrong := badAnswer("the signature of the CMP server's answer is wrong")
	if err := verifySignature(*m.Header.ProtectionAlg, cert.PublicKey, part, m.Protection, wrong); err != nil {
		return badAnswer("the CMP server's answer is not accepted: %s", models.PublicText(err)).Because(err)
	}
	if err := c.trusts(chain); err != nil {
		return err
	}
	if t.Server == nil {
		t.Server = m.Header.Sender
	}
	if !bytes.Equal(t.Server, m.Header.Sender) {
		return badAnswer("the transaction was begun with another CMP server than the one that answers now")
	}
	return nil
}

// signers returns extraCerts, as far as they can be read; if there are none,
// the trusted certificate that is the sender.
func (c *Client) signers(m *Message) []*x509.Certificate {
	chain, err := signerChain(m.ExtraCerts)
	if err == nil && sameName(m.Header.Sender, chain[0].RawSubject) {
		return chain
	}
	for _, cert := range c.cfg.Trust {
		if sameName(m.Header.Sender, cert.RawSubject) {
			return append([]*x509.Certificate{cert}, chain...)
		}
	}
	return chain
}

// The extended key usages of CMP servers (RFC 9810 §4.5).
var (
	oidCMCCA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 27}
	oidCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}
)

// trusts checks that a signer is one that is trusted: itself, or by a CA that
// is, as a CMP server.
func (c *Client) trusts(chain []*x509.Certificate) error {
	cert := chain[0]
	if known := c.seen.Load(); known != nil && known.Equal(cert) && (c.cfg.Now == nil || !c.cfg.Now().After(cert.NotAfter)) {
		return nil // as in the answer before
	}
	if slices.ContainsFunc(c.cfg.Trust, cert.Equal) {
		return nil
	}
	isServer := func(oid asn1.ObjectIdentifier) bool { return oid.Equal(oidCMCCA) || oid.Equal(oidCMCRA) }
	if !slices.ContainsFunc(cert.UnknownExtKeyUsage, isServer) {
		return badAnswer("the certificate that signed the answer is not one of a CMP server (it has neither id-kp-cmcCA nor id-kp-cmcRA)")
	}
	roots, help := x509.NewCertPool(), x509.NewCertPool()
	for _, anchor := range c.cfg.Trust {
		roots.AddCert(anchor)
	}
	for _, other := range chain[1:] {
		help.AddCert(other)
	}
	at := cert.NotAfter
	if c.cfg.Now != nil {
		at = c.cfg.Now()
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: help, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return badAnswer("the certificate that signed the CMP server's answer is not trusted").Because(err)
	}
	c.seen.Store(cert)
	return nil
}

// serverKinds translates what a server says into the kinds of error, the first that
// fits.
var serverKinds = []struct {
	fail FailInfo
	kind models.Kind
}{
	{FailSystemUnavail, models.KindUnavailable},
	{FailSystemFailure, models.KindUnavailable},
	{FailBadMessageCheck | FailSignerNotTrusted | FailWrongIntegrity, models.KindUnauthenticated},
	{FailNotAuthorized | FailUnacceptedPolicy | FailWrongAuthority | FailUnacceptedExtension | FailCertRevoked, models.KindDenied},
	{FailTransactionIDInUse | FailCertConfirmed | FailDuplicateCertReq, models.KindConflict},
	{FailBadCertID, models.KindNotFound},
}

// rejection is what a server refused, with its failInfo.
func rejection(s *StatusInfo, details ...string) error {
	text := sentence(append(slices.Clone(s.Text), details...))
	if s.Fail != 0 {
		text = s.Fail.String() + ": " + text
	}
	kind := models.KindInvalid
	for _, k := range serverKinds {
		if s.Fail&k.fail != 0 {
			kind = k.kind
			break
		}
	}
	return WithFailInfo(models.Errorf(kind, "the CMP server says %s: %s", s.Status, strings.TrimSuffix(text, ": ")), s.Fail)
}

// sentence makes one bounded line of what a server says.
func sentence(texts []string) string {
	text := strings.Join(strings.FieldsFunc(strings.Join(texts, "; "), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(text); len(runes) > maxSentence {
		text = string(runes[:maxSentence]) + "…"
	}
	return text
}
