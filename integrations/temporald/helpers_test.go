// SPDX-License-Identifier: MIT

package temporald_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/integrations/temporald"
	"github.com/trustloom/trustloom/test/fixture"
)

// greet is the smallest story: one local activity.
func greet(ctx workflow.Context, name string) (string, error) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 5 * time.Second})
	var greeting string
	err := workflow.ExecuteLocalActivity(ctx, func(_ context.Context, name string) (string, error) {
		return "good day, " + name, nil
	}, name).Get(ctx, &greeting)
	return greeting, err
}

func randomKey(t testing.TB) []byte {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	return key
}

// record is a log that a test can read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.text.Bytes())
}

// embedded is the configuration of an engine of its own, and its log.
func embedded(t testing.TB) (temporald.Config, *record) {
	t.Helper()
	log := &record{}
	return temporald.Config{
		Address:    temporald.Embedded,
		DataDir:    t.TempDir(),
		Binary:     fixture.TemporalBinary(t),
		PayloadKey: randomKey(t),
		Logger:     slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, log
}

func open(t testing.TB, cfg temporald.Config) *temporald.Engine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine, err := temporald.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("stop the engine: %v", err)
		}
	})
	return engine
}

// eventually waits until condition holds; it fails the test after a minute.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("a minute passed and still not: %s", what)
		case <-tick.C:
		}
	}
}
