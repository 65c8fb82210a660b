// SPDX-License-Identifier: MIT

package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// admissible is an onboarding that nothing speaks against.
func admissible() policy.Admission {
	return policy.Admission{
		Kind: models.KindOnboarding, Method: models.AuthPassword,
		Device:      &models.Device{ID: "device", Name: "press-01", DomainID: "domain", State: models.DeviceRegistered},
		Domain:      &models.Domain{ID: "domain", Name: "press-shop", Profiles: []string{"domain_credential", "tls_server"}},
		CA:          &models.CA{Name: "plant", State: models.CAActive, NotAfter: noon.AddDate(1, 0, 0)},
		ProfileName: "domain_credential", ProfileType: policy.TypeDomain, Now: noon,
	}
}

func onboarded(kind models.RequestKind, method models.AuthMethod, profile, profileType string) policy.Admission {
	a := admissible()
	a.Kind, a.Method, a.ProfileName, a.ProfileType = kind, method, profile, profileType
	a.Device.State = models.DeviceOnboarded
	a.Predecessor = &models.Certificate{DeviceID: "device", ProfileName: profile}
	return a
}

func TestDecide(t *testing.T) {
	rule := &models.ApprovalRule{Steps: []models.ApprovalStep{{Name: "operator", Quorum: 1}}}
	tests := map[string]struct {
		admission policy.Admission
		change    func(*policy.Admission)
		outcome   models.Outcome
		reason    string // a piece of the last reason
	}{
		"a registered device with its secret is onboarded": {admissible(), nil, models.OutcomeIssue, "is admitted"},
		"an IDevID onboards": {admissible(), func(a *policy.Admission) { a.Method = models.AuthIDevID }, models.OutcomeIssue, "by idevid"},
		"a domain that asks for approval lets onboarding wait": {admissible(), func(a *policy.Admission) { a.Domain.Approval.Onboarding = rule },
			models.OutcomeWait, "asks for 1 approval step"},
		"an approval of onboarding does not concern enrollment": {
			onboarded(models.KindEnrollment, models.AuthDomainCredential, "tls_server", policy.TypeApplication),
			func(a *policy.Admission) { a.Domain.Approval.Onboarding = rule }, models.OutcomeIssue, "is admitted"},
		"a suspended domain refuses":   {admissible(), func(a *policy.Admission) { a.Domain.Suspended = true }, models.OutcomeRefuse, "suspended"},
		"a retired CA refuses":         {admissible(), func(a *policy.Admission) { a.CA.State = models.CARetired }, models.OutcomeRefuse, "retired"},
		"an expired CA refuses":        {admissible(), func(a *policy.Admission) { a.CA.NotAfter = noon }, models.OutcomeRefuse, "expired"},
		"a foreign profile is refused": {admissible(), func(a *policy.Admission) { a.ProfileName = "opc_ua" }, models.OutcomeRefuse, "not allowed"},
		"a device of another domain is refused": {admissible(), func(a *policy.Admission) { a.Device.DomainID = "other" },
			models.OutcomeRefuse, "does not belong"},
		"a suspended device is refused": {admissible(), func(a *policy.Admission) { a.Device.State = models.DeviceSuspended }, models.OutcomeRefuse, "suspended"},
		"a device is not onboarded twice": {admissible(), func(a *policy.Admission) { a.Device.State = models.DeviceOnboarded },
			models.OutcomeRefuse, "already onboarded"},
		"a second onboarding beside the first is refused": {admissible(), func(a *policy.Admission) { a.Device.State = models.DeviceOnboarding },
			models.OutcomeRefuse, "under way"},
		"a secret gives no application certificate": {admissible(), func(a *policy.Admission) {
			a.ProfileName, a.ProfileType = "tls_server", policy.TypeApplication
		}, models.OutcomeRefuse, "is not onboarded"},
		"a domain credential gives an application certificate": {
			onboarded(models.KindEnrollment, models.AuthDomainCredential, "tls_server", policy.TypeApplication), nil, models.OutcomeIssue, "is admitted"},
		"a secret does not enroll": {onboarded(models.KindEnrollment, models.AuthPassword, "tls_server", policy.TypeApplication), nil,
			models.OutcomeRefuse, "needs the domain credential"},
		"a domain credential gives no second domain credential": {
			onboarded(models.KindEnrollment, models.AuthDomainCredential, "domain_credential", policy.TypeDomain), nil, models.OutcomeRefuse, "simplereenroll"},
		"a certificate renews itself": {onboarded(models.KindRenewal, models.AuthPredecessor, "tls_server", policy.TypeApplication), nil,
			models.OutcomeIssue, "is admitted"},
		"another device's certificate is not renewed": {onboarded(models.KindRenewal, models.AuthPredecessor, "tls_server", policy.TypeApplication),
			func(a *policy.Admission) { a.Predecessor.DeviceID = "other" }, models.OutcomeRefuse, "its own"},
		"a renewal keeps its profile": {onboarded(models.KindRenewal, models.AuthPredecessor, "tls_server", policy.TypeApplication),
			func(a *policy.Admission) { a.Predecessor.ProfileName = "generic" }, models.OutcomeRefuse, "renewed under it"},
		"a device with many waiting requests is refused": {admissible(), func(a *policy.Admission) { a.Unfinished = policy.MaxUnfinished },
			models.OutcomeRefuse, "waiting already"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.change != nil {
				tt.change(&tt.admission)
			}
			decision := policy.Decide(tt.admission)
			if decision.Outcome != tt.outcome {
				t.Errorf("outcome %s, want %s (%v)", decision.Outcome, tt.outcome, decision.Reasons)
			}
			if last := decision.Reasons[len(decision.Reasons)-1]; !strings.Contains(last, tt.reason) {
				t.Errorf("reason %q does not tell of %q", last, tt.reason)
			}
		})
	}
}

func TestMatchRegistration(t *testing.T) {
	tests := map[string]struct {
		pattern, serial string
		match           bool
		kind            models.Kind
	}{
		"the whole serial number must match":            {`SN-\d+`, "SN-4711", true, 0},
		"a prefix is not enough":                        {`SN-\d+`, "SN-4711x", false, 0},
		"a suffix is not enough":                        {`SN-\d+`, "xSN-4711", false, 0},
		"an alternation stays inside the anchors":       {`a|b`, "ab", false, 0},
		"a pattern cannot step out of its group":        {`a)|(?:b`, "b", false, models.KindInvalid},
		"multi-line flags do not move the anchors":      {`(?m)^a$`, "x\na", false, 0},
		"an empty serial number never matches":          {`.*`, "", false, 0},
		"an empty pattern is refused":                   {``, "a", false, models.KindInvalid},
		"a pattern that does not compile is refused":    {`(`, "a", false, models.KindInvalid},
		"a pattern of more than 255 characters refused": {strings.Repeat("a", 256), "a", false, models.KindInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			match, err := policy.MatchRegistration(tt.pattern, tt.serial)
			if match != tt.match || models.KindOf(err) != tt.kind {
				t.Errorf("MatchRegistration = %v, %v; want %v and kind %v", match, err, tt.match, tt.kind)
			}
		})
	}
}
