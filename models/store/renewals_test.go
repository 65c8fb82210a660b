// SPDX-License-Identifier: MIT

package store_test

import (
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// recorded stores a certificate with the fingerprint "fp " + key.
func recorded(t *testing.T, s *store.Store, key string, change func(*models.Certificate)) *models.Certificate {
	t.Helper()
	cert := newCertificate(key)
	change(cert)
	write(t, s, func(tx *store.Tx) error {
		if _, err := tx.ReserveCertificate(cert); err != nil {
			return err
		}
		_, err := tx.RecordCertificate(cert.ID, []byte("der"), "fp "+key)
		return err
	})
	return cert
}

// chainAbove stores three CAs under a root, and returns all four, the root last.
func chainAbove(t *testing.T, s *store.Store, root *models.CA) []*models.CA {
	t.Helper()
	chain := []*models.CA{root}
	for _, name := range []string{"issuing", "sub", "subsub"} {
		ca := newCA(name)
		ca.IssuerID = chain[0].ID
		write(t, s, func(tx *store.Tx) error { return tx.InsertCA(ca) })
		chain = append([]*models.CA{ca}, chain...)
	}
	return chain
}

func TestARenewalIsWhatTheLookUpsOneByOneFindAlsoAfterChanges(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		root, domain := plant(t, s)
		chain := chainAbove(t, s, root)
		device := newDevice("press-01", domain.ID)
		profile := &models.Profile{Name: "generic", Document: []byte("{}")}
		write(t, s, func(tx *store.Tx) error {
			if err := tx.InsertProfile(profile); err != nil {
				return err
			}
			return tx.InsertDevice(device)
		})
		for depth := 1; depth <= len(chain); depth++ {
			above := chain[len(chain)-depth:]
			recorded(t, s, above[0].Name, func(c *models.Certificate) {
				c.IssuerCAID, c.DeviceID, c.ProfileName = above[0].ID, device.ID, "generic"
			})
		}
		check := func(step string) {
			t.Helper()
			for _, ca := range chain {
				seen := must[*store.Renewal](t)(s.FindRenewal(t.Context(), "press-shop", "fp "+ca.Name, "new key"))
				held := must[*store.Holding](t)(s.FindHolding(t.Context(), "fp "+ca.Name))
				t.Log(step, ca.Name)
				same(t, seen.Certificate, held.Certificate)
				same(t, seen.Device, held.Device)
				same(t, seen.Chain, held.Chain)
				same(t, seen.Domain, must[*models.Domain](t)(s.FindDomainByName(t.Context(), "press-shop")))
				same(t, seen.Profile, must[*models.Profile](t)(s.FindProfile(t.Context(), "generic")))
				seen.Domain.Suspended, seen.Chain[0].Name = true, "changed by a caller" // reaches nobody else
			}
		}
		check("as it was made")
		domain.Suspended = true
		write(t, s, func(tx *store.Tx) error { return tx.SaveDomain(domain) })
		check("the domain was suspended")
		for _, ca := range chain {
			ca.State = models.CAActive
			write(t, s, func(tx *store.Tx) error { return tx.SaveCA(ca) })
			check("a CA became active")
		}
		write(t, s, func(tx *store.Tx) error {
			return tx.InsertProfile(&models.Profile{Name: "generic", Document: []byte(`{"newer":1}`)})
		})
		check("the profile has a newer version")
		device.State = models.DeviceSuspended
		write(t, s, func(tx *store.Tx) error { return tx.SaveDevice(device) })
		check("the device was suspended")
	})
}

func TestARenewalKnowsWhetherTheKeyIsFree(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		root, domain := plant(t, s)
		device := newDevice("press-01", domain.ID)
		write(t, s, func(tx *store.Tx) error { return tx.InsertDevice(device) })
		own := func(c *models.Certificate) { c.IssuerCAID, c.DeviceID, c.SPKISHA256 = root.ID, device.ID, "own" }
		recorded(t, s, "own", own)
		recorded(t, s, "other", func(c *models.Certificate) { c.IssuerCAID, c.SPKISHA256 = root.ID, "other" })
		revoked := recorded(t, s, "revoked", func(c *models.Certificate) { own(c); c.SPKISHA256 = "revoked" })
		for key, free := range map[string]bool{"new": true, "own": true, "other": false, "revoked": true} {
			seen := must[*store.Renewal](t)(s.FindRenewal(t.Context(), "press-shop", "fp own", key))
			obstacle := must[*store.Obstacle](t)(s.KeyInTheWay(t.Context(), key, device.ID))
			if seen.KeyFree != free || (obstacle == nil) != free {
				t.Errorf("key %q is free: %v, want %v; the look-up finds %v", key, seen.KeyFree, free, obstacle)
			}
		}
		write(t, s, func(tx *store.Tx) error {
			return tx.RevokeCertificate(revoked.ID, "keyCompromise", later(0))
		})
		if seen := must[*store.Renewal](t)(s.FindRenewal(t.Context(), "press-shop", "fp own", "revoked")); seen.KeyFree {
			t.Error("the key of a certificate that was revoked for it is free")
		}
		write(t, s, func(tx *store.Tx) error {
			_, _, err := tx.ChangeBlocklist("leaked", []string{"new"}, nil)
			return err
		})
		if seen := must[*store.Renewal](t)(s.FindRenewal(t.Context(), "press-shop", "fp own", "new")); seen.KeyFree {
			t.Error("a key that is on a list of keys that nobody may use is free")
		}
		for _, missing := range [][2]string{{"press-shop", "none"}, {"none", "fp own"}, {"", "fp own"}, {"press-shop", ""}} {
			_, err := s.FindRenewal(t.Context(), missing[0], missing[1], "new")
			wantKind(t, err, models.KindNotFound)
		}
	})
}
