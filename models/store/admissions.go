// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Admission is what is stored when a device is taken into onboarding by its
// one-time secret and waits for nobody: the request, the device with its secret
// spent, the promise to start the story, and the audit event.
type Admission struct {
	Request *models.Request
	Device  *models.Device // registered, as it authenticated
	Now     time.Time
	Promise models.OutboxItem
	Event   models.Event

	admittedAt time.Time
}

// Admit stores an admission if the request is new and the device is as it
// authenticated, and then a.Device is the device as it is stored. Otherwise it
// reports false and has stored nothing: what has changed is to be looked at.
// Like Reserve it shares its transaction with others.
func (s *Store) Admit(ctx context.Context, a Admission) (bool, error) {
	if a.Request.Key == "" || a.Request.State != models.RequestReceived || a.Device.State != models.DeviceRegistered || a.Device.SecretUsedBy != "" {
		return false, models.Errorf(models.KindInvalid, "an admission needs a new request with a key and a device whose secret is not spent")
	}
	setDefault(&a.Promise.ID, models.NewID[models.OutboxID]())
	op := &issuance{ctx: ctx, admission: &a}
	err := s.issuances.do(s, op)
	if models.KindOf(err) == models.KindConflict {
		return false, nil
	}
	return err == nil && op.won, err
}

// prepare completes the rows of an admission.
func (a *Admission) prepare(tx *Tx) {
	req := a.Request
	tx.fresh((*string)(&req.ID), &req.Revision, &req.CreatedAt, &req.UpdatedAt)
	stamp(req)
	setDefault(&a.Promise.CreatedAt, tx.clock())
	stamp(&a.Promise)
}

// admitted takes the device into onboarding unless it was changed.
func (a *Admission) admitted(tx *Tx, now time.Time) statement {
	d := a.Device
	a.admittedAt = now
	return statement{
		text: tx.numbered(`UPDATE devices SET state = 'onboarding', secret_used_by = ?, secret_used_at = ?, revision = ?, updated_at = ?
			WHERE id = ? AND revision = ? AND epoch = ? AND state = 'registered' AND secret_used_by = ''`),
		args: []any{a.Request.Key, instant(a.Now), int64(d.Revision + 1), now, string(d.ID), int64(d.Revision), int64(d.Epoch)}, rows: 1,
	}
}

// stored brings the device in line with what is committed now.
func (a *Admission) stored() {
	used := instant(a.Now)
	a.Device.State, a.Device.SecretUsedBy, a.Device.SecretUsedAt = models.DeviceOnboarding, a.Request.Key, &used
	a.Device.Revision, a.Device.UpdatedAt = a.Device.Revision+1, a.admittedAt
}
