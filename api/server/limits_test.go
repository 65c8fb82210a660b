// SPDX-License-Identifier: MIT

package server

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// limited starts a listener with the limits of the server, over HTTP/2 too.
func limited(t *testing.T, h http.Handler, change func(*http.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config = (&Server{cfg: Config{Logger: slog.New(slog.DiscardHandler)}}).server(h)
	change(s.Config)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, s *httptest.Server, proto string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// frame encodes a frame of HTTP/2 (RFC 9113 §4.1).
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = append(head, flags)
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

const (
	frameHeaders, frameReset, frameSettings, frameContinuation = 1, 3, 4, 9
	endStream, endHeaders                                      = 1, 4
)

// get is GET / of host x, in HPACK.
var get = []byte{0x82, 0x87, 0x84, 0x41, 1, 'x'}

// flood sends until the server has enough, and reports whether it had.
func flood(conn *tls.Conn, frames func(i int) []byte, count int) bool {
	go func() {
		out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameSettings, 0, 0, nil)...)
		for i := range count {
			if _, err := conn.Write(out); err != nil {
				return
			}
			out = frames(i)
		}
	}()
	_, err := io.Copy(io.Discard, conn)
	return err == nil || !strings.Contains(err.Error(), "timeout")
}

// TestAttackE17 floods a server in the ways of reference/attacks.md §5.2; it
// stays there for others.
func TestAttackE17(t *testing.T) {
	var running, most atomic.Int64
	patient := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Patient") != "" {
			return
		}
		now := running.Add(1)
		defer running.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		<-r.Context().Done()
	})
	none := func(*http.Server) {}
	alive := func(t *testing.T, s *httptest.Server) {
		t.Helper()
		r, _ := http.NewRequest(http.MethodGet, s.URL, nil)
		r.Header.Set("Patient", "no")
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	t.Run("streams that are reset at once", func(t *testing.T) {
		s := limited(t, patient, none)
		conn := dial(t, s, "h2")
		out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameSettings, 0, 0, nil)...)
		for i := range 5000 {
			stream := uint32(2*i + 1)
			out = append(append(out, frame(frameHeaders, endStream|endHeaders, stream, get)...), frame(frameReset, 0, stream, []byte{0, 0, 0, 8})...)
		}
		_, _ = conn.Write(out) // the server may have enough before the end
		alive(t, s)
		if most.Load() > 250 { // the streams that it permits at a time
			t.Errorf("%d handlers at a time", most.Load())
		}
	})
	t.Run("headers without an end", func(t *testing.T) {
		s := limited(t, patient, none)
		ended := flood(dial(t, s, "h2"), func(i int) []byte {
			field := append([]byte{0, 1, 'a', 126}, bytes.Repeat([]byte{'b'}, 126)...)
			if i == 0 {
				return frame(frameHeaders, endStream, 1, get)
			}
			return frame(frameContinuation, 0, 1, field)
		}, 1000000)
		if !ended {
			t.Error("the connection goes on")
		}
		alive(t, s)
	})
	t.Run("headers that come one by one", func(t *testing.T) {
		s := limited(t, patient, func(h *http.Server) {
			if h.ReadHeaderTimeout <= 0 || h.ReadTimeout <= 0 || h.WriteTimeout <= 0 || h.IdleTimeout <= 0 {
				t.Errorf("a time has no limit: %+v", h)
			}
			h.ReadHeaderTimeout = 200 * time.Millisecond
		})
		conn := dial(t, s, "http/1.1")
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nA: "); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("the server waits for ever")
		}
		alive(t, s)
	})
	t.Run("100 KiB of header, of query", func(t *testing.T) {
		s := limited(t, patient, none)
		tooMuch(t, s)
		alive(t, s)
	})
}

// tooMuch sends requests with heads that are too large.
func tooMuch(t *testing.T, s *httptest.Server) {
	t.Helper()
	for name, change := range map[string]func(*http.Request){
		"header": func(r *http.Request) { r.Header.Set("A", strings.Repeat("a", 100<<10)) },
		"query":  func(r *http.Request) { r.URL.RawQuery = strings.Repeat("a&", 50<<10) },
	} {
		r, _ := http.NewRequest(http.MethodGet, s.URL, nil)
		r.Header.Set("Patient", "no")
		change(r)
		answer, err := s.Client().Do(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		if err == nil && answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: status %d", name, answer.StatusCode)
		}
	}
}
