// SPDX-License-Identifier: MIT

// Package e2e runs the built programs as a user runs them: real server, real
// engine, real database, real token, and as devices nothing but curl and
// OpenSSL.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// instance is one trustloomd process with its data directory.
type instance = running.Instance

// start starts an instance and waits until it is ready.
func start(t testing.TB, args ...string) *instance { return running.Start(t, args...) }

// metrics returns what the process tells Prometheus.
func metrics(t testing.TB, i *instance) string {
	t.Helper()
	resp, err := http.Get("http://" + i.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// must stops the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// database returns the arguments that choose the named database.
func database(t testing.TB, name string) []string {
	t.Helper()
	if name == "postgres" {
		return []string{"--database-url", fixture.Postgres(t)}
	}
	return nil
}

// eventually repeats check until it holds.
func eventually(t testing.TB, what string, limit time.Duration, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	return string(must(json.MarshalIndent(v, "", "  "))(t))
}

func background() context.Context { return context.Background() }
