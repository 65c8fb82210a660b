// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Confirmations end the transactions of CMP whose certificates have to be
// confirmed (RFC 9810 §5.3.18). The row decides, and the first writer wins: the
// client's word or the end of the wait.
type Confirmations struct {
	cfg      Config
	issuance *Issuance
}

// ConfirmationInput names the request of a transaction.
type ConfirmationInput struct {
	RequestID models.RequestID
}

// ConfirmationResult is where a transaction stands.
type ConfirmationResult struct {
	State    models.CMPState
	Deadline time.Time // zero while the certificate is not issued
}

func confirmationResult(t *models.CMPTransaction) ConfirmationResult {
	result := ConfirmationResult{State: t.State}
	if t.Deadline != nil {
		result.Deadline = t.Deadline.UTC()
	}
	return result
}

// ReadConfirmation returns where the transaction of a request stands.
func (c *Confirmations) ReadConfirmation(ctx context.Context, in ConfirmationInput) (ConfirmationResult, error) {
	t, err := c.cfg.Store.FindCMPTransactionByRequest(ctx, in.RequestID)
	if err != nil {
		return ConfirmationResult{}, err
	}
	return confirmationResult(t), nil
}

// unconfirmed is why a certificate is revoked that its client did not take.
const unconfirmed models.RevocationReason = "cessationOfOperation"

// onHold is the revocation that might be taken back.
const onHold models.RevocationReason = "certificateHold"

// ExpireConfirmation revokes the certificate of a request unless it was
// confirmed, or its wait has not passed. A certificate that a crash left
// reserved is finished first: a signature may exist.
func (c *Confirmations) ExpireConfirmation(ctx context.Context, in ConfirmationInput) (ConfirmationResult, error) {
	req, err := c.cfg.Store.FindRequest(ctx, in.RequestID)
	if err != nil {
		return ConfirmationResult{}, err
	}
	if req.State == models.RequestReserved {
		if _, err := c.issuance.Finish(ctx, req); err != nil {
			return ConfirmationResult{}, err
		}
	}
	var result ConfirmationResult
	err = c.cfg.write(ctx, func(tx *store.Tx) error {
		t, err := tx.FindCMPTransactionByRequest(ctx, in.RequestID)
		if err != nil {
			return err
		}
		if t.State == models.CMPOpen && t.Deadline != nil && !c.cfg.Now().Before(*t.Deadline) {
			if err := c.end(ctx, tx, t, models.CMPLapsed, system, "", "nobody confirmed the certificate in time"); err != nil {
				return err
			}
		}
		result = confirmationResult(t)
		return nil
	})
	return result, err
}

// ConfirmInput is what a client says about its certificate.
type ConfirmInput struct {
	Key      string // of the transaction
	Accepted bool
	Reason   string // of a refusal; bounded and printable
	Actor    string
	Address  string
}

// Confirm takes the client's word. Said again it is the same; what contradicts
// an earlier word, or comes too late, is KindConflict. It is KindNotFound for a
// transaction that is not waiting for one.
func (c *Confirmations) Confirm(ctx context.Context, in ConfirmInput) error {
	want := models.CMPConfirmed
	if !in.Accepted {
		want = models.CMPRefused
	}
	return c.cfg.write(ctx, func(tx *store.Tx) error {
		t, err := tx.FindCMPTransaction(ctx, in.Key)
		if err != nil {
			return err
		}
		late := t.Deadline != nil && !c.cfg.Now().Before(*t.Deadline)
		switch {
		case t.State == want:
			return nil
		case t.State == models.CMPLapsed, t.State == models.CMPOpen && late:
			return models.Errorf(models.KindConflict, "the confirmation came too late: the certificate is revoked")
		case t.State != models.CMPOpen:
			return models.Errorf(models.KindConflict, "the transaction was %s before", t.State)
		case t.Deadline == nil:
			return models.Errorf(models.KindConflict, "there is no certificate yet that could be confirmed")
		}
		return c.end(ctx, tx, t, want, in.Actor, in.Address, in.Reason)
	})
}

// end moves a transaction to its last state, with what follows from it.
func (c *Confirmations) end(ctx context.Context, tx *store.Tx, t *models.CMPTransaction, state models.CMPState, actor, address, reason string) error {
	req, err := tx.FindRequest(ctx, t.RequestID)
	if err != nil {
		return err
	}
	now := c.cfg.Now().UTC()
	t.State, t.EndedAt, t.Reason, t.CertificateID = state, &now, reason, req.CertificateID
	if err := tx.SaveCMPTransaction(t); err != nil {
		return err
	}
	if err := tx.KeepPromise(models.ConfirmationPromise(req.ID)); err != nil {
		return err
	}
	event := requestEvent(req, "certificate."+string(state), map[string]string{"reason": reason})
	event.Noun, event.SubjectID, event.Actor, event.Address = "certificate", string(req.CertificateID), actor, address
	if err := tx.Audit(event); err != nil {
		return err
	}
	if state == models.CMPConfirmed || req.State != models.RequestIssued {
		return nil
	}
	return c.takeBack(ctx, tx, t, req, event)
}

// takeBack revokes the certificate of req unless it is revoked for good, and
// sets a device that was onboarded with it back, so that it can try again.
func (c *Confirmations) takeBack(ctx context.Context, tx *store.Tx, t *models.CMPTransaction, req *models.Request, event models.Event) error {
	cert, err := tx.FindCertificate(ctx, req.CertificateID)
	if err != nil {
		return err
	}
	if cert.State == models.CertificateIssued || cert.RevokedReason == onHold {
		if err := tx.RevokeCertificate(cert.ID, unconfirmed, models.UTC(c.cfg.Now())); err != nil {
			return err
		}
		if err := tx.Promise(models.OutboxItem{Action: models.OutboxPublish, SubjectID: string(cert.IssuerCAID)}); err != nil {
			return err
		}
		event.Action = "certificate.revoked"
		event.Details = map[string]string{"serial": cert.Serial, "reason": string(unconfirmed), "comment": event.Details["reason"]}
		if err := tx.Audit(event); err != nil {
			return err
		}
	}
	if req.Kind != models.KindOnboarding {
		return nil
	}
	device, err := tx.FindDevice(ctx, req.DeviceID)
	if err != nil || !onboardedIn(t, device) {
		return err
	}
	if device.OnboardedAt = nil; device.State == models.DeviceOnboarded { // a suspended one stays so
		device.State = models.DeviceRegistered
	}
	return tx.SaveDevice(device)
}

// onboardedIn reports whether the identity that a device has is that of a
// transaction, whose wait began when deliver onboarded it. It may have been
// armed and onboarded again since.
func onboardedIn(t *models.CMPTransaction, device *models.Device) bool {
	if device.State != models.DeviceOnboarded && device.State != models.DeviceSuspended || device.OnboardedAt == nil || t.Deadline == nil {
		return false
	}
	return device.OnboardedAt.Sub(t.Deadline.Add(-t.ConfirmWait.Std())).Abs() < time.Second
}

// expectConfirmation begins the wait for the confirmation of a request by CMP
// that has just been issued within tx, if it has to be confirmed.
func expectConfirmation(ctx context.Context, tx *store.Tx, req *models.Request, now time.Time) error {
	if !models.IsCMP(req.Protocol) {
		return nil
	}
	t, err := tx.FindCMPTransactionByRequest(ctx, req.ID)
	if models.KindOf(err) == models.KindNotFound {
		return nil // confirmed implicitly
	}
	if err != nil || t.Deadline != nil {
		return err
	}
	deadline := now.UTC().Add(t.ConfirmWait.Std())
	t.Deadline = &deadline
	if err := tx.SaveCMPTransaction(t); err != nil {
		return err
	}
	return tx.Promise(ConfirmationPromise(t, now))
}

// patienceBeforeStory is how long a client may take before a story begins to
// wait for it: most confirm at once, and need none.
const patienceBeforeStory = 20 * time.Second

// ConfirmationPromise is the promise to start the story of a transaction whose
// certificate is issued now.
func ConfirmationPromise(t *models.CMPTransaction, now time.Time) models.OutboxItem {
	return models.OutboxItem{
		ID: models.ConfirmationPromise(t.RequestID), Action: models.OutboxConfirmation, SubjectID: string(t.RequestID),
		NotBefore: now.Add(min(patienceBeforeStory, t.ConfirmWait.Std()/2)),
	}
}
