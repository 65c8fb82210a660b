// SPDX-License-Identifier: MIT

package store_test

import (
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// received stores a device in onboarding and its request, and returns what
// reserves that.
func received(t *testing.T, s *store.Store, name string, ca *models.CA, domain *models.Domain) store.Reservation {
	t.Helper()
	device := newDevice(name, domain.ID)
	device.State = models.DeviceOnboarding
	r := reservation(name)
	r.Request.State = models.RequestReceived
	write(t, s, func(tx *store.Tx) error {
		if err := tx.InsertDevice(device); err != nil {
			return err
		}
		r.Request.DeviceID, r.Request.DomainID, r.Certificate.DeviceID = device.ID, domain.ID, device.ID
		r.Certificate.SPKISHA256 = "key of " + name
		_, err := tx.InsertRequest(r.Request)
		if err != nil {
			return err
		}
		return tx.Promise(models.OutboxItem{ID: models.StartPromise(r.Request.ID), Action: models.OutboxStartOnboarding, SubjectID: string(r.Request.ID), NotBefore: later(0)})
	})
	onCA, onDomain := *ca, *domain
	r.Basis = &store.Basis{Device: device, Domain: &onDomain, CA: &onCA}
	return r
}

func onboarding(r store.Reservation) store.Recording {
	recording := recording(r)
	recording.Onboards = &store.Onboarding{
		Device: r.Basis.Device, At: later(0), Promise: models.StartPromise(r.Request.ID),
		Event: models.Event{Actor: "system", Action: "device.onboarded", Noun: "request", SubjectID: r.Request.Key},
	}
	return recording
}

func TestAnOnboardingIsReservedAndRecordedInTwoTransactions(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ca, domain := plant(t, s)
		r := received(t, s, "press-01", ca, domain)
		if reserved, err := s.Reserve(t.Context(), r); err != nil || !reserved {
			t.Fatal(reserved, err)
		}
		same(t, r.Request, must[*models.Request](t)(s.FindRequest(t.Context(), r.Request.ID)))
		wantStored(t, s, "press-01", models.RequestReserved, 1)
		rec := onboarding(r)
		if won, err := s.Record(t.Context(), rec); err != nil || !won {
			t.Fatal(won, err)
		}
		same(t, r.Request, must[*models.Request](t)(s.FindRequest(t.Context(), r.Request.ID)))
		same(t, r.Certificate, must[*models.Certificate](t)(s.FindCertificate(t.Context(), r.Certificate.ID)))
		device := must[*models.Device](t)(s.FindDevice(t.Context(), r.Basis.Device.ID))
		if device.State != models.DeviceOnboarded || device.OnboardedAt == nil || !device.OnboardedAt.Equal(later(0).Truncate(time.Microsecond)) || device.Revision != r.Basis.Device.Revision+1 {
			t.Errorf("%+v; onboarded %s, not %s", device, device.OnboardedAt, rec.Onboards.At)
		}
		if due := must[[]models.OutboxItem](t)(s.DuePromises(t.Context(), later(1), 10)); len(due) != 0 {
			t.Errorf("promises are left: %v", due)
		}
		wantStored(t, s, "press-01", models.RequestIssued, 3)
		if reserved, err := s.Reserve(t.Context(), received(t, s, "press-02", ca, domain)); err != nil || !reserved {
			t.Error(reserved, err)
		}
	})
}

func TestAnOnboardingWhoseBasisChangedIsNotReserved(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ca, domain := plant(t, s)
		for name, change := range map[string]func(tx *store.Tx, r store.Reservation) error{
			"device": func(tx *store.Tx, r store.Reservation) error {
				device := *r.Basis.Device
				device.State = models.DeviceSuspended
				return tx.SaveDevice(&device)
			},
			"domain": func(tx *store.Tx, _ store.Reservation) error { domain.Suspended = true; return tx.SaveDomain(domain) },
			"ca":     func(tx *store.Tx, _ store.Reservation) error { return tx.SaveCA(ca) },
			"request": func(tx *store.Tx, r store.Reservation) error {
				req := *r.Request
				req.State = models.RequestWithdrawn
				return tx.SaveRequest(&req)
			},
			"key": func(tx *store.Tx, r store.Reservation) error {
				_, _, err := tx.ChangeBlocklist("leaked", []string{r.Certificate.SPKISHA256}, nil)
				return err
			},
		} {
			t.Log(name)
			r := received(t, s, name, ca, domain)
			write(t, s, func(tx *store.Tx) error { return change(tx, r) })
			bystander := reservation("beside " + name) // shares the transaction
			errs := gathered(s, reserve(s, bystander), func() error {
				reserved, err := s.Reserve(t.Context(), r)
				if reserved {
					t.Errorf("%s: reserved", name)
				}
				return err
			})
			for _, err := range errs {
				if err != nil {
					t.Error(err)
				}
			}
			want := models.RequestReceived
			if name == "request" {
				want = models.RequestWithdrawn
			}
			wantStored(t, s, name, want, 0)
			wantStored(t, s, "beside "+name, models.RequestReserved, 1)
			if r.Request.State != want {
				t.Errorf("%s: the caller has %s", name, r.Request.State)
			}
			_, err := s.FindCertificateByRequestKey(t.Context(), name)
			wantKind(t, err, models.KindNotFound)
		}
	})
}

func TestARecordingForADeviceThatChangedChangesNothing(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ca, domain := plant(t, s)
		r := received(t, s, "press-01", ca, domain)
		if reserved, err := s.Reserve(t.Context(), r); err != nil || !reserved {
			t.Fatal(reserved, err)
		}
		device := *r.Basis.Device
		device.State = models.DeviceSuspended
		write(t, s, func(tx *store.Tx) error { return tx.SaveDevice(&device) })
		_, err := s.Record(t.Context(), onboarding(r))
		wantKind(t, err, models.KindConflict)
		wantStored(t, s, "press-01", models.RequestReserved, 1)
		if cert := must[*models.Certificate](t)(s.FindCertificate(t.Context(), r.Certificate.ID)); len(cert.DER) != 0 {
			t.Error("the signature is stored")
		}
		same(t, must[*models.Device](t)(s.FindDevice(t.Context(), device.ID)), &device)
	})
}

func TestADeviceIsAdmittedOnlyAsItAuthenticated(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		_, domain := plant(t, s)
		admission := func(name string) store.Admission {
			device := newDevice(name, domain.ID)
			write(t, s, func(tx *store.Tx) error { return tx.InsertDevice(device) })
			req := newRequest("key of " + name)
			req.DeviceID, req.DomainID = device.ID, domain.ID
			return store.Admission{
				Request: req, Device: device, Now: later(0),
				Promise: models.OutboxItem{ID: models.OutboxID("promise of " + name), Action: models.OutboxStartOnboarding, SubjectID: name, NotBefore: later(0)},
				Event:   models.Event{Actor: "device:" + name, Action: "request.received", Noun: "request", SubjectID: req.Key},
			}
		}
		promises := func() int {
			return len(must[[]models.OutboxItem](t)(s.DuePromises(t.Context(), later(time.Hour), 100)))
		}
		good := admission("press-01")
		if admitted, err := s.Admit(t.Context(), good); err != nil || !admitted {
			t.Fatal(admitted, err)
		}
		same(t, good.Device, must[*models.Device](t)(s.FindDevice(t.Context(), good.Device.ID)))
		same(t, good.Request, must[*models.Request](t)(s.FindRequest(t.Context(), good.Request.ID)))
		if good.Device.State != models.DeviceOnboarding || good.Device.SecretUsedBy != good.Request.Key || promises() != 1 {
			t.Errorf("%+v, %d promises", good.Device, promises())
		}
		wantStored(t, s, good.Request.Key, models.RequestReceived, 1)

		for name, change := range map[string]func(tx *store.Tx, d models.Device) error{
			"suspended":  func(tx *store.Tx, d models.Device) error { d.State = models.DeviceSuspended; return tx.SaveDevice(&d) },
			"changed":    func(tx *store.Tx, d models.Device) error { return tx.SaveDevice(&d) },
			"armed anew": func(tx *store.Tx, d models.Device) error { d.Epoch++; return tx.SaveDevice(&d) },
			"secret spent": func(tx *store.Tx, d models.Device) error {
				_, err := tx.UseSecret(d.ID, "another", later(0))
				return err
			},
			"a copy is here": func(tx *store.Tx, d models.Device) error {
				copied := newRequest("key of a copy is here")
				_, err := tx.InsertRequest(copied)
				return err
			},
		} {
			late := admission(name)
			before := *late.Device
			write(t, s, func(tx *store.Tx) error { return change(tx, *late.Device) })
			beside := admission("beside " + name)
			errs := gathered(s,
				func() error {
					admitted, err := s.Admit(t.Context(), late)
					if admitted {
						t.Errorf("%s: admitted", name)
					}
					return err
				},
				func() error {
					admitted, err := s.Admit(t.Context(), beside)
					if !admitted {
						t.Errorf("the one beside %s was not admitted", name)
					}
					return err
				})
			for _, err := range errs {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			same(t, &before, late.Device)
			state := models.RequestState("")
			if name == "a copy is here" {
				state = models.RequestReceived
			}
			wantStored(t, s, late.Request.Key, state, 0)
			wantStored(t, s, beside.Request.Key, models.RequestReceived, 1)
		}
		if n := promises(); n != 6 {
			t.Errorf("%d promises, want 6", n)
		}
	})
}
