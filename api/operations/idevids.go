// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// quarantined returns the IDevIDs that said to be a device. The name of a
// domain that the caller does not see is left out.
func (o *Operations) quarantined(ctx context.Context, who Caller, id models.DeviceID) ([]api.QuarantinedIDevID, error) {
	rows, err := o.store.QuarantinedIDevIDs(ctx, id)
	if err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	var out []api.QuarantinedIDevID
	for _, row := range rows {
		domain, err := names.domain(ctx, row.DomainID)
		if err != nil {
			return nil, err
		}
		q := api.QuarantinedIDevID{
			SHA256: row.Fingerprint, KeySHA256: row.KeySHA256, Subject: row.Subject, Domain: domain, Address: row.Address,
			Count: row.Count, FirstSeenAt: row.FirstSeenAt, LastSeenAt: row.LastSeenAt,
		}
		if !who.sees(domain) {
			q.Domain, q.Address = "", ""
		}
		out = append(out, q)
	}
	return out, nil
}

// UnbindDevice separates a device from its IDevID, so that another one with
// the same name may take its place: after a repair, or when a clone was found
// out. What was quarantined for it is forgotten. Its certificates stay; it
// needs to be armed to be onboarded again.
func (o *Operations) UnbindDevice(ctx context.Context, who Caller, name string, in api.DeviceUnbinding) (*api.Device, error) {
	pin := ""
	if in.IDevIDSHA256 != "" {
		var err error
		if pin, err = parseDigest("idevid_sha256", in.IDevIDSHA256); err != nil {
			return nil, err
		}
	}
	var released []models.QuarantinedIDevID
	out, err := o.changeDevice(ctx, who, name, "device.unbound", func(tx *store.Tx, row *models.Device) (err error) {
		if row.HomeID != "" {
			return models.Errorf(models.KindConflict, "device %s is a record in a further domain; its IDevID is bound at home", row.Name)
		}
		if row.State == models.DeviceOnboarding {
			return models.Errorf(models.KindConflict, "an onboarding of device %s is under way; withdraw its request first", row.Name)
		}
		if row.IDevIDIdentity == nil && row.IDevIDSHA256 == pin {
			return models.Errorf(models.KindConflict, "device %s is not bound to an IDevID", row.Name)
		}
		if pin != "" && !row.Method.HasIDevID() {
			return models.Errorf(models.KindInvalid, "idevid_sha256 goes with the onboarding methods est-idevid and cmp-idevid only; arm device %s for one of them first", row.Name)
		}
		row.IDevIDIdentity, row.IDevIDSHA256, row.IDevIDKeySHA256 = nil, pin, ""
		released, err = tx.ReleaseIDevIDs(row.ID)
		if err != nil || len(released) == 0 {
			return err
		}
		var digests []string
		for _, q := range released {
			digests = append(digests, q.Fingerprint)
		}
		event := deviceEvent(who, "idevid.released", row)
		event.Details["idevid_sha256"] = strings.Join(digests, " ")
		return tx.Audit(event)
	})
	return out, err
}
