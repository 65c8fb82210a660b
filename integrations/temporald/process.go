// SPDX-License-Identifier: MIT

package temporald

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// exitUsage is how trustloom-temporal ends when it does not understand its command line.
const exitUsage = 64

// stopPatience is longer than the engine's own patience with its graceful stop.
const stopPatience = 15 * time.Second

// unusableError says that trying again cannot help.
type unusableError struct{ err error }

func (e *unusableError) Error() string { return e.err.Error() }
func (e *unusableError) Unwrap() error { return e.err }

// process is one run of trustloom-temporal. It holds the write end of the child's standard input and writes nothing:
// when this process goes away, in whatever way, the kernel closes the pipe and the child stops.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	started time.Time
	address string
	lines   *childLog
	ended   chan struct{} // closed when the process has ended and err is set
	err     error
}

// startProcess starts the program and waits for its ready line. The context bounds the waiting only.
func startProcess(ctx context.Context, binary string, args []string, log *slog.Logger) (*process, error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{}                                  // it takes nothing from the environment, so it gets no secrets from there
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C in a terminal is for us: the child stops after us
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, &unusableError{fmt.Errorf("start %s: %w", binary, err)}
	}
	p := &process{cmd: cmd, stdin: stdin, started: time.Now(), lines: newChildLog(log), ended: make(chan struct{})}
	ready := make(chan string, 1)
	go p.follow(stdout, stderr, ready)
	select {
	case p.address = <-ready:
		return p, nil
	case <-p.ended:
		return nil, p.startError()
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.stop())
	}
}

// follow reads both outputs to their ends, then collects the exit status: in this order, as os/exec demands.
func (p *process) follow(stdout, stderr io.Reader, ready chan<- string) {
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		p.lines.copy(stderr)
	}()
	reader := bufio.NewReader(stdout)
	if line, err := reader.ReadBytes('\n'); err == nil {
		var announced struct {
			Ready    bool   `json:"ready"`
			Frontend string `json:"frontend"`
		}
		if json.Unmarshal(line, &announced) == nil && announced.Ready {
			ready <- announced.Frontend
		}
	}
	_, _ = io.Copy(io.Discard, reader)
	<-logged
	p.err = p.cmd.Wait()
	close(p.ended)
}

func (p *process) startError() error {
	err := fmt.Errorf("it ended before it served: %w (%s)", p.err, p.lines.tail())
	var exit *exec.ExitError
	if errors.As(p.err, &exit) && exit.ExitCode() == exitUsage {
		return &unusableError{err}
	}
	if p.err == nil {
		return fmt.Errorf("it ended before it served (%s)", p.lines.tail())
	}
	return err
}

// stop closes the pipe, waits for the graceful end and kills a process that does not come to it.
func (p *process) stop() error {
	p.lines.stopping.Store(true)
	if err := p.stdin.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("stop the workflow engine: %w", err)
	}
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("kill the workflow engine: %w", err)
		}
		<-p.ended
	}
	if p.err != nil {
		return fmt.Errorf("stop the workflow engine: %w", p.err)
	}
	return nil
}
