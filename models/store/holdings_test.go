// SPDX-License-Identifier: MIT

package store_test

import (
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestAHoldingIsWhatTheLookUpsOneByOneFind(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		root, domain := plant(t, s)
		chain := []*models.CA{root}
		device := newDevice("press-01", domain.ID)
		for _, name := range []string{"issuing", "sub", "subsub"} {
			ca := newCA(name)
			ca.IssuerID = chain[0].ID
			write(t, s, func(tx *store.Tx) error { return tx.InsertCA(ca) })
			chain = append([]*models.CA{ca}, chain...)
		}
		write(t, s, func(tx *store.Tx) error { return tx.InsertDevice(device) })
		for depth := 1; depth <= len(chain); depth++ {
			above := chain[len(chain)-depth:]
			cert := newCertificate(above[0].Name)
			cert.IssuerCAID, cert.DeviceID = above[0].ID, device.ID
			if depth == 2 {
				cert.DeviceID = ""
			}
			fingerprint := "fp " + above[0].Name
			write(t, s, func(tx *store.Tx) error {
				if _, err := tx.ReserveCertificate(cert); err != nil {
					return err
				}
				_, err := tx.RecordCertificate(cert.ID, []byte("der"), fingerprint)
				return err
			})
			held := must[*store.Holding](t)(s.FindHolding(t.Context(), fingerprint))
			same(t, held.Certificate, must[*models.Certificate](t)(s.FindCertificate(t.Context(), cert.ID)))
			same(t, held.Chain, must[[]*models.CA](t)(s.CAChain(t.Context(), above[0].ID)))
			if depth == 2 {
				device := held.Device
				if device != nil {
					t.Errorf("a device that is not there: %v", device)
				}
				continue
			}
			same(t, held.Device, must[*models.Device](t)(s.FindDevice(t.Context(), device.ID)))
		}
		for _, unknown := range []string{"", "none"} {
			_, err := s.FindHolding(t.Context(), unknown)
			wantKind(t, err, models.KindNotFound)
		}
	})
}
