// SPDX-License-Identifier: MIT

package temporald

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	restartPause    = 200 * time.Millisecond
	restartPauseMax = 10 * time.Second
	// restartCalm is how long a process must have lived for the pause to begin small again.
	restartCalm = time.Minute
	// restartPatience is how long one restart may take before the process is given up and started again.
	restartPatience = 45 * time.Second
	// firstAttempts is how often the first start is tried.
	firstAttempts = 3
)

// supervisor keeps one trustloom-temporal running until stop.
type supervisor struct {
	cfg    Config
	dir    string
	tls    *material
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	current *process // nil while there is none that serves
	address string   // of the last one that served
}

// startSupervisor prepares <DataDir>/temporal and returns when the first process serves.
func startSupervisor(ctx context.Context, cfg Config) (*supervisor, error) {
	dir := filepath.Join(cfg.DataDir, "temporal")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	tls, err := loadMaterial(filepath.Join(dir, "tls"), time.Now())
	if err != nil {
		return nil, err
	}
	s := &supervisor{cfg: cfg, dir: dir, tls: tls, log: cfg.Logger.With("component", "temporal"), done: make(chan struct{})}
	first, err := s.launchFirst(ctx)
	if err != nil {
		return nil, err
	}
	watched, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.watch(watched, first)
	return s, nil
}

// launchFirst starts a process, a few times if need be: a port may be taken by somebody else in the moment between its
// choice and its use. (The program itself waits for a predecessor to leave the database.) A program that is missing or
// refuses its command line is final.
func (s *supervisor) launchFirst(ctx context.Context) (*process, error) {
	var started *process
	attempts := 0
	err := retry(ctx, func() (final bool, err error) {
		attempts++
		started, err = s.launch(ctx)
		var unusable *unusableError
		return attempts == firstAttempts || errors.As(err, &unusable), err
	})
	if err != nil {
		return nil, err
	}
	return started, nil
}

func (s *supervisor) launch(ctx context.Context) (*process, error) {
	port, err := pickPort(ctx, filepath.Join(s.dir, "ports.json"))
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, s.cfg.Binary, []string{
		"--db", filepath.Join(s.dir, "temporal.db"),
		"--frontend-addr", fmt.Sprintf("127.0.0.1:%d", port),
		"--tls-dir", s.tls.dir,
		"--namespace", s.cfg.Namespace,
		"--retention", s.cfg.Retention.String(),
		"--exit-with-parent",
	}, s.log)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.current, s.address = p, p.address
	s.mu.Unlock()
	return p, nil
}

// watch starts the process again whenever it ends, until ctx does.
func (s *supervisor) watch(ctx context.Context, p *process) {
	defer close(s.done)
	pause := restartPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.ended:
		}
		s.mu.Lock()
		s.current = nil
		s.mu.Unlock()
		if time.Since(p.started) > restartCalm {
			pause = restartPause
		}
		s.log.Error("the workflow engine died and is started again", "error", p.err, "pause", pause)
		next, err := s.relaunch(ctx, &pause)
		if err != nil {
			return // only when ctx ended
		}
		s.log.Info("the workflow engine serves again", "pid", next.cmd.Process.Pid)
		p = next
	}
}

// relaunch pauses and starts, with a growing pause, until it works or ctx ends.
func (s *supervisor) relaunch(ctx context.Context, pause *time.Duration) (*process, error) {
	for {
		timer := time.NewTimer(*pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
		*pause = min(2**pause, restartPauseMax)
		attempt, cancel := context.WithTimeout(ctx, restartPatience)
		p, err := s.launch(attempt)
		cancel()
		if err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s.log.Error("the workflow engine does not start", "error", err, "pause", *pause)
	}
}

func (s *supervisor) frontend() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

func (s *supervisor) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return 0
	}
	return s.current.cmd.Process.Pid
}

// stop ends the supervision, then the process.
func (s *supervisor) stop() error {
	s.cancel()
	<-s.done
	s.mu.Lock()
	last := s.current
	s.current = nil
	s.mu.Unlock()
	if last == nil {
		return nil
	}
	return last.stop()
}
