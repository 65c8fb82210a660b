// SPDX-License-Identifier: MIT

package operations_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestAGatewayHasARecordInEachDomain(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		method := api.OnboardingArming{Method: models.ESTPassword}
		in := api.DeviceCreation{Name: "gw-beta", Domain: "beta", Home: p.Alpha.Device, Onboarding: method}
		first := ok[*api.Device](t)(p.Ops.CreateDevice(ctx, p.Boss, in))
		if first.Onboarding.Secret == "" || first.SerialNumber != "4711" || first.Domain != "beta" {
			t.Errorf("the record is %+v", first)
		}
		if d := ok[*api.Device](t)(p.Ops.FindDevice(ctx, p.Boss, "gw-beta")); d.Home != p.Alpha.Device {
			t.Errorf("the record is %+v", d)
		}
		if d := ok[*api.Device](t)(p.Ops.FindDevice(ctx, p.Boss, p.Alpha.Device)); len(d.Elsewhere) != 1 || d.Elsewhere[0].Domain != "beta" {
			t.Errorf("the home record is %+v", d)
		}
		alpha, beta := p.Caller(t, "alpha-admin", models.RoleAdmin, "alpha"), p.Caller(t, "beta-admin", models.RoleAdmin, "beta")
		if d := ok[*api.Device](t)(p.Ops.FindDevice(ctx, alpha, p.Alpha.Device)); len(d.Elsewhere) != 0 {
			t.Errorf("alpha is told of beta: %+v", d.Elsewhere)
		}
		if d := ok[*api.Device](t)(p.Ops.FindDevice(ctx, beta, "gw-beta")); d.Home != "" {
			t.Errorf("beta is told of alpha: %q", d.Home)
		}
		for text, tt := range map[string]struct {
			change func(*api.DeviceCreation)
			kind   models.Kind
		}{
			"has a record in this domain already": {func(*api.DeviceCreation) {}, models.KindConflict},
			"is at home in this domain already":   {func(c *api.DeviceCreation) { c.Domain = "alpha" }, models.KindInvalid},
			"name the one in its home domain":     {func(c *api.DeviceCreation) { c.Home = "gw-beta"; c.Domain = "alpha" }, models.KindInvalid},
			"there is no device nobody":           {func(c *api.DeviceCreation) { c.Home = "nobody" }, models.KindNotFound},
			"leave it out": {func(c *api.DeviceCreation) {
				c.Onboarding.Method, c.IDevIDSHA256, c.Home, c.Domain = models.ESTIDevID, strings.Repeat("ab", 32), p.Beta.Device, "alpha"
			}, models.KindInvalid},
		} {
			again := in
			again.Name = "again"
			tt.change(&again)
			_, err := p.Ops.CreateDevice(ctx, p.Boss, again)
			wantKind(t, err, tt.kind, text)
		}
		_, err := p.Ops.CreateDevice(ctx, beta, api.DeviceCreation{Name: "x", Domain: "beta", Home: p.Alpha.Device, Onboarding: method})
		wantKind(t, err, models.KindNotFound, "no device alpha-device")
		gone := ok[*api.Device](t)(p.Ops.DecommissionDevice(ctx, alpha, p.Alpha.Device)) // who has nothing to say in beta
		if d := ok[*api.Device](t)(p.Ops.FindDevice(ctx, beta, "gw-beta")); d.State != models.DeviceRegistered || len(gone.Elsewhere) != 0 {
			t.Errorf("the record in beta is %s; alpha was told %+v", d.State, gone.Elsewhere)
		}
		if e := lastEvent(t, p, first.ID); e.Action != "device.home-decommissioned" || e.Actor != "system" || e.Address != "" || e.DomainID != domainID(t, p, "beta") {
			t.Errorf("those who have something to say are told %+v", e)
		}
		ok[*api.Device](t)(p.Ops.DecommissionDevice(ctx, beta, "gw-beta"))
	})
}

func domainID(t *testing.T, p *fixture.Plant, name string) models.DomainID {
	t.Helper()
	return ok[*models.Domain](t)(p.Store.FindDomainByName(t.Context(), name)).ID
}

// TestAGatewayEndsInAllItsDomains: a machine is one thing, and what is left of
// it in another domain would go on with certificates that nobody watches.
func TestAGatewayEndsInAllItsDomains(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		// Beta's device becomes the machine's record there, with all that it has.
		home := ok[*models.Device](t)(p.Store.FindDeviceByName(ctx, p.Alpha.Device))
		member := ok[*models.Device](t)(p.Store.FindDeviceByName(ctx, p.Beta.Device))
		member.HomeID = home.ID
		if err := p.Store.Write(ctx, func(tx *store.Tx) error { return tx.SaveDevice(member) }); err != nil {
			t.Fatal(err)
		}
		p.Stories.Told()
		d := ok[*api.Device](t)(p.Ops.DecommissionDevice(ctx, p.Boss, p.Alpha.Device))
		want := []api.DeviceElsewhere{{Name: p.Beta.Device, Domain: "beta", State: models.DeviceDecommissioned}}
		if diff := cmp.Diff(want, d.Elsewhere); diff != "" || d.State != models.DeviceDecommissioned {
			t.Errorf("the answer says %s: %s", d.State, diff)
		}
		if row := ok[*models.Device](t)(p.Store.FindDeviceByName(ctx, p.Beta.Device)); row.State != models.DeviceDecommissioned {
			t.Errorf("the record in beta is %s", row.State)
		}
		for _, site := range []fixture.Site{p.Alpha, p.Beta} {
			if row := ok[*models.Certificate](t)(p.Store.FindCertificate(ctx, site.Certificate)); row.RevokedReason != "cessationOfOperation" {
				t.Errorf("the certificate in %s is %s", site.Domain, row.State)
			}
			if row := ok[*models.Delivery](t)(p.Store.FindDelivery(ctx, site.Delivery)); row.State != models.DeliveryWithdrawn {
				t.Errorf("the key in %s is %s", site.Domain, row.State)
			}
			if got := promises(t, p, string(site.Request)); !slices.Contains(got, models.OutboxWithdraw) {
				t.Errorf("the request in %s is not withdrawn", site.Domain)
			}
		}
		if e := lastEvent(t, p, string(member.ID)); e.Action != "device.decommissioned" || e.Actor != "operator:boss" || e.DomainID != domainID(t, p, "beta") || e.Details["certificates_revoked"] != "1" {
			t.Errorf("event %+v", e)
		}
		if told := p.Stories.Told(); len(told) != 4 { // two CRLs, two requests
			t.Errorf("the stories were told %q", told)
		}
	})
}

// The end of a record elsewhere is not the end of the machine.
func TestARecordElsewhereEndsAlone(t *testing.T) {
	p := small(t)
	method := api.OnboardingArming{Method: models.ESTPassword}
	ok[*api.Device](t)(p.Ops.CreateDevice(t.Context(), p.Boss, api.DeviceCreation{Name: "gw-beta", Domain: "beta", Home: p.Alpha.Device, Onboarding: method}))
	ok[*api.Device](t)(p.Ops.DecommissionDevice(t.Context(), p.Boss, "gw-beta"))
	if row := ok[*models.Device](t)(p.Store.FindDeviceByName(t.Context(), p.Alpha.Device)); row.State == models.DeviceDecommissioned {
		t.Error("the home record ended, too")
	}
}
