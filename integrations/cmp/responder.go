// SPDX-License-Identifier: MIT

package cmp

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Options are what a responder can do without.
type Options struct {
	Logger    *slog.Logger               // refusals with their causes; nil discards them
	RequestID func(*http.Request) string // names a request in logs and error texts; nil does not
	Now       func() time.Time           // nil: the system's clock
	// NonceKey makes the responder know its own nonces again: in certConf and
	// pollReq, recipNonce has to be one of them. It has to be secret, the same
	// on every node, and to outlive a restart, or transactions that wait do
	// not. nil: a key for this process alone.
	NonceKey []byte
	// TimeWindow is how far messageTime may be off, if a message has one; 0: an hour.
	TimeWindow time.Duration
}

// responder serves messages from a Backend.
type responder struct {
	backend   Backend
	logger    *slog.Logger
	requestID func(*http.Request) string
	now       func() time.Time
	nonceKey  []byte
	window    time.Duration
}

// NewResponder returns the CMP server (RFC 9811) over backend, to be mounted at
// Prefix and below, on HTTP or HTTPS: messages protect themselves. It routes by
// the whole path itself and wants it as the client sent it.
func NewResponder(backend Backend, opts Options) http.Handler {
	s := &responder{backend: backend, logger: opts.Logger, requestID: opts.RequestID, now: opts.Now, nonceKey: opts.NonceKey, window: opts.TimeWindow}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.requestID == nil {
		s.requestID = func(*http.Request) string { return "" }
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.nonceKey == nil {
		s.nonceKey = make([]byte, 32)
		rand.Read(s.nonceKey)
	}
	if s.window == 0 {
		s.window = time.Hour
	}
	return s
}

// exchange is one message, what is known about its sender, and what its answer
// needs.
type exchange struct {
	label     Label
	operation string // of the path; "" if it has none
	peer      Peer
	in        *Message
	inner     bool // it came inside a message of an RA

	sender    Sender
	mac       bool                // protected with a shared secret
	cert      *x509.Certificate   // otherwise: the signer's
	protector protector           // for the answer; nil: it goes unprotected
	chain     []*x509.Certificate // of protector, if it signs
	password  *pki.PasswordKey    // made from the shared secret if a key is wanted
	generator *Protector          // signs the key that is made here
	course    course
	answer    answer
}

// protector protects answers.
type protector interface {
	algorithm() Algorithm
	protect(part []byte) ([]byte, error)
}

// answer is what is sent back.
type answer struct {
	body  Body
	infos []Attribute         // generalInfo
	certs []*x509.Certificate // extraCerts beside those of the protector
	whole *Message            // instead: the answer to the one message that was inside
}

// respond returns the answer to a message; it always has one.
func (s *responder) respond(ctx context.Context, e *exchange) *Message {
	err := s.checkHeader(e)
	if err == nil {
		err = s.authenticate(ctx, e)
	}
	if err == nil {
		err = s.dispatch(ctx, e)
	}
	if err != nil {
		s.log(ctx, e.peer, e.in, err)
		e.answer = answer{body: errorBody(e.peer, err)}
	}
	if e.answer.whole != nil {
		return e.answer.whole
	}
	out, err := s.finish(e)
	if err != nil {
		s.log(ctx, e.peer, e.in, err)
		e.protector, e.answer = nil, answer{body: errorBody(e.peer, err)}
		out, _ = s.finish(e)
	}
	return out
}

// unreadable is the answer to what has no header that could be answered.
func (s *responder) unreadable(ctx context.Context, peer Peer, err error) *Message {
	s.log(ctx, peer, nil, err)
	return &Message{Header: Header{Version: Version2, Sender: NullDN, Recipient: NullDN, MessageTime: s.now().UTC().Truncate(time.Second)},
		Body: errorBody(peer, err)}
}

// statusOf is the PKIStatusInfo of a refusal.
func statusOf(peer Peer, err error) StatusInfo {
	text := models.PublicText(err)
	if peer.RequestID != "" {
		text += " (request " + peer.RequestID + ")"
	}
	return StatusInfo{Status: StatusRejection, Text: []string{text[:min(len(text), maxText)]}, Fail: FailInfoOf(err)}
}

func errorBody(peer Peer, err error) Body {
	return Body{Type: BodyError, Error: &ErrorContent{Status: statusOf(peer, err)}}
}

// finish makes a protected message of the answer.
func (s *responder) finish(e *exchange) (*Message, error) {
	h := &e.in.Header
	out := &Message{Body: e.answer.body, Header: Header{
		Version: h.Version, Sender: NullDN, Recipient: h.Sender, MessageTime: s.now().UTC().Truncate(time.Second),
		TransactionID: h.TransactionID, SenderNonce: s.newNonce(e.label.Domain, h.TransactionID, e.course), RecipNonce: h.SenderNonce, GeneralInfo: e.answer.infos,
	}}
	if e.mac {
		out.Header.SenderKID = h.SenderKID
	}
	if e.chain != nil {
		out.Header.Sender = DirectoryName(e.chain[0].RawSubject)
		out.Header.SenderKID = e.chain[0].SubjectKeyId
	}
	out.ExtraCerts = extraCerts(e.chain, e.answer.certs)
	if e.protector == nil {
		out.Header.Sender, out.Header.SenderKID, out.ExtraCerts = NullDN, nil, nil
		return out, nil
	}
	algorithm := e.protector.algorithm()
	out.Header.ProtectionAlg = &algorithm
	part, err := out.ProtectedPart()
	if err == nil {
		out.Protection, err = e.protector.protect(part)
	}
	return out, err
}

// extraCerts lists certificates once, the protector's first, and those of root
// CAs not at all: nobody should trust one because it came along (RFC 9483 §3.3).
func extraCerts(lists ...[]*x509.Certificate) [][]byte {
	var out [][]byte
	seen := map[string]bool{}
	for _, list := range lists {
		for _, cert := range list {
			if !seen[string(cert.Raw)] && (!pki.SelfIssued(cert) || !cert.IsCA) {
				seen[string(cert.Raw)] = true
				out = append(out, cert.Raw)
			}
		}
	}
	return out
}

// log notes a refusal with its cause; what is our fault stands out.
func (s *responder) log(ctx context.Context, peer Peer, in *Message, err error) {
	level, body := slog.LevelInfo, ""
	if models.KindOf(err) == models.KindInternal {
		level = slog.LevelError
	}
	if in != nil {
		body = in.Body.Type.String()
	}
	s.logger.LogAttrs(ctx, level, "CMP request refused", slog.String("body", body), slog.String("fail_info", FailInfoOf(err).String()),
		slog.String("remote", peer.Address), slog.String("request_id", peer.RequestID), slog.String("error", err.Error()))
}
