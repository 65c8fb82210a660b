// SPDX-License-Identifier: MIT

package store_test

import (
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestEventsOfAnActor: what a device did is found by the device, of which there
// is an index; so every event with a device as its actor has to be about it.
func TestEventsOfAnActor(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		_, domain := plant(t, s)
		device := newDevice("press-01", domain.ID)
		write(t, s, func(tx *store.Tx) error { return tx.InsertDevice(device) })
		write(t, s, func(tx *store.Tx) error {
			for _, e := range []models.Event{
				{Actor: "device:press-01", Action: "a"}, {Actor: "device:press-01", Action: "b", DeviceID: device.ID}, {Action: "c", DeviceID: device.ID},
				{Actor: "operator:alice", Action: "d", DeviceID: device.ID}, {Actor: "system", Action: "e"}, {Actor: "download", Action: "f"},
				{Actor: "device:gone", Action: "g"},
			} {
				if err := tx.Audit(e); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			actor, device, want string
		}{
			{"device:press-01", "", "a b c"}, {"device:gone", "", "g"}, {"device:none", "", ""}, {"device:", "", ""}, {"operator:alice", "", "d"},
			{"operator:", "", ""}, {"system", "", "e"}, {"download", "", "f"}, {"", string(device.ID), "a b c d"}, {"device:press-01", "another", ""},
		} {
			got := pages(t, func(e models.Event) string { return e.Action }, func(p store.Page) ([]models.Event, string, error) {
				return s.ListEvents(t.Context(), store.EventFilter{Page: p, Actor: c.actor, DeviceID: models.DeviceID(c.device)})
			})
			if got != c.want {
				t.Errorf("actor %q and device %q: %q, want %q", c.actor, c.device, got, c.want)
			}
		}
	})
}
