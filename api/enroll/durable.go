// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/workflows"
)

// durable stores the request together with the promise to start its story,
// starts the story, and waits for it within bounds.
func (d *Door) durable(ctx context.Context, s *Submission, req *models.Request, facts *activities.Facts) (Answer, error) {
	if err := d.cfg.Issuance.Check(ctx, req, facts); err != nil {
		return Answer{}, err
	}
	action := models.OutboxStartEnrollment
	req.WorkflowID = workflows.EnrollmentID(s.Domain.ID, req.Key)
	if s.Kind == models.KindOnboarding {
		action, req.WorkflowID = models.OutboxStartOnboarding, workflows.OnboardingID(s.Domain.ID, req.Key)
	}
	err := d.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		inserted, err := tx.InsertRequest(req)
		if err != nil || !inserted {
			return err
		}
		if err := d.admitDevice(ctx, tx, s, req); err != nil {
			return err
		}
		if err := tx.Promise(models.OutboxItem{
			Action: action, WorkflowID: req.WorkflowID, SubjectID: string(req.ID), NotBefore: d.cfg.Now().Add(promiseDelay),
		}); err != nil {
			return err
		}
		return d.received(ctx, tx, s, req)
	})
	if err != nil {
		return Answer{}, err
	}
	d.start(ctx, req)
	return d.join(ctx, req)
}

// promiseDelay gives the process that made a promise the time to keep it.
const promiseDelay = 5 * time.Second

// admitDevice takes the device into onboarding together with its request: the
// one-time secret dies here, and a device that an IDevID brings is created.
func (d *Door) admitDevice(ctx context.Context, tx *store.Tx, s *Submission, req *models.Request) error {
	if s.Kind != models.KindOnboarding {
		return nil
	}
	if s.Who.Method == models.AuthPassword {
		used, err := tx.UseSecret(s.Who.Device.ID, req.Key, d.cfg.Now().UTC())
		if err != nil {
			return err
		}
		if !used {
			return errCredentials
		}
	}
	if s.Who.New {
		device := *s.Who.Device
		device.State = models.DeviceOnboarding
		if err := tx.InsertDevice(&device); err != nil {
			return err
		}
		return tx.Audit(d.event(s, req, "device.registered", "device", string(device.ID)))
	}
	device, err := tx.FindDevice(ctx, s.Who.Device.ID)
	if err != nil {
		return err
	}
	if device.State != models.DeviceRegistered {
		return models.Errorf(models.KindConflict, "device %s is %s", device.Name, device.State)
	}
	device.State = models.DeviceOnboarding
	if s.Who.Method == models.AuthIDevID && device.IDevIDIdentity == nil {
		device.IDevIDIdentity, device.IDevIDSHA256 = &s.Who.Key, s.Who.Subject
	}
	return tx.SaveDevice(device)
}

// received writes the audit event of an accepted request.
func (d *Door) received(ctx context.Context, tx *store.Tx, s *Submission, req *models.Request) error {
	return tx.Audit(d.event(s, req, "request.received", "request", string(req.ID)))
}

func (d *Door) event(s *Submission, req *models.Request, action, noun, subject string) models.Event {
	return models.Event{
		Actor: "device:" + s.Who.Device.Name, Address: s.Address, Action: action, Noun: noun, SubjectID: subject,
		DomainID: s.Domain.ID, DeviceID: s.Who.Device.ID, RequestID: req.ID, WorkflowID: req.WorkflowID,
		Details: map[string]string{
			"kind": string(s.Kind), "profile": s.Profile, "protocol": s.Protocol,
			"method": string(s.Who.Method), "subject": s.Who.Subject, "csr_sha256": s.CSR.SHA256,
		},
	}
}

// start keeps the promise at once if it can; the relay keeps it otherwise.
func (d *Door) start(ctx context.Context, req *models.Request) {
	begin := d.cfg.Stories.StartEnrollment
	if req.Kind == models.KindOnboarding {
		begin = d.cfg.Stories.StartOnboarding
	}
	if err := begin(ctx, req.ID, req.WorkflowID); err != nil {
		d.cfg.Logger.Warn("the story is left to the relay", "request", req.ID, "workflow", req.WorkflowID, "error", err)
	}
}

// join answers from a request that is there, waiting for its story within
// bounds unless it waits for people.
func (d *Door) join(ctx context.Context, req *models.Request) (Answer, error) {
	if !req.Finished() && req.WorkflowID == "" {
		cert, err := d.cfg.Issuance.Finish(ctx, req)
		return Answer{Certificate: cert}, err
	}
	if !req.Finished() && !waitsForPeople(req) {
		d.await(ctx, req.WorkflowID)
		current, err := d.cfg.Store.FindRequest(ctx, req.ID)
		if err != nil {
			return Answer{}, err
		}
		req = current
	}
	return d.answer(ctx, req)
}

// waitsForPeople reports whether nothing will happen to req before a person
// has said something.
func waitsForPeople(req *models.Request) bool {
	return req.State == models.RequestWaiting ||
		req.State == models.RequestReceived && req.Decision.Outcome == models.OutcomeWait
}

// await waits for a story that has no people to wait for.
func (d *Door) await(ctx context.Context, workflowID string) {
	select {
	case d.waiters <- struct{}{}:
		defer func() { <-d.waiters }()
	default:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Wait)
	defer cancel()
	if err := d.cfg.Stories.AwaitRequest(ctx, workflowID); err != nil {
		d.cfg.Logger.Debug("the story goes on without the device", "workflow", workflowID, "error", err)
	}
}

// answer turns the row of a request into what the device is told.
func (d *Door) answer(ctx context.Context, req *models.Request) (Answer, error) {
	switch {
	case req.State == models.RequestIssued:
		cert, err := d.cfg.Store.FindCertificate(ctx, req.CertificateID)
		return Answer{Certificate: cert}, err
	case req.Finished():
		return Answer{}, models.Errorf(models.ParseKind(req.FailureKind), "%s", req.FailureText)
	}
	return Answer{RetryAfter: comeBack(d.cfg.Now().Sub(req.CreatedAt))}, nil
}

// comeBack is the advice to a device that has waited for age: soon at first,
// later ever less often.
func comeBack(age time.Duration) time.Duration {
	return min(max(age/4, 5*time.Second), 15*time.Minute).Round(time.Second)
}
