// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"fmt"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Requests moves request rows, and the devices they are about, through their
// states.
type Requests struct {
	cfg Config
}

// RequestInput names a request.
type RequestInput struct {
	RequestID models.RequestID
}

// DecideResult is what was decided about a request.
type DecideResult struct {
	State models.RequestState
	Wait  bool // a person has to approve
}

// step runs do on a request that is in a state for it, in one transaction. A
// request in another state has had the step already, or has ended without it;
// either way the result says where it stands.
func (r *Requests) step(ctx context.Context, id models.RequestID, ready func(models.RequestState) bool, do func(context.Context, *store.Tx, *models.Request) error) (DecideResult, error) {
	var result DecideResult
	err := r.cfg.write(ctx, func(tx *store.Tx) error {
		req, err := tx.FindRequest(ctx, id)
		if err != nil {
			return err
		}
		if ready(req.State) {
			if err := do(ctx, tx, req); err != nil {
				return err
			}
		}
		result = DecideResult{State: req.State, Wait: req.State == models.RequestWaiting}
		return nil
	})
	return result, err
}

// only is the condition of a step that belongs to one state.
func only(state models.RequestState) func(models.RequestState) bool {
	return func(s models.RequestState) bool { return s == state }
}

// DecideRequest carries out the decision that admission stored with the
// request. Whether its facts still hold is asked when the certificate is
// reserved, however long people took. Calling it again returns the state that
// the first call reached.
func (r *Requests) DecideRequest(ctx context.Context, in RequestInput) (DecideResult, error) {
	return r.step(ctx, in.RequestID, only(models.RequestReceived), r.decide)
}

func (r *Requests) decide(ctx context.Context, tx *store.Tx, req *models.Request) error {
	switch req.Decision.Outcome {
	case models.OutcomeWait:
		req.State = models.RequestWaiting
	case models.OutcomeIssue:
		req.State = models.RequestApproved
	default:
		return refuse(ctx, tx, req, models.RequestRejected, models.KindDenied, firstReason(req.Decision.Reasons))
	}
	if err := tx.SaveRequest(req); err != nil {
		return err
	}
	return tx.Audit(requestEvent(req, "request."+string(req.State), reasons(req.Decision.Reasons)))
}

// ConcludeApproval moves a waiting request to where its approval ended:
// approved, rejected, expired or withdrawn. An approval, or a word of it, that
// was given for other content than the request has does not count.
func (r *Requests) ConcludeApproval(ctx context.Context, in RequestInput) (DecideResult, error) {
	return r.step(ctx, in.RequestID, only(models.RequestWaiting), r.conclude)
}

func (r *Requests) conclude(ctx context.Context, tx *store.Tx, req *models.Request) error {
	approval, err := tx.FindApprovalByRequest(ctx, req.ID)
	if err != nil {
		return err
	}
	if approval.SubjectSHA256 != req.Digest() {
		return refuse(ctx, tx, req, models.RequestRejected, models.KindDenied, "the request changed after it was put up for approval")
	}
	switch approval.State {
	case models.ApprovalApproved:
		req.State = models.RequestApproved
		if err := tx.SaveRequest(req); err != nil {
			return err
		}
		event := requestEvent(req, "request.approved", map[string]string{"approval": string(approval.ID)})
		if event.Actor, err = asker(ctx, tx, store.EventFilter{RequestID: req.ID, Action: "approval.decided"}); err != nil {
			return err
		}
		return tx.Audit(event)
	case models.ApprovalRejected:
		return refuse(ctx, tx, req, models.RequestRejected, models.KindDenied, sentence("rejected by an approver", approval.Reason))
	case models.ApprovalExpired:
		return refuse(ctx, tx, req, models.RequestExpired, models.KindDenied, "nobody approved the request before its deadline")
	case models.ApprovalWithdrawn:
		return refuse(ctx, tx, req, models.RequestWithdrawn, models.KindDenied, sentence("withdrawn by an operator", approval.Reason))
	}
	return models.Errorf(models.KindInternal, "approval %s is still %s", approval.ID, approval.State)
}

// AbandonInput ends a request without a certificate.
type AbandonInput struct {
	RequestID models.RequestID
	State     models.RequestState // rejected, withdrawn, expired or failed
	Kind      string              // models.Kind by name: what the requester is told
	Text      string              // public
}

// AbandonRequest ends a request without a certificate and sets its device
// back, so that it can be armed for another attempt. A request that has ended
// stays as it is, and so does one whose certificate is reserved, unless it
// failed: a signature may exist, and the story goes on to record it.
func (r *Requests) AbandonRequest(ctx context.Context, in AbandonInput) (DecideResult, error) {
	possible := func(state models.RequestState) bool {
		return !models.RequestTransitions.Terminal(state) && models.RequestTransitions.Allowed(state, in.State)
	}
	return r.step(ctx, in.RequestID, possible, func(ctx context.Context, tx *store.Tx, req *models.Request) error {
		if err := refuse(ctx, tx, req, in.State, models.ParseKind(in.Kind), in.Text); err != nil {
			return err
		}
		return closeApproval(ctx, tx, req, r.cfg)
	})
}

// closeApproval withdraws the approval of a request that ended without it, so
// that nobody is asked about something that is over.
func closeApproval(ctx context.Context, tx *store.Tx, req *models.Request, cfg Config) error {
	approval, err := tx.FindApprovalByRequest(ctx, req.ID)
	if models.KindOf(err) == models.KindNotFound {
		return nil
	}
	if err != nil || approval.State != models.ApprovalPending {
		return err
	}
	now := cfg.Now().UTC()
	approval.State, approval.DecidedAt = models.ApprovalWithdrawn, &now
	if err := tx.SaveApproval(approval); err != nil {
		return err
	}
	return tx.Audit(approvalEvent(approval, "approval.withdrawn"))
}

// DeliverCertificate ends a request with its certificate and, for an
// onboarding, makes the device onboarded. From then on the responder hands
// the certificate out.
func (r *Requests) DeliverCertificate(ctx context.Context, in RequestInput) (DecideResult, error) {
	return r.step(ctx, in.RequestID, only(models.RequestReserved), func(ctx context.Context, tx *store.Tx, req *models.Request) error {
		return deliver(ctx, tx, req, r.cfg)
	})
}

// deliver ends req as issued within tx; its certificate must be recorded.
func deliver(ctx context.Context, tx *store.Tx, req *models.Request, cfg Config) error {
	cert, err := tx.FindCertificateByRequestKey(ctx, req.Key)
	if err != nil {
		return err
	}
	if len(cert.DER) == 0 {
		return models.Errorf(models.KindInternal, "certificate %s is not recorded", cert.ID)
	}
	req.State, req.CertificateID = models.RequestIssued, cert.ID
	if err := tx.SaveRequest(req); err != nil {
		return err
	}
	if err := tx.KeepPromise(models.StartPromise(req.ID)); err != nil { // to start the story, which is at its end
		return err
	}
	now := cfg.Now().UTC()
	if err := expectConfirmation(ctx, tx, req, now); err != nil {
		return err
	}
	if req.Kind != models.KindOnboarding {
		return tx.Audit(requestEvent(req, "request.issued", map[string]string{"serial": cert.Serial}))
	}
	device, err := tx.FindDevice(ctx, req.DeviceID)
	if err != nil {
		return err
	}
	switch device.State {
	case models.DeviceOnboarding:
		device.State, device.OnboardedAt = models.DeviceOnboarded, &now
	case models.DeviceSuspended: // stays so, and is onboarded when it is resumed
		device.OnboardedAt = &now
	default: // decommissioned: the certificate does not change that
		return tx.Audit(requestEvent(req, "request.issued", map[string]string{"serial": cert.Serial}))
	}
	if err := tx.SaveDevice(device); err != nil {
		return err
	}
	return tx.Audit(requestEvent(req, "device.onboarded", map[string]string{"serial": cert.Serial}))
}

// refuse ends req in state with what the requester is told, and sets a device
// in onboarding back to registered.
func refuse(ctx context.Context, tx *store.Tx, req *models.Request, state models.RequestState, kind models.Kind, text string) error {
	req.State, req.FailureKind, req.FailureText = state, kind.String(), text
	if err := tx.SaveRequest(req); err != nil {
		return err
	}
	event := requestEvent(req, "request."+string(state), map[string]string{"reason": text})
	var err error
	if event.Actor, err = ender(ctx, tx, req, state); err != nil {
		return err
	}
	if err := tx.Audit(event); err != nil {
		return err
	}
	if req.Kind != models.KindOnboarding {
		return nil
	}
	device, err := tx.FindDevice(ctx, req.DeviceID)
	if err != nil {
		return err
	}
	if device.State != models.DeviceOnboarding {
		return nil
	}
	device.State = models.DeviceRegistered
	return tx.SaveDevice(device)
}

// requestEvent is an audit event about a request, whose actor is the device
// that asked.
func requestEvent(req *models.Request, action string, details map[string]string) models.Event {
	return models.Event{
		Action: action, Noun: "request", SubjectID: string(req.ID), DomainID: req.DomainID,
		DeviceID: req.DeviceID, RequestID: req.ID, WorkflowID: req.WorkflowID, Details: details,
	}
}

// ender is who ended a request without a certificate: whoever withdrew or
// rejected it, otherwise nobody.
func ender(ctx context.Context, tx *store.Tx, req *models.Request, state models.RequestState) (string, error) {
	switch state {
	case models.RequestWithdrawn:
		return asker(ctx, tx, store.EventFilter{RequestID: req.ID, Action: "request.withdrawal-asked"})
	case models.RequestRejected:
		return asker(ctx, tx, store.EventFilter{RequestID: req.ID, Action: "approval.decided"})
	}
	return system, nil
}

// system is the actor of what no person and no device asked for.
const system = "system"

// asker returns the actor of the last event that a filter finds, which is why
// something happens now, and system if there is none.
func asker(ctx context.Context, tx *store.Tx, f store.EventFilter) (string, error) {
	f.Limit = store.MaxLimit
	events, _, err := tx.ListEvents(ctx, f)
	if err != nil || len(events) == 0 {
		return system, err
	}
	return events[len(events)-1].Actor, nil
}

func reasons(list []string) map[string]string {
	details := make(map[string]string, len(list))
	for i, reason := range list {
		details[fmt.Sprintf("reason_%d", i+1)] = reason
	}
	return details
}

func firstReason(list []string) string {
	if len(list) == 0 {
		return "refused by policy"
	}
	return list[0]
}

// sentence joins what happened with the comment a person gave, if any.
func sentence(what, comment string) string {
	if comment == "" {
		return what
	}
	return what + ": " + comment
}
