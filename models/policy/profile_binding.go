// SPDX-License-Identifier: MIT

package policy

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// binding says which names of the finished certificate must be the device's,
// wherever they came from: the request, the profile or the predecessor.
type binding struct{ bound []boundField }

type boundField struct {
	oid  string // of a subject attribute
	kind string // of an alternative name, as SANs writes it
	rule *rule
}

func (b *binding) parse(n *node) error {
	if err := n.object(); err != nil {
		return err
	}
	if len(n.members) == 0 {
		return n.errorf("names no field; leave it out")
	}
	for _, member := range n.members {
		field, r, err := namedField(member)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(b.bound, func(o boundField) bool { return o.oid == field.oid && o.kind == field.kind }) {
			return member.errorf("there are two rules for %s", r.label)
		}
		if err := parseBound(member, r); err != nil {
			return err
		}
		field.rule = r
		b.bound = append(b.bound, field)
	}
	return nil
}

// namedField finds the subject attribute or the kind of alternative name that
// a member is called by.
func namedField(n *node) (boundField, *rule, error) {
	if field, ok := subjectAttributes.find(n.name); ok {
		return boundField{oid: field.oid}, &rule{label: "subject " + field.canonical, kind: attributeKind(field)}, nil
	}
	if field, ok := alternativeNames.find(n.name); ok {
		return boundField{kind: field.oid}, &rule{label: nameLabel(field), kind: nameKind(field)}, nil
	}
	return boundField{}, nil, n.unknown(append(subjectAttributes.canonicals(), alternativeNames.canonicals()...)...)
}

// parseBound reads a value, a list of them, or an object with allow and
// allow_unknown.
func parseBound(n *node, r *rule) (err error) {
	r.limited = true
	allow := n
	if n.kind == kindObject {
		allow = nil
		for _, member := range n.members {
			switch member.name {
			case "allow":
				allow = member
			case "allow_unknown":
				r.openIfNone, err = member.boolean()
			default:
				err = member.unknown("allow", "allow_unknown")
			}
			if err != nil {
				return err
			}
		}
	}
	if allow == nil {
		return n.errorf("allow is missing: what must the name be, such as \"{{device.name}}\"")
	}
	list := *allow
	if list.kind == kindString {
		list = node{path: n.path, name: n.name, kind: kindArray, items: []*node{allow}}
	}
	if r.allow, err = parseAllowed(&list, r.kind); err == nil && len(r.allow) == 0 {
		err = n.errorf("must not be empty")
	}
	return err
}

func (b *binding) check(e *evaluation, template *x509.Certificate) error {
	for _, field := range b.bound {
		limits := field.rule.limits(e)
		for _, value := range field.values(template) {
			if limits.allow(value) {
				continue
			}
			if len(limits.values)+len(limits.patterns) == 0 {
				return models.Errorf(models.KindDenied, "%s %q is refused: the profile binds it to the device, and device %s has no such value",
					field.rule.label, value, e.who.Device.Name)
			}
			return models.Errorf(models.KindDenied, "%s %q is refused: the profile binds it to device %s, for which it must be %s",
				field.rule.label, value, e.who.Device.Name, limits)
		}
	}
	return nil
}

// values returns what a template says in the field.
func (f boundField) values(template *x509.Certificate) (values []string) {
	if f.oid != "" {
		for _, a := range template.Subject.Names {
			if value, isText := a.Value.(string); isText && a.Type.String() == f.oid {
				values = append(values, value)
			}
		}
		return values
	}
	for _, name := range pki.SANs(template) {
		if kind, value, _ := strings.Cut(name, ":"); kind == f.kind {
			values = append(values, value)
		}
	}
	return values
}

const (
	uniqueSubject    = "subject"
	uniqueNames      = "subject_alternative_name"
	maxMaximumActive = 1000
)

// parseUniqueness reads which names only one device of a domain may have.
func (p *Profile) parseUniqueness(n *node) error {
	if n.kind != kindArray || len(n.items) == 0 {
		return n.errorf("must be a list of %s, %s, or names of their fields", uniqueSubject, uniqueNames)
	}
	for _, item := range n.items {
		name, err := item.str()
		if err != nil {
			return err
		}
		claim := uniqueSubject
		if extension, ok := extensionNames.find(name); ok && extension.oid == oidSubjectAltName {
			claim = uniqueNames
		} else if name != uniqueSubject {
			field, _, err := namedField(&node{path: item.path, name: name})
			if err != nil {
				return item.errorf("unknown name %q", name)
			}
			claim = field.oid + field.kind
		}
		if slices.Contains(p.uniqueness, claim) {
			return item.errorf("%q is there twice", name)
		}
		p.uniqueness = append(p.uniqueness, claim)
	}
	return nil
}

// Limits are conditions of a profile that only the database can answer.
type Limits struct {
	// Claims are the names, as opaque texts, that no valid certificate of
	// another device of the domain may have claimed.
	Claims []string
	// MaximumActive is how many valid certificates of the profile a device may
	// have, the new one included; 0 means any number.
	MaximumActive int
}

// None reports whether there is nothing to ask.
func (l Limits) None() bool { return len(l.Claims) == 0 && l.MaximumActive == 0 }

// Limits returns what the database has to be asked about a certificate that
// would look like template.
func (p *Profile) Limits(template *x509.Certificate) Limits {
	l := Limits{MaximumActive: p.maximumActive}
	for _, field := range p.uniqueness {
		switch field {
		case uniqueSubject:
			if len(template.Subject.Names) > 0 {
				l.Claims = append(l.Claims, "subject:"+SubjectText(template.RawSubject))
			}
		case uniqueNames:
			l.Claims = append(l.Claims, pki.SANs(template)...)
		default:
			bound := boundField{kind: field}
			if strings.Contains(field, ".") {
				bound = boundField{oid: field}
			}
			for _, value := range bound.values(template) {
				l.Claims = append(l.Claims, field+":"+value)
			}
		}
	}
	slices.Sort(l.Claims)
	l.Claims = slices.Compact(l.Claims)
	return l
}

func (p *Profile) parseMaximumActive(n *node) error {
	number, err := strconv.Atoi(n.text)
	if n.kind != kindNumber || err != nil || number < 1 || number > maxMaximumActive {
		return n.errorf("must be a number from 1 to %d", maxMaximumActive)
	}
	p.maximumActive = number
	return nil
}

// hashes are the digests that a profile may ask for.
var hashes = map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

func (p *Profile) parseSignature(n *node) error {
	if err := n.object(); err != nil {
		return err
	}
	for _, member := range n.members {
		if member.name != "hash" {
			return member.unknown("hash")
		}
		name, err := member.str()
		if err != nil {
			return err
		}
		if p.hash = hashes[strings.ToUpper(name)]; p.hash == 0 {
			return member.errorf("must be SHA-256, SHA-384 or SHA-512, not %q", name)
		}
	}
	return nil
}

func (p *Profile) parseKey(n *node) error {
	if err := n.object(); err != nil {
		return err
	}
	for _, member := range n.members {
		var err error
		switch member.name {
		case "algorithms":
			err = p.keys.parseAlgorithms(member)
		case "rsa_bits":
			err = p.keys.parseBits(member)
		default:
			err = member.unknown("algorithms", "rsa_bits")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *keyRules) parseAlgorithms(n *node) error {
	if n.kind != kindArray || len(n.items) == 0 {
		return n.errorf("must be a list of key algorithms; leave it out to permit every one")
	}
	for _, item := range n.items {
		name, err := item.str()
		if err != nil {
			return err
		}
		if family := strings.ToUpper(name); family == "RSA" || family == "EC" {
			k.families = append(k.families, family)
			continue
		}
		algorithm, err := models.ParseKeyAlgorithm(name)
		if err != nil {
			return item.errorf("%s, RSA, EC", models.PublicText(err))
		}
		k.algorithms = append(k.algorithms, algorithm)
	}
	return nil
}

func (k *keyRules) parseBits(n *node) error {
	if err := n.object(); err != nil {
		return err
	}
	for _, member := range n.members {
		bits, err := strconv.Atoi(member.text)
		if member.kind != kindNumber || err != nil || bits < 2048 || bits > 8192 {
			return member.errorf("must be a number of bits from 2048 to 8192")
		}
		switch member.name {
		case "min":
			k.minRSA = bits
		case "max":
			k.maxRSA = bits
		default:
			return member.unknown("min", "max")
		}
	}
	if k.maxRSA > 0 && k.maxRSA < k.minRSA {
		return n.errorf("max is less than min")
	}
	return nil
}

// String names the permitted keys.
func (k keyRules) String() string {
	var names []string
	for _, a := range k.algorithms {
		names = append(names, string(a))
	}
	for _, family := range k.families {
		names = append(names, family+" of any size")
	}
	if len(names) == 0 {
		names = []string{"every kind of key"}
	}
	if k.minRSA > 0 {
		names = append(names, fmt.Sprintf("RSA from %d bits", k.minRSA))
	}
	if k.maxRSA > 0 {
		names = append(names, fmt.Sprintf("RSA to %d bits", k.maxRSA))
	}
	return strings.Join(names, ", ")
}

// rsaBits returns the size of an RSA key, 0 for others.
func rsaBits(key crypto.PublicKey) int {
	if k, ok := key.(*rsa.PublicKey); ok {
		return k.N.BitLen()
	}
	return 0
}
