// SPDX-License-Identifier: MIT

package policy_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

const day = 24 * time.Hour

func preset(t testing.TB, name string) *policy.Preset {
	t.Helper()
	p, err := policy.FindPreset(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// judge compares a judgement of each preset, in their order, with a row such
// as "+++--": '+' is accepted, '-' refused.
func judge(t *testing.T, what, row string, judge func(*policy.Preset) *policy.Finding) {
	t.Helper()
	if len(row) != len(policy.PresetNames) {
		t.Fatalf("%s: row %q", what, row)
	}
	for i, name := range policy.PresetNames {
		f := judge(preset(t, name))
		if (f == nil) != (row[i] == '+') {
			t.Errorf("%s under %s: %+v", what, name, f)
		}
		if f != nil && (f.Member == "" || f.Text == "" || f.Remedy == "") {
			t.Errorf("%s under %s does not tell what to do: %+v", what, name, f)
		}
	}
}

// TestEveryMemberOfEveryPreset has a row for each limit that a member makes.
func TestEveryMemberOfEveryPreset(t *testing.T) {
	for algorithm, row := range map[string]string{
		"RSA-2048": "++---", "RSA-3064": "++---", "RSA-3072": "+++++", "RSA-8192": "+++++", "EC-P256": "++++-", "EC-P384": "+++++", "EC-P521": "+++++",
		"Ed25519": "++++-", "ML-DSA-44": "++++-", "ML-DSA-65": "+++++", "ML-DSA-87": "+++++", "RSA-1024": "-----", "DSA": "-----", "RSA-x": "-----", "": "-----",
	} {
		judge(t, "device_keys "+algorithm, row, func(p *policy.Preset) *policy.Finding { return p.CheckDeviceKey(models.KeyAlgorithm(algorithm)) })
		ca := &models.CA{Name: "plant", Key: models.KeyRef{Algorithm: models.KeyAlgorithm(algorithm), Store: models.StorePKCS11}}
		judge(t, "ca_keys "+algorithm, row, func(p *policy.Preset) *policy.Finding { return p.CheckIssuer(ca) })
		judge(t, "ca_keys above "+algorithm, row, func(p *policy.Preset) *policy.Finding { return p.CheckAncestor(ca) })
	}
	for store, row := range map[string]string{models.StoreSoftware: "++++-", models.StorePKCS11: "+++++", "elsewhere": "-----"} {
		ca := &models.CA{Name: "plant", Key: models.KeyRef{Algorithm: models.ECP384, Store: store}}
		judge(t, "ca_key_stores "+store, row, func(p *policy.Preset) *policy.Finding { return p.CheckIssuer(ca) })
	}
	for years, row := range map[int]string{5: "+++++", 10: "++++-", 20: "+++--", 30: "++---", 90: "++---"} {
		ca := &models.CA{Name: "plant", Key: models.KeyRef{Algorithm: models.ECP384, Store: models.StorePKCS11},
			NotBefore: today.Add(-time.Hour), NotAfter: today.Add(time.Duration(years) * 365 * day)}
		judge(t, "ca_longest", row, func(p *policy.Preset) *policy.Finding { return p.CheckIssuer(ca) })
	}
	for days, row := range map[int]string{180: "+++++", 181: "++++-", 365: "++++-", 366: "+++--", 730: "+++--", 731: "++---", 7300: "++---", 7301: "+----"} {
		judge(t, "certificate_longest", row, func(p *policy.Preset) *policy.Finding { return p.CheckLife(time.Duration(days)*day + time.Second) })
	}
	for days, row := range map[int]string{2: "+++++", 3: "++++-", 7: "++++-", 8: "+++--", 30: "+++--", 31: "+----"} {
		crl := &models.CRL{ThisUpdate: today, NextUpdate: today.Add(time.Duration(days) * day)}
		judge(t, "crl_longest", row, func(p *policy.Preset) *policy.Finding { return p.CheckCRL(crl) })
		for i, name := range policy.PresetNames {
			wanted := time.Duration(days) * day
			got, err := policy.CRLLimit([]string{policy.PresetLab, name}, wanted)
			if err != nil || (got == wanted) != (row[i] == '+') || got > wanted {
				t.Errorf("a CRL of %d days under %s lasts %s, %v", days, name, got, err)
			}
		}
	}
	for method, row := range map[models.OnboardingMethod]string{models.ESTPassword: "+++++", models.ESTIDevID: "+++++", models.RESTPassword: "++++-",
		models.Manual: "+++--", models.OTPDownload: "+++--", "wish": "-----"} {
		judge(t, "onboarding_methods "+string(method), row, func(p *policy.Preset) *policy.Finding { return p.CheckMethod(method) })
	}
	for people, row := range map[int]string{0: "+++--", 1: "++++-", 2: "+++++", 3: "+++++"} {
		judge(t, "onboarding_people", row, func(p *policy.Preset) *policy.Finding { return p.CheckPeople(models.ESTPassword, people) })
		judge(t, "onboarding_people with an IDevID", "+++++", func(p *policy.Preset) *policy.Finding { return p.CheckPeople(models.ESTIDevID, people) })
	}
	judge(t, "server_made_keys", "+++--", (*policy.Preset).CheckServerMade)
	for i, name := range policy.PresetNames {
		d := &models.Domain{Name: "d", Preset: name}
		if (policy.MakesKeys(d) == nil) != ("+++--"[i] == '+') || policy.DemandsBinding(d) != ("----+"[i] == '+') {
			t.Errorf("server_made_keys or channel_binding under %s", name)
		}
		d.Operations = &models.DomainDoors{ChannelBinding: true}
		if !policy.DemandsBinding(d) {
			t.Errorf("%s takes back that the domain demands channel binding", name)
		}
	}
}

func TestPresetsAreDocumentsThatExplainThemselves(t *testing.T) {
	all, err := policy.Presets()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
		if p.Type != "preset" || p.Version != 1 || p.DisplayName == "" || p.Description == "" || len(p.OnboardingMethods) == 0 || len(p.CAKeyStores) == 0 ||
			len(p.Explain()) != 11 || !strings.Contains(string(p.Document()), `"name": "`+p.Name+`"`) {
			t.Errorf("%+v", p)
		}
		if !p.ServerMadeKeys && (p.CheckMethod(models.Manual) == nil || p.CheckMethod(models.OTPDownload) == nil) {
			t.Errorf("%s has methods for which Trustloom makes the key, and forbids that", p.Name)
		}
		for _, a := range slices.Concat(p.DeviceKeys.Algorithms, p.CAKeys.Algorithms) {
			if _, err := models.ParseKeyAlgorithm(string(a)); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
	}
	if diff := cmp.Diff(policy.PresetNames, names); diff != "" {
		t.Error(diff)
	}
	if _, err := policy.FindPreset("../lab"); models.KindOf(err) != models.KindInvalid {
		t.Error(err)
	}
}

func TestAPresetThatIsNotKnownPermitsNothing(t *testing.T) {
	d := &models.Domain{Name: "d", Preset: "of-tomorrow"}
	a := admissible()
	a.Domain.Preset = d.Preset
	for what, err := range map[string]error{"onboarding": policy.Admits(d, models.ESTIDevID), "arming": policy.Arms(d, models.ESTIDevID), "keys": policy.MakesKeys(d)} {
		if models.KindOf(err) != models.KindConflict {
			t.Errorf("%s: %v", what, err)
		}
	}
	if decision := policy.Decide(a); decision.Outcome != models.OutcomeRefuse || !policy.DemandsBinding(d) {
		t.Errorf("%+v", decision)
	}
	if p, err := policy.PresetOf(&models.Domain{}); err != nil || p.Name != policy.PresetBrownfield {
		t.Errorf("a domain without a preset: %+v, %v", p, err)
	}
}

func TestPresetsDecideAboutOnboarding(t *testing.T) {
	people := func(quorums ...int) *models.ApprovalRule {
		rule := &models.ApprovalRule{}
		for _, q := range quorums {
			rule.Steps = append(rule.Steps, models.ApprovalStep{Name: "x", Quorum: q})
		}
		return rule
	}
	tests := map[string]struct {
		preset  string
		device  models.OnboardingMethod
		auth    models.AuthMethod
		people  *models.ApprovalRule
		outcome models.Outcome
		reason  string
	}{
		"industrial lets a secret in":                     {"industrial", models.ESTPassword, models.AuthPassword, nil, models.OutcomeIssue, ""},
		"hardened lets no secret in that nobody approves": {"hardened", models.ESTPassword, models.AuthPassword, nil, models.OutcomeRefuse, "preset hardened of domain press-shop does not permit this (onboarding_people): onboarding by est-password needs the approval of 1 or more people, and has 0; let it wait"},
		"hardened lets a secret in that one approves":     {"hardened", models.ESTPassword, models.AuthPassword, people(1), models.OutcomeWait, ""},
		"hardened lets an IDevID in":                      {"hardened", models.ESTIDevID, models.AuthIDevID, nil, models.OutcomeIssue, ""},
		"hardened lets nothing in that an operator made":  {"hardened", models.Manual, models.AuthOperator, people(1), models.OutcomeRefuse, "(onboarding_methods)"},
		"critical wants two, not one":                     {"critical", models.ESTPassword, models.AuthPassword, people(1), models.OutcomeRefuse, "2 or more people, and has 1"},
		"critical lets a secret in that two approve":      {"critical", models.ESTPassword, models.AuthPassword, people(1, 1), models.OutcomeWait, ""},
		"critical knows no secrets for REST":              {"critical", models.RESTPassword, models.AuthPassword, people(2), models.OutcomeRefuse, "(onboarding_methods)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := admissible()
			a.Domain.Preset, a.Device.Method, a.Method, a.Domain.Approval.Onboarding = tt.preset, tt.device, tt.auth, tt.people
			decision := policy.Decide(a)
			if decision.Outcome != tt.outcome || !strings.Contains(decision.Reasons[0], tt.reason) {
				t.Errorf("%+v", decision)
			}
			if err := policy.Arms(a.Domain, tt.device); (err == nil) != (tt.outcome != models.OutcomeRefuse) {
				t.Errorf("arming: %v", err)
			}
		})
	}
	renewal := onboarded(models.KindRenewal, models.AuthPredecessor, "tls_server", policy.TypeApplication)
	renewal.Domain.Preset, renewal.Device.Method = "critical", models.Manual
	if decision := policy.Decide(renewal); decision.Outcome != models.OutcomeIssue {
		t.Errorf("how a device was onboarded does not matter later: %+v", decision)
	}
}

func TestPresetsHoldAtIssuance(t *testing.T) {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	token := &models.CA{Name: "plant", KeyID: "01020304", Key: models.KeyRef{Algorithm: models.ECP384, Store: models.StorePKCS11}}
	software := &models.CA{Name: "soft", KeyID: "01020304", Key: models.KeyRef{Algorithm: models.ECP256, Store: models.StoreSoftware}}
	issuers := map[*models.CA]pki.Issuer{token: newIssuer(elliptic.P384()), software: issuer()}
	tests := map[string]struct {
		preset   string
		key      crypto.Signer
		ca       *models.CA
		validity string
		asked    time.Time
		lasts    time.Duration // 0: refused
		refusal  string
	}{
		"industrial refuses RSA-2048":           {"industrial", rsaKey(), token, `{"duration":"30d"}`, time.Time{}, 0, "preset industrial of domain press-shop does not permit this (device_keys): the key is RSA-2048; make a key"},
		"brownfield takes RSA-2048":             {"brownfield", rsaKey(), software, `{"duration":"30d"}`, time.Time{}, 30 * day, ""},
		"critical refuses P-256":                {"critical", ecKey(), token, `{"duration":"30d"}`, time.Time{}, 0, "(device_keys)"},
		"critical takes P-384 from a token":     {"critical", p384, token, `{"duration":"30d"}`, time.Time{}, 30 * day, ""},
		"critical refuses a CA in software":     {"critical", p384, software, `{"duration":"30d"}`, time.Time{}, 0, "(ca_keys)"},
		"critical cuts a year to half of it":    {"critical", p384, token, `{"duration":"365d"}`, time.Time{}, 180 * day, ""},
		"hardened keeps a year":                 {"hardened", ecKey(), software, `{"duration":"365d"}`, time.Time{}, 365 * day, ""},
		"lab keeps nine years":                  {"lab", ecKey(), software, `{"duration":"3285d"}`, time.Time{}, 3285 * day, ""},
		"what lasts too long at least":          {"hardened", ecKey(), software, `{"duration":"700d","min":"500d"}`, time.Time{}, 0, "(certificate_longest): under profile p the certificate would end at"},
		"what was asked for and may not be cut": {"hardened", ecKey(), software, `{"duration":"30d","max":"700d","reject_mods":true}`, today.Add(600 * day), 0, "(certificate_longest)"},
		"what was asked for and may be cut":     {"hardened", ecKey(), software, `{"duration":"30d","max":"700d"}`, today.Add(600 * day), 365 * day, ""},
		"an end that the profile fixes":         {"industrial", ecKey(), software, `{"not_after":"2033-01-01T00:00:00Z"}`, time.Time{}, 730 * day, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			who := press
			who.Domain.Preset = tt.preset
			d, err := policy.NewDraft(builder, policy.Case{
				Application: policy.Application{CSR: request{subject: named(cn, "a").subject, attributes: named(cn, "a").attributes, key: tt.key}.csr(t), Who: who, Now: today, NotAfter: tt.asked},
				Profile:     parse(t, `{"CN":{}}`, `{}`, `"validity":`+tt.validity), CA: tt.ca, Issuer: issuers[tt.ca].Certificate, PublicURL: "http://pki.example",
			})
			switch {
			case tt.lasts == 0:
				if models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), tt.refusal) {
					t.Errorf("%v, want %q", err, tt.refusal)
				}
			case err != nil:
				t.Error(err)
			case d.Template.NotAfter.Sub(today) != tt.lasts:
				t.Errorf("it lasts %s", d.Template.NotAfter.Sub(today))
			}
			if err == nil && strings.Contains(name, "cut") != (d.Shortened != "" && slices.Contains(d.Reasons, d.Shortened)) && !strings.Contains(name, "fixes") {
				t.Errorf("shortened %q, reasons %q", d.Shortened, d.Reasons)
			}
		})
	}
}

func TestPresetsJudgeProfiles(t *testing.T) {
	for document, row := range map[string]string{
		`"validity":{"duration":"90d"}`:                                        "+++++",
		`"validity":{"duration":"365d"}`:                                       "++++-",
		`"validity":{"duration":"90d","max":"400d"}`:                           "+++--",
		`"validity":{"duration":"900d","min":"800d"}`:                          "++---",
		`"validity":{"duration":"90d"},"key":{"algorithms":["RSA-2048"]}`:      "++---",
		`"validity":{"duration":"90d"},"key":{"rsa_bits":{"max":2048}}`:        "++---",
		`"validity":{"duration":"90d"},"key":{"algorithms":["EC-P256"]}`:       "++++-",
		`"validity":{"duration":"90d"},"key":{"algorithms":["EC"]}`:            "+++++",
		`"validity":{"duration":"90d"},"key":{"algorithms":["EC-P384","RSA"]}`: "+++++",
	} {
		profile := parse(t, `{}`, `{}`, document)
		judge(t, document, row, func(p *policy.Preset) *policy.Finding {
			if found := p.CheckProfile(profile, today); len(found) > 0 {
				return found[0]
			}
			return nil
		})
	}
}
