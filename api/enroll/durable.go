// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/workflows"
)

// durable stores the request together with the promise to start its story,
// starts the story, and waits for it within bounds.
func (d *Door) durable(ctx context.Context, s *Submission, req *models.Request, facts *activities.Facts) (Answer, error) {
	prepared, err := d.cfg.Issuance.Check(ctx, req, facts)
	if err != nil {
		return Answer{}, err
	}
	if err := d.roomInBacklog(ctx); err != nil {
		return Answer{}, err
	}
	action := models.OutboxStartEnrollment
	req.WorkflowID = workflows.EnrollmentID(s.Domain.ID, req.Key)
	if s.Kind == models.KindOnboarding {
		action, req.WorkflowID = models.OutboxStartOnboarding, workflows.OnboardingID(s.Domain.ID, req.Key)
	}
	known := *facts.Device
	if prepared.Device, err = d.store(ctx, s, req, action); err != nil {
		return Answer{}, err
	}
	if req.WorkflowID != "" { // empty: a copy came first, when the domain did not ask people yet
		if !onlyAdmitted(&known, prepared.Device) {
			prepared = nil
		}
		end := d.cfg.Endings.Await(req.ID, prepared)
		defer end.GiveUp()
		d.start(ctx, req)
		if outcome := d.awaitHere(ctx, req, end); outcome != nil {
			return Answer{Certificate: outcome.Certificate}, nil
		}
	}
	return d.join(ctx, req)
}

// onlyAdmitted reports whether a device is stored as it was known, but for what
// its admission changed: what was made ready names it, and says what it is. It
// is not stored if a copy of the request came first.
func onlyAdmitted(known, stored *models.Device) bool {
	return stored != nil && stored.Revision == known.Revision+1 && stored.Name == known.Name
}

// store stores a request with all that goes with it, unless it is there. It
// returns the device as it is stored then, nil if that was not changed.
func (d *Door) store(ctx context.Context, s *Submission, req *models.Request, action models.OutboxAction) (device *models.Device, err error) {
	if s.plain() {
		now := *s.Who.Device
		admission := store.Admission{Request: req, Device: &now, Now: d.cfg.Now().UTC(), Promise: d.promise(req, action), Event: d.received(s, req)}
		if admitted, err := d.cfg.Store.Admit(ctx, admission); err != nil || admitted {
			return &now, err
		}
	}
	for range writeAttempts { // again if an operator changed the device at the same moment
		err = d.cfg.Store.Write(ctx, func(tx *store.Tx) (err error) {
			device, err = d.accept(ctx, tx, s, req, action)
			return err
		})
		if models.KindOf(err) != models.KindConflict {
			break
		}
	}
	return device, err
}

// plain reports whether a submission is the onboarding of a device by its
// one-time secret with nothing that would have to be asked first.
func (s *Submission) plain() bool {
	d := s.Who.Device
	return s.Kind == models.KindOnboarding && s.Who.Method == models.AuthPassword && !s.Who.New && s.Alongside == nil &&
		s.Domain.Approval.For(s.Kind) == nil && d.State == models.DeviceRegistered && d.SecretUsedBy == ""
}

// promise is to start the story of a request.
func (d *Door) promise(req *models.Request, action models.OutboxAction) models.OutboxItem {
	return models.OutboxItem{
		ID: models.StartPromise(req.ID), Action: action, WorkflowID: req.WorkflowID, SubjectID: string(req.ID), NotBefore: d.cfg.Now().Add(promiseDelay),
	}
}

// awaitHere waits a moment for a story that goes straight through in this
// process, and then knows how it ended.
func (d *Door) awaitHere(ctx context.Context, req *models.Request, end *activities.Ending) *activities.Outcome {
	if end.Ended() == nil || req.Decision.Outcome != models.OutcomeIssue {
		return nil
	}
	timer := time.NewTimer(min(d.cfg.Wait, patienceHere))
	defer timer.Stop()
	select {
	case <-end.Ended():
		if end.Outcome != nil {
			return end.Outcome
		}
		if now, err := d.cfg.Store.FindRequest(ctx, req.ID); err == nil {
			*req = *now
		}
	case <-timer.C: // another process tells the story, or its way is longer
	case <-ctx.Done():
	}
	return nil
}

// patienceHere is how long a story that this process began is waited for
// before the engine is asked about it.
const patienceHere = time.Second

// writeAttempts bounds how often a request is stored against other changes.
const writeAttempts = 3

// accept stores a request with all that goes with it, unless it is there. It
// returns the device as it is stored then, nil if that was not changed.
func (d *Door) accept(ctx context.Context, tx *store.Tx, s *Submission, req *models.Request, action models.OutboxAction) (*models.Device, error) {
	inserted, err := tx.InsertRequest(req)
	if err != nil || !inserted {
		return nil, err
	}
	waiting, err := unfinished(ctx, tx.Queries, s) // with this one, and those that came at the same moment
	if err != nil {
		return nil, err
	}
	if waiting > policy.MaxUnfinished {
		return nil, models.Errorf(models.KindDenied, "device %s has %d requests waiting already", s.Who.Device.Name, policy.MaxUnfinished)
	}
	device, err := d.admitDevice(ctx, tx, s, req)
	if err != nil {
		return nil, err
	}
	if err := tx.Promise(d.promise(req, action)); err != nil {
		return nil, err
	}
	if s.Alongside != nil {
		if err := s.Alongside(tx, req); err != nil {
			return nil, err
		}
	}
	return device, tx.Audit(d.received(s, req))
}

// promiseDelay gives the process that made a promise the time to keep it.
const promiseDelay = 5 * time.Second

// admitDevice takes the device into onboarding together with its request: the
// one-time secret dies here, and a device that an IDevID brings is created.
func (d *Door) admitDevice(ctx context.Context, tx *store.Tx, s *Submission, req *models.Request) (*models.Device, error) {
	if s.Kind != models.KindOnboarding {
		return nil, nil
	}
	if s.Who.Method == models.AuthPassword {
		used, err := tx.UseSecret(s.Who.Device.ID, req.Key, d.cfg.Now().UTC())
		if err != nil {
			return nil, err
		}
		if !used {
			return nil, errCredentials
		}
	}
	if s.Who.New {
		return d.registerDevice(ctx, tx, s, req)
	}
	device, err := tx.FindDevice(ctx, s.Who.Device.ID)
	if err != nil {
		return nil, err
	}
	if device.Epoch != s.Who.Device.Epoch { // armed anew since it authenticated: what it proved is void
		return nil, errCredentials
	}
	if device.State != models.DeviceRegistered {
		return nil, models.Errorf(models.KindConflict, "device %s is %s", device.Name, device.State)
	}
	device.State = models.DeviceOnboarding
	if s.Who.Method == models.AuthIDevID {
		if err := bindNow(device, &s.Who); err != nil {
			return nil, err
		}
	}
	return device, tx.SaveDevice(device)
}

// bindNow binds a device to the IDevID that proved it, unless what that rested
// on was changed since: an operator unbound or pinned the device, or another
// IDevID came first.
func bindNow(device *models.Device, who *Identity) error {
	if device.HomeID != "" {
		return nil // it is bound at home
	}
	before := who.Device
	same := (before.IDevIDIdentity == nil) == (device.IDevIDIdentity == nil) && before.IDevIDSHA256 == device.IDevIDSHA256
	if !same || device.IDevIDIdentity != nil && *device.IDevIDIdentity != who.Key {
		return models.Errorf(models.KindDenied, "device %s was bound to another IDevID, or unbound, meanwhile", device.Name)
	}
	device.IDevIDIdentity, device.IDevIDSHA256, device.IDevIDKeySHA256 = &who.Key, who.Subject, who.IDevIDKey
	return nil
}

// registerDevice creates the device that an IDevID brings. If another device
// got its name at the same moment, it gets a distinct one.
func (d *Door) registerDevice(ctx context.Context, tx *store.Tx, s *Submission, req *models.Request) (*models.Device, error) {
	device := *s.Who.Device
	device.State = models.DeviceOnboarding
	err := tx.InsertDevice(&device)
	if models.KindOf(err) == models.KindConflict {
		if _, taken := tx.FindDeviceByIDevID(ctx, s.Who.Key); models.KindOf(taken) == models.KindNotFound {
			device.Name = distinct(device.Name, s.Who.Key)
			err = tx.InsertDevice(&device)
		}
	}
	if err != nil {
		return nil, err
	}
	s.Who.Device.Name = device.Name
	return &device, tx.Audit(d.event(s, req, "device.registered", "device", string(device.ID)))
}

// received is the audit event of an accepted request.
func (d *Door) received(s *Submission, req *models.Request) models.Event {
	return d.event(s, req, "request.received", "request", string(req.ID))
}

func (d *Door) event(s *Submission, req *models.Request, action, noun, subject string) models.Event {
	actor := s.Actor
	if actor == "" {
		actor = "device:" + s.Who.Device.Name
	}
	return models.Event{
		Actor: actor, Address: s.Address, Action: action, Noun: noun, SubjectID: subject,
		DomainID: s.Domain.ID, DeviceID: s.Who.Device.ID, RequestID: req.ID, WorkflowID: req.WorkflowID,
		Details: map[string]string{
			"kind": string(s.Kind), "profile": s.Profile, "protocol": s.Protocol,
			"method": string(s.Who.Method), "subject": s.Who.Subject, "csr_sha256": s.CSR.SHA256,
		},
	}
}

// start keeps the promise at once if it can; the relay keeps it otherwise.
func (d *Door) start(ctx context.Context, req *models.Request) {
	if d.strain.resting(d.cfg.Now()) {
		return
	}
	begin := d.cfg.Stories.StartEnrollment
	if req.Kind == models.KindOnboarding {
		begin = d.cfg.Stories.StartOnboarding
	}
	err := begin(ctx, req.ID, req.WorkflowID)
	d.strain.note(err, d.cfg.Now())
	if err != nil {
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
	if !req.Finished() && !waitsForPeople(req) && !d.strain.resting(d.cfg.Now()) {
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
		return Answer{Certificate: cert}, store.OrPurged(err, func() (*models.Tombstone, error) { return d.cfg.Store.FindTombstone(ctx, req.CertificateID) })
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

// purged reports, where err says that a certificate does not exist, whether
// that is because it was purged: then it has expired long ago, and a request
// that it was the result of is as void as that of any expired one.
func (d *Door) purged(ctx context.Context, id models.CertificateID, err error) (bool, error) {
	if models.KindOf(err) != models.KindNotFound {
		return false, err
	}
	if _, missing := d.cfg.Store.FindTombstone(ctx, id); missing != nil {
		return false, missing
	}
	return true, nil
}
