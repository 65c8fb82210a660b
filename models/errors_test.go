// SPDX-License-Identifier: MIT

package models_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
)

// What strangers send comes back in errors and goes into logs (R11).
func TestTextsOfErrorsAreShortAndPlain(t *testing.T) {
	for what, c := range map[string]struct{ in, want string }{
		"a colour":             {"a\x1b[31mb", "a?[31mb"},
		"a control of 8 bits":  {"a\u009b31mb", "a?31mb"},
		"a carriage return":    {"a\rb", "a?b"},
		"NUL and DEL":          {"a\x00b\x7f", "a?b?"},
		"the other direction":  {"a\u202eb\u2066", "a?b?"},
		"what cannot be seen":  {"a\u200bb", "a?b"},
		"half a character":     {"a\xffb", "a\ufffdb"},
		"umlauts and dashes":   {"Müller – „x“ …\n\ty", "Müller – „x“ …\n\ty"},
		"the longest that is":  {strings.Repeat("x", 4096), strings.Repeat("x", 4096)},
		"a megabyte":           {strings.Repeat("x", 1<<20), strings.Repeat("x", 4096) + "…"},
		"a megabyte of ä":      {"x" + strings.Repeat("ä", 1<<19), "x" + strings.Repeat("ä", 2047) + "…"},
		"a format in the text": {"%s%n", "%s%n"},
	} {
		t.Run(what, func(t *testing.T) {
			if got := models.PublicText(models.Errorf(models.KindInvalid, "%s", c.in)); got != c.want {
				t.Errorf("%.60q, want %.60q", got, c.want)
			}
		})
	}
	err := models.Errorf(models.KindInvalid, "x").Because(errors.New(strings.Repeat("y", 1<<20)))
	if n := len(err.Error()); n > 5000 {
		t.Errorf("the text for the log has %d bytes", n)
	}
}
