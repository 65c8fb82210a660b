// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commands returns every command of ours, by its path.
func commands() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		all[cmd.CommandPath()] = cmd
		for _, below := range cmd.Commands() {
			visit(below)
		}
	}
	visit(newCLI().root())
	return all
}

func newCLI() *cli {
	return &cli{out: &bytes.Buffer{}, errs: &bytes.Buffer{}, in: strings.NewReader(""), getenv: func(string) string { return "" }}
}

const maxHelpLine = 130

func TestEveryCommandTeaches(t *testing.T) {
	for path, cmd := range commands() {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s lacks a sentence, an explanation or an example", path)
		}
		for line := range strings.Lines(cmd.Long) {
			if len(line) > maxHelpLine {
				t.Errorf("%s: the line %q has more than %d characters", path, line, maxHelpLine)
			}
		}
	}
}

// An example that cannot be typed teaches the wrong thing.
func TestEveryExampleIsACommand(t *testing.T) {
	for path, cmd := range commands() {
		found := false
		for _, words := range examples(t, cmd.Example) {
			root := newCLI().root()
			target, rest, err := root.Find(words[1:])
			if err != nil {
				t.Errorf("%s: example %q: %v", path, words, err)
				continue
			}
			if err := target.ParseFlags(rest); err != nil {
				t.Errorf("%s: example %q: %v", path, words, err)
				continue
			}
			if err := target.ValidateRequiredFlags(); err != nil {
				t.Errorf("%s: example %q: %v", path, words, err)
			}
			if err := target.ValidateArgs(target.Flags().Args()); err != nil {
				t.Errorf("%s: example %q: %v", path, words, err)
			}
			found = found || strings.HasPrefix(target.CommandPath(), path)
		}
		if !found {
			t.Errorf("%s: no example shows this very command", path)
		}
	}
}

var substitution = regexp.MustCompile(`\$\([^)]*\)`)

// examples returns the words of each trustloom command of a help text, as the
// shell splits them.
func examples(t *testing.T, text string) (all [][]string) {
	t.Helper()
	text = substitution.ReplaceAllString(strings.ReplaceAll(text, "\\\n", " "), "4711") // there are no such files here
	for line := range strings.Lines(text) {
		for part := range strings.SplitSeq(strings.TrimSpace(line), " | ") {
			part, _, _ = strings.Cut(part, " > ")
			if !strings.HasPrefix(part, "trustloom ") {
				continue
			}
			out, err := exec.Command("sh", "-c", `printf '%s\n' `+part).Output()
			if err != nil {
				t.Fatalf("example %q: %v", part, err)
			}
			all = append(all, strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"))
		}
	}
	return all
}
