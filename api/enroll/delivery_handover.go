// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// saveAttempts bounds how often a change of a delivery is tried against
// others at the same moment.
const saveAttempts = 10

// change runs do on a delivery in one transaction, again if another change
// came in between, so that no try of a code is ever lost.
func (d *Deliveries) change(ctx context.Context, id models.DeliveryID, do func(*store.Tx, *models.Delivery) error) (row *models.Delivery, err error) {
	ends := false // with this change: its key is destroyed, or was without the sweeper knowing
	for range saveAttempts {
		err = d.door.cfg.Store.Write(ctx, func(tx *store.Tx) error {
			if row, err = tx.FindDelivery(ctx, id); err != nil {
				return err
			}
			before := *row
			if err := do(tx, row); err != nil || unchanged(&before, row) {
				return err
			}
			ends = row.Ended() && (!before.Ended() || row.Settled && !before.Settled)
			return tx.SaveDelivery(row)
		})
		if models.KindOf(err) != models.KindConflict {
			break
		}
	}
	if err == nil && ends {
		d.stir()
	}
	return row, err
}

// unchanged reports whether a delivery is where it was.
func unchanged(before, after *models.Delivery) bool {
	return before.State == after.State && before.TriesLeft == after.TriesLeft && before.Settled == after.Settled
}

// Look brings a delivery up to date and returns it: ready once its certificate
// is issued, expired when its time is over, withdrawn when there will be no
// certificate.
func (d *Deliveries) Look(ctx context.Context, id models.DeliveryID) (*models.Delivery, error) {
	return d.change(ctx, id, func(tx *store.Tx, row *models.Delivery) error { return d.advance(ctx, tx, row) })
}

// advance moves an open delivery to where its request and the time have
// brought it.
func (d *Deliveries) advance(ctx context.Context, tx *store.Tx, row *models.Delivery) error {
	if row.State == models.DeliveryWaiting {
		req, err := tx.FindRequest(ctx, row.RequestID)
		if err != nil {
			return err
		}
		switch {
		case req.State == models.RequestIssued:
			row.State, row.CertificateID, row.ExpiresAt = models.DeliveryReady, req.CertificateID, d.door.cfg.Now().Add(row.Life.Std())
			return tx.Audit(deliveryEvent(row, "system", "", "delivery.ready", map[string]string{"expires_at": row.ExpiresAt.UTC().Format(time.RFC3339)}))
		case req.Finished():
			return d.end(ctx, tx, row, models.DeliveryWithdrawn, "system", "", req.FailureText)
		}
	}
	if !row.Ended() && !d.door.cfg.Now().Before(row.ExpiresAt) {
		return d.end(ctx, tx, row, models.DeliveryExpired, "system", "", "nobody fetched it in time")
	}
	return nil
}

// end ends a delivery whose key nobody got. If its request still goes on, that
// is told to end, too.
func (d *Deliveries) end(ctx context.Context, tx *store.Tx, row *models.Delivery, state models.DeliveryState, actor, address, reason string) error {
	now := d.door.cfg.Now().UTC()
	row.State, row.Reason, row.EndedAt = state, reason, &now
	req, err := tx.FindRequest(ctx, row.RequestID)
	if err != nil {
		return err
	}
	if !req.Finished() && req.WorkflowID != "" && models.RequestTransitions.Allowed(req.State, models.RequestWithdrawn) {
		promise := models.OutboxItem{Action: models.OutboxWithdraw, WorkflowID: req.WorkflowID, SubjectID: string(req.ID)}
		if err := tx.Promise(promise); err != nil {
			return err
		}
	}
	return tx.Audit(deliveryEvent(row, actor, address, "delivery."+string(state), map[string]string{"reason": reason}))
}

// Withdraw ends a delivery before it is fetched. It is KindConflict once it
// has ended.
func (d *Deliveries) Withdraw(ctx context.Context, id models.DeliveryID, actor, address, reason string) (*models.Delivery, error) {
	late := false
	row, err := d.change(ctx, id, func(tx *store.Tx, row *models.Delivery) error {
		if err := d.advance(ctx, tx, row); err != nil {
			return err
		}
		if late = row.Ended(); late {
			return nil
		}
		return d.end(ctx, tx, row, models.DeliveryWithdrawn, actor, address, reason)
	})
	if err != nil {
		return nil, err
	}
	if late {
		return nil, models.Errorf(models.KindConflict, "delivery %s is %s; there is nothing to withdraw", id, row.State)
	}
	return row, d.settle(ctx, row.ID)
}

// Collect hands a delivery over to who asks for it: once, and never again. The
// key is destroyed in the transaction that notes the handing over, before the
// file leaves. It is KindConflict for a delivery that is not ready.
func (d *Deliveries) Collect(ctx context.Context, id models.DeliveryID, p models.DeliveryPacking) (*models.DeliveryPackage, error) {
	if err := checkPacking(p); err != nil {
		return nil, err
	}
	return d.collect(ctx, id, p.Actor, p.Address, func(parcel *parcel) (*models.DeliveryPackage, error) {
		how := packings[p.Format]
		content, err := how.pack(parcel, p.Password)
		return &models.DeliveryPackage{FileName: parcel.name + how.ending, MediaType: how.media, Content: content}, err
	})
}

// collect makes the package first, so that nothing is lost if that fails, and
// gives it to the one who then ends the delivery.
func (d *Deliveries) collect(ctx context.Context, id models.DeliveryID, actor, address string, pack func(*parcel) (*models.DeliveryPackage, error)) (*models.DeliveryPackage, error) {
	row, err := d.Look(ctx, id)
	if err != nil {
		return nil, err
	}
	if row.State != models.DeliveryReady {
		return nil, notReady(row)
	}
	parcel, cert, err := d.open(ctx, row)
	if models.KindOf(err) == models.KindNotFound { // fetched by somebody else at this moment
		if row, err = d.Look(ctx, id); err == nil {
			err = notReady(row)
		}
	}
	if err != nil {
		return nil, err
	}
	out, err := pack(parcel)
	if err != nil {
		return nil, err
	}
	var late error
	row, err = d.change(ctx, id, func(tx *store.Tx, row *models.Delivery) error {
		now := d.door.cfg.Now().UTC()
		if late = nil; row.State != models.DeliveryReady || !now.Before(row.ExpiresAt) {
			late = notReady(row)
			return nil
		}
		if err := mayHave(ctx, tx, row); err != nil {
			return err
		}
		row.State, row.EndedAt, row.Settled = models.DeliveryDelivered, &now, true
		return tx.Audit(deliveryEvent(row, actor, address, "delivery.delivered", map[string]string{"channel": string(row.Channel), "certificate": string(cert.ID)}))
	})
	if err = errors.Join(err, late); err != nil {
		return nil, err
	}
	out.Delivery, out.Certificate = row, cert
	return out, nil
}

// mayHave asks again, in the transaction of the handing over, what every other
// door asks a device: an order may be days old.
func mayHave(ctx context.Context, tx *store.Tx, row *models.Delivery) error {
	device, err := tx.FindDevice(ctx, row.DeviceID)
	if err != nil {
		return err
	}
	domain, err := tx.FindDomain(ctx, row.DomainID)
	if err != nil {
		return err
	}
	cert, err := tx.FindCertificate(ctx, row.CertificateID)
	switch {
	case err != nil:
		return err
	case policy.Closed(device) != "":
		return models.Errorf(models.KindDenied, "%s: it gets no keys", policy.Closed(device))
	case domain.Suspended:
		return models.Errorf(models.KindDenied, "domain %s is suspended: its devices get no keys", domain.Name)
	case cert.State != models.CertificateIssued:
		return models.Errorf(models.KindDenied, "the certificate of this key is revoked; withdraw the delivery and order a new one")
	}
	return nil
}

// notReady says why a delivery cannot be fetched.
func notReady(row *models.Delivery) error {
	switch row.State {
	case models.DeliveryWaiting:
		return models.Errorf(models.KindConflict, "the certificate is not issued yet: its request waits for approval or is being worked on")
	case models.DeliveryDelivered:
		return models.Errorf(models.KindConflict, "this was delivered already and its key destroyed; if the file is lost, order a new one")
	case models.DeliveryExpired, models.DeliveryReady:
		return models.Errorf(models.KindConflict, "nobody fetched this in time, and its key was destroyed; order a new one")
	case models.DeliveryLocked:
		return models.Errorf(models.KindConflict, "this is locked after too many wrong codes, and its key was destroyed; order a new one")
	}
	return models.Errorf(models.KindConflict, "this was withdrawn (%s), and its key destroyed; order a new one", row.Reason)
}

// open unseals the key of a delivery and reads what goes with it.
func (d *Deliveries) open(ctx context.Context, row *models.Delivery) (*parcel, *models.Certificate, error) {
	s := d.door.cfg.Store
	sealed, err := s.FindSealedKey(ctx, row.ID)
	if err != nil {
		return nil, nil, err
	}
	cert, err := s.FindCertificate(ctx, row.CertificateID)
	if err != nil {
		return nil, nil, err
	}
	device, err := recipient(ctx, s.Queries, row.DeviceID)
	if err != nil {
		return nil, nil, err
	}
	if cert.State != models.CertificateIssued {
		return nil, nil, models.Errorf(models.KindDenied, "the certificate of this key is revoked; withdraw the delivery and order a new one")
	}
	leaf, err := x509.ParseCertificate(cert.DER)
	if err != nil {
		return nil, nil, fmt.Errorf("parse certificate %s: %w", cert.ID, err)
	}
	chain, err := d.door.chain(ctx, cert.IssuerCAID)
	if err != nil {
		return nil, nil, err
	}
	plain, err := d.sealer.Unseal(sealedUnder(row.ID), sealed)
	if err != nil {
		return nil, nil, fmt.Errorf("unseal the key of delivery %s: %w", row.ID, err)
	}
	defer clear(plain)
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, nil, fmt.Errorf("read the key of delivery %s: %w", row.ID, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("the key of delivery %s is a %T", row.ID, key)
	}
	return &parcel{key: signer, cert: leaf, chain: chain.certs, name: fileName(device.Name, row.ProfileName), now: d.door.cfg.Now().UTC()}, cert, nil
}

// recipient returns the device that a key is for. It is KindDenied for one that
// gets no keys.
func recipient(ctx context.Context, q *store.Queries, id models.DeviceID) (*models.Device, error) {
	device, err := q.FindDevice(ctx, id)
	if err != nil {
		return nil, err
	}
	if why := policy.Closed(device); why != "" {
		return nil, models.Errorf(models.KindDenied, "%s: it gets no keys", why)
	}
	return device, nil
}

// lockedText and wrongText are what a wrong code is told, be there a download
// or not.
const (
	lockedText = "There were too many wrong codes: this download is locked. Please ask for a new code."
	wrongText  = "The device name or the code is wrong. "
)

func wrongCode(left int) error {
	switch left {
	case 0:
		return models.Errorf(models.KindUnauthenticated, "%s", lockedText)
	case 1:
		return models.Errorf(models.KindUnauthenticated, "%sYou have one more try.", wrongText)
	}
	return models.Errorf(models.KindUnauthenticated, "%sYou have %d more tries.", wrongText, left)
}

// Redeem hands a delivery by download over to who knows its code. What the
// answer says about a device is said to the right code only: a wrong one gets
// the same answers whether there is such a device or not.
func (d *Deliveries) Redeem(ctx context.Context, name, typed string, p models.DeliveryPacking) (*models.DeliveryPackage, error) {
	if err := checkPacking(p); err != nil {
		return nil, err
	}
	code, err := readCode(typed)
	if err != nil {
		return nil, err
	}
	row, err := d.download(ctx, name)
	if models.KindOf(err) == models.KindNotFound {
		return nil, wrongCode(d.ghosts.wrong(name, d.door.cfg.Now(), d.life))
	}
	if err != nil {
		return nil, err
	}
	if row, err = d.try(ctx, row.ID, name, code, p.Address); err != nil {
		return nil, err
	}
	out, err := d.Collect(ctx, row.ID, p)
	if models.KindOf(err) == models.KindConflict {
		return nil, d.unavailable(ctx, row.ID, err)
	}
	return out, err
}

// download finds the newest download for a device of that name.
func (d *Deliveries) download(ctx context.Context, name string) (*models.Delivery, error) {
	if models.CheckName("device", name) != nil {
		return nil, models.Errorf(models.KindNotFound, "there is no such device")
	}
	device, err := d.door.cfg.Store.FindDeviceByName(ctx, name)
	if err != nil {
		return nil, err
	}
	return d.door.cfg.Store.FindDownload(ctx, device.ID)
}

// verdict is what came of a code.
type verdict int

const (
	codeRight  verdict = iota
	codeWrong          // and counted
	codeLocked         // by this one, or lately
	codeNobody         // wrong, and there is nothing to be had any more
)

// try checks a code and counts it if it is wrong; the last wrong one destroys
// the key.
func (d *Deliveries) try(ctx context.Context, id models.DeliveryID, name, code, address string) (*models.Delivery, error) {
	var said verdict
	row, err := d.change(ctx, id, func(tx *store.Tx, row *models.Delivery) (err error) {
		if err = d.advance(ctx, tx, row); err == nil {
			said, err = d.judge(ctx, tx, row, code, address)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case said == codeLocked:
		return nil, wrongCode(0)
	case said == codeNobody:
		return nil, wrongCode(d.ghosts.wrong(name, d.door.cfg.Now(), d.life))
	case said == codeWrong:
		return nil, wrongCode(row.TriesLeft)
	}
	return row, nil
}

func (d *Deliveries) judge(ctx context.Context, tx *store.Tx, row *models.Delivery, code, address string) (verdict, error) {
	right := subtle.ConstantTimeCompare(hashCode(row.ID, code), row.CodeHash) == 1
	switch {
	case row.State == models.DeliveryLocked && d.door.cfg.Now().Before(row.EndedAt.Add(row.Life.Std())):
		return codeLocked, nil
	case right:
		return codeRight, nil
	case row.Ended():
		return codeNobody, nil
	}
	row.TriesLeft--
	details := map[string]string{"tries_left": fmt.Sprint(row.TriesLeft)}
	if err := tx.Audit(deliveryEvent(row, "download", address, "delivery.code-refused", details)); err != nil || row.TriesLeft > 0 {
		return codeWrong, err
	}
	return codeLocked, d.end(ctx, tx, row, models.DeliveryLocked, "download", address, "too many wrong codes")
}

// unavailable says to the holder of the right code why there is nothing.
func (d *Deliveries) unavailable(ctx context.Context, id models.DeliveryID, cause error) error {
	row, err := d.door.cfg.Store.FindDelivery(ctx, id)
	if err != nil {
		return err
	}
	text := "This download was withdrawn. Please ask for a new code."
	switch row.State {
	case models.DeliveryWaiting, models.DeliveryReady:
		text = "The code is right, but the certificate is not there yet: it waits for an approval. Please come back later with the same code."
	case models.DeliveryDelivered:
		text = fmt.Sprintf("This was downloaded already, at %s. It can be downloaded once only. If that was not you, or the file is lost, tell the person who gave you the code.",
			row.EndedAt.UTC().Format("2006-01-02 15:04 MST"))
	case models.DeliveryExpired:
		text = "The time for this download is over, and its key was destroyed. Please ask for a new code."
	case models.DeliveryLocked:
		text = lockedText
	}
	return models.Errorf(models.KindConflict, "%s", text).Because(cause)
}
