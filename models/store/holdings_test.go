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
		chain := chainAbove(t, s, root)
		device := newDevice("press-01", domain.ID)
		write(t, s, func(tx *store.Tx) error { return tx.InsertDevice(device) })
		for depth := 1; depth <= len(chain); depth++ {
			above := chain[len(chain)-depth:]
			cert := recorded(t, s, above[0].Name, func(c *models.Certificate) {
				c.IssuerCAID, c.DeviceID = above[0].ID, device.ID
				if depth == 2 {
					c.DeviceID = ""
				}
			})
			held := must[*store.Holding](t)(s.FindHolding(t.Context(), "fp "+above[0].Name))
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
