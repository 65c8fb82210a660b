// SPDX-License-Identifier: MIT

package server

import (
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/google/uuid"
)

// RequestIDHeader carries the identifier under which the log knows a request.
const RequestIDHeader = "X-Request-Id"

var requestIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Observe gives every request an identifier, the caller's own if it is well
// formed, and writes one line about it to the log when it has been answered.
// The line holds nothing that a client could use to forge another one.
func Observe(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestIDHeader)
		if !requestIDs.MatchString(id) {
			id = uuid.NewString()
			r.Header.Set(RequestIDHeader, id)
		}
		w.Header().Set(RequestIDHeader, id)
		seen, begun := &statusWriter{ResponseWriter: w, status: http.StatusOK}, time.Now()
		next.ServeHTTP(seen, r)
		log.Info("answered", "method", clip(r.Method), "path", clip(r.URL.EscapedPath()), "status", seen.status,
			"took", time.Since(begun).Round(time.Microsecond), "request_id", id, "address", r.RemoteAddr)
	})
}

// maxPath is how much of a path is logged: a stranger may send 32 KiB of it.
const maxPath = 256

func clip(path string) string { return path[:min(len(path), maxPath)] }

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
