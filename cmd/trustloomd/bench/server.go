// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startPatience = 2 * time.Minute
	stopPatience  = time.Minute
	logLines      = 20 // of the server's log, shown if it fails
)

// ProfileVariable names the file into which the server writes the profile of
// its processor time (for `go tool pprof`) from its start to its end.
const ProfileVariable = "TRUSTLOOM_CPU_PROFILE"

// server is a trustloomd of our own.
type server struct {
	dataDir   string
	https     string // host:port
	http      string
	processes processes
	cmd       *exec.Cmd
	log       *os.File
	ended     chan struct{}
}

// startServer starts a server in dir and waits until it is ready.
func startServer(ctx context.Context, cfg Config, dir, database string) (*server, error) {
	s := &server{dataDir: filepath.Join(dir, "data"), ended: make(chan struct{})}
	var err error
	if s.https, s.http, err = freeAddresses(); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, fmt.Errorf("make the server's log: %w", err)
	}
	// A story that takes longer than usual is to be measured, not sent away.
	args := []string{"serve", "--data-dir", s.dataDir, "--https-addr", s.https, "--http-addr", s.http, "--enroll-wait", "30s", "--device-rate", "0"}
	s.cmd = exec.Command(cfg.Executable, append(args, cfg.ServerFlags...)...)
	s.cmd.Env = cfg.Environment
	if database != "" { // by the environment: the list of processes would show the password
		s.cmd.Env = append(s.cmd.Env, "TRUSTLOOM_DATABASE_URL="+database)
	}
	if cfg.Profile != "" {
		s.cmd.Env = append(s.cmd.Env, ProfileVariable+"="+cfg.Profile)
	}
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.SysProcAttr = s.log, s.log, childAttributes()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	if err := s.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.processes.server = s.cmd.Process.Pid
	if s.processes.engine, err = childNamed(s.processes.server, "trustloom-temporal"); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended before it was ready; its last words:\n%s", s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w; its last words:\n%s", ctx.Err(), s.lastWords())
		case <-time.After(50 * time.Millisecond):
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		_ = answer.Body.Close() // the status is all that is asked for
		if answer.StatusCode == http.StatusOK {
			return nil
		}
	}
}

func (s *server) lastWords() string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-logLines):], "\n")
}

// stop ends the server gracefully, or by force after a while.
func (s *server) stop() error {
	defer s.log.Close()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended already
	select {
	case <-s.ended:
		return nil
	case <-time.After(stopPatience):
	}
	if err := s.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	<-s.ended
	return errors.New("the server did not stop by itself and was killed")
}

// freeAddresses returns two loopback addresses that nobody listens on.
func freeAddresses() (first, second string, err error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("find a free port: %w", err)
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("find a free port: %w", err)
	}
	defer b.Close()
	return a.Addr().String(), b.Addr().String(), nil
}
