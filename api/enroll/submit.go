// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// Submission is one enrollment request of an authenticated device, whatever
// the protocol.
type Submission struct {
	Protocol    string
	Transaction string // the protocol's transaction identifier; empty for EST
	Kind        models.RequestKind
	Domain      *models.Domain
	Profile     string
	Who         Identity
	CSR         *pki.CSR
	Predecessor *models.Certificate
	Address     string
	RequestID   string // of the HTTP request, as in the log
	// Bound says that the request is bound to its connection, so that the
	// same request comes in other octets over another one.
	Bound bool
	// Seen is what the store said about a renewal when it arrived; nil: ask.
	Seen *store.Renewal

	// For certificates whose key Trustloom makes.
	Actor     string                                 // who asks for the device; the device itself if empty
	KeyDigest string                                 // stands in request keys for the digest of the CSR, whose key is new each time
	Alongside func(*store.Tx, *models.Request) error // runs in the transaction that stores the request
}

// digest returns what of the CSR makes the request the same request.
func (s *Submission) digest() string {
	if s.KeyDigest != "" {
		return s.KeyDigest
	}
	if s.Bound {
		return s.CSR.UnboundSHA256()
	}
	return s.CSR.SHA256
}

// Answer is a certificate, or the advice to come back.
type Answer struct {
	Certificate *models.Certificate
	RetryAfter  time.Duration
	New         bool // issued at this moment, with nothing stored alongside
}

// secretReplay is how long after its request has ended a one-time secret is
// still good for repeating that very request, for answers that were lost.
const secretReplay = 15 * time.Minute

// maxAttempts bounds how often one and the same CSR may be issued anew after
// its earlier result became void.
const maxAttempts = 64

// Submit takes a request to its certificate, or to the point where somebody
// has to be waited for. The same request submitted again, also at the same
// moment, also after a crash, gets the same answer.
func (d *Door) Submit(ctx context.Context, s *Submission) (Answer, error) {
	if s.Predecessor == nil || s.Profile != s.Predecessor.ProfileName {
		s.Profile = s.Domain.ProfileNamed(s.Profile)
	}
	if s.Seen != nil {
		return d.fresh(ctx, s)
	}
	key, existing, err := d.find(ctx, s)
	if err != nil {
		return Answer{}, err
	}
	if s.Who.SecretUsed && !d.repeats(s, existing) {
		return Answer{}, errCredentials
	}
	if existing != nil && policy.Closed(s.Who.Device) != "" { // a new one is refused by policy, with the rest
		return Answer{}, models.Errorf(models.KindDenied, "%s", policy.Closed(s.Who.Device))
	}
	return d.flight(ctx, s, key, func(ctx context.Context) (Answer, error) {
		if existing != nil {
			return d.join(ctx, existing)
		}
		if err := d.limit(s); err != nil {
			return Answer{}, err
		}
		return d.begin(ctx, s, key)
	})
}

// flight answers all who send the same request at the same moment by one go.
func (d *Door) flight(ctx context.Context, s *Submission, key string, do func(context.Context) (Answer, error)) (Answer, error) {
	answer, err := d.flights.do(ctx, s.flying(key), func() (Answer, error) { return d.fly(ctx, s, do) })
	d.cfg.Fault(activities.FaultBeforeAnswer)
	return answer, err
}

// flightTime is what a request may take beyond the wait for its story.
const flightTime = 20 * time.Second

// fly answers for everybody who sends the same request at the same moment. It
// does not end when the first of them leaves, and a fault in it is an error for
// them all.
func (d *Door) fly(ctx context.Context, s *Submission, do func(context.Context) (Answer, error)) (answer Answer, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Wait+flightTime)
	defer cancel()
	ctx = store.WithOrigin(ctx, store.Origin{Actor: "device:" + s.Who.Device.Name, Address: s.Address, RequestID: s.RequestID})
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("enroll: %v\n%s", fault, debug.Stack())
		}
	}()
	return do(ctx)
}

// repeats reports whether a submission whose secret was used before is the
// repetition of the request that used it.
func (d *Door) repeats(s *Submission, existing *models.Request) bool {
	if existing == nil || existing.Key != s.Who.Device.SecretUsedBy {
		return false
	}
	return !existing.Finished() || d.cfg.Now().Sub(existing.UpdatedAt) < secretReplay
}

// keyParts are what the request key is made of, for the first attempt.
func (s *Submission) keyParts() models.KeyParts {
	if s.transacted() {
		return models.TransactionParts(s.Domain.ID, s.Transaction)
	}
	parts := models.KeyParts{
		Protocol: s.Protocol, DomainID: s.Domain.ID, DeviceID: s.Who.Key, DeviceEpoch: s.Who.Device.Epoch,
		Profile: s.Profile, Transaction: s.Transaction, CSRSHA256: s.digest(),
	}
	if s.Predecessor != nil {
		parts.Predecessor = s.Predecessor.ID
	}
	return parts
}

// find returns the key of the submission and the request that has it, if
// there is one. A request whose result is void does not count.
func (d *Door) find(ctx context.Context, s *Submission) (string, *models.Request, error) {
	if s.transacted() {
		return d.findTransaction(ctx, s)
	}
	for parts := s.keyParts(); parts.Attempt < maxAttempts; parts.Attempt++ {
		key := models.RequestKey(parts)
		req, err := d.cfg.Store.FindRequestByKey(ctx, key)
		if models.KindOf(err) == models.KindNotFound {
			return key, nil, nil
		}
		if err != nil {
			return "", nil, err
		}
		void, err := d.void(ctx, req)
		if err != nil {
			return "", nil, err
		}
		// A used secret is good for one request only: its device is told why that failed.
		if !void || s.Who.SecretUsed && req.State == models.RequestFailed {
			return key, req, nil
		}
	}
	return "", nil, models.Errorf(models.KindConflict, "this certificate request was used too often: make a new one with a new key")
}

// void reports whether req's result is of no use any more, so that the same
// CSR may be issued again.
func (d *Door) void(ctx context.Context, req *models.Request) (bool, error) {
	switch req.State {
	case models.RequestFailed:
		return true, nil
	case models.RequestIssued:
		cert, err := d.cfg.Store.FindCertificate(ctx, req.CertificateID)
		if err != nil {
			return d.purged(ctx, req.CertificateID, err)
		}
		return cert.State == models.CertificateRevoked || !d.cfg.Now().Before(cert.NotAfter), nil
	}
	return false, nil
}

// begin decides about a new request and sends it down its lane.
func (d *Door) begin(ctx context.Context, s *Submission, key string) (Answer, error) {
	facts, err := d.facts(ctx, s)
	if err != nil {
		return Answer{}, err
	}
	decision, err := d.decide(ctx, s, facts)
	if err != nil {
		return Answer{}, err
	}
	req := newRequest(s, key, facts.Version, decision)
	if !inline(s, decision) {
		return d.durable(ctx, s, req, facts)
	}
	var alongside func(*store.Tx) error
	if s.Alongside != nil {
		alongside = func(tx *store.Tx) error { return s.Alongside(tx, req) }
	}
	cert, err := d.cfg.Issuance.Issue(ctx, req, facts, d.received(s, req), alongside)
	if req.WorkflowID != "" { // a copy came first, when the domain still asked people
		return d.join(ctx, req)
	}
	return Answer{Certificate: cert}, err
}

// inline reports whether a submission is issued at once.
func inline(s *Submission, decision models.Decision) bool {
	return decision.Outcome == models.OutcomeIssue && s.Kind != models.KindOnboarding
}

// facts reads what the decision rests on.
func (d *Door) facts(ctx context.Context, s *Submission) (*activities.Facts, error) {
	row, err := d.profile(ctx, s)
	if err != nil {
		return nil, err
	}
	profile, err := d.profiles.Parse(row)
	if err != nil {
		return nil, err
	}
	ca := s.Who.Issuer
	if ca == nil || ca.ID != s.Domain.IssuingCAID {
		if ca, err = d.cfg.Store.FindCA(ctx, s.Domain.IssuingCAID); err != nil {
			return nil, err
		}
	}
	facts := &activities.Facts{
		Device: s.Who.Device, Domain: s.Domain, CA: ca, Profile: profile, Version: row.Version, CSR: s.CSR, Predecessor: s.Predecessor,
	}
	facts.Leaf = s.Who.Leaf
	if s.Seen != nil && s.Seen.KeyFree {
		facts.FreeKey = s.CSR.SPKISHA256
	}
	return facts, nil
}

// profile returns the present version of the profile of a submission.
func (d *Door) profile(ctx context.Context, s *Submission) (*models.Profile, error) {
	if s.Seen != nil && s.Seen.Profile != nil && s.Seen.Profile.Name == s.Profile {
		return s.Seen.Profile, nil
	}
	return d.cfg.Store.FindProfile(ctx, s.Profile)
}

// decide asks policy. A refusal is an error and leaves no row.
func (d *Door) decide(ctx context.Context, s *Submission, facts *activities.Facts) (models.Decision, error) {
	waiting, err := unfinished(ctx, d.cfg.Store.Queries, s)
	if err != nil {
		return models.Decision{}, err
	}
	decision := policy.Decide(policy.Admission{
		Kind: s.Kind, Method: s.Who.Method, Device: s.Who.Device, Domain: s.Domain, CA: facts.CA,
		ProfileName: s.Profile, ProfileType: facts.Profile.Type(), Predecessor: s.Predecessor,
		Unfinished: waiting, Now: d.cfg.Now(),
	})
	if decision.Outcome == models.OutcomeRefuse {
		return decision, models.Errorf(models.KindDenied, "%s", decision.Reasons[0])
	}
	return decision, nil
}

// unfinished counts the requests of the device that wait for people, or will.
// Only where requests of the kind can wait at all is there anything to count.
func unfinished(ctx context.Context, q *store.Queries, s *Submission) (int, error) {
	if s.Domain.Approval.For(s.Kind) == nil || s.Who.New {
		return 0, nil
	}
	count := 0
	for _, state := range []models.RequestState{models.RequestReceived, models.RequestWaiting} {
		rows, _, err := q.ListRequests(ctx, store.RequestFilter{
			Page: store.Page{Limit: policy.MaxUnfinished + 1}, DeviceID: s.Who.Device.ID, State: state,
		})
		if err != nil {
			return 0, err
		}
		count += len(rows)
	}
	return count, nil
}

func newRequest(s *Submission, key string, version int, decision models.Decision) *models.Request {
	req := &models.Request{
		ID: models.NewID[models.RequestID](), Key: key, Kind: s.Kind, State: models.RequestReceived, Protocol: s.Protocol,
		DomainID: s.Domain.ID, DeviceID: s.Who.Device.ID, ProfileName: s.Profile, ProfileVersion: version,
		CSR: s.CSR.DER, AuthMethod: s.Who.Method, AuthSubject: s.Who.Subject, Decision: decision,
	}
	if s.Predecessor != nil {
		req.PredecessorID = s.Predecessor.ID
	}
	return req
}
