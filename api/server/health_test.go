// SPDX-License-Identifier: MIT

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestStrangersDoNotLoadWhatIsProbed(t *testing.T) {
	var probes atomic.Int32
	var lines strings.Builder
	s, err := Open(Config{HTTPSAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.cfg.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	s.Mount(Config{Checks: []Check{{Name: "database", Probe: func(ctx context.Context) error {
		probes.Add(1)
		return errors.Join(errors.New("away"), ctx.Err())
	}}}})
	gone, leave := context.WithCancel(t.Context()) // a client that is gone spoils nobody's answer
	leave()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			answer := httptest.NewRecorder()
			s.http.Handler.ServeHTTP(answer, httptest.NewRequestWithContext(gone, http.MethodGet, "/readyz", nil))
			if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), `"database":"down"`) {
				t.Errorf("the answer is %d %s", answer.Code, answer.Body)
			}
		})
	}
	all.Wait()
	if probes.Load() > 3 || strings.Count(lines.String(), "not ready") > 3 || strings.Contains(lines.String(), "canceled") {
		t.Errorf("%d probes for 100 questions, log:\n%s", probes.Load(), lines.String())
	}
}

func TestLogLinesOfStrangersAreShort(t *testing.T) {
	var lines strings.Builder
	h := Observe(slog.New(slog.NewTextHandler(&lines, nil)), http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/"+strings.Repeat("a", 20000), nil))
	if lines.Len() > 1000 {
		t.Errorf("%d octets are logged for one request", lines.Len())
	}
}
