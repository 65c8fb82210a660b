// SPDX-License-Identifier: MIT

// Package rest is the REST API of operators: typed gin routes over package
// operations, an OpenAPI 3.1 document derived from the same Go types, problem
// details (RFC 9457), bearer tokens (RFC 6750) and Idempotency-Key.
//
// A route is declared once, with its types and its permission; binding,
// authentication, authorisation, answers and the document follow from that.
// The package must not know the store or the workflows.
package rest

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
)

// BasePath is where the routes begin.
const BasePath = "/api/v1"

// Authenticator recognises the senders of requests; *auth.Authenticator is the one
// there is.
type Authenticator interface {
	Authenticate(ctx context.Context, c auth.Credentials) (auth.Principal, error)
}

// Config is what the handler is made of. Operations and Authenticator are
// required.
type Config struct {
	Operations    *operations.Operations
	Authenticator Authenticator
	Logger        *slog.Logger     // slog.Default() unless set
	Now           func() time.Time // time.Now unless set; for durations in the log
	Version       string           // of the server, for the document
	Enroll        Enroll           // the device's door; nil: there is none
}

// New returns the handler of /api/: the routes, the document at
// /api/v1/openapi.json and its readable form at /api/docs.
func New(cfg Config) http.Handler {
	s := newSurface(cfg)
	s.declare()
	s.serveLogin()
	s.serveDocument(cfg.Version)
	return s.engine
}

// surface is the set of declared routes and what they share.
type surface struct {
	engine *gin.Engine
	ops    *operations.Operations
	auth   Authenticator
	logger *slog.Logger
	now    func() time.Time
	routes []operation
	locks  *locks
	enroll Enroll
}

func newSurface(cfg Config) *surface {
	s := &surface{ops: cfg.Operations, auth: cfg.Authenticator, logger: cfg.Logger, now: cfg.Now, locks: newLocks(), enroll: cfg.Enroll}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	gin.SetMode(gin.ReleaseMode)
	s.engine = gin.New()
	s.engine.RedirectTrailingSlash = false
	s.engine.RedirectFixedPath = false
	s.engine.UseRawPath = true // an escaped slash is part of a name, not of the route
	s.engine.HandleMethodNotAllowed = true
	s.engine.ForwardedByClientIP = false
	if err := s.engine.SetTrustedProxies(nil); err != nil {
		s.logger.Error("trusted proxies not cleared", "error", err) // cannot happen: nil parses
	}
	s.engine.Use(s.identify, s.log, s.recover, harden)
	s.engine.NoRoute(func(c *gin.Context) { s.absent(c, http.StatusNotFound) })
	s.engine.NoMethod(func(c *gin.Context) { s.absent(c, http.StatusMethodNotAllowed) })
	return s
}

// declare lists every route of the API.
func (s *surface) declare() {
	declareTrust(s)
	declareDevices(s)
	declareDeliveries(s)
	declareCertificates(s)
	declareOperators(s)
	declareEnroll(s)
}
