// SPDX-License-Identifier: MIT

package check

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// shown is how many findings of one invariant are written as text; JSON has
// them all.
const shown = 20

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, i := range r.Invariants {
		findings := slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Invariant != i.ID })
		verdict := "holds"
		if len(findings) > 0 {
			verdict = fmt.Sprintf("BROKEN %d times", len(findings))
		}
		fmt.Fprintf(&b, "%-4s %-86s %s\n", i.ID, i.Title, verdict)
		for _, f := range findings[:min(len(findings), shown)] {
			fmt.Fprintf(&b, "       %s: %s\n", f.Subject, f.Problem)
		}
		if len(findings) > shown {
			fmt.Fprintf(&b, "       and %d more; --output json lists them\n", len(findings)-shown)
		}
	}
	var counts []string
	for _, noun := range slices.Sorted(maps.Keys(r.Looked)) {
		counts = append(counts, fmt.Sprintf("%d %s", r.Looked[noun], noun))
	}
	fmt.Fprintf(&b, "looked at %s\n", strings.Join(counts, ", "))
	_, err := io.WriteString(w, b.String())
	return err
}
