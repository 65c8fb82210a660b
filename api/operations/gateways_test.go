// SPDX-License-Identifier: MIT

package operations_test

import (
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
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
		ok[*api.Device](t)(p.Ops.DecommissionDevice(ctx, alpha, p.Alpha.Device))
		if d := ok[*api.Device](t)(p.Ops.FindDevice(ctx, beta, "gw-beta")); d.State != models.DeviceRegistered {
			t.Errorf("the record in beta is %s", d.State)
		}
	})
}
