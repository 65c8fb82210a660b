// SPDX-License-Identifier: MIT

package policy

import (
	"encoding/json/jsontext"
	"slices"
	"unicode"

	"github.com/trustloom/trustloom/models"
)

// FormatVersion is the version of the document format, its member "version".
const FormatVersion = "1"

const (
	documentType    = "cert_profile"
	maxDisplayName  = 128
	defaultBackdate = models.Duration(3600e9)
	maxBackdate     = models.Duration(7 * 24 * 3600e9)
)

// ParseProfile reads and validates a profile document, whose format is in
// docs/operations/profiles.md: JSON of at most MaxProfile octets, nested at
// most 8 levels. It is KindInvalid, beginning with the JSON path, for
// anything that is unknown, contradictory or cannot be issued.
func ParseProfile(document []byte) (*Profile, error) {
	root, err := readDocument(document)
	if err != nil {
		return nil, err
	}
	p := &Profile{credentialType: TypeApplication}
	outer, members, err := readScope(root, scope{}, nil)
	if err != nil {
		return nil, err
	}
	parsers := rootParsers(p, outer)
	seen := map[string]bool{}
	for _, member := range members {
		parse := parsers[member.name]
		if parse == nil {
			return nil, member.unknown("type", "version", "name", "display_name", "credential_type", "allow", "mutable",
				"reject_mods", "subject", "extensions", "validity", "key")
		}
		seen[member.name] = true
		if err := parse(member); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"type", "version", "validity"} {
		if !seen[name] {
			return nil, models.Errorf(models.KindInvalid, "%s: missing", name)
		}
	}
	// What a document leaves out still has its implied rules.
	for _, name := range []string{"subject", "extensions"} {
		if !seen[name] {
			if err := parsers[name](&node{path: name, name: name, kind: kindObject}); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func rootParsers(p *Profile, outer scope) map[string]func(*node) error {
	return map[string]func(*node) error{
		"type":            func(n *node) error { return n.mustBe(kindString, documentType) },
		"version":         func(n *node) error { return n.mustBe(kindNumber, FormatVersion) },
		"name":            p.parseName,
		"display_name":    p.parseDisplayName,
		"credential_type": p.parseCredentialType,
		"subject":         func(n *node) error { return p.subject.parse(n, outer) },
		"extensions":      func(n *node) error { return p.extensions.parse(n, outer) },
		"validity":        func(n *node) error { return p.validity.parse(n) },
		"key":             p.parseKey,
	}
}

func (n *node) mustBe(kind jsontext.Kind, text string) error {
	if n.kind == kind && n.text == text {
		return nil
	}
	return n.errorf("must be %s", text)
}

func (p *Profile) parseName(n *node) (err error) {
	if p.name, err = n.str(); err != nil {
		return err
	}
	if err := models.CheckName("profile", p.name); err != nil {
		return n.errorf("%s", models.PublicText(err))
	}
	return nil
}

func (p *Profile) parseDisplayName(n *node) (err error) {
	if p.displayName, err = n.str(); err != nil {
		return err
	}
	runes := []rune(p.displayName)
	if len(runes) > maxDisplayName || slices.ContainsFunc(runes, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return n.errorf("must have at most %d characters, all of them visible", maxDisplayName)
	}
	return nil
}

func (p *Profile) parseCredentialType(n *node) (err error) {
	if p.credentialType, err = n.str(); err != nil {
		return err
	}
	if p.credentialType != TypeDomain && p.credentialType != TypeApplication {
		return n.errorf("must be %s or %s, not %q", TypeDomain, TypeApplication, p.credentialType)
	}
	return nil
}

func (p *Profile) parseKey(n *node) error {
	if err := n.object(); err != nil {
		return err
	}
	for _, member := range n.members {
		if member.name != "algorithms" {
			return member.unknown("algorithms")
		}
		if member.kind != kindArray || len(member.items) == 0 {
			return member.errorf("must be a list of key algorithms; leave it out to permit every one")
		}
		for _, item := range member.items {
			name, err := item.str()
			if err != nil {
				return err
			}
			algorithm, err := models.ParseKeyAlgorithm(name)
			if err != nil {
				return item.errorf("%s", models.PublicText(err))
			}
			p.algorithms = append(p.algorithms, algorithm)
		}
	}
	return nil
}

func (v *validity) parse(n *node) error {
	if err := n.object(); err != nil {
		return err
	}
	values := map[string]models.Duration{"backdate": defaultBackdate}
	for _, member := range n.members {
		switch member.name {
		case "duration", "backdate", "min", "max":
			d, err := member.duration()
			if err != nil {
				return err
			}
			values[member.name] = d
		default:
			return member.unknown("duration", "backdate", "min", "max")
		}
	}
	*v = validity{values["duration"].Std(), values["backdate"].Std(), values["min"].Std(), values["max"].Std()}
	switch {
	case v.duration <= 0:
		return n.errorf("duration is missing or zero; write for example \"90d\"")
	case v.backdate > maxBackdate.Std():
		return n.errorf("backdate is longer than %s", maxBackdate)
	case v.min > v.duration:
		return n.errorf("min is longer than duration")
	case v.max > 0 && v.max < v.duration:
		return n.errorf("max is shorter than duration")
	}
	return nil
}
