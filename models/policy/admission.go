// SPDX-License-Identifier: MIT

package policy

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Credential types of profiles: what a certificate is to Trustloom.
const (
	TypeDomain      = "domain"      // the domain credential, a device's LDevID
	TypeApplication = "application" // everything a device uses for its work
	TypeAuthority   = "ca"          // a CA below one of ours, made by an operator
)

// MaxUnfinished is how many requests of one device may wait at a time.
const MaxUnfinished = 3

// Admission is everything that the decision about one request rests on.
// Nothing in it was chosen by the requester except the profile's name.
type Admission struct {
	Kind        models.RequestKind
	Method      models.AuthMethod
	Device      *models.Device
	Domain      *models.Domain
	CA          *models.CA
	ProfileName string
	ProfileType string
	Predecessor *models.Certificate // the certificate to be renewed
	Unfinished  int                 // other requests of the device that wait
	Now         time.Time
}

// condition is one question of admission: it returns the sentence that refuses
// the request, or the empty string.
type condition func(Admission) string

// conditions are asked in this order; the first refusal ends the decision.
var conditions = []condition{
	domainIsOpen, issuerIsFit, profileIsAllowed, profileIsForDevices, deviceMayAsk, methodFitsKind,
	onboardingIsFirst, applicationNeedsOnboarding, renewalIsOfOwn, presetAdmits, queueIsShort,
}

// Decide says whether a request may be issued, has to wait for people, or is
// refused, with the reasons. It is a pure function: the same admission always
// gets the same decision.
func Decide(a Admission) models.Decision {
	for _, refuses := range conditions {
		if refusal := refuses(a); refusal != "" {
			return models.Decision{Outcome: models.OutcomeRefuse, Reasons: []string{refusal}}
		}
	}
	admitted := fmt.Sprintf("%s %s is admitted to profile %s of domain %s by %s",
		a.Kind, deviceName(a), a.ProfileName, a.Domain.Name, a.Method)
	if approval := a.Domain.Approval.For(a.Kind); approval != nil {
		return models.Decision{
			Outcome:  models.OutcomeWait,
			Reasons:  []string{admitted, fmt.Sprintf("domain %s asks for %d approval step(s) before %s", a.Domain.Name, len(approval.Steps), a.Kind)},
			Approval: approval,
		}
	}
	return models.Decision{Outcome: models.OutcomeIssue, Reasons: []string{admitted}}
}

func deviceName(a Admission) string { return "of device " + a.Device.Name }

func domainIsOpen(a Admission) string {
	if a.Domain.Suspended {
		return fmt.Sprintf("domain %s is suspended", a.Domain.Name)
	}
	return ""
}

func issuerIsFit(a Admission) string {
	switch {
	case a.CA.State != models.CAActive:
		return fmt.Sprintf("issuing CA %s is %s and does not issue", a.CA.Name, a.CA.State)
	case !a.Now.Before(a.CA.NotAfter):
		return fmt.Sprintf("issuing CA %s has expired", a.CA.Name)
	}
	return ""
}

func profileIsAllowed(a Admission) string {
	if !slices.Contains(a.Domain.Profiles, a.ProfileName) {
		return fmt.Sprintf("profile %s is not allowed in domain %s", a.ProfileName, a.Domain.Name)
	}
	return ""
}

func profileIsForDevices(a Admission) string {
	if a.ProfileType == TypeAuthority {
		return fmt.Sprintf("profile %s is for CAs, which operators make; devices get no certificates under it", a.ProfileName)
	}
	return ""
}

func deviceMayAsk(a Admission) string {
	if a.Device.DomainID != a.Domain.ID {
		return fmt.Sprintf("device %s does not belong to domain %s", a.Device.Name, a.Domain.Name)
	}
	return Closed(a.Device)
}

// Closed returns why a device gets nothing at all, or the empty string.
func Closed(d *models.Device) string {
	if d.State == models.DeviceSuspended || d.State == models.DeviceDecommissioned {
		return fmt.Sprintf("device %s is %s", d.Name, d.State)
	}
	return ""
}

// methodsOf says which proofs are good for which story.
var methodsOf = map[models.RequestKind][]models.AuthMethod{
	models.KindOnboarding: {models.AuthPassword, models.AuthIDevID, models.AuthRA, models.AuthOperator},
	models.KindEnrollment: {models.AuthDomainCredential, models.AuthRA, models.AuthOperator},
	models.KindRenewal:    {models.AuthPredecessor},
}

func methodFitsKind(a Admission) string {
	if a.Kind == models.KindOnboarding && a.Method == models.AuthOperator && a.Device.Method != models.Manual && a.Device.Method != models.OTPDownload {
		return fmt.Sprintf("device %s is armed for onboarding by %s: an operator does not stand in for it; arm it for %s or %s",
			a.Device.Name, a.Device.Method, models.Manual, models.OTPDownload)
	}
	if slices.Contains(methodsOf[a.Kind], a.Method) {
		return ""
	}
	if a.Kind == models.KindEnrollment {
		return fmt.Sprintf("an application certificate needs the domain credential of an onboarded device, not %s", a.Method)
	}
	return fmt.Sprintf("%s by %s is not possible", a.Kind, a.Method)
}

func onboardingIsFirst(a Admission) string {
	if a.Kind != models.KindOnboarding {
		return ""
	}
	switch {
	case a.ProfileType != TypeDomain:
		return fmt.Sprintf("device %s is not onboarded: it needs its domain credential before a certificate of profile %s", a.Device.Name, a.ProfileName)
	case a.Device.State == models.DeviceOnboarded:
		return fmt.Sprintf("device %s is already onboarded: renew its domain credential, or arm it for another onboarding", a.Device.Name)
	case a.Device.State == models.DeviceOnboarding:
		return fmt.Sprintf("another onboarding of device %s is under way", a.Device.Name)
	}
	return ""
}

func applicationNeedsOnboarding(a Admission) string {
	if a.Kind != models.KindEnrollment {
		return ""
	}
	switch {
	case a.ProfileType != TypeApplication:
		return fmt.Sprintf("device %s has a domain credential already: renew it with simplereenroll", a.Device.Name)
	case a.Device.State != models.DeviceOnboarded:
		return fmt.Sprintf("device %s is %s, not onboarded", a.Device.Name, a.Device.State)
	}
	return ""
}

func renewalIsOfOwn(a Admission) string {
	if a.Kind != models.KindRenewal {
		return ""
	}
	switch {
	case a.Predecessor == nil || a.Predecessor.DeviceID != a.Device.ID:
		return "a device renews its own certificates only"
	case a.Predecessor.ProfileName != a.ProfileName:
		return fmt.Sprintf("the certificate was issued under profile %s and is renewed under it, not under %s", a.Predecessor.ProfileName, a.ProfileName)
	case a.Device.State != models.DeviceOnboarded:
		return fmt.Sprintf("device %s is %s, not onboarded", a.Device.Name, a.Device.State)
	}
	return ""
}

func queueIsShort(a Admission) string {
	if a.Unfinished >= MaxUnfinished {
		return fmt.Sprintf("device %s has %d requests waiting already", a.Device.Name, a.Unfinished)
	}
	return ""
}

// maxPattern bounds a registration's pattern.
const maxPattern = 255

// CompileRegistration checks the pattern of a registration: RE2, at most 255
// characters, not empty. It is KindInvalid otherwise.
func CompileRegistration(pattern string) (*regexp.Regexp, error) {
	if pattern == "" || len(pattern) > maxPattern {
		return nil, models.Errorf(models.KindInvalid, "serial_pattern must have 1 to %d characters", maxPattern)
	}
	// Compiled alone first: a pattern such as "a)|(?:b" would close the group.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, models.Errorf(models.KindInvalid, "serial_pattern %q is not a regular expression (RE2 syntax): %v", pattern, err)
	}
	// The group keeps an alternation inside the anchors: the whole serial
	// number must match, whatever the pattern looks like.
	return regexp.MustCompile(`\A(?:` + pattern + `)\z`), nil
}

// MatchRegistration reports whether the whole of serial, or of the name that
// takes its place, matches pattern. An empty one never matches.
func MatchRegistration(pattern, serial string) (bool, error) {
	re, err := CompileRegistration(pattern)
	if err != nil {
		return false, err
	}
	return serial != "" && re.MatchString(serial), nil
}
