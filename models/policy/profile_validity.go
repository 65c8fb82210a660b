// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
)

// validity is how long a certificate lasts. Either duration or notAfter is set.
type validity struct {
	duration, backdate, offset time.Duration
	min, max                   time.Duration // max 0: no bound
	notBefore, notAfter        time.Time     // absolute, or zero
	mutable                    bool          // the requester may choose within min and max
	rejectMods                 bool
}

const (
	defaultBackdate = models.Duration(3600e9)
	maxBackdate     = models.Duration(7 * 24 * 3600e9)
	maxAhead        = 30 * 24 * time.Hour // how far ahead a requester may begin
)

func (v *validity) parse(n *node, outer scope) error {
	if err := n.object(); err != nil {
		return err
	}
	lengths := map[string]*time.Duration{"duration": &v.duration, "backdate": &v.backdate, "offset": &v.offset, "min": &v.min, "max": &v.max}
	v.backdate, v.mutable, v.rejectMods = defaultBackdate.Std(), outer.mutable, outer.rejectMods
	seen := map[string]bool{}
	for _, member := range n.members {
		seen[member.name] = true
		var err error
		switch member.name {
		case "not_before":
			v.notBefore, err = member.instant()
		case "not_after":
			v.notAfter, err = member.instant()
		case "mutable":
			v.mutable, err = member.boolean()
		case "reject_mods":
			v.rejectMods, err = member.boolean()
		default:
			into := lengths[member.name]
			if into == nil {
				return member.unknown("duration", "backdate", "offset", "min", "max", "not_before", "not_after", "mutable", "reject_mods")
			}
			var d models.Duration
			d, err = member.duration()
			*into = d.Std()
		}
		if err != nil {
			return err
		}
	}
	if !seen["mutable"] && (seen["min"] || seen["max"]) {
		v.mutable = true
	}
	return v.check(n, seen)
}

func (v *validity) check(n *node, seen map[string]bool) error {
	switch {
	case v.duration <= 0 && v.notAfter.IsZero():
		return n.errorf("duration is missing or zero; write for example \"90d\"")
	case seen["duration"] && seen["not_after"]:
		return n.errorf("duration and not_after exclude each other")
	case seen["offset"] && seen["backdate"], seen["not_before"] && (seen["offset"] || seen["backdate"]):
		return n.errorf("backdate, offset and not_before exclude each other")
	case v.backdate > maxBackdate.Std():
		return n.errorf("backdate is longer than %s", maxBackdate)
	case v.offset > maxAhead:
		return n.errorf("offset is longer than %s", models.Duration(maxAhead))
	case !v.notBefore.IsZero() && !v.notAfter.IsZero() && !v.notBefore.Before(v.notAfter):
		return n.errorf("not_after is not after not_before")
	case v.duration > 0 && v.min > v.duration:
		return n.errorf("min is longer than duration")
	case v.max > 0 && v.max < max(v.duration, v.min):
		return n.errorf("max is shorter than %s", map[bool]string{true: "duration", false: "min"}[v.max < v.duration])
	}
	if seen["offset"] {
		v.backdate = 0
	}
	return nil
}

// instant reads a time, in RFC 3339.
func (n *node) instant() (time.Time, error) {
	text, err := n.str()
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, strings.ToUpper(text))
	if err != nil || at.Year() < 1950 {
		return time.Time{}, n.errorf("%q is not a time such as 2030-12-31T23:59:59Z", text)
	}
	return models.UTC(at), nil
}

// Validity returns the validity period of a certificate that is issued at
// now, if nobody asks for another one, in UTC and whole seconds. The caller
// clamps it to the issuer's and then asks CheckValidity.
func (p *Profile) Validity(now time.Time) (notBefore, notAfter time.Time) { return p.validity.own(now) }

func (v *validity) own(now time.Time) (notBefore, notAfter time.Time) {
	now = models.UTC(now)
	notBefore, notAfter = now.Add(v.offset-v.backdate), now.Add(v.offset+v.duration)
	if !v.notBefore.IsZero() {
		notBefore = v.notBefore
	}
	if !v.notAfter.IsZero() {
		notAfter = v.notAfter
	}
	return notBefore, notAfter
}

// apply writes the validity: the profile's, or what was asked for within its
// bounds. The end may be asked for between min and max, or duration where
// there is no max; the beginning not before backdate and not later than 30
// days from now.
func (v *validity) apply(e *evaluation, a Application, template *x509.Certificate) error {
	notBefore, notAfter := v.own(a.Now)
	now := models.UTC(a.Now)
	latest := v.max
	if latest == 0 && v.notAfter.IsZero() {
		latest = v.duration
	}
	var err error
	if !a.NotBefore.IsZero() {
		notBefore, err = v.choose(e, "not_before", a.NotBefore, notBefore, now.Add(-v.backdate), now.Add(max(maxAhead, v.offset)))
		if err != nil {
			return err
		}
	}
	if !a.NotAfter.IsZero() {
		from, upper := later(now, notBefore), v.notAfter
		if latest > 0 {
			upper = from.Add(latest)
		}
		if notAfter, err = v.choose(e, "not_after", a.NotAfter, notAfter, from.Add(v.min), upper); err != nil {
			return err
		}
	}
	if !notBefore.Before(notAfter) {
		return models.Errorf(models.KindInvalid, "the certificate would end at %s, not after it begins", notAfter.Format(time.RFC3339))
	}
	template.NotBefore, template.NotAfter = notBefore, notAfter
	return nil
}

// choose returns the asked time if it lies between earliest and latest, and
// the nearest bound, or the profile's own time, if it does not.
func (v *validity) choose(e *evaluation, label string, asked, own, earliest, latest time.Time) (time.Time, error) {
	asked = models.UTC(asked)
	chosen, reason := asked, ""
	switch {
	case !v.mutable && !asked.Equal(own):
		chosen, reason = own, "the profile sets it"
	case !v.mutable:
	case asked.Before(earliest):
		chosen, reason = earliest, "the profile does not permit an earlier one"
	case asked.After(latest):
		chosen, reason = latest, "the profile does not permit a later one"
	}
	switch {
	case reason == "":
		return chosen, nil
	case v.rejectMods:
		return chosen, models.Errorf(models.KindDenied, "validity %s %s is refused: it would be %s; %s",
			label, asked.Format(time.RFC3339), chosen.Format(time.RFC3339), reason)
	}
	e.note("validity %s %s replaced by %s: %s", label, asked.Format(time.RFC3339), chosen.Format(time.RFC3339), reason)
	return chosen, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// CheckValidity returns KindDenied if a certificate that is issued at now and
// valid from notBefore to notAfter would be shorter than the profile's
// minimum, as it happens when its issuer ends soon, or longer than its
// maximum. Both count from now, or from notBefore if that is later. The
// minimum has a minute's grace: now may be read again after Validity was asked.
func (p *Profile) CheckValidity(now, notBefore, notAfter time.Time) error {
	lasts := notAfter.Sub(later(models.UTC(now), notBefore))
	switch {
	case lasts < p.validity.min-time.Minute:
		return models.Errorf(models.KindDenied, "the certificate would end at %s, sooner than the %s that %s asks for",
			notAfter.Format(time.RFC3339), models.Duration(p.validity.min), p.title())
	case p.validity.max > 0 && lasts > p.validity.max:
		return models.Errorf(models.KindDenied, "the certificate would end at %s, later than the %s that %s permits",
			notAfter.Format(time.RFC3339), models.Duration(p.validity.max), p.title())
	}
	return nil
}

// renewalWindow is how long before its end a certificate may be renewed.
type renewalWindow struct {
	before  time.Duration
	percent int // of its lifetime, instead of before
}

func (r *renewalWindow) parse(n *node) error {
	if err := n.object(); err != nil {
		return err
	}
	for _, member := range n.members {
		if member.name != "window" {
			return member.unknown("window")
		}
		text, err := member.str()
		if err != nil {
			return err
		}
		if digits, isShare := strings.CutSuffix(text, "%"); isShare {
			if _, err := fmt.Sscanf(digits+" ", "%d ", &r.percent); err != nil || r.percent < 1 || r.percent > 100 || fmt.Sprint(r.percent) != digits {
				return member.errorf("%q is not a share of the lifetime from 1%% to 100%%", text)
			}
			continue
		}
		window, err := member.duration()
		if err != nil {
			return err
		}
		r.before = window.Std()
	}
	if r.before == 0 && r.percent == 0 {
		return n.errorf("window is missing or zero; write for example \"30d\" or \"50%%\"")
	}
	return nil
}

// opens returns when the window of a certificate begins.
func (r renewalWindow) opens(notBefore, notAfter time.Time) time.Time {
	switch {
	case r.percent > 0:
		return notAfter.Add(-notAfter.Sub(notBefore) / 100 * time.Duration(r.percent))
	case r.before > 0:
		return notAfter.Add(-r.before)
	}
	return notBefore
}

func (r renewalWindow) check(p *Profile, a Application) error {
	if a.Predecessor == nil {
		return nil
	}
	opens := models.UTC(r.opens(a.Predecessor.NotBefore, a.Predecessor.NotAfter))
	if opens.After(models.UTC(a.Now)) && (r.before > 0 || r.percent > 0) {
		return models.Errorf(models.KindDenied, "the certificate can be renewed from %s on: %s has a renewal window", opens.Format(time.RFC3339), p.title())
	}
	return nil
}
