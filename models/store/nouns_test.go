// SPDX-License-Identifier: MIT

package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestCAs(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		root := newCA("root")
		write(t, s, func(tx *store.Tx) error { return tx.InsertCA(root) })
		same(t, must[*models.CA](t)(s.FindCA(background, root.ID)), root)

		root.State, root.KeyID, root.CertificateDER, root.NotAfter = models.CAActive, "ab12", []byte("der"), later(0)
		write(t, s, func(tx *store.Tx) error { return tx.SaveCA(root) })
		if root.Revision != 2 {
			t.Errorf("revision %d after one save, want 2", root.Revision)
		}
		same(t, must[*models.CA](t)(s.FindCAByName(background, "root")), root)
		same(t, must[*models.CA](t)(s.FindCAByKeyID(background, "ab12")), root)

		issuing := newCA("issuing")
		issuing.Type, issuing.IssuerID = models.CAIssuing, root.ID
		write(t, s, func(tx *store.Tx) error { return tx.InsertCA(issuing) })
		same(t, must[[]*models.CA](t)(s.CAChain(background, issuing.ID)), []*models.CA{issuing, root})
		_, err := s.CAChain(background, "")
		wantKind(t, err, models.KindNotFound)

		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.InsertCA(newCA("root")) }), models.KindConflict)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.InsertCA(&models.CA{Name: "x", State: "odd"}) }), models.KindInvalid)
	})
}

func TestCAChainThatIsACircleEnds(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ca := newCA("ouroboros")
		ca.ID = models.NewID[models.CAID]()
		ca.IssuerID = ca.ID
		write(t, s, func(tx *store.Tx) error { return tx.InsertCA(ca) })
		_, err := s.CAChain(background, ca.ID)
		wantKind(t, err, models.KindInternal)
	})
}

func TestDomainsProfilesTruststoresRegistrations(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		_, d := plant(t, s)
		same(t, must[*models.Domain](t)(s.FindDomain(background, d.ID)), d)
		d.Suspended, d.Approval.Onboarding, d.Profiles = true, nil, nil
		write(t, s, func(tx *store.Tx) error { return tx.SaveDomain(d) })
		same(t, must[*models.Domain](t)(s.FindDomainByName(background, d.Name)), d)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.InsertDomain(newDomain("x", "no-ca")) }), models.KindConflict)

		for version := 1; version <= 3; version++ {
			p := &models.Profile{Name: "generic", Document: []byte(fmt.Sprint(version)), Shipped: version == 1}
			ts := &models.Truststore{Name: "makers", Certificates: [][]byte{{byte(version)}}}
			write(t, s, func(tx *store.Tx) error { return errors.Join(tx.InsertProfile(p), tx.InsertTruststore(ts)) })
			if p.Version != version || ts.Version != version {
				t.Errorf("versions %d and %d, want %d", p.Version, ts.Version, version)
			}
			same(t, must[*models.Profile](t)(s.FindProfile(background, "generic")), p)
			same(t, must[*models.Profile](t)(s.FindProfileVersion(background, "generic", version)), p)
			same(t, must[*models.Truststore](t)(s.FindTruststore(background, "makers")), ts)
		}

		r := &models.Registration{Name: "presses", TruststoreName: "makers", DomainID: d.ID, SerialPattern: "P.*"}
		write(t, s, func(tx *store.Tx) error { return tx.InsertRegistration(r) })
		same(t, must[*models.Registration](t)(s.FindRegistration(background, "presses")), r)
		same(t, must[[]models.Registration](t)(s.RegistrationsOfDomain(background, d.ID)), []models.Registration{*r})
		write(t, s, func(tx *store.Tx) error { return tx.DeleteRegistration("presses") })
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.DeleteRegistration("presses") }), models.KindNotFound)
	})
}

func TestVersionsStayUniqueUnderConcurrency(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ca, _ := plant(t, s)
		const n = 30
		var profiles, crls [n]int64
		together(n, func(i int) {
			p := &models.Profile{Name: "generic"}
			c := &models.CRL{CAID: ca.ID, KeyID: "k"}
			if err := s.Write(background, func(tx *store.Tx) error { return errors.Join(tx.InsertProfile(p), tx.InsertCRL(c)) }); err != nil {
				t.Error(err)
			}
			profiles[i], crls[i] = int64(p.Version), c.Number
		})
		for _, numbers := range [][n]int64{profiles, crls} {
			seen := map[int64]bool{}
			for _, v := range numbers {
				if v < 1 || v > n || seen[v] {
					t.Errorf("number %d is given twice or out of line", v)
				}
				seen[v] = true
			}
		}
	})
}

func TestCRLs(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ca, _ := plant(t, s)
		first := &models.CRL{CAID: ca.ID, KeyID: "aa11"}
		write(t, s, func(tx *store.Tx) error { return tx.InsertCRL(first) })
		_, err := s.LatestCRL(background, "aa11")
		wantKind(t, err, models.KindNotFound) // only intended

		first.DER, first.ThisUpdate, first.NextUpdate = []byte("crl 1"), later(0), later(time.Hour)
		write(t, s, func(tx *store.Tx) error { return errors.Join(tx.SaveCRL(first), tx.SaveCRL(first)) })
		second := &models.CRL{CAID: ca.ID, KeyID: "aa11"}
		write(t, s, func(tx *store.Tx) error { return tx.InsertCRL(second) })
		same(t, must[*models.CRL](t)(s.LatestCRL(background, "aa11")), first)
		if second.Number != 2 {
			t.Errorf("second CRL has number %d", second.Number)
		}
		first.DER = []byte("another")
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveCRL(first) }), models.KindConflict)
		_, err = s.LatestCRL(background, "other")
		wantKind(t, err, models.KindNotFound)
	})
}

func TestDevices(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		_, domain := plant(t, s)
		identity := "aa11/4711"
		d := newDevice("press-01", domain.ID)
		d.IDevIDIdentity = &identity
		write(t, s, func(tx *store.Tx) error { return tx.InsertDevice(d) })
		same(t, must[*models.Device](t)(s.FindDevice(background, d.ID)), d)
		same(t, must[*models.Device](t)(s.FindDeviceByName(background, "press-01")), d)
		same(t, must[*models.Device](t)(s.FindDeviceByIDevID(background, identity)), d)

		d.State, d.IDevIDIdentity, d.Metadata = models.DeviceOnboarding, nil, nil
		onboarded := later(0)
		d.OnboardedAt = &onboarded
		write(t, s, func(tx *store.Tx) error { return tx.SaveDevice(d) })
		same(t, must[*models.Device](t)(s.FindDevice(background, d.ID)), d)

		d.State = models.DeviceOnboarded
		stale := *d
		write(t, s, func(tx *store.Tx) error { return tx.SaveDevice(d) })
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveDevice(&stale) }), models.KindConflict)
		d.State = models.DeviceOnboarding
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveDevice(d) }), models.KindConflict)
		d.State = "odd"
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveDevice(d) }), models.KindInvalid)
	})
}

func TestTwoDevicesShareNeitherNameNorIDevID(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		_, domain := plant(t, s)
		identity := "aa11/4711"
		first, second, third := newDevice("a", domain.ID), newDevice("b", domain.ID), newDevice("c", domain.ID)
		first.IDevIDIdentity = &identity
		write(t, s, func(tx *store.Tx) error {
			// Without an IDevID there is nothing to be unique.
			return errors.Join(tx.InsertDevice(first), tx.InsertDevice(second), tx.InsertDevice(third))
		})
		// A refused insert leaves the transaction usable.
		fourth := newDevice("d", domain.ID)
		fourth.IDevIDIdentity = &identity
		write(t, s, func(tx *store.Tx) error {
			wantKind(t, tx.InsertDevice(fourth), models.KindConflict)
			wantKind(t, tx.InsertDevice(newDevice("a", domain.ID)), models.KindConflict)
			return tx.InsertDevice(newDevice("e", domain.ID))
		})
		must[*models.Device](t)(s.FindDeviceByName(background, "e"))
		// A refused save does not, whatever the function says.
		second.IDevIDIdentity = &identity
		err := s.Write(background, func(tx *store.Tx) error {
			if err := tx.InsertDevice(newDevice("f", domain.ID)); err != nil {
				return err
			}
			wantKind(t, tx.SaveDevice(second), models.KindConflict)
			return nil
		})
		wantKind(t, err, models.KindConflict)
		_, err = s.FindDeviceByName(background, "f")
		wantKind(t, err, models.KindNotFound)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.InsertDevice(newDevice("g", "nowhere")) }), models.KindConflict)
	})
}

func TestASecretIsUsedOnce(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		_, domain := plant(t, s)
		d := newDevice("press-01", domain.ID)
		write(t, s, func(tx *store.Tx) error { return tx.InsertDevice(d) })
		use := func(key string) (used bool) {
			if err := s.Write(background, func(tx *store.Tx) (err error) {
				used, err = tx.UseSecret(d.ID, key, later(0))
				return err
			}); err != nil {
				t.Error(err)
			}
			return used
		}
		var winners atomic.Int32
		together(40, func(i int) {
			if use(fmt.Sprint("key ", i)) {
				winners.Add(1)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Fatalf("%d requests used the secret, want 1", n)
		}
		winner := must[*models.Device](t)(s.FindDevice(background, d.ID)).SecretUsedBy
		if !use(winner) {
			t.Error("the same request again is refused")
		}

		// A save by somebody who read the device before keeps what was used.
		d.State = models.DeviceOnboarding
		write(t, s, func(tx *store.Tx) error { return tx.SaveDevice(d) })
		if d.SecretUsedBy != winner {
			t.Errorf("SecretUsedBy is %q after a save, want %q", d.SecretUsedBy, winner)
		}
		same(t, must[*models.Device](t)(s.FindDevice(background, d.ID)), d)

		// Arming again raises the epoch and clears it.
		d.Epoch, d.SecretUsedBy, d.SecretUsedAt, d.State = 2, "", nil, models.DeviceRegistered
		write(t, s, func(tx *store.Tx) error { return tx.SaveDevice(d) })
		same(t, must[*models.Device](t)(s.FindDevice(background, d.ID)), d)
		if !use("key of the second epoch") || use(winner) {
			t.Error("the new secret is not the second request's alone")
		}
		d.Epoch = 1
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveDevice(d) }), models.KindInvalid)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { _, err := tx.UseSecret("nobody", "k", later(0)); return err }), models.KindNotFound)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { _, err := tx.UseSecret(d.ID, "", later(0)); return err }), models.KindInvalid)
	})
}

func TestOperatorsAndTokens(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		o := &models.Operator{Name: "alice"}
		write(t, s, func(tx *store.Tx) error { return tx.InsertOperator(o) })
		same(t, must[*models.Operator](t)(s.FindOperator(background, o.ID)), o)
		same(t, must[*models.Operator](t)(s.FindOperatorByName(background, "alice")), o)
		expires := later(0)
		k := &models.Token{Name: "line-3", OperatorID: o.ID, Role: models.RoleViewer, Hash: "cafe", Domains: []string{"press-shop"}, ExpiresAt: &expires}
		write(t, s, func(tx *store.Tx) error { return tx.InsertToken(k) })
		same(t, must[*models.Token](t)(s.FindTokenByHash(background, "cafe")), k)
		revoked := later(time.Second)
		k.RevokedAt = &revoked
		write(t, s, func(tx *store.Tx) error { return tx.SaveToken(k) })
		same(t, must[*models.Token](t)(s.FindTokenByName(background, "line-3")), k)
		k.RevokedAt = nil
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveToken(k) }), models.KindConflict)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveToken(&models.Token{ID: "x"}) }), models.KindNotFound)
		wantKind(t, s.Write(background, func(tx *store.Tx) error {
			return tx.InsertToken(&models.Token{Name: "other", OperatorID: o.ID, Hash: "cafe"})
		}), models.KindConflict)
		_, err := s.FindTokenByHash(background, "")
		wantKind(t, err, models.KindNotFound)
	})
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		now := later(0)
		item := models.OutboxItem{ID: models.NewID[models.OutboxID](), Action: models.OutboxPublish, SubjectID: "ca", NotBefore: now}
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.Promise(item), tx.Promise(models.OutboxItem{Action: models.OutboxWithdraw, NotBefore: now.Add(time.Hour)}))
		})
		due := must[[]models.OutboxItem](t)(s.DuePromises(background, now, 10))
		if len(due) != 1 || due[0].ID != item.ID {
			t.Fatalf("due are %v, want only %s", due, item.ID)
		}
		long := string(bytes.Repeat([]byte("ä"), 2000)) + "\x00"
		write(t, s, func(tx *store.Tx) error { return tx.PostponePromise(item.ID, now.Add(2*time.Hour), long) })
		due = must[[]models.OutboxItem](t)(s.DuePromises(background, now.Add(3*time.Hour), 10))
		if len(due) != 2 || due[1].ID != item.ID || due[1].Attempts != 1 || len(due[1].LastError) != 1000 {
			t.Errorf("due are %v", due)
		}
		write(t, s, func(tx *store.Tx) error { return errors.Join(tx.KeepPromise(item.ID), tx.KeepPromise(item.ID)) })
		if due = must[[]models.OutboxItem](t)(s.DuePromises(background, now.Add(3*time.Hour), 10)); len(due) != 1 {
			t.Errorf("%d items are left, want 1", len(due))
		}
	})
}

func TestAnswersAreRememberedForADay(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		now := later(0)
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url, Now: func() time.Time { return now }}))
		defer s.Close()
		a := store.Answer{Principal: "operator:alice", Key: "k1", Route: "POST /api/v1/cas", BodySHA256: "aa", Status: 201, Body: []byte("{}")}
		write(t, s, func(tx *store.Tx) error { return tx.SaveAnswer(a) })
		got := must[*store.Answer](t)(s.FindAnswer(background, a.Principal, "k1"))
		if got.Status != 201 || string(got.Body) != "{}" || got.ExpiresAt.Sub(got.CreatedAt) != 24*time.Hour {
			t.Errorf("found %+v", got)
		}
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveAnswer(a) }), models.KindConflict)
		_, err := s.FindAnswer(background, "operator:bob", "k1")
		wantKind(t, err, models.KindNotFound)
		now = now.Add(24 * time.Hour)
		_, err = s.FindAnswer(background, a.Principal, "k1")
		wantKind(t, err, models.KindNotFound)
		write(t, s, func(tx *store.Tx) error { return tx.SaveAnswer(a) })
		must[*store.Answer](t)(s.FindAnswer(background, a.Principal, "k1"))
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		now := later(0)
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url, Now: func() time.Time { return now }}))
		defer s.Close()
		e := models.Event{ID: "mine", Actor: "system", Action: "device.created", Noun: "device", SubjectID: "d1", DomainID: "x",
			DeviceID: "d1", RequestID: "r1", Details: map[string]string{"name": "press-01"}}
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.Audit(e), tx.Audit(models.Event{Actor: "system", Noun: "certificate"}))
		})
		for name, f := range map[string]store.EventFilter{
			"action": {Action: "device.created"}, "noun": {Noun: "device"}, "subject": {SubjectID: "d1"}, "device": {DeviceID: "d1"},
			"request": {RequestID: "r1"}, "domains": {Domains: []models.DomainID{"x", "y"}},
		} {
			events, _, err := s.ListEvents(background, f)
			if err != nil || len(events) != 1 {
				t.Errorf("filter by %s finds %d events, error %v; want 1", name, len(events), err)
				continue
			}
			if got := events[0]; !models.IsID(string(got.ID)) || !got.At.Equal(now.Truncate(time.Microsecond)) || got.At.Location() != time.UTC || got.Details["name"] != "press-01" {
				t.Errorf("found %+v", got)
			}
		}
	})
}
