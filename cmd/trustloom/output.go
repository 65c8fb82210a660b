// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/trustloom/trustloom/api"
)

// print writes v as the API's JSON, or lets people say it in words.
func (c *cli) print(v any, people func(w io.Writer)) error {
	if c.output != outputJSON {
		people(c.out)
		return nil
	}
	if err := json.MarshalWrite(c.out, v, jsontext.WithIndent("  "), json.Deterministic(true)); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	_, err := fmt.Fprintln(c.out)
	return err
}

// tell writes v as the API's JSON, or one sentence about it.
func (c *cli) tell(v any, format string, args ...any) error {
	return c.print(v, func(w io.Writer) { fmt.Fprintf(w, format+"\n", args...) })
}

// table says how items are shown to people.
type table[T any] struct {
	none    string // what an empty list says
	columns string // separated by commas
	row     func(T) []string
}

// list writes the items, all of them or up to a limit if that is positive.
func list[T any](c *cli, limit int, items iter.Seq2[T, error], t table[T]) error {
	page := api.Page[T]{Items: []T{}}
	more := false
	for item, err := range items {
		if err != nil {
			return err
		}
		if more = limit > 0 && len(page.Items) == limit; more {
			break
		}
		page.Items = append(page.Items, item)
	}
	err := c.print(page, func(w io.Writer) {
		if len(page.Items) == 0 {
			fmt.Fprintln(w, t.none)
			return
		}
		rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(rows, strings.ReplaceAll(t.columns, ",", "\t"))
		for _, item := range page.Items {
			fmt.Fprintln(rows, strings.Join(cells(t.row(item)), "\t"))
		}
		rows.Flush()
	})
	if more {
		fmt.Fprintf(c.errs, "there are more than %d; --limit 0 shows all\n", limit)
	}
	return err
}

// cells makes every cell printable and none empty, so that the columns of a
// table can be told apart.
func cells(row []string) []string {
	for i := range row {
		if row[i] = printable(row[i]); row[i] == "" {
			row[i] = "-"
		}
	}
	return row
}

// details writes pairs of a word and what it is, leaving out what is empty.
func details(w io.Writer, pairs ...string) {
	rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(rows, "%s:\t%s\n", pairs[i], printable(pairs[i+1]))
		}
	}
	rows.Flush()
}

// printable replaces what could move the cursor or change the terminal: names
// in certificates and comments were written by others.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// when writes an instant in UTC; the zero time is empty.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// whenever is when for an instant that may not be there.
func whenever(t *time.Time) string {
	if t == nil {
		return ""
	}
	return when(*t)
}

// mark returns the word if it applies.
func mark(applies bool, word string) string {
	if applies {
		return word
	}
	return ""
}
