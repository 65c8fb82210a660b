// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// How often the sweeper looks, how much it takes at a time, and how long a
// round may take.
const (
	sweepInterval = 15 * time.Second
	sweepBatch    = 200
	sweepRound    = time.Minute
)

// scrubs is in how many rounds the database is told to forget: PostgreSQL keeps
// what a transaction that is older than the end of a delivery could still see.
const scrubs = 2

// undelivered is why the certificate of a key that nobody got is revoked.
const undelivered models.RevocationReason = "cessationOfOperation"

// Sweep runs until ctx ends: it expires what nobody fetches, revokes the
// certificates of keys that were destroyed instead of delivered, and has the
// database forget destroyed keys. Several processes may do so at once.
func (d *Deliveries) Sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	forget := scrubs // a crash may have come between the end of a delivery and this
	for {
		round, cancel := context.WithTimeout(ctx, sweepRound)
		d.settleAll(round)
		if forget > 0 && d.forget(round) == nil {
			forget--
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-d.wake:
			forget = scrubs
		}
	}
}

// stir tells the sweeper that a key was destroyed.
func (d *Deliveries) stir() {
	select {
	case d.wake <- struct{}{}:
	default: // it knows
	}
}

// forget removes what the database keeps of destroyed keys.
func (d *Deliveries) forget(ctx context.Context) error {
	err := d.door.cfg.Store.Scrub(ctx)
	if err != nil && ctx.Err() == nil {
		d.door.cfg.Logger.Warn("what the database keeps of destroyed keys is removed later", "error", err)
	}
	return err
}

// settleAll looks after every delivery that needs it.
func (d *Deliveries) settleAll(ctx context.Context) {
	var cursor models.DeliveryID
	for ctx.Err() == nil {
		rows, err := d.door.cfg.Store.UnsettledDeliveries(ctx, cursor, sweepBatch)
		if err != nil {
			d.door.cfg.Logger.Warn("the deliveries cannot be read", "error", err)
			return
		}
		for i := range rows {
			cursor = rows[i].ID
			if err := d.lookAfter(ctx, &rows[i]); err != nil {
				d.door.cfg.Logger.Warn("a delivery is looked after later", "delivery", cursor, "error", err)
			}
		}
		if len(rows) < sweepBatch {
			return
		}
	}
}

// lookAfter does for one delivery what there is to do.
func (d *Deliveries) lookAfter(ctx context.Context, row *models.Delivery) error {
	if !row.Ended() {
		req, err := d.door.cfg.Store.FindRequest(ctx, row.RequestID)
		if err != nil {
			return err
		}
		if d.door.cfg.Now().Before(row.ExpiresAt) && (row.State == models.DeliveryReady || !req.Finished()) {
			return nil
		}
		if row, err = d.Look(ctx, row.ID); err != nil || !row.Ended() {
			return err
		}
	}
	return d.settle(ctx, row.ID)
}

// settle ends what goes with a delivery whose key nobody got: a certificate
// that was issued is revoked, and a device that was onboarded with it is not.
// While the request still goes on it does nothing and is called again.
func (d *Deliveries) settle(ctx context.Context, id models.DeliveryID) error {
	_, err := d.change(ctx, id, func(tx *store.Tx, row *models.Delivery) error {
		if row.Settled || !row.Ended() {
			return nil
		}
		req, err := tx.FindRequest(ctx, row.RequestID)
		if err != nil || !req.Finished() {
			return err
		}
		row.Settled = true
		if req.State != models.RequestIssued {
			return nil
		}
		row.CertificateID = req.CertificateID
		if err := d.takeBack(ctx, tx, row); err != nil || req.Kind != models.KindOnboarding {
			return err
		}
		return d.offboard(ctx, tx, row)
	})
	return err
}

// takeBack revokes the certificate of a key that nobody has.
func (d *Deliveries) takeBack(ctx context.Context, tx *store.Tx, row *models.Delivery) error {
	cert, err := tx.FindCertificate(ctx, row.CertificateID)
	if models.KindOf(err) == models.KindNotFound {
		_, err = tx.FindTombstone(ctx, row.CertificateID) // nothing is left to revoke of one that was purged
		return err
	}
	if err != nil || cert.State != models.CertificateIssued {
		return err
	}
	if err := tx.RevokeCertificate(cert.ID, undelivered, models.UTC(d.door.cfg.Now())); err != nil {
		return err
	}
	if err := tx.Promise(models.OutboxItem{Action: models.OutboxPublish, SubjectID: string(cert.IssuerCAID)}); err != nil {
		return err
	}
	event := deliveryEvent(row, "system", "", "certificate.revoked", map[string]string{
		"serial": cert.Serial, "reason": string(undelivered), "comment": "its key was destroyed before it was delivered"})
	event.Noun, event.SubjectID = "certificate", string(cert.ID)
	return tx.Audit(event)
}

// offboard sets a device back that was onboarded with a key nobody has, unless
// it has another domain credential since.
func (d *Deliveries) offboard(ctx context.Context, tx *store.Tx, row *models.Delivery) error {
	others, _, err := tx.ListCertificates(ctx, store.CertificateFilter{
		Page: store.Page{Limit: 1}, DeviceID: row.DeviceID, Kind: models.CertificateDomainCredential, Status: store.StatusValid, Now: d.door.cfg.Now()})
	if err != nil || len(others) > 0 {
		return err
	}
	device, err := tx.FindDevice(ctx, row.DeviceID)
	if err != nil {
		return err
	}
	switch device.State {
	case models.DeviceOnboarded:
		device.State, device.OnboardedAt = models.DeviceRegistered, nil
	case models.DeviceSuspended:
		device.OnboardedAt = nil
	default:
		return nil
	}
	if err := tx.SaveDevice(device); err != nil {
		return err
	}
	event := deliveryEvent(row, "system", "", "device.set-back", map[string]string{"reason": "the key of its domain credential was destroyed before it was delivered"})
	event.Noun, event.SubjectID = "device", string(device.ID)
	return tx.Audit(event)
}
