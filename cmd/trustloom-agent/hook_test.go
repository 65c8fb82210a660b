// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHooks(t *testing.T) {
	tests := map[string]struct {
		script  string
		timeout time.Duration
		want    string
	}{
		"one that agrees":               {"exit 0", time.Minute, ""},
		"one that refuses says why":     {"echo no such port >&2; exit 3", time.Minute, "exit status 3: no such port"},
		"one that does not end":         {"exec sleep 60", 50 * time.Millisecond, "has not ended after 50ms"},
		"one that talks without end":    {"yes | head -c 300000; exit 1", time.Minute, "exit status 1: y y"},
		"one that writes to a terminal": {`printf '\033[2Jgone'; exit 1`, time.Minute, "exit status 1: [2Jgone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := (&hook{Command: []string{"sh", "-c", tt.script}, Timeout: tt.timeout}).run(context.Background(), "web", "installed", t.TempDir(), "")
			switch {
			case err == nil && tt.want != "":
				t.Errorf("no error, want %q", tt.want)
			case err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("the error is %q, want %q", err, tt.want)
			case err != nil && len(err.Error()) > maxHookOutput+100:
				t.Errorf("the error has %d octets", len(err.Error()))
			}
		})
	}
}

func TestAHookKnowsWhatHappenedButNotTheSecrets(t *testing.T) {
	t.Setenv(secretVariable, "s3cret")
	t.Setenv(pinVariable, "s3cret")
	dir := t.TempDir()
	h := &hook{Command: []string{"sh", "-c", `env > seen`}, Timeout: time.Minute}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a signal to the agent does not end the hook
	for uri, key := range map[string]string{"": "TRUSTLOOM_KEY_FILE=" + filepath.Join(dir, linkCurrent, fileKey), "pkcs11:id=%01": "TRUSTLOOM_KEY_URI=pkcs11:id=%01"} {
		if err := h.run(ctx, "web", "installed", dir, uri); err != nil {
			t.Fatal(err)
		}
		seen, err := os.ReadFile(filepath.Join(dir, "seen"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"TRUSTLOOM_CERTIFICATE=web", "TRUSTLOOM_EVENT=installed", key} {
			if !strings.Contains(string(seen), want) {
				t.Errorf("the hook does not know %s", want)
			}
		}
		if strings.Contains(string(seen), "s3cret") || strings.Count(string(seen), "TRUSTLOOM_KEY_") != 1 {
			t.Errorf("the hook knows a secret, or a key that is elsewhere:\n%s", seen)
		}
	}
}
