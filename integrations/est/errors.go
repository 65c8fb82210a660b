// SPDX-License-Identifier: MIT

package est

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
)

// challenge asks for credentials (RFC 7030 §3.2.3, RFC 7617 §2.1).
const challenge = `Basic realm="trustloom est", charset="UTF-8"`

// defaultRetry is when to come back if the error does not say.
const defaultRetry = 10 * time.Second

// statuses translates the kinds of error (design §6, column EST).
var statuses = map[models.Kind]int{
	models.KindInternal:        http.StatusInternalServerError,
	models.KindInvalid:         http.StatusBadRequest,
	models.KindUnauthenticated: http.StatusUnauthorized,
	models.KindDenied:          http.StatusForbidden,
	models.KindNotFound:        http.StatusNotFound,
	models.KindConflict:        http.StatusConflict,
	models.KindLimited:         http.StatusServiceUnavailable,
	models.KindUnavailable:     http.StatusServiceUnavailable,
}

// refusal is an error of HTTP rather than of the request: it has a status of
// its own.
type refusal struct {
	status int
	public string
	allow  string // of 405: the Allow header
	close  bool   // the rest of the body is not read
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("HTTP %d: %s", r.status, r.public) }

// writeError answers with the status of err and one sentence.
func (s *responder) writeError(w http.ResponseWriter, r *http.Request, err error) {
	status, text := statuses[models.KindOf(err)], models.PublicText(err)
	header := w.Header()
	var refused *refusal
	if errors.As(err, &refused) {
		status, text = refused.status, refused.public
		if refused.allow != "" {
			header.Set("Allow", refused.allow)
		}
		if refused.close {
			header.Set("Connection", "close")
		}
	}
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable:
		delay := models.RetryAfter(err)
		if delay <= 0 {
			delay = defaultRetry
		}
		header.Set("Retry-After", retryAfter(delay))
	}
	requestID := s.requestID(r)
	s.log(r, requestID, status, err)
	s.writeText(w, status, text, requestID)
}

// writeText writes a sentence, and under which ID the log has more.
func (s *responder) writeText(w http.ResponseWriter, status int, text, requestID string) {
	if requestID != "" {
		text += " (request " + requestID + ")"
	}
	writeBody(w, status, "text/plain; charset=utf-8", []byte(oneLine(text)+"\n"))
}

// oneLine keeps a body that says one thing one line long.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// maxPath is how much of a path is logged: a stranger may send a long one.
const maxPath = 256

func clip(path string) string { return path[:min(len(path), maxPath)] }

// log notes the refusal with its cause; what is our fault stands out.
func (s *responder) log(r *http.Request, requestID string, status int, err error) {
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.logger.LogAttrs(r.Context(), level, "EST request refused", slog.Int("status", status), slog.String("method", clip(r.Method)),
		slog.String("path", clip(r.URL.EscapedPath())), slog.String("remote", r.RemoteAddr), slog.String("request_id", requestID),
		slog.String("error", err.Error()))
}
