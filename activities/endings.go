// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// Endings pass on, within this process, what who accepts a request has made
// ready for its story, and how the story has ended to who waits for it: sooner
// than the workflow engine can. The nil value passes on nothing; what it does
// is lost with the process, and nothing depends on it.
type Endings struct {
	mu      sync.Mutex
	waiting map[models.RequestID]*Ending
}

// Ending is one story that is waited for.
type Ending struct {
	all      *Endings
	id       models.RequestID
	prepared *Prepared
	ended    chan struct{}

	// How it has ended, once Ended is closed; nil if the rows have to be read.
	Outcome *Outcome
}

// Outcome is a request that was issued, and its certificate, as they are stored.
type Outcome struct {
	Request     *models.Request
	Certificate *models.Certificate
}

// Prepared is what Check has made ready for a request.
type Prepared struct {
	Request *models.Request
	Device  *models.Device // as it was stored together with Request
	cert    *models.Certificate
	limits  policy.Limits
	facts   *Facts
	at      time.Time
}

// endsWithCertificate are the protocols with which nothing follows the
// certificate. What deliver does for others, recordPrepared does not.
var endsWithCertificate = map[string]bool{"est": true, "rest": true}

// preparedTime is how long what was made ready is good for.
const preparedTime = 5 * time.Second

// Await announces that the end of a request is waited for, and what its story
// may use, if anything. One caller waits for a request at a time.
func (e *Endings) Await(id models.RequestID, prepared *Prepared) *Ending {
	own := &Ending{all: e, id: id, prepared: prepared, ended: make(chan struct{})}
	if e == nil {
		return own
	}
	if prepared != nil {
		request := *prepared.Request
		prepared.Request = &request // the caller's may change
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting == nil {
		e.waiting = map[models.RequestID]*Ending{}
	}
	e.waiting[id] = own
	return own
}

// Ended is closed when the request has ended in this process, or its way is
// longer; nil if stories are not told in this process.
func (w *Ending) Ended() <-chan struct{} {
	if w.all == nil {
		return nil
	}
	return w.ended
}

// GiveUp ends the waiting.
func (w *Ending) GiveUp() {
	if w.all == nil {
		return
	}
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	if w.all.waiting[w.id] == w {
		delete(w.all.waiting, w.id)
	}
}

// take returns what was made ready for a request, once.
func (e *Endings) take(id models.RequestID) *Prepared {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	waiting := e.waiting[id]
	if waiting == nil {
		return nil
	}
	prepared := waiting.prepared
	waiting.prepared = nil
	return prepared
}

func (e *Endings) tell(id models.RequestID, outcome *Outcome) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if waiting := e.waiting[id]; waiting != nil {
		delete(e.waiting, id)
		waiting.Outcome = outcome
		close(waiting.ended)
	}
}

// goThrough takes a request to its end with what was made ready when it was
// received, a moment ago: in two transactions that change nothing if anything
// that this rests on was changed since. It returns no state if that is so, or
// if what is ready does not serve; then the request has to be looked at anew.
func (i *Issuance) goThrough(ctx context.Context, p *Prepared) (models.RequestState, error) {
	if age := i.cfg.Now().Sub(p.at); age < 0 || age > preparedTime || p.Device == nil || p.Device.State != models.DeviceOnboarding ||
		!endsWithCertificate[p.Request.Protocol] || p.Request.Kind != models.KindOnboarding || p.Request.Decision.Outcome != models.OutcomeIssue || !i.cfg.Issuer.InProcess(p.facts.CA) {
		return "", nil
	}
	req := *p.Request
	i.cfg.Fault(FaultBeforeReserve)
	reserved, err := i.reservePrepared(ctx, p, &req)
	if models.KindOf(err) == models.KindConflict || err == nil && !reserved {
		return "", nil
	}
	if err != nil {
		return p.Request.State, err
	}
	i.cfg.Fault(FaultAfterReserve)
	// From here on it goes through: a signature may exist.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), straightTime)
	defer cancel()
	der, err := i.cfg.Issuer.Issue(ctx, p.facts.CA, p.cert.TBS)
	if err != nil {
		return models.RequestReserved, err
	}
	i.cfg.Fault(FaultAfterSign)
	won, err := i.recordPrepared(ctx, p, &req, der)
	if models.KindOf(err) == models.KindConflict { // somebody changed the device in between
		return i.recordAndDeliver(ctx, req.ID, p.cert, der)
	}
	if err != nil || !won {
		return models.RequestReserved, err
	}
	i.cfg.Fault(FaultAfterRecord)
	i.cfg.Endings.tell(req.ID, &Outcome{Request: &req, Certificate: p.cert})
	return req.State, nil
}

// reservePrepared carries out the decision and stores the reservation in one
// transaction.
func (i *Issuance) reservePrepared(ctx context.Context, p *Prepared, req *models.Request) (bool, error) {
	p.cert.Attempts = 1 // the signature follows at once
	reservation := store.Reservation{
		Request: req, Certificate: p.cert, Basis: &store.Basis{Device: p.Device, Domain: p.facts.Domain, CA: p.facts.CA},
		Events: []models.Event{
			p.by(requestEvent(req, "request.approved", reasons(req.Decision.Reasons))),
			p.by(certificateEvent(req, p.cert, "certificate.reserved")),
		},
	}
	if !p.limits.None() {
		reservation.Then = func(tx *store.Tx) error { return hold(tx, p.cert, p.limits) }
	}
	return i.cfg.Store.Reserve(ctx, reservation)
}

// recordPrepared records the certificate and ends the request in one
// transaction.
func (i *Issuance) recordPrepared(ctx context.Context, p *Prepared, req *models.Request, der []byte) (bool, error) {
	sum := sha256.Sum256(der)
	return i.cfg.Store.Record(ctx, store.Recording{
		Certificate: p.cert, DER: der, Fingerprint: hex.EncodeToString(sum[:]), Request: req,
		Event: p.by(certificateEvent(req, p.cert, "certificate.issued")),
		Onboards: &store.Onboarding{
			Device: p.Device, At: i.cfg.Now().UTC(), Promise: models.StartPromise(req.ID),
			Event: p.by(requestEvent(req, "device.onboarded", map[string]string{"serial": p.cert.Serial})),
		},
	})
}

// by names the device as the actor of an event.
func (p *Prepared) by(e models.Event) models.Event {
	e.Actor = "device:" + p.Device.Name
	return e
}
