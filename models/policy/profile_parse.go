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
	documentType   = "cert_profile"
	maxDisplayName = 128
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
	for _, member := range firstly("credential_type", members) {
		parse := parsers[member.name]
		if parse == nil {
			return nil, member.unknown(rootMembers...)
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
	if err := p.checkWhole(); err != nil {
		return nil, err
	}
	return p, nil
}

// rootMembers are the members of a document, in the order of the help texts.
var rootMembers = []string{"type", "version", "name", "display_name", "credential_type", "allow", "mutable", "reject_mods",
	"subject", "extensions", "validity", "key", "signature", "binding", "uniqueness", "maximum_active", "renewal"}

// firstly returns the members with the one called name in front: what the
// others may say depends on it.
func firstly(name string, members []*node) []*node {
	i := slices.IndexFunc(members, func(n *node) bool { return n.name == name })
	if i <= 0 {
		return members
	}
	return slices.Concat(members[i:i+1], members[:i], members[i+1:])
}

// checkWhole refuses what no member alone shows to be impossible.
func (p *Profile) checkWhole() error {
	if p.credentialType == TypeAuthority {
		if p.binding.bound != nil || p.uniqueness != nil || p.maximumActive != 0 || p.renewal != (renewalWindow{}) {
			return models.Errorf(models.KindInvalid, "credential_type: profiles for CAs have no binding, uniqueness, maximum_active or renewal")
		}
		return nil
	}
	for _, c := range p.extensions.custom {
		if p.credentialType == TypeDomain && p.extensions.critical[c.oid] {
			return models.Errorf(models.KindInvalid, "extensions.custom.%s: must not be critical in a domain credential: the server itself, to which the device shows it, does not know the extension", c.oid)
		}
	}
	return nil
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
		"validity":        func(n *node) error { return p.validity.parse(n, outer) },
		"key":             p.parseKey,
		"signature":       p.parseSignature,
		"binding":         p.binding.parse,
		"uniqueness":      p.parseUniqueness,
		"maximum_active":  p.parseMaximumActive,
		"renewal":         p.renewal.parse,
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
	switch p.credentialType {
	case TypeDomain, TypeApplication:
	case TypeAuthority:
		p.extensions.authority = &authorityRules{pathLength: -1}
		p.subject.authority = true
	default:
		return n.errorf("must be %s, %s or %s, not %q", TypeApplication, TypeDomain, TypeAuthority, p.credentialType)
	}
	return nil
}
