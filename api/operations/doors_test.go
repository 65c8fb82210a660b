// SPDX-License-Identifier: MIT

package operations_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestTheSwitchesOfADomain(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		made := ok[*api.Domain](t)(p.Ops.CreateDomain(ctx, p.Boss, api.DomainCreation{Name: "paint-shop", IssuingCA: p.Alpha.CA}))
		want := []models.DeviceOperation{models.OpSimpleEnroll, models.OpSimpleReenroll, models.OpCSRAttrs, models.OpRESTEnroll,
			models.OpCMPInit, models.OpCMPCert, models.OpCMPKeyUpdate, models.OpCMPPKCS10, models.OpCMPRevoke, models.OpCMPSupport}
		if diff := cmp.Diff(want, made.Operations); diff != "" || made.ChannelBinding {
			t.Errorf("a new domain offers (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(models.OnboardingMethods, made.OnboardingMethods); diff != "" {
			t.Errorf("a new domain admits (-want +got):\n%s", diff)
		}
		yes, ops, methods := true, []models.DeviceOperation{models.OpServerKeyGen, models.OpSimpleEnroll}, []models.OnboardingMethod{models.ESTIDevID}
		changed := ok[*api.Domain](t)(p.Ops.ChangeDomain(ctx, p.Boss, "paint-shop", api.DomainChange{Operations: &ops, OnboardingMethods: &methods, ChannelBinding: &yes}))
		if diff := cmp.Diff([]models.DeviceOperation{models.OpSimpleEnroll, models.OpServerKeyGen}, changed.Operations); diff != "" || !changed.ChannelBinding {
			t.Errorf("after the change (-want +got):\n%s", diff)
		}
		if got := lastEvent(t, p, made.ID).Details["changed"]; got != "operations, onboarding_methods, channel_binding" {
			t.Errorf("the event names %q", got)
		}
		again := ok[*api.Domain](t)(p.Ops.ChangeDomain(ctx, p.Boss, "paint-shop", api.DomainChange{Suspended: &yes}))
		if diff := cmp.Diff(changed.Operations, again.Operations); diff != "" || len(again.OnboardingMethods) != 1 || !again.ChannelBinding {
			t.Errorf("another change touched the switches:\n%s", diff)
		}
		none := []models.DeviceOperation{}
		if got := ok[*api.Domain](t)(p.Ops.ChangeDomain(ctx, p.Boss, "paint-shop", api.DomainChange{Operations: &none})); len(got.Operations) != 0 {
			t.Errorf("everything is switched off, but it offers %v", got.Operations)
		}
	})
}

func TestADomainOlderThanTheSwitchesOffersWhatItDid(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		err := p.Store.Write(t.Context(), func(tx *store.Tx) error {
			row, err := tx.FindDomainByName(t.Context(), p.Alpha.Domain)
			if err != nil {
				return err
			}
			row.Operations = nil // as the migration leaves it
			return tx.SaveDomain(row)
		})
		if err != nil {
			t.Fatal(err)
		}
		row, err := p.Store.FindDomainByName(t.Context(), p.Alpha.Domain)
		if err != nil || row.Operations != nil {
			t.Fatalf("%+v, %v", row, err)
		}
		for op, want := range map[models.DeviceOperation]bool{models.OpSimpleEnroll: true, models.OpSimpleReenroll: true,
			models.OpCSRAttrs: false, models.OpServerKeyGen: false, models.OpRESTEnroll: false} {
			if err := row.Offers(op); (err == nil) != want || err != nil && models.KindOf(err) != models.KindNotFound {
				t.Errorf("%s: %v", op, err)
			}
		}
		if row.Admits(models.ESTPassword) != nil || row.Admits(models.ESTIDevID) != nil {
			t.Error("it does not admit what it admitted")
		}
	})
}

func TestSwitchesThatAreNone(t *testing.T) {
	p := small(t)
	for name, change := range map[string]api.DomainChange{
		"an operation that there is not":         {Operations: &[]models.DeviceOperation{"fullcmc"}},
		"an operation twice":                     {Operations: &[]models.DeviceOperation{"csrattrs", "csrattrs"}},
		"an onboarding method that there is not": {OnboardingMethods: &[]models.OnboardingMethod{"wish"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := p.Ops.ChangeDomain(t.Context(), p.Boss, p.Alpha.Domain, change); models.KindOf(err) != models.KindInvalid || err == nil {
				t.Error(err)
			}
		})
	}
}

func TestADeviceIsNotArmedForAClosedDoor(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	create := func(name string, method models.OnboardingMethod) error {
		_, err := p.Ops.CreateDevice(ctx, p.Boss, api.DeviceCreation{Name: name, Domain: p.Alpha.Domain, Onboarding: api.OnboardingArming{Method: method}})
		return err
	}
	set := func(ops []models.DeviceOperation, methods []models.OnboardingMethod) {
		ok[*api.Domain](t)(p.Ops.ChangeDomain(ctx, p.Boss, p.Alpha.Domain, api.DomainChange{Operations: &ops, OnboardingMethods: &methods}))
	}
	set([]models.DeviceOperation{models.OpSimpleEnroll}, []models.OnboardingMethod{models.ESTIDevID, models.RESTPassword})
	if err := create("d-1", models.ESTPassword); models.KindOf(err) != models.KindConflict {
		t.Errorf("a method that is not admitted: %v", err)
	}
	if err := create("d-1", models.RESTPassword); models.KindOf(err) != models.KindConflict {
		t.Errorf("an operation that is not offered: %v", err)
	}
	if err := create("d-1", models.ESTIDevID); err != nil {
		t.Error(err)
	}
	if _, err := p.Ops.ArmDevice(ctx, p.Boss, "d-1", api.OnboardingArming{Method: models.ESTPassword}); models.KindOf(err) != models.KindConflict {
		t.Errorf("armed for a method that is not admitted: %v", err)
	}
}
