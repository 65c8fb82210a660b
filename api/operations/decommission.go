// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// reasonEnd is why the certificates of a decommissioned device are revoked
// (RFC 5280 §5.3.1).
const reasonEnd models.RevocationReason = "cessationOfOperation"

// afterwards is when a decommissioned device is looked at once more: requests
// that were being answered have ended by then.
const afterwards = 2 * time.Minute

// DecommissionDevice ends the life of a device, in one transaction: it is
// refused everything, all of its certificates are revoked, what it asked for is
// withdrawn, the keys that wait for it are destroyed. The same happens to its records in further domains that the caller sees. The CRLs follow. What was being signed at this moment is revoked
// a little later.
func (o *Operations) DecommissionDevice(ctx context.Context, who Caller, name string) (*api.Device, error) {
	if err := auth.Authorize(who.Principal, auth.WriteDevices); err != nil {
		return nil, err
	}
	var out api.Device
	var issuers []models.CAID
	var stories []string
	err := o.write(ctx, func(tx *store.Tx) error {
		row, domain, err := deviceNamed(ctx, tx.Queries, who, name)
		if err != nil {
			return err
		}
		if row.State == models.DeviceDecommissioned {
			return models.Errorf(models.KindConflict, "device %s is decommissioned already", row.Name)
		}
		out = wireDevice(row, domain)
		if issuers, stories, err = o.retire(ctx, tx, who, row); err != nil {
			return err
		}
		out.State, out.UpdatedAt = row.State, row.UpdatedAt
		return o.retireMembers(ctx, tx, who, row, func(member *models.Device, domain string, also []models.CAID, further []string) {
			out.Elsewhere = append(out.Elsewhere, api.DeviceElsewhere{Name: member.Name, Domain: domain, State: member.State})
			issuers, stories = append(issuers, also...), append(stories, further...)
		})
	})
	if err != nil {
		return nil, err
	}
	for _, id := range issuers {
		o.tell(ctx, who, "publish CRL", func(ctx context.Context) error { return o.stories.Publish(ctx, id) })
	}
	for _, workflow := range stories {
		o.tell(ctx, who, "withdraw request", func(ctx context.Context) error { return o.stories.Withdraw(ctx, workflow) })
	}
	return &out, nil
}

// retireMembers ends the records that a machine has in further domains: it is
// one thing. Where the caller has nothing to say, the record stays for those
// who have, and an event in its domain tells them.
func (o *Operations) retireMembers(ctx context.Context, tx *store.Tx, who Caller, home *models.Device, ended func(*models.Device, string, []models.CAID, []string)) error {
	members, err := tx.Members(ctx, home.ID)
	if err != nil {
		return err
	}
	names := newNames(tx.Queries)
	for i := range members {
		member := &members[i]
		if member.State == models.DeviceDecommissioned {
			continue
		}
		domain, err := names.domain(ctx, member.DomainID)
		if err != nil {
			return err
		}
		if !who.sees(domain) {
			event := deviceEvent(Caller{}, "device.home-decommissioned", member)
			event.Actor = "system"
			if err := tx.Audit(event); err != nil {
				return err
			}
			continue
		}
		issuers, stories, err := o.retire(ctx, tx, who, member)
		if err != nil {
			return err
		}
		ended(member, domain, issuers, stories)
	}
	return nil
}

// retire ends a device, and takes from it what it has and what it waits for.
func (o *Operations) retire(ctx context.Context, tx *store.Tx, who Caller, row *models.Device) ([]models.CAID, []string, error) {
	row.State, row.SecretHash = models.DeviceDecommissioned, nil
	if err := tx.SaveDevice(row); err != nil {
		return nil, nil, err
	}
	event := deviceEvent(who, "device.decommissioned", row)
	issuers, revoked, err := tx.RevokeOfDevice(row.ID, reasonEnd, models.UTC(o.now()), who.event("", "", "", "device", row.Name, "because", "decommissioned"))
	if err != nil {
		return nil, nil, err
	}
	stories, err := withdrawAll(ctx, tx, who, row)
	if err != nil {
		return nil, nil, err
	}
	keys, err := tx.WithdrawDeliveries(row.ID, models.BecauseDecommissioned, models.UTC(o.now()), who.event("", "", ""))
	if err != nil {
		return nil, nil, err
	}
	if err := tx.PutDeviceSecret(row.ID, nil); err != nil {
		return nil, nil, err
	}
	promise := models.OutboxItem{Action: models.OutboxRetireDevice, SubjectID: string(row.ID), NotBefore: o.now().Add(afterwards)}
	if err := tx.Promise(promise); err != nil {
		return nil, nil, err
	}
	event.Details["certificates_revoked"], event.Details["requests_withdrawn"] = strconv.Itoa(revoked), strconv.Itoa(len(stories))
	event.Details["deliveries_withdrawn"] = strconv.Itoa(keys)
	return issuers, stories, tx.Audit(event)
}

// withdrawAll asks for the end of every request of a device that waits.
func withdrawAll(ctx context.Context, tx *store.Tx, who Caller, row *models.Device) (stories []string, err error) {
	for _, state := range []models.RequestState{models.RequestReceived, models.RequestWaiting, models.RequestApproved} {
		rows, _, err := tx.ListRequests(ctx, store.RequestFilter{Page: store.Page{Limit: store.MaxLimit}, DeviceID: row.ID, State: state})
		if err != nil {
			return nil, err
		}
		for _, req := range rows {
			if req.WorkflowID == "" || slices.Contains(stories, req.WorkflowID) {
				continue
			}
			stories = append(stories, req.WorkflowID)
			if err := tx.Promise(models.OutboxItem{Action: models.OutboxWithdraw, WorkflowID: req.WorkflowID, SubjectID: string(req.ID)}); err != nil {
				return nil, err
			}
			event := who.event("request.withdrawal-asked", "request", string(req.ID), "reason", models.BecauseDecommissioned)
			event.DomainID, event.DeviceID, event.RequestID, event.WorkflowID = req.DomainID, req.DeviceID, req.ID, req.WorkflowID
			if err := tx.Audit(event); err != nil {
				return nil, err
			}
		}
	}
	return stories, nil
}
