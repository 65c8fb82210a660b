// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func TestParseSteps(t *testing.T) {
	cases := map[string]struct {
		text string
		want []api.ApprovalStep
		says string
	}{
		"one step of one":             {"operator:1", []api.ApprovalStep{{Name: "operator", Quorum: 1}}, ""},
		"one is understood":           {"operator", []api.ApprovalStep{{Name: "operator", Quorum: 1}}, ""},
		"two steps, with spaces":      {"operator:1, security:2", []api.ApprovalStep{{Name: "operator", Quorum: 1}, {Name: "security", Quorum: 2}}, ""},
		"a count that is no number":   {"operator:all", nil, "is a number"},
		"nobody":                      {"operator:0", nil, "is a number"},
		"a count without a name":      {":2", nil, "NAME:PEOPLE"},
		"a comma too many":            {"operator:1,", nil, "NAME:PEOPLE"},
		"a count with something more": {"operator:1:2", nil, "is a number"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseSteps(c.text)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			wantSentence(t, err, c.says)
			if err == nil {
				again, err := parseSteps(writeSteps(got))
				if diff := cmp.Diff(got, again); diff != "" || err != nil {
					t.Errorf("written and read again: %v %s", err, diff)
				}
			}
		})
	}
}

// wantSentence checks that an error says something; nothing means no error.
func wantSentence(t *testing.T, err error, says string) {
	t.Helper()
	if (err == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) {
		t.Errorf("error %v, want %q", err, says)
	}
}

func TestParseInstant(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		text string
		want time.Time
		says string
	}{
		"nothing":             {"", time.Time{}, ""},
		"a time":              {"2027-01-31T12:00:00+01:00", time.Date(2027, 1, 31, 11, 0, 0, 0, time.UTC), ""},
		"a day":               {"2027-01-31", time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC), ""},
		"a duration from now": {"30d", now.Add(30 * 24 * time.Hour), ""},
		"a word":              {"soon", time.Time{}, "neither a time"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseInstant(c.text, now)
			if !got.Equal(c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			wantSentence(t, err, c.says)
		})
	}
}

// What others wrote must not reach the terminal as it is.
func TestPrintable(t *testing.T) {
	cases := map[string][2]string{
		"plain text":          {"CN=Präge 1, O=工場", "CN=Präge 1, O=工場"},
		"colours":             {"\x1b[31mred", `\u001b[31mred`},
		"a line break":        {"a\nb\tc", "a b c"},
		"a backspace":         {"admin\x08\x08", `admin\u0008\u0008`},
		"right-to-left marks": {"a\u202eb", `a\u202eb`},
		"a C1 control":        {"a\u009bb", `a\u009bb`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := printable(c[0]); got != c[1] {
				t.Errorf("got %q, want %q", got, c[1])
			}
		})
	}
}

func TestQuotedWordsSurviveTheShell(t *testing.T) {
	for _, word := range []string{"/var/lib/tls/ca.pem", "/home/a b/ca.pem", "it's", `a"b\c$HOME`, "https://[::1]:8443/x", "~/ca.pem", "*"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quoted(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q came back as %q (%v)", word, out, err)
		}
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	call := func(err error) error {
		return fmt.Errorf("call x: %w", &url.Error{Op: "Get", URL: "https://host:1/api/v1/cas", Err: err})
	}
	cases := map[string]struct {
		err  error
		want string
	}{
		"a refusal":              {&api.Problem{Detail: "there is no device a", RequestID: "r1"}, "there is no device a (request r1)"},
		"a refusal with escapes": {&api.Problem{Detail: "no \x1b[2J"}, `no \u001b[2J`},
		"a bad token":            {&api.Problem{Status: 401, Detail: "unknown token"}, "unknown token\nThe token is from data/admin-token, the server is https://host:1."},
		"nobody there":           {call(errors.New("connection refused")), "no server answers at https://host:1: connection refused\nStart one with"},
		"an unknown CA": {call(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}),
			"the server at https://host:1 is not trusted: x509: certificate signed by unknown authority\nName the CA"},
		"Ctrl-C":           {call(context.Canceled), "interrupted"},
		"an error of ours": {models.Errorf(models.KindInvalid, "CA file x holds no PEM certificate"), "CA file x holds no PEM certificate"},
		"any other":        {errors.New("disk full"), "disk full"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			app := newCLI()
			cmd := app.root()
			app.url, app.started = "https://host:1/", true
			text, code := app.explain(cmd, c.err)
			if !strings.HasPrefix(text, c.want) || code != exitFailure {
				t.Errorf("got %d %q, want %q", code, text, c.want)
			}
		})
	}
}

func TestListStopsAtTheLimit(t *testing.T) {
	numbers := func(yield func(int, error) bool) {
		for i := range 10 {
			if !yield(i, nil) {
				return
			}
		}
	}
	show := table[int]{none: "None.", columns: "NUMBER,HALF", row: func(i int) []string { return []string{fmt.Sprint(i), strings.Repeat("x", i)} }}
	cases := map[string]struct {
		limit    int
		items    iter.Seq2[int, error]
		out, err string
	}{
		"all":         {0, numbers, "NUMBER  HALF\n0       -\n1       x\n2", ""},
		"three":       {3, numbers, "NUMBER  HALF\n0       -\n1       x\n2       xx\n", "there are more than 3; --limit 0 shows all\n"},
		"exactly all": {10, numbers, "NUMBER  HALF\n0", ""},
		"none":        {0, func(func(int, error) bool) {}, "None.\n", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			app := newCLI()
			if err := list(app, c.limit, c.items, show); err != nil {
				t.Fatal(err)
			}
			if out := fmt.Sprint(app.out); !strings.HasPrefix(out, c.out) {
				t.Errorf("out %q, want %q", out, c.out)
			}
			if text := fmt.Sprint(app.errs); text != c.err {
				t.Errorf("errors %q, want %q", text, c.err)
			}
		})
	}
	broken := func(yield func(int, error) bool) { yield(0, errors.New("broken")) }
	wantSentence(t, list(newCLI(), 0, broken, show), "broken")
}

func TestATokenSaysHowItIs(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	before, after := now.Add(-time.Second), now.Add(time.Second)
	cases := map[string]struct {
		token api.Token
		want  string
	}{
		"without an end":      {api.Token{}, "good"},
		"before its end":      {api.Token{ExpiresAt: &after}, "good"},
		"at its end":          {api.Token{ExpiresAt: &now}, "expired"},
		"revoked, then ended": {api.Token{RevokedAt: &before, ExpiresAt: &before}, "revoked"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tokenState(&c.token, now); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
