// SPDX-License-Identifier: MIT

package est

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Options are what a responder can do without.
type Options struct {
	Logger    *slog.Logger               // refusals with their causes; nil discards them
	RequestID func(*http.Request) string // names a request in logs and error texts; nil does not
}

// responder serves the operations from a Backend.
type responder struct {
	backend   Backend
	logger    *slog.Logger
	requestID func(*http.Request) string
}

// NewResponder returns the EST server (RFC 7030 §4.1, §4.2) over backend, to
// be mounted at Prefix on a TLS listener that asks for client certificates
// without verifying them: that is the Backend's work. It routes by the whole
// path itself and wants it as the client sent it.
func NewResponder(backend Backend, opts Options) http.Handler {
	s := &responder{backend: backend, logger: opts.Logger, requestID: opts.RequestID}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.requestID == nil {
		s.requestID = func(*http.Request) string { return "" }
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *responder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	label, operation, err := parsePath(r.URL.EscapedPath())
	if err == nil {
		err = checkTransport(r, operation)
	}
	if err == nil {
		switch operation {
		case opCACerts:
			err = s.caCerts(w, r, label)
		case opCSRAttrs:
			err = s.csrAttrs(w, r, label)
		case opServerKeyGen:
			err = s.serverKeyGen(w, r, label)
		case opSimpleEnroll:
			err = s.enroll(w, r, label, s.backend.SimpleEnroll)
		case opSimpleReenroll:
			err = s.enroll(w, r, label, s.backend.SimpleReenroll)
		}
	}
	if err != nil {
		s.writeError(w, r, err)
	}
}

// checkTransport checks method and transport: EST without TLS would tell the
// device's password to everybody (RFC 7030 §3.3).
func checkTransport(r *http.Request, operation string) error {
	if allowed := methods[operation]; !slices.Contains(allowed, r.Method) {
		allow := strings.Join(allowed, ", ")
		return &refusal{status: http.StatusMethodNotAllowed, allow: allow, public: operation + " is asked for with " + allowed[0]}
	}
	if r.TLS == nil {
		return models.Errorf(models.KindDenied, "EST is offered over TLS only")
	}
	return nil
}

func (s *responder) caCerts(w http.ResponseWriter, r *http.Request, label Label) error {
	certs, err := s.backend.CACerts(r.Context(), label)
	if err != nil {
		return err
	}
	body, err := encodeCertsOnly(certs)
	if err != nil {
		return err
	}
	writeCertsOnly(w, body)
	return nil
}

// csrAttrs answers 204 if nothing is wanted (RFC 7030 §4.5.2). Credentials are
// not needed, and ones that cannot be read are none.
func (s *responder) csrAttrs(w http.ResponseWriter, r *http.Request, label Label) error {
	peer, err := PeerOf(r, s.requestID(r))
	if err != nil {
		peer = Peer{}
	}
	wanted, err := s.backend.CSRAttrs(r.Context(), label, peer)
	if err != nil {
		return err
	}
	if wanted.Empty() {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	encoded, err := pki.MarshalCSRAttrs(wanted)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Transfer-Encoding", "base64")
	writeBody(w, http.StatusOK, typeCSRAttrs, encodeBase64(encoded))
	return nil
}

type enrollment func(context.Context, Label, *pki.CSR, Peer) (Result, error)

// readRequest reads what enrollments have in common.
func (s *responder) readRequest(w http.ResponseWriter, r *http.Request) (*pki.CSR, Peer, error) {
	if !isType(r.Header.Values("Content-Type"), typePKCS10) {
		return nil, Peer{}, &refusal{status: http.StatusUnsupportedMediaType, public: "send the request with Content-Type: " + typePKCS10}
	}
	peer, err := PeerOf(r, s.requestID(r))
	if err != nil {
		return nil, Peer{}, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, Peer{}, err
	}
	csr, err := decodeEnrollBody(body)
	if err != nil {
		return nil, Peer{}, err
	}
	peer.Bound, err = CheckBinding(csr, r.TLS)
	return csr, peer, err
}

// writePending is the answer to a request that waits (RFC 7030 §4.2.3).
func (s *responder) writePending(w http.ResponseWriter, delay time.Duration, requestID string) {
	w.Header().Set("Retry-After", retryAfter(delay))
	w.Header().Set("Cache-Control", "no-store")
	s.writeText(w, http.StatusAccepted, pendingText(delay), requestID)
}

func (s *responder) enroll(w http.ResponseWriter, r *http.Request, label Label, ask enrollment) error {
	csr, peer, err := s.readRequest(w, r)
	if err != nil {
		return err
	}
	result, err := ask(r.Context(), label, csr, peer)
	switch {
	case err != nil:
		return err
	case result.Pending():
		s.writePending(w, result.RetryAfter, peer.RequestID)
		return nil
	case len(result.Certificates) == 0:
		return models.Errorf(models.KindInternal, "the backend gave neither a certificate nor a time to wait")
	}
	answer, err := encodeCertsOnly(result.Certificates[:1])
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeCertsOnly(w, answer)
	return nil
}

// readBody reads at most pki.MaxCSR octets. What is longer is not read
// further: the connection is closed.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := &refusal{status: http.StatusRequestEntityTooLarge, close: true,
		public: "the request is larger than " + strconv.Itoa(pki.MaxCSR>>10) + " KiB"}
	if r.ContentLength > pki.MaxCSR {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, pki.MaxCSR))
	var exceeded *http.MaxBytesError
	switch {
	case errors.As(err, &exceeded):
		return nil, tooLarge
	case err != nil:
		return nil, models.Errorf(models.KindInvalid, "the body of the request could not be read to its end").Because(err)
	}
	return body, nil
}

func writeCertsOnly(w http.ResponseWriter, body []byte) {
	// RFC 8951 §3.1 makes the encoding the only one; old clients ask for the header.
	w.Header().Set("Content-Transfer-Encoding", "base64")
	writeBody(w, http.StatusOK, typeCertsOnly, body)
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A client that is gone finds the answer when it sends its request again.
	_, _ = w.Write(body)
}
