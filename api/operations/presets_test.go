// SPDX-License-Identifier: MIT

package operations_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func setPreset(t *testing.T, p *fixture.Plant, who operations.Caller, preset string, dry bool) *api.Domain {
	t.Helper()
	return ok[*api.Domain](t)(p.Ops.ChangeDomain(t.Context(), who, p.Alpha.Domain, api.DomainChange{Preset: &preset, DryRun: dry}))
}

// told lists what a report tells, in short.
func told(r *api.PresetReport) (list []string) {
	for _, v := range r.Violations {
		list = append(list, fmt.Sprintf("%s %s %s", v.Noun, v.Subject, v.Member))
	}
	slices.Sort(list)
	return list
}

func TestADryRunSaysWhatAPresetDoesNotPermitAndChangesNothing(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		ok[*api.Device](t)(p.Ops.CreateDevice(ctx, p.Boss, api.DeviceCreation{Name: "by-hand", Domain: "alpha", Onboarding: api.OnboardingArming{Method: models.Manual}}))
		ok[*api.Device](t)(p.Ops.CreateDevice(ctx, p.Boss, api.DeviceCreation{Name: "by-idevid", Domain: "alpha", Onboarding: api.OnboardingArming{Method: models.ESTIDevID}}))
		before := ok[*models.Domain](t)(p.Store.FindDomainByName(ctx, "alpha"))
		events := len(ok2(p.Store.ListEvents(ctx, store.EventFilter{Page: store.Page{Limit: 500}})))

		promised := promises(t, p, string(before.IssuingCAID))
		dry := setPreset(t, p, p.Boss, "critical", true)
		want := []string{
			"ca alpha-ca ca_keys", "ca root ca_keys", "certificate " + string(p.Alpha.Certificate) + " device_keys",
			"device alpha-device onboarding_people", "device by-hand onboarding_methods",
			"domain alpha channel_binding", "domain alpha onboarding_methods", "domain alpha onboarding_methods", "domain alpha onboarding_methods",
			"domain alpha onboarding_methods", "domain alpha onboarding_people", "domain alpha onboarding_people", "profile domain_credential certificate_longest",
		}
		if diff := cmp.Diff(want, told(dry.Report)); diff != "" {
			t.Errorf("critical (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(api.PresetCount{Checked: 1, Violating: 1, Members: map[string]int{"device_keys": 1}}, dry.Report.Certificates); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(api.PresetCount{Checked: 3, Violating: 2, Members: map[string]int{"onboarding_people": 1, "onboarding_methods": 1}}, dry.Report.Devices); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(before, ok[*models.Domain](t)(p.Store.FindDomainByName(ctx, "alpha"))); diff != "" {
			t.Errorf("the dry run changed the domain:\n%s", diff)
		}
		if now := len(ok2(p.Store.ListEvents(ctx, store.EventFilter{Page: store.Page{Limit: 500}}))); now != events || len(promises(t, p, string(before.IssuingCAID))) != len(promised) {
			t.Errorf("the dry run left %d events, or a promise", now-events)
		}
		for _, name := range []string{"lab", "brownfield", "industrial"} {
			if r := setPreset(t, p, p.Boss, name, true).Report; len(r.Violations) != 0 {
				t.Errorf("%s: %q", name, told(r))
			}
		}
	})
}

func ok2[T any](rows []T, _ string, err error) []T {
	if err != nil {
		panic(err)
	}
	return rows
}

func TestADomainChangesItsPresetAndBack(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		arm := func(name string) error {
			_, err := p.Ops.CreateDevice(ctx, p.Boss, api.DeviceCreation{Name: name, Domain: "alpha", Onboarding: api.OnboardingArming{Method: models.Manual}})
			return err
		}
		made := ok[*api.Domain](t)(p.Ops.FindDomain(ctx, p.Boss, "alpha"))
		if made.Preset != "industrial" || made.Report != nil {
			t.Errorf("a new domain has %q", made.Preset)
		}
		limited := p.Caller(t, "alpha-boss", models.RoleAdmin, "alpha")
		hard := setPreset(t, p, limited, "hardened", false)
		if hard.Preset != "hardened" || len(hard.Report.Violations) == 0 {
			t.Errorf("%+v", hard)
		}
		event := lastEvent(t, p, made.ID)
		if event.Action != "domain.changed" || event.Details["preset"] != "hardened" || event.Details["preset_before"] != "industrial" {
			t.Errorf("%+v", event)
		}
		row := ok[*models.Domain](t)(p.Store.FindDomainByName(ctx, "alpha"))
		if got := promises(t, p, string(row.IssuingCAID)); !slices.Contains(got, models.OutboxPublish) {
			t.Errorf("promised: %v", got)
		}
		wantKind(t, arm("by-hand"), models.KindConflict, "preset hardened of domain alpha does not permit this (onboarding_methods): onboarding by manual is not one of its methods; arm the device for another method")
		if cert := ok[*api.Certificate](t)(p.Ops.FindCertificate(ctx, p.Boss, string(p.Alpha.Certificate))); cert.Status != store.StatusValid {
			t.Errorf("what exists is %s", cert.Status)
		}
		if back := setPreset(t, p, p.Boss, "industrial", false); back.Preset != "industrial" || len(back.Report.Violations) != 0 {
			t.Errorf("%+v", back.Report)
		}
		if err := arm("by-hand"); err != nil {
			t.Error(err)
		}
		if got := ok[[]string](t)(p.Store.PresetsOfIssuer(ctx, row.IssuingCAID)); !slices.Equal(got, []string{"industrial"}) {
			t.Errorf("presets of the issuer: %v", got)
		}
	})
}

func TestACAThatAPresetDoesNotPermitIsNotGivenToADomain(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	_, err := p.Ops.CreateDomain(ctx, p.Boss, api.DomainCreation{Name: "vault", IssuingCA: p.Alpha.CA, Preset: "critical"})
	wantKind(t, err, models.KindConflict, "preset critical of domain vault does not permit this (ca_keys): the key of CA alpha-ca is EC-P256; use a CA whose key is one of RSA from 3072 bits")
	_, err = p.Ops.CreateDomain(ctx, p.Boss, api.DomainCreation{Name: "vault", IssuingCA: p.Alpha.CA, Preset: "soft"})
	wantKind(t, err, models.KindInvalid, `preset "soft" is not one of lab, brownfield, industrial, hardened, critical`)
	setPreset(t, p, p.Boss, "critical", false)
	_, err = p.Ops.ChangeDomain(ctx, p.Boss, "alpha", api.DomainChange{IssuingCA: &p.Beta.CA})
	wantKind(t, err, models.KindConflict, "(ca_keys)")
	none := "none"
	_, err = p.Ops.ChangeDomain(ctx, p.Boss, "alpha", api.DomainChange{Preset: &none, DryRun: true})
	wantKind(t, err, models.KindInvalid, `preset "none" is not one of`)
}

func TestAReportGoesOnAtItsCursor(t *testing.T) {
	p := small(t)
	p.Issue(t, p.Alpha)
	first := ok2(p.Store.ListCertificates(t.Context(), store.CertificateFilter{Page: store.Page{Limit: 1}, DomainID: domainOf(t, p)}))
	_, cursor, err := p.Store.ListCertificates(t.Context(), store.CertificateFilter{Page: store.Page{Limit: 1}, DomainID: first[0].DomainID})
	if err != nil || cursor == "" {
		t.Fatal(cursor, err)
	}
	critical := "critical"
	got := ok[*api.Domain](t)(p.Ops.ChangeDomain(t.Context(), p.Boss, "alpha", api.DomainChange{Preset: &critical, DryRun: true, Cursor: cursor}))
	if r := got.Report; r.Certificates.Checked != 1 || len(r.Violations) != 1 || r.Violations[0].Noun != "certificate" || r.Devices.Checked != 0 {
		t.Errorf("%+v", r)
	}
}

func domainOf(t *testing.T, p *fixture.Plant) models.DomainID {
	t.Helper()
	return ok[*models.Domain](t)(p.Store.FindDomainByName(t.Context(), "alpha")).ID
}

func TestPresetsAreEverybodys(t *testing.T) {
	p := small(t)
	viewer := p.Caller(t, "viewer", models.RoleViewer, "alpha")
	page := ok[*api.Page[api.Preset]](t)(p.Ops.ListPresets(t.Context(), viewer))
	if len(page.Items) != 5 || page.Items[2].Name != "industrial" || !page.Items[2].Default || page.Items[0].Default {
		t.Errorf("%+v", page.Items)
	}
	critical := ok[*api.Preset](t)(p.Ops.FindPreset(t.Context(), viewer, "critical"))
	if len(critical.Document) == 0 || !slices.Contains(critical.Explanation, "The issuing CA's key is in pkcs11.") {
		t.Errorf("%+v", critical)
	}
	_, err := p.Ops.FindPreset(t.Context(), viewer, "none")
	wantKind(t, err, models.KindNotFound, "there is no preset none")
}
