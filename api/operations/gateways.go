// SPDX-License-Identifier: MIT

package operations

import (
	"context"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// settle makes a new row the record of an existing device in a further domain.
// Each record has a life of its own: what happens to one does not happen to the
// others, and who sees one domain only sees one record only.
func settle(ctx context.Context, tx *store.Tx, who Caller, row *models.Device, name string) error {
	if name == "" {
		return nil
	}
	home, _, err := deviceNamed(ctx, tx.Queries, who, name)
	if err != nil {
		return err
	}
	switch {
	case home.HomeID != "":
		return models.Errorf(models.KindInvalid, "device %s is itself a record in a further domain; name the one in its home domain", name)
	case home.DomainID == row.DomainID:
		return models.Errorf(models.KindInvalid, "device %s is at home in this domain already", name)
	case home.State == models.DeviceDecommissioned:
		return models.Errorf(models.KindConflict, "device %s is decommissioned", name)
	case row.IDevIDSHA256 != "":
		return models.Errorf(models.KindInvalid, "idevid_sha256 is a matter of the home record; leave it out")
	}
	if _, err := tx.FindMember(ctx, home.ID, row.DomainID); ifAbsent(err) != nil || err == nil {
		if err == nil {
			err = models.Errorf(models.KindConflict, "device %s has a record in this domain already", name)
		}
		return err
	}
	row.HomeID = home.ID
	if row.SerialNumber == "" {
		row.SerialNumber = home.SerialNumber
	}
	return nil
}

// relatives fills in the other records of a device, as far as the caller sees
// them.
func (o *Operations) relatives(ctx context.Context, who Caller, row *models.Device, out *api.Device) error {
	names := newNames(o.store.Queries)
	if row.HomeID != "" {
		home, err := o.store.FindDevice(ctx, row.HomeID)
		if err != nil {
			return err
		}
		domain, err := names.domain(ctx, home.DomainID)
		if err == nil && who.sees(domain) {
			out.Home = home.Name
		}
		return err
	}
	members, err := o.store.Members(ctx, row.ID)
	if err != nil {
		return err
	}
	for _, m := range members {
		domain, err := names.domain(ctx, m.DomainID)
		if err != nil {
			return err
		}
		if who.sees(domain) {
			out.Elsewhere = append(out.Elsewhere, api.DeviceElsewhere{Name: m.Name, Domain: domain, State: m.State})
		}
	}
	return nil
}
