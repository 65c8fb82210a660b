// SPDX-License-Identifier: MIT

package cmp

import (
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"

	"github.com/trustloom/trustloom/models"
)

// ContentType is the media type of messages (RFC 9811 §3.2).
const ContentType = "application/pkixcmp"

// httpRefusal is an error of HTTP rather than of a message.
type httpRefusal struct {
	status int
	public string
	allow  string // of 405: the Allow header
	close  bool   // the rest of the body is not read
}

// Error implements error.
func (r *httpRefusal) Error() string { return "HTTP " + strconv.Itoa(r.status) + ": " + r.public }

// ServeHTTP implements http.Handler. What can be read as a message is answered
// with one, and 200 (RFC 9811 §3.5).
func (s *responder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	label, operation, err := parsePath(r.URL.EscapedPath())
	if err != nil {
		s.refuseHTTP(w, r, &httpRefusal{status: http.StatusNotFound, public: models.PublicText(err)})
		return
	}
	body, err := readMessage(w, r)
	if err != nil {
		s.refuseHTTP(w, r, err)
		return
	}
	peer := Peer{Address: r.RemoteAddr, RequestID: s.requestID(r)}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		peer.Address = host
	}
	status := http.StatusOK
	message, err := ParseMessage(body)
	var answer *Message
	if err == nil {
		answer = s.respond(r.Context(), &exchange{label: label, operation: operation, peer: peer, in: message})
	} else {
		if FailInfoOf(err) == FailBadDataFormat {
			status = http.StatusBadRequest
		}
		answer = s.unreadable(r.Context(), peer, err)
	}
	encoded, err := answer.Marshal()
	if err != nil {
		s.log(r.Context(), peer, nil, err)
		s.refuseHTTP(w, r, &httpRefusal{status: http.StatusInternalServerError, public: models.PublicText(err)})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, status, ContentType, encoded)
}

// readMessage checks method and media type, and reads at most MaxMessage
// octets. What is longer is not read further: the connection is closed.
func readMessage(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, &httpRefusal{status: http.StatusMethodNotAllowed, allow: http.MethodPost, public: "CMP messages are sent with POST"}
	}
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		types = []string{""}
	}
	if media, _, err := mime.ParseMediaType(types[0]); err != nil || media != ContentType {
		return nil, &httpRefusal{status: http.StatusUnsupportedMediaType, public: "send the message with Content-Type: " + ContentType}
	}
	tooLarge := &httpRefusal{status: http.StatusRequestEntityTooLarge, close: true,
		public: "the message is larger than " + strconv.Itoa(MaxMessage>>10) + " KiB"}
	if r.ContentLength > MaxMessage {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
	var exceeded *http.MaxBytesError
	switch {
	case errors.As(err, &exceeded):
		return nil, tooLarge
	case err != nil:
		return nil, &httpRefusal{status: http.StatusBadRequest, public: "the message could not be read to its end"}
	}
	return body, nil
}

// refuseHTTP answers what is no message.
func (s *responder) refuseHTTP(w http.ResponseWriter, r *http.Request, err error) {
	refused := &httpRefusal{status: http.StatusInternalServerError, public: models.PublicText(err)}
	errors.As(err, &refused)
	header := w.Header()
	if refused.allow != "" {
		header.Set("Allow", refused.allow)
	}
	if refused.close {
		header.Set("Connection", "close")
	}
	s.logger.LogAttrs(r.Context(), slog.LevelInfo, "CMP request refused", slog.Int("status", refused.status), slog.String("method", clip(r.Method)),
		slog.String("path", clip(r.URL.EscapedPath())), slog.String("remote", r.RemoteAddr), slog.String("error", refused.public))
	writeBody(w, refused.status, "text/plain; charset=utf-8", []byte(refused.public+"\n"))
}

// maxPath is how much of a path is logged: a stranger may send a long one.
const maxPath = 256

func clip(text string) string { return text[:min(len(text), maxPath)] }

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A client that is gone finds the answer when it sends its message again.
	_, _ = w.Write(body)
}
