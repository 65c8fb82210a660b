// SPDX-License-Identifier: MIT

package server

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Check is one thing that the service needs to do its work.
type Check struct {
	Name  string // "database", "temporal", "keys"
	Probe func(context.Context) error
}

// Health is the body of /readyz.
type Health struct {
	Status string            `json:"status"` // "ready", "not ready", "stopping"
	Checks map[string]string `json:"checks"` // "ok", or what is down
}

// probeTimeout bounds each probe; they run side by side.
const probeTimeout = 3 * time.Second

// mountHealth adds /healthz (the process lives), /readyz (it can work) and
// /metrics.
func (s *Server) mountHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", s.ready)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	health, status := s.health(r.Context()), http.StatusOK
	if health.Status != "ready" {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "2")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(health)
}

// probeInterval is how long an answer is good. Anybody may ask, however often:
// that must neither load the database, the engine and the token nor fill the log.
const probeInterval = 100 * time.Millisecond

// health tells what the checks said last, or asks them.
func (s *Server) health(ctx context.Context) Health {
	s.probing.Lock()
	defer s.probing.Unlock()
	if s.probed.IsZero() || time.Since(s.probed) > probeInterval {
		s.last = s.probe(context.WithoutCancel(ctx)) // for everybody who asks, not for the first only
		s.probed = time.Now()
	}
	health := s.last
	select {
	case <-s.draining:
		health.Status = "stopping"
	default:
	}
	return health
}

// probe asks every check. What exactly is wrong goes to the log; the answer
// names only which part is down, because anybody may read it.
func (s *Server) probe(ctx context.Context) Health {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	health := Health{Status: "ready", Checks: make(map[string]string, len(s.cfg.Checks))}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, check := range s.cfg.Checks {
		all.Go(func() {
			err := check.Probe(ctx)
			s.note(check.Name, err)
			mu.Lock()
			defer mu.Unlock()
			health.Checks[check.Name] = "ok"
			if err != nil {
				health.Checks[check.Name], health.Status = "down", "not ready"
			}
		})
	}
	all.Wait()
	return health
}

// note logs that a check changed, once, however often it is asked.
func (s *Server) note(check string, err error) {
	was, _ := s.down.Swap(check, err != nil)
	switch isDown, _ := was.(bool); {
	case err != nil && !isDown:
		s.cfg.Logger.Warn("not ready", "check", check, "error", err)
	case err == nil && isDown:
		s.cfg.Logger.Info("ready again", "check", check)
	}
}
