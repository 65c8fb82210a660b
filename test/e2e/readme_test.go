// SPDX-License-Identifier: MIT

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/test/fixture/running"
)

// walkBlock is a block of the README that a reader is asked to paste.
var walkBlock = regexp.MustCompile("(?ms)^```bash walk\n(.*?)^```$")

// walk returns the blocks of the README's walk as one script that stops at
// the first command that fails.
func walk(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script := "set -euo pipefail\n"
	blocks := walkBlock.FindAllStringSubmatch(string(readme), -1)
	for _, block := range blocks {
		script += block[1]
	}
	if len(blocks) < 8 || strings.Count(string(readme), "```bash") != len(blocks) {
		t.Fatalf("%d blocks of README.md are marked 'bash walk'; the walk, or its marks, went missing", len(blocks))
	}
	return script
}

// TestReadme takes the ten-minute walk of README.md: it pastes every block, in
// order, into one shell in an empty folder, beside a fresh server. Where the
// reader is asked to start the server again, the test does.
func TestReadme(t *testing.T) {
	i := start(t)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", walk(t))
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(withoutSettings(os.Environ()), "DATA="+i.Dir, "TMPDIR="+dir, "PATH="+filepath.Dir(running.Binary(t, "trustloom"))+":"+os.Getenv("PATH"),
		"TRUSTLOOM_URL=https://"+i.HTTPS, "TRUSTLOOM_HTTP_ADDR="+i.HTTP)
	said := &running.Log{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = said, said, time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	walked := make(chan error, 1)
	go func() { walked <- cmd.Wait() }()

	var err error
	select { // the first terminal: `make run` once more when it says Killed
	case err = <-walked:
	case <-i.Ended():
		i.Launch()
		err = <-walked
	}
	if err != nil {
		t.Fatalf("the walk of README.md ends with %v:\n%s", err, running.Tail(said.String(), 40))
	}
	t.Logf("the walk says:\n%s", said.String())
	for _, want := range []string{
		"domain.pem: OK", "server.pem: OK", "renewed.pem: OK", "second.pem: OK", "\n202\n", "one person, one word", "device.onboarded",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the walk of README.md does not say %q", want)
		}
	}
}

// withoutSettings leaves out what the surrounding shell says about another
// server.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "TRUSTLOOM_") || strings.HasPrefix(v, "DATA=") })
}
