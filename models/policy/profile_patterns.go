// SPDX-License-Identifier: MIT

package policy

import (
	"slices"
	"strings"
)

// maxStars bounds the asterisks of one pattern.
const maxStars = 4

func (t text) isPattern() bool { return strings.Contains(string(t), "*") }

// limits are the values of an allow list for one device.
type limits struct {
	open     bool // everything is allowed
	values   []string
	patterns [][]string // the pieces between the asterisks
}

// limits resolves what a requester may have. Where nothing is named, a rule
// that is explicit allows its own values and nothing else.
func (r *rule) limits(e *evaluation) limits {
	texts := r.allow
	if r.kind.explicit {
		texts = slices.Concat(r.allow, r.value, r.byDefault)
	} else if !r.limited {
		return limits{open: true}
	}
	var l limits
	for _, t := range texts {
		if r.kind.patterns && t.isPattern() {
			if pieces, complete := t.pieces(e.who); complete {
				l.patterns = append(l.patterns, pieces)
			}
			continue
		}
		for _, one := range t.list(e.who) {
			// What cannot be a value is not asked for either.
			if canonical, err := r.kind.canonical(one); err == nil {
				l.values = append(l.values, canonical)
			}
		}
	}
	l.open = r.openIfNone && len(l.values)+len(l.patterns) == 0
	return l
}

func (l limits) allow(value string) bool {
	return l.open || slices.Contains(l.values, value) ||
		slices.ContainsFunc(l.patterns, func(pieces []string) bool { return matches(pieces, value) })
}

// reason says why a value is not allowed.
func (l limits) reason() string {
	if len(l.values)+len(l.patterns) == 0 {
		return "the profile names none that is allowed for the device"
	}
	return "the profile allows " + l.String() + " only"
}

// String prints the values for a sentence.
func (l limits) String() string {
	values := slices.Clone(l.values)
	for _, pieces := range l.patterns {
		values = append(values, strings.Join(pieces, "*"))
	}
	return quotedOrNone(values)
}

// pieces resolves what is between the asterisks of a pattern: what a device
// brings along in a variable is never a pattern.
func (t text) pieces(who Subject) (pieces []string, complete bool) {
	for piece := range strings.SplitSeq(string(t), "*") {
		resolved, ok := text(piece).resolve(who)
		if !ok {
			return nil, false
		}
		pieces = append(pieces, resolved)
	}
	return pieces, true
}

// matches reports whether value is made of the pieces with at least one
// character for each asterisk between them.
func matches(pieces []string, value string) bool {
	rest, found := strings.CutPrefix(value, pieces[0])
	if !found {
		return false
	}
	last := len(pieces) - 1
	for _, piece := range pieces[1:last] {
		if rest == "" {
			return false
		}
		i := strings.Index(rest[1:], piece)
		if i < 0 {
			return false
		}
		rest = rest[1+i+len(piece):]
	}
	return len(rest) > len(pieces[last]) && strings.HasSuffix(rest, pieces[last])
}

// list resolves a text that may stand for several values: a variable that is
// nothing but a metadata value has one in each of its parts between commas.
func (t text) list(who Subject) (values []string) {
	resolved, complete := t.resolve(who)
	if !complete {
		return nil
	}
	if !t.isMetadata() {
		return []string{resolved}
	}
	for part := range strings.SplitSeq(resolved, ",") {
		if part = strings.TrimSpace(part); part != "" {
			values = append(values, part)
		}
	}
	return values
}
