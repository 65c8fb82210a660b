// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// maxInput bounds the files that are sent to the server.
const maxInput = 1 << 20

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readBounded(file, path, limit)
}

// readInput reads a file that a flag or argument names; - is standard input.
func (c *cli) readInput(path string) ([]byte, error) {
	if path == "-" {
		return readBounded(c.in, "standard input", maxInput)
	}
	return readFile(path, maxInput)
}

func readBounded(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

// limitFlag adds --limit to a list.
func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "limit", 0, "how many to show at most; 0 shows all")
}

// duration is a flag that is written as the API writes durations.
type duration struct{ value *models.Duration }

var _ pflag.Value = duration{}

// Set reads the flag.
func (d duration) Set(s string) (err error) {
	if *d.value, err = models.ParseDuration(s); err != nil {
		return fmt.Errorf("%s", plain(err))
	}
	return nil
}

// String returns the flag as it is written.
func (d duration) String() string {
	if d.value == nil {
		return ""
	}
	return d.value.String()
}

// Type names the form in help texts.
func (duration) Type() string { return "duration" }

// parseInstant reads an instant: RFC 3339, a day, or a duration from now.
func parseInstant(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	d, err := models.ParseDuration(s)
	if err != nil {
		return time.Time{}, usagef("%q is neither a time such as 2027-01-31T12:00:00Z, nor a day such as 2027-01-31, nor a duration from now such as 30d", s)
	}
	return now.Add(d.Std()), nil
}

// maxCompletions bounds what a press of the tab key asks of the server.
const maxCompletions = 200

// complete completes the one argument of a command with what the server has.
func complete[T any](c *cli, all func(context.Context, *api.Client) iter.Seq2[T, error], name func(T) string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		client, err := c.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var found []cobra.Completion
		for item, err := range all(cmd.Context(), client) {
			if err != nil || len(found) == maxCompletions {
				break
			}
			if strings.HasPrefix(name(item), typed) {
				found = append(found, name(item))
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
