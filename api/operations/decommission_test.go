// SPDX-License-Identifier: MIT

package operations_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// The device of a site has an issued certificate and a request that waits.
func TestTheEndOfADeviceEndsWhatItHas(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		held, _ := p.Issue(t, p.Alpha)
		ok[*api.Certificate](t)(p.Ops.RevokeCertificate(ctx, p.Boss, string(held), api.Revocation{Reason: "certificateHold"}))
		gone, _ := p.Issue(t, p.Alpha)
		ok[*api.Certificate](t)(p.Ops.RevokeCertificate(ctx, p.Boss, string(gone), api.Revocation{Reason: "keyCompromise"}))
		p.Stories.Told()
		d := ok[*api.Device](t)(p.Ops.DecommissionDevice(ctx, p.Boss, p.Alpha.Device))
		if d.State != models.DeviceDecommissioned {
			t.Errorf("the device is %s", d.State)
		}
		got := map[string]models.RevocationReason{}
		for _, id := range []models.CertificateID{p.Alpha.Certificate, held, gone} {
			row := ok[*models.Certificate](t)(p.Store.FindCertificate(ctx, id))
			got[string(row.ID)] = row.RevokedReason
		}
		want := map[string]models.RevocationReason{string(p.Alpha.Certificate): "cessationOfOperation", string(held): "cessationOfOperation", string(gone): "keyCompromise"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("revocations (-want +got):\n%s", diff)
		}
		ca := ok[*models.CA](t)(p.Store.FindCAByName(ctx, p.Alpha.CA))
		if told := p.Stories.Told(); !slices.Contains(told, "publish "+string(ca.ID)) || len(told) != 2 {
			t.Errorf("the stories were told %q", told)
		}
		for subject, action := range map[string]models.OutboxAction{string(ca.ID): models.OutboxPublish, d.ID: models.OutboxRetireDevice, string(p.Alpha.Request): models.OutboxWithdraw} {
			if !slices.Contains(promises(t, p, subject), action) {
				t.Errorf("no promise to %s", action)
			}
		}
		if event := lastEvent(t, p, d.ID); event.Details["certificates_revoked"] != "2" || event.Details["requests_withdrawn"] != "1" {
			t.Errorf("event: %+v", event)
		}
		if event := lastEvent(t, p, string(held)); event.Action != "certificate.revoked" || event.Actor != "operator:boss" || event.Details["reason"] != "cessationOfOperation" {
			t.Errorf("event: %+v", event)
		}
		if row := ok[*models.Certificate](t)(p.Store.FindCertificate(ctx, p.Beta.Certificate)); row.State != models.CertificateIssued {
			t.Error("another device's certificate was revoked")
		}
		_, err := p.Ops.DecommissionDevice(ctx, p.Boss, p.Alpha.Device)
		wantKind(t, err, models.KindConflict, "decommissioned already")
		_, err = p.Ops.DecommissionDevice(ctx, p.Caller(t, "alpha-op", models.RoleOperator, "alpha"), p.Beta.Device)
		wantKind(t, err, models.KindNotFound, "no device beta-device")
	})
}

// A key that waits for a device goes with it, whether its certificate is there
// or not; a suspension, which may end, only keeps it back.
func TestTheEndOfADeviceDestroysTheKeysThatWaitForIt(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		waiting := &models.Delivery{State: models.DeliveryWaiting, Channel: models.DeliverByDownload, RequestID: p.Alpha.Request, ExpiresAt: time.Now().Add(time.Hour), Actor: "operator:boss"}
		device := ok[*models.Device](t)(p.Store.FindDeviceByName(ctx, p.Alpha.Device))
		waiting.DeviceID, waiting.DomainID = device.ID, device.DomainID
		if err := p.Store.Write(ctx, func(tx *store.Tx) error { return tx.InsertDelivery(waiting, []byte("sealed")) }); err != nil {
			t.Fatal(err)
		}
		look := func(id models.DeliveryID, state models.DeliveryState, kept bool) {
			t.Helper()
			row := ok[*models.Delivery](t)(p.Store.FindDelivery(ctx, id))
			_, err := p.Store.FindSealedKey(ctx, id)
			if row.State != state || row.Ended() != (row.EndedAt != nil) || (err == nil) != kept {
				t.Errorf("the delivery is %s since %v, its key: %v", row.State, row.EndedAt, err)
			}
		}
		ok[*api.Device](t)(p.Ops.SuspendDevice(ctx, p.Boss, p.Alpha.Device))
		look(p.Alpha.Delivery, models.DeliveryReady, true)
		look(waiting.ID, models.DeliveryWaiting, true)
		ok[*api.Device](t)(p.Ops.DecommissionDevice(ctx, p.Boss, p.Alpha.Device))
		for _, id := range []models.DeliveryID{p.Alpha.Delivery, waiting.ID} {
			look(id, models.DeliveryWithdrawn, false)
			event := lastEvent(t, p, string(id))
			if event.Action != "delivery.withdrawn" || event.Actor != "operator:boss" || event.DeviceID != device.ID || event.Details["reason"] != "device decommissioned" {
				t.Errorf("event: %+v", event)
			}
		}
		if event := lastEvent(t, p, string(device.ID)); event.Details["deliveries_withdrawn"] != "2" {
			t.Errorf("event: %+v", event)
		}
		look(p.Beta.Delivery, models.DeliveryReady, true)
	})
}

func TestWhatWasBeingSignedIsRevokedAfterwards(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		p := fixture.NewPlant(t, s)
		device := ok[*models.Device](t)(s.FindDeviceByName(t.Context(), p.Alpha.Device))
		row := *ok[*models.Certificate](t)(s.FindCertificate(t.Context(), p.Alpha.Certificate))
		row.ID, row.RequestKey, row.Serial, row.State, row.DER, row.Fingerprint, row.CreatedAt = "", "late", "77", "", nil, "", time.Time{}
		making := func(want int) {
			t.Helper()
			if n := ok[int](t)(s.InTheMaking(t.Context(), device.ID, time.Now().Add(-time.Hour))); n != want {
				t.Errorf("%d are in the making, want %d", n, want)
			}
		}
		write := func(do func(*store.Tx) error) {
			t.Helper()
			if err := s.Write(t.Context(), do); err != nil {
				t.Fatal(err)
			}
		}
		write(func(tx *store.Tx) error { _, err := tx.ReserveCertificate(&row); return err })
		making(1)
		ok[*api.Device](t)(p.Ops.DecommissionDevice(t.Context(), p.Boss, p.Alpha.Device))
		write(func(tx *store.Tx) error { _, err := tx.RecordCertificate(row.ID, []byte("der"), "late"); return err })
		making(0)
		for _, want := range []int{1, 0} {
			write(func(tx *store.Tx) error {
				_, n, err := tx.RevokeOfDevice(device.ID, "cessationOfOperation", time.Now(), models.Event{Actor: "system"})
				if n != want {
					t.Errorf("%d revoked, want %d", n, want)
				}
				return err
			})
		}
	})
}

func names(page *api.Page[api.Device]) (list []string) {
	for _, d := range page.Items {
		list = append(list, d.Name)
	}
	return list
}

func TestGroupsAndMetadata(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		alpha := p.Caller(t, "alpha-op", models.RoleOperator, "alpha")
		ok[*api.Device](t)(p.Ops.CreateDevice(ctx, p.Boss, api.DeviceCreation{Name: "a", Domain: "alpha", Groups: []string{"line-3", "line-1", "line-3"},
			Metadata: map[string]string{"hall": "3"}, Onboarding: api.OnboardingArming{Method: models.ESTPassword}}))
		ok[*api.Device](t)(p.Ops.CreateDevice(ctx, p.Boss, api.DeviceCreation{Name: "b", Domain: "beta", Groups: []string{"line-3"},
			Metadata: map[string]string{"hall": "3"}, Onboarding: api.OnboardingArming{Method: models.ESTPassword}}))
		find := func(who string, f api.DeviceFilter, want ...string) {
			t.Helper()
			caller := p.Boss
			if who == "alpha" {
				caller = alpha
			}
			if diff := cmp.Diff(want, names(ok[*api.Page[api.Device]](t)(p.Ops.ListDevices(ctx, caller, f)))); diff != "" {
				t.Errorf("%+v as %s (-want +got):\n%s", f, who, diff)
			}
		}
		find("boss", api.DeviceFilter{Group: "line-3"}, "a", "b")
		find("alpha", api.DeviceFilter{Group: "line-3"}, "a")
		find("boss", api.DeviceFilter{Group: "line-3", Domain: "beta"}, "b")
		find("boss", api.DeviceFilter{Group: "line"})
		find("boss", api.DeviceFilter{Metadata: "hall=3"}, "a", "b")
		find("alpha", api.DeviceFilter{Metadata: "hall=3", Group: "line-1"}, "a")
		find("boss", api.DeviceFilter{Metadata: "hall=4"})
		find("boss", api.DeviceFilter{Metadata: "hal=3"})
		d := ok[*api.Device](t)(p.Ops.ChangeDevice(ctx, alpha, "a", api.DeviceChange{AddGroups: []string{"new"}, RemoveGroups: []string{"line-3"},
			Metadata: api.MetadataChange{"hall": {}, "line": api.SetText("b=1")}}))
		if diff := cmp.Diff([]string{"line-1", "new"}, d.Groups); diff != "" || len(d.Metadata) != 1 {
			t.Errorf("groups (-want +got):\n%s metadata %v", diff, d.Metadata)
		}
		find("boss", api.DeviceFilter{Group: "line-3"}, "b")
		find("boss", api.DeviceFilter{Group: "new", Metadata: "line=b=1"}, "a")
		none := []string{}
		ok[*api.Device](t)(p.Ops.ChangeDevice(ctx, p.Boss, "a", api.DeviceChange{Groups: &none}))
		find("boss", api.DeviceFilter{Group: "new"})
		for text, change := range map[string]api.DeviceChange{
			"groups replaces all": {Groups: &none, AddGroups: []string{"x"}}, "group": {AddGroups: []string{"No Name"}},
			"at most 32": {AddGroups: many(33)}, "metadata": {Metadata: api.MetadataChange{"A B": api.SetText("")}},
		} {
			_, err := p.Ops.ChangeDevice(ctx, p.Boss, "a", change)
			wantKind(t, err, models.KindInvalid, text)
		}
		_, err := p.Ops.ListDevices(ctx, p.Boss, api.DeviceFilter{Metadata: `x"y=1`})
		wantKind(t, err, models.KindInvalid, "KEY=VALUE")
		_, err = p.Ops.ChangeDevice(ctx, alpha, "b", api.DeviceChange{})
		wantKind(t, err, models.KindNotFound, "no device b")
	})
}

func many(n int) (list []string) {
	for i := range n {
		list = append(list, "g"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	return list
}

func TestNotesAboutCertificatesAndCAs(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx, id := t.Context(), string(p.Alpha.Certificate)
		note := api.Annotating{Metadata: api.MetadataChange{"ticket": api.SetText("4711")}}
		ok[*api.Certificate](t)(p.Ops.AnnotateCertificate(ctx, p.Boss, id, note))
		c := ok[*api.Certificate](t)(p.Ops.AnnotateCertificate(ctx, p.Boss, id, api.Annotating{Metadata: api.MetadataChange{"by": api.SetText("me")}}))
		if diff := cmp.Diff(map[string]string{"ticket": "4711", "by": "me"}, c.Metadata); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
		if event := lastEvent(t, p, id); event.Action != "certificate.annotated" || event.DomainID == "" || event.Details["keys"] != "by" {
			t.Errorf("event: %+v", event)
		}
		_, err := p.Ops.AnnotateCertificate(ctx, p.Caller(t, "beta-admin", models.RoleAdmin, "beta"), id, note)
		wantKind(t, err, models.KindNotFound, "no certificate")
		_, err = p.Ops.AnnotateCA(ctx, p.Caller(t, "alpha-admin", models.RoleAdmin, "alpha"), p.Alpha.CA, note)
		wantKind(t, err, models.KindDenied, "beyond the domains")
		ok[*api.CA](t)(p.Ops.AnnotateCA(ctx, p.Boss, p.Alpha.CA, note))
		if ca := ok[*api.CA](t)(p.Ops.FindCA(ctx, p.Boss, p.Alpha.CA)); ca.Metadata["ticket"] != "4711" {
			t.Errorf("metadata %v", ca.Metadata)
		}
		stale := &models.Annotation{Noun: "certificate", SubjectID: id, Revision: 1}
		err = p.Store.Write(ctx, func(tx *store.Tx) error { return tx.SaveAnnotation(stale) })
		wantKind(t, err, models.KindConflict, "changed by somebody else")
	})
}
