// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/trustloom/trustloom/models"
)

// Reservation is what is stored before a certificate is signed at once: the
// request, already reserved, its certificate with the to-be-signed bytes, and
// the audit events about both.
type Reservation struct {
	Request     *models.Request
	Certificate *models.Certificate
	Events      []models.Event
	// Then runs in the same transaction and can refuse. Reservations that have
	// nothing to ask leave it nil and share their transaction with others.
	Then func(tx *Tx) error
	// Basis is what the request was received on, if it is stored already: then
	// it is reserved only if none of that has changed and nothing forbids the key.
	Basis *Basis

	approvedAt time.Time
}

// Basis are rows as they were read, or stored, when a request was received.
type Basis struct {
	Device *models.Device
	Domain *models.Domain
	CA     *models.CA
}

// Recording is what is stored after the signature: the certificate, of which
// DER and Fingerprint (hex SHA-256) are new, the request that ends with it, if
// it is to end, and the audit event.
type Recording struct {
	Certificate *models.Certificate
	DER         []byte
	Fingerprint string
	Request     *models.Request
	Event       models.Event
	Onboards    *Onboarding // the device that is onboarded with it, if one is

	recordedAt, endedAt time.Time
}

// Onboarding is what ends with the request that onboards a device.
type Onboarding struct {
	Device  *models.Device // onboarding, as it was stored
	At      time.Time
	Promise models.OutboxID // to start the story
	Event   models.Event
}

// Reserve stores a reservation unless there is a request with the same key.
// Then it reports false and r.Request becomes the row that exists. With a
// Basis, which has to be of a request that is stored and was approved as it was
// received, it reports false unless request and basis are as they were.
//
// The reservations and recordings of concurrent callers share statements and
// one COMMIT. When one of them cannot be, the others do not notice. Errors and
// the end of ctx are as for Write.
func (s *Store) Reserve(ctx context.Context, r Reservation) (inserted bool, err error) {
	req, cert := r.Request, r.Certificate
	setDefault(&cert.State, models.CertificateReserved)
	setDefault(&cert.Origin, models.CertificateMade)
	want := models.RequestReserved
	if r.Basis != nil {
		want = models.RequestReceived
	}
	if req.Key == "" || req.State != want || cert.RequestKey != req.Key || cert.Serial == "" || cert.IssuerKeyID == "" ||
		cert.State != models.CertificateReserved || len(cert.DER) != 0 {
		return false, models.Errorf(models.KindInvalid, "a reservation needs a request and a certificate that are reserved, with key, serial number and issuer key")
	}
	op := &issuance{ctx: ctx, reservation: &r}
	if r.Then != nil {
		err = s.alone(op)
	} else {
		err = s.issuances.do(s, op)
	}
	return err == nil && op.won, err
}

// Record stores the signature where none is stored yet, and ends the request.
// It reports false if another call was first: then that one's bytes are the
// certificate. It is KindConflict if the request was changed meanwhile, and
// otherwise like Reserve.
func (s *Store) Record(ctx context.Context, r Recording) (won bool, err error) {
	if len(r.DER) == 0 || r.Fingerprint == "" {
		return false, models.Errorf(models.KindInvalid, "certificate %s is recorded with its bytes and fingerprint", r.Certificate.ID)
	}
	op := &issuance{ctx: ctx, recording: &r}
	err = s.issuances.do(s, op)
	return err == nil && op.won, err
}

// issuance is one Reserve, Record or Admit.
type issuance struct {
	ctx         context.Context
	reservation *Reservation
	recording   *Recording
	admission   *Admission
	taken       atomic.Bool // by who runs it, or by its caller who gave up
	won         bool
	existing    *models.Request // which won in its place
	done        chan error
}

// key orders the issuances of a transaction, so that two transactions never
// wait for each other.
func (op *issuance) key() string {
	switch {
	case op.reservation != nil:
		return op.reservation.Request.Key
	case op.admission != nil:
		return op.admission.Request.Key
	}
	return string(op.recording.Certificate.ID)
}

// issuances gathers what concurrent callers want to store. Who gets the turn
// stores what has gathered until then, for all; nobody waits for company.
type issuances struct {
	once    sync.Once
	turn    chan struct{}
	mu      sync.Mutex
	waiting []*issuance
}

// The transactions that run at the same time, and the calls in one.
const (
	issuanceTurns = 1
	maxIssuances  = 64
)

// courtesy is how often all others who are ready to go on are let first: those
// who were about to join do, and on an idle machine it costs nothing.
const courtesy = 3

// issuanceTime bounds a transaction that many wait for.
const issuanceTime = 20 * time.Second

func (g *issuances) do(s *Store, op *issuance) error {
	g.once.Do(func() { g.turn = make(chan struct{}, issuanceTurns) })
	op.done = make(chan error, 1)
	g.mu.Lock()
	g.waiting = append(g.waiting, op)
	g.mu.Unlock()
	for {
		select {
		case err := <-op.done:
			return err
		case <-op.ctx.Done():
			if op.taken.CompareAndSwap(false, true) {
				return translate(op.ctx.Err(), "transaction")
			}
			return <-op.done
		case g.turn <- struct{}{}:
			if g.run(s); op.taken.Load() { // stored, or being stored apart: a turn brings nothing
				return <-op.done
			}
		}
	}
}

// run stores what has gathered and gives the turn back.
func (g *issuances) run(s *Store) {
	defer func() { <-g.turn }()
	for range courtesy {
		runtime.Gosched()
	}
	g.mu.Lock()
	n := min(len(g.waiting), maxIssuances)
	batch := slices.Clone(g.waiting[:n])
	g.waiting = append(g.waiting[:0], g.waiting[n:]...)
	g.mu.Unlock()
	batch = slices.DeleteFunc(batch, func(op *issuance) bool { return !op.taken.CompareAndSwap(false, true) })
	if len(batch) == 0 {
		return
	}
	verdict := errUnwound
	defer func() {
		for _, op := range batch {
			op.done <- verdict
		}
	}()
	verdict = s.together(batch)
	if len(batch) > 1 && lockedOut(verdict) {
		s.apart(batch)
		batch = nil
		return
	}
	if kind := models.KindOf(verdict); verdict == nil || kind == models.KindUnavailable || len(batch) == 1 {
		return
	}
	for len(batch) > 0 { // one of them cannot be stored
		op := batch[0]
		err := s.alone(op)
		batch = batch[1:] // those that are left hear the verdict if this one panics
		op.done <- err
	}
}

// lockedOut reports whether a transaction waited for a row that somebody else
// has locked until it was told to give up.
func lockedOut(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03" // lock_not_available
}

// apart has each issuance stored by itself, all at the same time, and does not
// wait for that: those that need what is locked keep no other waiting.
func (s *Store) apart(batch []*issuance) {
	for _, op := range batch {
		go func() {
			err := errUnwound
			defer func() {
				if fault := recover(); fault != nil {
					err = fmt.Errorf("store an issuance: %v", fault)
				}
				op.done <- err
			}()
			err = s.alone(op)
		}()
	}
}

// together stores all issuances in one transaction.
func (s *Store) together(batch []*issuance) error {
	slices.SortFunc(batch, func(a, b *issuance) int { return strings.Compare(a.key(), b.key()) })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(batch[0].ctx), issuanceTime)
	defer cancel()
	if s.writer == nil && !s.sealed {
		if done, err := s.burst(ctx, batch); done || err != nil {
			return stored(batch, err)
		}
	}
	if err := s.Write(ctx, func(tx *Tx) error { return tx.issue(batch) }); err != nil {
		return err
	}
	return stored(batch, nil)
}

// stored tells the callers of issuances what they have, unless err says that
// these were not stored.
func stored(batch []*issuance, err error) error {
	if err != nil {
		return err
	}
	for _, op := range batch {
		op.stored()
	}
	return nil
}

// alone stores one issuance in a transaction of its own.
func (s *Store) alone(op *issuance) error {
	err := s.Write(op.ctx, func(tx *Tx) error {
		if err := tx.issue([]*issuance{op}); err != nil || op.reservation == nil || op.reservation.Then == nil || !op.won {
			return err
		}
		return op.reservation.Then(tx)
	})
	if err == nil {
		op.stored()
	}
	return err
}

// issue stores a number of issuances.
func (tx *Tx) issue(batch []*issuance) error {
	now := tx.clock()
	first := make([]statement, len(batch))
	for i, op := range batch {
		if err := op.first(tx, &first[i], now); err != nil {
			return err
		}
	}
	counts, err := tx.pipeline(first, "issuances")
	if err != nil {
		return err
	}
	var ended []statement
	var certificates []*models.Certificate
	for i, op := range batch {
		op.won = counts[i] == 1
		switch {
		case op.won && op.reservation != nil:
			certificates = append(certificates, op.reservation.Certificate)
		case op.won && op.admission != nil:
			promised, err := insertOf(tx, []*models.OutboxItem{&op.admission.Promise})
			if err != nil {
				return err
			}
			ended = append(ended, op.admission.admitted(tx, now), promised)
		case op.won && op.recording.Request != nil:
			ended = append(ended, op.recording.ended(tx, now)...)
		}
	}
	if err := tx.finish(ended, certificates); err != nil {
		return err
	}
	for _, op := range batch {
		if err := op.rest(tx); err != nil {
			return err
		}
	}
	return nil
}

// finish stores what follows from the first statements having succeeded.
func (tx *Tx) finish(list []statement, certificates []*models.Certificate) error {
	for len(certificates) > 0 {
		n := tx.chunk(len(certificates))
		s, err := insertOf(tx, certificates[:n], "request_key")
		if err != nil {
			return err
		}
		list, certificates = append(list, s), certificates[n:]
	}
	counts, err := tx.pipeline(list, "issuances")
	for i, n := range counts {
		if err == nil && !list[i].met(n) {
			err = changed("the request")
		}
	}
	return err
}

// first is the statement on whose success the rest depends.
func (op *issuance) first(tx *Tx, s *statement, now time.Time) (err error) {
	if op.reservation != nil {
		op.reservation.prepare(tx)
		if op.reservation.Basis != nil {
			*s = op.reservation.approved(tx, now)
			return nil
		}
		*s, err = insertOf(tx, []*models.Request{op.reservation.Request}, "key")
		return err
	}
	if op.admission != nil {
		op.admission.prepare(tx)
		*s, err = insertOf(tx, []*models.Request{op.admission.Request}, "key")
		return err
	}
	*s = op.recording.recorded(tx, now)
	return nil
}

// prepare completes the rows of a reservation.
func (r *Reservation) prepare(tx *Tx) {
	req, cert := r.Request, r.Certificate
	if r.Basis == nil {
		tx.fresh((*string)(&req.ID), &req.Revision, &req.CreatedAt, &req.UpdatedAt)
	}
	var unused int
	tx.fresh((*string)(&cert.ID), &unused, &cert.CreatedAt, &cert.UpdatedAt)
	stamp(req)
	stamp(cert)
}

// recorded stores the signature where none is.
func (r *Recording) recorded(tx *Tx, now time.Time) statement {
	r.recordedAt = now
	return statement{
		text: tx.numbered("UPDATE certificates SET der = ?, fingerprint = ?, state = 'issued', updated_at = ? WHERE id = ? AND " + unrecorded + " AND " + noDER),
		args: []any{r.DER, r.Fingerprint, now, string(r.Certificate.ID)}, rows: 1,
	}
}

var approval = `UPDATE requests SET state = 'reserved', revision = ?, updated_at = ? WHERE id = ? AND revision = ? AND state = 'received'
	AND EXISTS (SELECT 1 FROM devices AS d WHERE d.id = ? AND d.revision = ?) AND EXISTS (SELECT 1 FROM domains AS o WHERE o.id = ? AND o.revision = ?)
	AND EXISTS (SELECT 1 FROM cas AS c WHERE c.id = ? AND c.revision = ?) AND ` + keyFree("?")

// approved reserves a request that is stored, unless it or what it rests on
// was changed.
func (r *Reservation) approved(tx *Tx, now time.Time) statement {
	req, b := r.Request, r.Basis
	r.approvedAt = now
	return statement{
		text: tx.numbered(approval),
		args: []any{int64(req.Revision + 1), now, string(req.ID), int64(req.Revision), string(b.Device.ID), int64(b.Device.Revision),
			string(b.Domain.ID), int64(b.Domain.Revision), string(b.CA.ID), int64(b.CA.Revision),
			r.Certificate.SPKISHA256, string(b.Device.ID), r.Certificate.SPKISHA256}, rows: 1,
	}
}

// ended ends the request of a recording, and what goes with it.
func (r *Recording) ended(tx *Tx, now time.Time) []statement {
	r.endedAt = now
	list := []statement{{
		text: tx.numbered("UPDATE requests SET state = 'issued', certificate_id = ?, revision = ?, updated_at = ? WHERE id = ? AND revision = ? AND state = 'reserved'"),
		args: []any{string(r.Certificate.ID), int64(r.Request.Revision + 1), now, string(r.Request.ID), int64(r.Request.Revision)}, rows: 1,
	}}
	if o := r.Onboards; o != nil {
		list = append(list, statement{
			text: tx.numbered("UPDATE devices SET state = 'onboarded', onboarded_at = ?, revision = ?, updated_at = ? WHERE id = ? AND revision = ? AND state = 'onboarding'"),
			args: []any{instant(o.At), int64(o.Device.Revision + 1), now, string(o.Device.ID), int64(o.Device.Revision)}, rows: 1,
		}, promiseKept(tx, o.Promise))
	}
	return list
}

// rest adds the audit events of a success, and reads what was in the way of a
// failure.
func (op *issuance) rest(tx *Tx) error {
	outer := tx.ctx
	origin, _ := op.ctx.Value(originKey{}).(Origin)
	tx.ctx = WithOrigin(outer, origin) // whose act it is; that its caller left must not end what others wait for
	defer func() { tx.ctx = outer }()
	switch {
	case op.admission != nil && op.won:
		return tx.Audit(op.admission.Event)
	case op.admission != nil: // there is a request with the same key
		return nil
	case op.recording != nil && op.won:
		err := tx.Audit(op.recording.Event)
		if o := op.recording.Onboards; o != nil && err == nil {
			err = tx.Audit(o.Event)
		}
		return err
	case op.recording != nil:
		_, err := tx.FindCertificate(outer, op.recording.Certificate.ID)
		return err
	case op.won:
		for _, e := range op.reservation.Events {
			if err := tx.Audit(e); err != nil {
				return err
			}
		}
		return nil
	}
	now, err := tx.FindRequestByKey(outer, op.reservation.Request.Key)
	if err == nil {
		op.existing = now
	}
	return err
}

// stored brings what the caller has in line with what is committed now.
func (op *issuance) stored() {
	switch {
	case op.admission != nil && op.won:
		op.admission.stored()
	case op.reservation != nil && !op.won:
		*op.reservation.Request = *op.existing
	case op.reservation != nil && op.reservation.Basis != nil:
		req := op.reservation.Request
		req.State, req.Revision, req.UpdatedAt = models.RequestReserved, req.Revision+1, op.reservation.approvedAt
	case op.recording != nil && op.won:
		r := op.recording
		r.Certificate.DER, r.Certificate.Fingerprint, r.Certificate.State = r.DER, r.Fingerprint, models.CertificateIssued
		r.Certificate.UpdatedAt = r.recordedAt
		if r.Request != nil {
			r.Request.State, r.Request.CertificateID = models.RequestIssued, r.Certificate.ID
			r.Request.Revision, r.Request.UpdatedAt = r.Request.Revision+1, r.endedAt
		}
	}
}
