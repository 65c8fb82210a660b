// SPDX-License-Identifier: MIT

// Package server opens the listeners, mounts what the other api packages
// offer, tells whether the service is well, and ends gracefully.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config is what is served where. Handlers that are nil are not mounted: a
// process with the role of a worker serves its health only.
type Config struct {
	HTTPSAddr string
	HTTPAddr  string
	TLS       *tls.Config
	REST      http.Handler // /api/
	EST       http.Handler // /.well-known/est/
	CMP       http.Handler // /.well-known/cmp and below, with and without TLS
	Enroll    http.Handler // GET /api/v1/enroll/: devices, not operators; POST is a route of REST
	UI        http.Handler // /download
	VA        http.Handler // /crl/, /ca/
	Metrics   http.Handler // /metrics
	Checks    []Check
	Proxies   Proxies // whose X-Forwarded-For counts; nobody's unless set
	Logger    *slog.Logger
}

// Server is a pair of listeners.
type Server struct {
	cfg       Config
	https     *http.Server
	http      *http.Server
	listeners [2]net.Listener
	draining  chan struct{}
	drainOnce sync.Once
	down      sync.Map // check name -> whether it was down when last asked

	probing sync.Mutex // guards what the checks said last
	probed  time.Time
	last    Health
}

// Open takes the addresses, so that a port that is taken is reported before
// anything else is started.
func Open(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, draining: make(chan struct{})}
	plain, err := net.Listen("tcp", cfg.HTTPAddr)
	if err != nil {
		return nil, fmt.Errorf("listen on --http-addr %s: %w", cfg.HTTPAddr, err)
	}
	secure, err := net.Listen("tcp", cfg.HTTPSAddr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on --https-addr %s: %w", cfg.HTTPSAddr, err), plain.Close())
	}
	s.listeners = [2]net.Listener{plain, tls.NewListener(secure, cfg.TLS)}
	return s, nil
}

// Addrs returns the plain and the TLS address as they were opened.
func (s *Server) Addrs() (plain, secure string) {
	return s.listeners[0].Addr().String(), s.listeners[1].Addr().String()
}

// Mount sets what is served; it is called once, before Run.
func (s *Server) Mount(cfg Config) {
	s.cfg.REST, s.cfg.EST, s.cfg.UI, s.cfg.VA, s.cfg.Metrics, s.cfg.Checks = cfg.REST, cfg.EST, cfg.UI, cfg.VA, cfg.Metrics, cfg.Checks
	s.cfg.Enroll, s.cfg.CMP = cfg.Enroll, cfg.CMP
	s.http, s.https = s.server(s.devices(s.plainMux())), s.server(s.secure())
}

// The limits of a listener. The body limits are the handlers'.
const (
	headerTimeout  = 30 * time.Second // the TLS handshake included: a thousand at once take their time
	requestTimeout = 60 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 32 << 10
)

func (s *Server) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: s.cfg.Proxies.handler(bounded(h)), ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
	}
}

// answerTimeout ends whatever a handler waits for while there is still time to
// say so, should the database swallow what is sent to it.
const answerTimeout = requestTimeout - 10*time.Second

func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// plainMux is for what travels without TLS: relying parties and health.
func (s *Server) plainMux() *http.ServeMux {
	mux := http.NewServeMux()
	s.mountHealth(mux)
	mount(mux, s.cfg.VA, "/crl/", "/ca/")
	return mux
}

// estPrefix is where EST lives (RFC 7030 §3.2.2), and cmpPrefix where CMP does
// (RFC 9811 §3.1).
const (
	estPrefix = "/.well-known/est/"
	cmpPrefix = "/.well-known/cmp"
)

// devices puts CMP before what else is served. It gets its paths as the device
// sent them: a mux would answer an unclean one with a redirect, and devices
// follow those.
func (s *Server) devices(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.CMP != nil && (r.URL.Path == cmpPrefix || strings.HasPrefix(r.URL.Path, cmpPrefix+"/")) {
			s.cfg.CMP.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// secure is for everything. EST gets its paths as CMP does.
func (s *Server) secure() http.Handler {
	mux := s.plainMux()
	mount(mux, s.cfg.REST, "/api/")
	mount(mux, s.cfg.Enroll, "GET /api/v1/enroll/") // POST is REST's
	mount(mux, s.cfg.UI, "/download", "/download/")
	return s.devices(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.EST != nil && strings.HasPrefix(r.URL.Path, estPrefix) {
			s.cfg.EST.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

func mount(mux *http.ServeMux, h http.Handler, prefixes ...string) {
	for _, prefix := range prefixes {
		if h != nil {
			mux.Handle(prefix, h)
		}
	}
}

// drainTime is how long requests may take to end after the stop.
const drainTime = 15 * time.Second

// Run serves until ctx ends, then lets the requests in flight end.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 2)
	go func() { failed <- s.http.Serve(s.listeners[0]) }()
	go func() { failed <- s.https.Serve(s.listeners[1]) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	s.drainOnce.Do(func() { close(s.draining) })
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return errors.Join(err, s.http.Shutdown(stop), s.https.Shutdown(stop))
}

// Close gives the addresses back if Run was never called.
func (s *Server) Close() error {
	return errors.Join(s.listeners[0].Close(), s.listeners[1].Close())
}
