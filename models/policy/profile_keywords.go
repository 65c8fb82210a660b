// SPDX-License-Identifier: MIT

package policy

import (
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// readScope reads the keywords of a container of rules, within outer, and
// returns its other members. fields is what an allow list may name; without
// it, allow can only be "*".
func readScope(n *node, outer scope, fields vocabulary) (scope, []*node, error) {
	if err := n.object(); err != nil {
		return scope{}, nil, err
	}
	s := outer
	var rest []*node
	for _, member := range n.members {
		var err error
		switch member.name {
		case "allow":
			err = s.parseAllow(member, fields)
		case "mutable":
			s.mutable, err = member.boolean()
		case "reject_mods":
			s.rejectMods, err = member.boolean()
		default:
			rest = append(rest, member)
		}
		if err != nil {
			return scope{}, nil, err
		}
	}
	return s, rest, nil
}

func (s *scope) parseAllow(n *node, fields vocabulary) error {
	s.allowAll = n.kind == kindString && n.text == "*"
	if s.allowAll {
		return nil
	}
	if n.kind != kindArray || fields == nil {
		return n.errorf("must be \"*\"%s", map[bool]string{true: "", false: " or a list of names"}[fields == nil])
	}
	for _, item := range n.items {
		name, err := item.str()
		if err != nil {
			return err
		}
		field, ok := fields.find(name)
		if !ok {
			return item.errorf("unknown name %q", name)
		}
		s.allow = append(s.allow, field.canonical)
	}
	return nil
}

// parseRule reads the rule for one field: null, a value, a list of values, or
// an object of keywords. extra is asked about members that are no keywords.
func parseRule(n *node, label string, kind valueKind, outer scope, extra func(*node) (bool, error)) (*rule, error) {
	r := &rule{label: label, kind: kind, mutable: outer.mutable, rejectMods: outer.rejectMods}
	var err error
	switch n.kind {
	case kindNull:
		r.absent = "the profile forbids it"
		return r, nil
	case kindObject:
		err = r.parseKeywords(n, extra)
	default:
		r.value, err = parseValues(n, kind)
	}
	if err != nil {
		return nil, err
	}
	if r.openIfNone && len(r.allow) == 0 {
		return nil, n.errorf("allow_unknown is about the values of a list in allow")
	}
	if r.value != nil && r.byDefault != nil {
		return nil, n.errorf("value and default exclude each other; a value with \"mutable\": true can be replaced by the requester")
	}
	return r, nil
}

func (r *rule) parseKeywords(n *node, extra func(*node) (bool, error)) error {
	for _, member := range n.members {
		var err error
		switch member.name {
		case "value":
			r.value, err = parseValues(member, r.kind)
		case "default":
			r.byDefault, err = parseValues(member, r.kind)
		case "allow":
			if r.limited = member.kind != kindString || member.text != "*"; r.limited {
				r.allow, err = parseAllowed(member, r.kind)
			}
		case "allow_unknown":
			r.openIfNone, err = member.boolean()
		case "required":
			r.required, err = member.boolean()
		case "mutable":
			r.mutable, err = member.boolean()
		case "reject_mods":
			r.rejectMods, err = member.boolean()
		default:
			known := false
			if extra != nil {
				known, err = extra(member)
			}
			if !known && err == nil {
				err = member.unknown("value", "default", "allow", "allow_unknown", "required", "mutable", "reject_mods")
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func parseAllowed(n *node, kind valueKind) ([]text, error) {
	if n.kind != kindArray {
		return nil, n.errorf("must be \"*\" or a list of values")
	}
	kind.multiple = true
	if len(n.items) == 0 {
		return nil, nil
	}
	if !kind.patterns {
		return parseValues(n, kind)
	}
	plain, patterns := *n, []text(nil)
	plain.items = nil
	for _, item := range n.items {
		if item.kind != kindString || !text(item.text).isPattern() {
			plain.items = append(plain.items, item)
			continue
		}
		pattern, err := parsePattern(item, kind)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, pattern)
	}
	if len(plain.items) == 0 {
		return patterns, nil
	}
	values, err := parseValues(&plain, kind)
	return append(values, patterns...), err
}

// parsePattern reads an allowed value with asterisks. It must be able to
// match: with letters in their place it is a value.
func parsePattern(n *node, kind valueKind) (text, error) {
	pattern := n.text
	if kind.fold {
		pattern = strings.ToLower(pattern)
	}
	if err := checkVariables(n, text(pattern), false); err != nil {
		return "", err
	}
	if stars := strings.Count(pattern, "*"); stars > maxStars || strings.Contains(pattern, "**") {
		return "", n.errorf("a pattern has at most %d asterisks, not side by side", maxStars)
	}
	if pattern == "*" {
		return "", n.errorf("a pattern has more than an asterisk; leave the list out to allow everything")
	}
	sample := variable.ReplaceAllString(strings.ReplaceAll(pattern, "*", "x"), "x")
	if _, err := kind.canonical(sample); err != nil {
		return "", n.errorf("nothing matches this pattern: %s", models.PublicText(err))
	}
	return text(pattern), nil
}

// parseValues reads a string or a list of strings. Values without variables
// are checked, and brought into their canonical form, at once.
func parseValues(n *node, kind valueKind) ([]text, error) {
	items := n.items
	if n.kind != kindArray {
		items = []*node{n}
	}
	if len(items) == 0 {
		return nil, n.errorf("must not be empty; forbid the field with null")
	}
	if len(items) > 1 && !kind.multiple {
		return nil, n.errorf("must be one value, not a list of %d", len(items))
	}
	values := make([]text, 0, len(items))
	for _, item := range items {
		read := (*node).str
		if kind.read != nil {
			read = kind.read
		}
		s, err := read(item)
		if err != nil {
			return nil, err
		}
		value := text(s)
		if kind.templates {
			if err := checkVariables(item, value, false); err != nil {
				return nil, err
			}
		}
		if !kind.templates || !value.hasVariables() {
			canonical, err := kind.canonical(s)
			if err != nil {
				return nil, item.errorf("%s", models.PublicText(err))
			}
			value = text(canonical)
		}
		if slices.Contains(values, value) {
			return nil, item.errorf("%q is there twice", s)
		}
		values = append(values, value)
	}
	return values, nil
}
