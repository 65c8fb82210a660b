// SPDX-License-Identifier: MIT

package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// scope is what a container of rules says about everything below it.
type scope struct {
	allowAll   bool
	allow      []string // canonical names of fields the requester may bring
	mutable    bool
	rejectMods bool
}

// inner returns what is inherited: a list of names is not.
func (s scope) inner() scope {
	return scope{allowAll: s.allowAll, mutable: s.mutable, rejectMods: s.rejectMods}
}

func (s scope) allows(name string) bool { return s.allowAll || slices.Contains(s.allow, name) }

// valueKind says what the values of a field are.
type valueKind struct {
	canonical func(string) (string, error) // KindInvalid unless the value is one of the kind
	read      func(*node) (string, error)  // of a document; nil: a string
	multiple  bool
	templates bool // variables may occur
	patterns  bool // an allowed value may have asterisks
	fold      bool // letters are compared in lower case
	explicit  bool // a request gets only what the rule names: "*" allows nothing
}

// rule is what a profile says about one field.
type rule struct {
	label      string // begins the sentences, such as "subject common_name"
	kind       valueKind
	absent     string // set: the field is not issued, for this reason
	value      []text
	byDefault  []text
	limited    bool // the requester's values must be among allow
	allow      []text
	openIfNone bool // unless the device has none of them
	required   bool
	mutable    bool
	rejectMods bool
	identity   func(Subject) string // set: a requester's value must be the device's own
}

// evaluation collects the reasons while a profile is applied for who.
type evaluation struct {
	who     Subject
	reasons []string
}

func (e *evaluation) note(format string, args ...any) {
	e.reasons = append(e.reasons, fmt.Sprintf(format, args...))
}

// apply returns the values that the certificate gets, given those that were
// asked for.
func (r *rule) apply(e *evaluation, asked []string) ([]string, error) {
	if r.absent != "" {
		return nil, r.leaveOut(e, asked, r.absent)
	}
	if r.value != nil && !r.mutable {
		return r.impose(e, asked)
	}
	kept, err := r.permitted(e, asked)
	if err != nil {
		return nil, err
	}
	if len(kept) == 0 {
		if kept, err = r.ownValues(e); err != nil {
			return nil, err
		}
	}
	return kept, r.checkRequired(e, kept)
}

// ownValues returns the profile's values for a field that the requester left
// to it. A value must be possible; a default that is not possible for this
// device, such as a DNS name made of a name with an underscore, is left out.
func (r *rule) ownValues(e *evaluation) ([]string, error) {
	if r.value != nil {
		return r.resolve(e, r.value)
	}
	values, err := r.resolve(e, r.byDefault)
	if err != nil {
		e.note("%s", models.PublicText(err))
	}
	return values, nil
}

// impose sets the profile's own value.
func (r *rule) impose(e *evaluation, asked []string) ([]string, error) {
	own, err := r.resolve(e, r.value)
	if err != nil {
		return nil, err
	}
	if len(asked) > 0 && !sameValues(asked, own) {
		switch {
		case r.rejectMods:
			return nil, models.Errorf(models.KindDenied, "%s %s is refused: the profile sets %s", r.label, quoted(asked), quotedOrNone(own))
		case len(own) == 0:
			e.note("%s %s left out: the profile sets it, and device %s has no value for it", r.label, quoted(asked), e.who.Device.Name)
		default:
			e.note("%s %s replaced by %s: the profile sets it", r.label, quoted(asked), quoted(own))
		}
	}
	return own, r.checkRequired(e, own)
}

// permitted returns the asked values that the requester may have.
func (r *rule) permitted(e *evaluation, asked []string) ([]string, error) {
	limits := r.limits(e)
	var kept []string
	for _, value := range asked {
		reason := ""
		switch {
		case r.identity != nil && value != r.identity(e.who):
			reason = "it is not the one of device " + e.who.Device.Name
		case !limits.allow(value):
			reason = limits.reason()
		}
		if reason == "" {
			kept = append(kept, value)
		} else if err := r.leaveOut(e, []string{value}, reason); err != nil {
			return nil, err
		}
	}
	if len(kept) > 1 && !r.kind.multiple {
		return nil, models.Errorf(models.KindInvalid, "%s is asked for with %d values; ask for one", r.label, len(kept))
	}
	return kept, nil
}

// leaveOut notes that asked values are not issued, or refuses the request.
func (r *rule) leaveOut(e *evaluation, asked []string, reason string) error {
	if len(asked) == 0 {
		return nil
	}
	if r.rejectMods {
		return models.Errorf(models.KindDenied, "%s %s is refused: %s", r.label, quoted(asked), reason)
	}
	e.note("%s %s left out: %s", r.label, quoted(asked), reason)
	return nil
}

// resolve returns the values of texts for this device. A text that refers to
// something the device does not have gives no value. Neither does one that
// comes out as no value of the kind; the error is then about the last of these.
func (r *rule) resolve(e *evaluation, texts []text) (values []string, err error) {
	for _, t := range texts {
		for _, value := range r.valuesOf(t, e.who) {
			canonical, impossible := r.kind.canonical(value)
			if impossible != nil {
				err = models.Errorf(models.KindInvalid, "%s cannot be %q, which the profile makes of %q: %s",
					r.label, value, string(t), models.PublicText(impossible))
				continue
			}
			if !slices.Contains(values, canonical) {
				values = append(values, canonical)
			}
		}
	}
	return values, err
}

// valuesOf resolves one text, which may stand for several values where the
// field may have them.
func (r *rule) valuesOf(t text, who Subject) []string {
	if r.kind.multiple {
		return t.list(who)
	}
	if value, complete := t.resolve(who); complete {
		return []string{value}
	}
	return nil
}

func (r *rule) checkRequired(e *evaluation, values []string) error {
	if !r.required || len(values) > 0 {
		return nil
	}
	if r.value != nil || r.byDefault != nil {
		return models.Errorf(models.KindInvalid, "%s is required, and device %s has no value for it", r.label, e.who.Device.Name)
	}
	return models.Errorf(models.KindInvalid, "%s is required; ask for it in the request", r.label)
}

func sameValues(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func quoted(values []string) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = fmt.Sprintf("%q", v)
	}
	return strings.Join(parts, ", ")
}

func quotedOrNone(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return quoted(values)
}
