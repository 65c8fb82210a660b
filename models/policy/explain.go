// SPDX-License-Identifier: MIT

package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Explanation says in sentences what a profile does.
type Explanation struct {
	Summary []string // what the certificates are
	Fixed   []string // what the profile sets, whatever is asked for
	Open    []string // what a requester may choose
	Closed  []string // what is left out, or why a request is refused
}

// Explain returns the profile in sentences, in the order of a certificate.
func (p *Profile) Explain() Explanation {
	x := &Explanation{Summary: p.summary()}
	var absent []string
	for _, field := range subjectAttributes {
		x.rule(p.subject.rules[field.oid], &absent)
	}
	for _, field := range alternativeNames {
		x.rule(p.extensions.names[field.canonical], &absent)
	}
	if p.extensions.needsName {
		x.Closed = append(x.Closed, "a request that ends up without any subject_alternative_name is refused")
	}
	for _, r := range []*rule{p.extensions.keyUsage, p.extensions.extKeyUsage, p.extensions.policies, p.extensions.microsoft} {
		x.rule(r, &absent)
	}
	for _, c := range p.extensions.custom {
		x.rule(c.rule, &absent)
	}
	x.authority(p.extensions.authority)
	x.urls(p.extensions.urls)
	x.validity(p.validity)
	if len(absent) > 0 {
		x.Closed = append(x.Closed, fmt.Sprintf("never there, %s: %s", askedAnyway(p.subject.rejectMods), strings.Join(absent, ", ")))
	}
	x.Closed = append(x.Closed, "extensions and attributes that are not named here are "+map[bool]string{true: "refused", false: "left out"}[p.extensions.rejectMods])
	x.limits(p)
	return *x
}

func askedAnyway(rejectMods bool) string {
	if rejectMods {
		return "and refused if asked for"
	}
	return "and left out if asked for"
}

func (p *Profile) summary() []string {
	kinds := map[string]string{
		TypeApplication: "application certificates of devices", TypeDomain: "domain credentials, the first identities of devices in their domain",
		TypeAuthority: "certificates of CAs, which operators make",
	}
	lines := []string{"The certificates are " + kinds[p.credentialType] + ".", "Keys: " + p.keys.String() + "."}
	if p.hash != 0 {
		lines = append(lines, "They are signed with "+p.hash.String()+".")
	}
	return lines
}

// rule sorts one rule into its list; what is never there is collected.
func (x *Explanation) rule(r *rule, absent *[]string) {
	must := ""
	if r.required {
		must = "; one is required"
	}
	if r.identity != nil && r.absent == "" && r.value == nil {
		must += "; only the device's own is kept"
	}
	instead := "replaced"
	if r.rejectMods {
		instead = "refused"
	}
	switch {
	case r.absent != "":
		*absent = append(*absent, r.label)
	case r.value != nil && !r.mutable:
		x.Fixed = append(x.Fixed, fmt.Sprintf("%s is %s; another one in a request is %s", r.label, quotedTexts(r.value), instead))
	case r.value != nil || r.byDefault != nil:
		x.Open = append(x.Open, fmt.Sprintf("%s is %s unless the request has %s%s", r.label, quotedTexts(slices.Concat(r.value, r.byDefault)), r.choice(), must))
	default:
		x.Open = append(x.Open, fmt.Sprintf("%s: the request may have %s%s", r.label, r.choice(), must))
	}
}

// choice says what a requester may have.
func (r *rule) choice() string {
	what := "any value"
	switch {
	case r.limited && len(r.allow) == 0, r.kind.explicit && len(r.allow) == 0:
		what = "nothing else"
	case r.limited || r.kind.explicit:
		what = "one of " + quotedTexts(r.allow)
		if r.kind.multiple {
			what = "any of " + quotedTexts(r.allow)
		}
	case r.kind.multiple:
		what = "any values"
	}
	if r.openIfNone {
		what += ", or any if the device has none of these"
	}
	if r.limited && r.rejectMods {
		what += "; others are refused"
	}
	return what
}

func quotedTexts(texts []text) string {
	values := make([]string, len(texts))
	for i, t := range texts {
		values[i] = string(t)
	}
	return quoted(values)
}

func (x *Explanation) authority(a *authorityRules) {
	if a == nil {
		x.Fixed = append(x.Fixed, "basic_constraints say CA:FALSE, whatever is asked for")
		return
	}
	sentence := "basic_constraints say CA:TRUE"
	if a.pathLength >= 0 {
		sentence += fmt.Sprintf(", with a path length of %d", a.pathLength)
	}
	x.Fixed = append(x.Fixed, sentence)
	if a.constraints != nil {
		x.Fixed = append(x.Fixed, "name_constraints limit the names of the certificates below")
	}
}

func (x *Explanation) urls(u urlRules) {
	lists := map[string]*urlList{"CRL": u.crls, "certificate of the issuer": u.issuers, "OCSP responder": u.ocsp}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		switch list := lists[name]; {
		case list == nil:
		case len(list.texts) == 0:
			x.Fixed = append(x.Fixed, "there is no URL of the "+name)
		default:
			x.Fixed = append(x.Fixed, "the "+name+" is said to be at "+quotedTexts(list.texts))
		}
	}
}

func (x *Explanation) validity(v validity) {
	begin := fmt.Sprintf("from %s before it is issued", models.Duration(v.backdate))
	switch {
	case !v.notBefore.IsZero():
		begin = "from " + v.notBefore.Format(time.RFC3339)
	case v.offset > 0:
		begin = fmt.Sprintf("from %s after it is issued", models.Duration(v.offset))
	}
	end := "for " + models.Duration(v.duration).String()
	if !v.notAfter.IsZero() {
		end = "until " + v.notAfter.Format(time.RFC3339)
	}
	sentence := fmt.Sprintf("a certificate is valid %s, %s, and not longer than its issuer", begin, end)
	if !v.mutable {
		x.Fixed = append(x.Fixed, sentence)
		return
	}
	bound := v.max
	if bound == 0 {
		bound = v.duration
	}
	x.Open = append(x.Open, fmt.Sprintf("%s; the request may choose from %s to %s", sentence, models.Duration(v.min), models.Duration(bound)))
}

func (x *Explanation) limits(p *Profile) {
	for _, b := range p.binding.bound {
		x.Closed = append(x.Closed, fmt.Sprintf("refused unless %s of the certificate is %s", b.rule.label, b.rule.choice()))
	}
	for _, field := range p.uniqueness {
		name := field
		for _, known := range slices.Concat(subjectAttributes, alternativeNames) {
			if known.oid == field {
				name = known.canonical
			}
		}
		x.Closed = append(x.Closed, fmt.Sprintf("refused if another device of the domain has a valid certificate with the same %s", name))
	}
	if p.maximumActive > 0 {
		x.Closed = append(x.Closed, fmt.Sprintf("refused if the device has %d valid certificates of the profile already; a renewal replaces one", p.maximumActive))
	}
	switch r := p.renewal; {
	case r.percent > 0:
		x.Closed = append(x.Closed, fmt.Sprintf("a renewal is refused before the last %d%% of the lifetime", r.percent))
	case r.before > 0:
		x.Closed = append(x.Closed, fmt.Sprintf("a renewal is refused earlier than %s before the end", models.Duration(r.before)))
	}
}
