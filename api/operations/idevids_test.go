// SPDX-License-Identifier: MIT

package operations_test

import (
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestUnbindingADeviceFromItsIDevID(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		ok[*api.Device](t)(p.Ops.CreateDevice(ctx, p.Boss, api.DeviceCreation{
			Name: "drive", Domain: "alpha", SerialNumber: "SN-1", Onboarding: api.OnboardingArming{Method: models.ESTIDevID}}))
		_, err := p.Ops.UnbindDevice(ctx, p.Boss, "drive", api.DeviceUnbinding{})
		wantKind(t, err, models.KindConflict, "not bound")
		clone := &models.QuarantinedIDevID{Fingerprint: strings.Repeat("cd", 32), Subject: "CN=clone", Address: "192.0.2.9"}
		if err := p.Store.Write(ctx, func(tx *store.Tx) error {
			row, err := tx.FindDeviceByName(ctx, "drive")
			if err != nil {
				return err
			}
			identity := "issuer:SN-1"
			row.IDevIDIdentity, row.IDevIDSHA256, row.IDevIDKeySHA256 = &identity, strings.Repeat("ab", 32), "k"
			clone.DeviceID, clone.DomainID = row.ID, row.DomainID
			if _, err := tx.QuarantineIDevID(clone); err != nil {
				return err
			}
			return tx.SaveDevice(row)
		}); err != nil {
			t.Fatal(err)
		}
		d := ok[*api.Device](t)(p.Ops.FindDevice(ctx, p.Boss, "drive"))
		if !d.IDevIDBound || len(d.Quarantined) != 1 || d.Quarantined[0].SHA256 != clone.Fingerprint || d.Quarantined[0].Domain != "alpha" {
			t.Errorf("the device is %+v", d)
		}
		_, err = p.Ops.UnbindDevice(ctx, p.Caller(t, "beta-admin", models.RoleAdmin, "beta"), "drive", api.DeviceUnbinding{})
		wantKind(t, err, models.KindNotFound, "no device drive")
		_, err = p.Ops.UnbindDevice(ctx, p.Boss, "drive", api.DeviceUnbinding{IDevIDSHA256: "xyz"})
		wantKind(t, err, models.KindInvalid, "64 digits")
		ok[*api.Device](t)(p.Ops.UnbindDevice(ctx, p.Boss, "drive", api.DeviceUnbinding{IDevIDSHA256: clone.Fingerprint}))
		d = ok[*api.Device](t)(p.Ops.FindDevice(ctx, p.Boss, "drive"))
		if d.IDevIDBound || d.IDevIDSHA256 != clone.Fingerprint || len(d.Quarantined) != 0 {
			t.Errorf("the device is %+v", d)
		}
		if event := lastEvent(t, p, d.ID); event.Action != "device.unbound" && event.Action != "idevid.released" {
			t.Errorf("event: %+v", event)
		}
		_, err = p.Ops.CreateRegistration(ctx, p.Boss, api.RegistrationCreation{Name: "r", Truststore: p.Alpha.Truststore, Domain: "alpha", Match: "colour", SerialPattern: "."})
		wantKind(t, err, models.KindInvalid, "is not one of serial-number")
	})
}

func TestTheQuarantineIsBounded(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		p := fixture.NewPlant(t, s)
		device := ok[*models.Device](t)(s.FindDeviceByName(t.Context(), p.Alpha.Device))
		for i := range 40 {
			row := &models.QuarantinedIDevID{Fingerprint: strings.Repeat(string(rune('a'+i%26)), i/26+1), DeviceID: device.ID}
			if err := s.Write(t.Context(), func(tx *store.Tx) error {
				first, err := tx.QuarantineIDevID(row)
				if first != (i < 16) {
					t.Errorf("number %d is new: %v", i, first)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		if rows := ok[[]models.QuarantinedIDevID](t)(s.QuarantinedIDevIDs(t.Context(), device.ID)); len(rows) != 16 {
			t.Errorf("%d are remembered", len(rows))
		}
	})
}
