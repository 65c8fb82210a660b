// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	defaultHookTimeout = 30 * time.Second
	maxHookOutput      = 4 << 10 // octets that are kept; the rest is read and dropped
	hookGrace          = 2 * time.Second
)

// hook is a program that is run after a change. Zero: none.
type hook struct {
	Command []string
	Timeout time.Duration
}

// run runs the hook to its end. A signal to the agent does not end it: half a
// change helps nobody, and its time is bounded.
func (h *hook) run(ctx context.Context, name, event, dir, keyURI string) error {
	key := "TRUSTLOOM_KEY_FILE=" + filepath.Join(dir, linkCurrent, fileKey)
	if keyURI != "" {
		key = "TRUSTLOOM_KEY_URI=" + keyURI
	}
	return h.start(ctx, dir, "TRUSTLOOM_CERTIFICATE="+name, "TRUSTLOOM_EVENT="+event, key,
		"TRUSTLOOM_CERTIFICATE_FILE="+filepath.Join(dir, linkCurrent, fileFullChain))
}

// start is run with what the hook is told.
func (h *hook) start(ctx context.Context, dir string, told ...string) error {
	if len(h.Command) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.Timeout)
	defer cancel()
	output := &boundedBuffer{}
	cmd := exec.CommandContext(ctx, h.Command[0], h.Command[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = hookGrace // for grandchildren that keep the output open
	cmd.Env = append(environment(), told...)
	err := cmd.Run()
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil && cmd.ProcessState.Success():
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s has not ended after %s%s", h.Command[0], h.Timeout, output.said())
	}
	return fmt.Errorf("%s: %w%s", h.Command[0], err, output.said())
}

// environment is the agent's own, without its secrets and its test points.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, secretVariable+"=") || strings.HasPrefix(entry, pinVariable+"=") || strings.HasPrefix(entry, faultVariable+"=")
	})
}

// boundedBuffer keeps the beginning of what is written to it.
type boundedBuffer struct{ kept bytes.Buffer }

// Write implements io.Writer and never fails.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	room := maxHookOutput - b.kept.Len()
	b.kept.Write(p[:min(len(p), room)])
	return len(p), nil
}

// said is the output as the end of a sentence.
func (b *boundedBuffer) said() string {
	text := strings.Join(strings.Fields(printable(b.kept.String())), " ")
	if text == "" {
		return ""
	}
	return ": " + text
}
