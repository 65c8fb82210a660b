// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func newCLI(out *bytes.Buffer) *cli {
	return &cli{out: out, errs: out, getenv: func(string) string { return "" }, now: time.Now, fault: func(string) {}}
}

// execute runs a command line and returns what it said and its exit code.
func execute(args ...string) (string, int) {
	out := &bytes.Buffer{}
	c := newCLI(out)
	root := c.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return out.String(), 0
	}
	text, code := c.explain(cmd, err)
	return out.String() + text, code
}

func TestEveryCommandTeaches(t *testing.T) {
	root := newCLI(&bytes.Buffer{}).root()
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s lacks a sentence, an explanation or an example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			words := strings.Fields(line)
			root := newCLI(&bytes.Buffer{}).root()
			target, rest, err := root.Find(words[1:])
			if err == nil {
				err = target.ParseFlags(rest)
			}
			if err != nil {
				t.Errorf("example %q: %v", line, err)
			}
		}
	}
}

func TestMistakesAreToldApartFromTrouble(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "agent.yaml")
	if err := os.WriteFile(good, []byte("state_dir: state\nserver: https://127.0.0.1:1\ndomain: d\ndevice: x\n"), filePerm); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"no such command":              {[]string{"enrol"}, exitUsage, "unknown command"},
		"no such flag":                 {[]string{"enroll", "--secret", "x"}, exitUsage, "unknown flag"},
		"no such file":                 {[]string{"status", "-c", filepath.Join(dir, "none.yaml")}, exitTrouble, "none.yaml"},
		"no CA on first contact":       {[]string{"enroll", "-c", good}, exitUsage, "--ca FILE"},
		"a CA file without a CA":       {[]string{"enroll", "-c", good, "--ca", good}, exitUsage, "no certificate"},
		"a format that is none":        {[]string{"status", "-c", good, "-o", "xml"}, exitUsage, "json"},
		"nothing is held":              {[]string{"status", "-c", good}, exitTrouble, "domain is missing"},
		"nothing is held, as JSON":     {[]string{"status", "-c", good, "-o", "json"}, exitTrouble, `"state": "missing"`},
		"help is no mistake":           {[]string{"enroll", "--help"}, 0, "secret-file"},
		"the version is no secret":     {[]string{"--version"}, 0, version},
		"a fate of the file is no one": {[]string{"enroll", "-c", good, "--secret-file-after", "burn"}, exitUsage, "truncate"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, code := execute(tt.args...); code != tt.code || !strings.Contains(got, tt.want) {
				t.Errorf("it ended with %d, want %d, and said %q, want %q", code, tt.code, got, tt.want)
			}
		})
	}
}

func TestSecretsComeFromTheFileOrTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-file\n"), filePerm); err != nil {
		t.Fatal(err)
	}
	c := newCLI(&bytes.Buffer{})
	c.getenv = func(name string) string { return map[string]string{secretVariable: "from-env"}[name] }
	for path, want := range map[string]string{file: "from-file", "": "from-env"} {
		if got, err := c.readSecret("secret", path, secretVariable); err != nil || got != want {
			t.Errorf("the secret is %q (%v), want %q", got, err, want)
		}
	}
}
