// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// stillOpen repeats, at the moment of issuing, the conditions that may have
// changed while people were deciding.
func stillOpen(facts *Facts, now time.Time) error {
	switch {
	case facts.Domain.Suspended:
		return models.Errorf(models.KindDenied, "domain %s is suspended", facts.Domain.Name)
	case facts.CA.State != models.CAActive:
		return models.Errorf(models.KindDenied, "issuing CA %s is %s and does not issue", facts.CA.Name, facts.CA.State)
	case !now.Before(facts.CA.NotAfter):
		return models.Errorf(models.KindDenied, "issuing CA %s has expired", facts.CA.Name)
	case facts.Device.State == models.DeviceSuspended, facts.Device.State == models.DeviceDecommissioned:
		return models.Errorf(models.KindDenied, "device %s is %s", facts.Device.Name, facts.Device.State)
	}
	return nil
}

// stillTheirs repeats what admission asked of the device: it is where it was
// when the request was admitted, and the secret or the certificate that proved
// it then has not been replaced or revoked since.
func (i *Issuance) stillTheirs(ctx context.Context, req *models.Request, device *models.Device) error {
	want := models.DeviceOnboarded
	if req.Kind == models.KindOnboarding {
		want = models.DeviceOnboarding
	}
	if device.State != want {
		return models.Errorf(models.KindDenied, "device %s is %s, no longer %s", device.Name, device.State, want)
	}
	switch req.AuthMethod {
	case models.AuthPassword:
		if device.SecretUsedBy != "" && device.SecretUsedBy != req.Key {
			return models.Errorf(models.KindDenied, "device %s was armed anew after the request", device.Name)
		}
	case models.AuthDomainCredential, models.AuthPredecessor:
		proof, err := i.cfg.Store.FindCertificateByFingerprint(ctx, req.AuthSubject)
		if err != nil {
			return store.OrPurged(err, func() (*models.Tombstone, error) { return i.cfg.Store.FindTombstoneByFingerprint(ctx, req.AuthSubject) })
		}
		if proof.State != models.CertificateIssued {
			return models.Errorf(models.KindDenied, "the certificate with which device %s authenticated was revoked after the request", device.Name)
		}
	}
	return nil
}

// keyIsFree refuses a key that was compromised or is under suspicion, one that
// is on a list of keys that nobody may use, and one that somebody else holds,
// be it a CA.
func (i *Issuance) keyIsFree(ctx context.Context, csr *pki.CSR, facts *Facts) error {
	device := facts.Device
	if csr.SPKISHA256 == facts.FreeKey {
		return nil
	}
	obstacle, err := i.cfg.Store.KeyInTheWay(ctx, csr.SPKISHA256, device.ID)
	switch {
	case err != nil || obstacle == nil:
		return err
	case obstacle.Blocklist != "":
		return store.Blocked(obstacle.Blocklist)
	case obstacle.DeviceID == device.ID:
		return models.Errorf(models.KindDenied, "a certificate of this key was revoked (%s): make a new key", obstacle.RevokedReason)
	}
	return models.Errorf(models.KindDenied, "this key is not the device's own: make a new key")
}
