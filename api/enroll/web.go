// SPDX-License-Identifier: MIT

package enroll

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/trustloom/trustloom/models"
)

// WebPrefix is where devices find what no enrollment protocol offers.
const WebPrefix = "/api/v1/enroll/"

// Web is the device's door for plain HTTPS. A device is known by its TLS
// client certificate; the bearer tokens of operators mean nothing here.
type Web struct {
	door      *Door
	logger    *slog.Logger
	requestID func(*http.Request) string
}

// NewWeb returns the handler of WebPrefix. requestID names a request in logs
// and answers.
func NewWeb(door *Door, logger *slog.Logger, requestID func(*http.Request) string) http.Handler {
	w := &Web{door: door, logger: logger, requestID: requestID}
	mux := http.NewServeMux()
	mux.Handle("GET "+WebPrefix+"{domain}/truststores", w.handle(w.truststores))
	mux.Handle("GET "+WebPrefix+"{domain}/truststores/{name}", w.handle(w.truststore))
	return mux
}

// handle makes a handler of a function that answers itself unless it fails.
func (s *Web) handle(do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := do(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// webStatuses translates the kinds of error.
var webStatuses = map[models.Kind]int{
	models.KindInternal:        http.StatusInternalServerError,
	models.KindInvalid:         http.StatusBadRequest,
	models.KindUnauthenticated: http.StatusUnauthorized,
	models.KindDenied:          http.StatusForbidden,
	models.KindNotFound:        http.StatusNotFound,
	models.KindConflict:        http.StatusConflict,
	models.KindLimited:         http.StatusTooManyRequests,
	models.KindUnavailable:     http.StatusServiceUnavailable,
}

// webRetry is when to come back if the error does not say.
const webRetry = 10 * time.Second

// webProblem is an error as the device reads it (RFC 9457).
type webProblem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Kind      string `json:"kind"`
	RequestID string `json:"request_id,omitempty"`
}

func (s *Web) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := models.KindOf(err)
	p := webProblem{Status: webStatuses[kind], Detail: models.PublicText(err), Kind: kind.String(), RequestID: s.requestID(r)}
	p.Title = http.StatusText(p.Status)
	if kind == models.KindLimited || kind == models.KindUnavailable {
		delay := max(models.RetryAfter(err), webRetry)
		w.Header().Set("Retry-After", strconv.Itoa(int(delay.Seconds())))
	}
	level := slog.LevelInfo
	if p.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.logger.LogAttrs(r.Context(), level, "device request refused", slog.Int("status", p.Status), slog.String("request_id", p.RequestID), slog.String("error", err.Error()))
	writeWeb(w, p.Status, "application/problem+json", p)
}

// writeWeb writes a body as JSON.
func writeWeb(w http.ResponseWriter, status int, media string, body any) {
	content, err := json.Marshal(body) // structs of strings and numbers
	if err != nil {
		status, content = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(content) // who is gone asks again
}
