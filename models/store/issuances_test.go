// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// reservation is one under a request key.
func reservation(key string) store.Reservation {
	req, cert := newRequest(key), newCertificate(key)
	req.State, cert.RequestID = models.RequestReserved, req.ID
	event := models.Event{Actor: "device:" + key, Action: "certificate.reserved", Noun: "certificate", SubjectID: key}
	return store.Reservation{Request: req, Certificate: cert, Events: []models.Event{event}}
}

// recording is that of a reservation.
func recording(r store.Reservation) store.Recording {
	return store.Recording{
		Certificate: r.Certificate, DER: []byte("der " + r.Request.Key), Fingerprint: "fp " + r.Request.Key, Request: r.Request,
		Event: models.Event{Actor: "system", Action: "certificate.issued", Noun: "certificate", SubjectID: r.Request.Key},
	}
}

// gathered runs the calls in one transaction and returns their errors.
func gathered(s *store.Store, calls ...func() error) []error {
	errs := make([]error, len(calls))
	var all sync.WaitGroup
	store.Gather(s, len(calls), func() {
		for i, call := range calls {
			all.Go(func() { errs[i] = call() })
		}
	})
	all.Wait()
	return errs
}

func reserve(s *store.Store, r store.Reservation) func() error {
	return func() error { _, err := s.Reserve(context.Background(), r); return err }
}

// wantStored looks what there is of a request key.
func wantStored(t *testing.T, s *store.Store, key string, state models.RequestState, events int) {
	t.Helper()
	req, err := s.FindRequestByKey(t.Context(), key)
	if state == "" {
		wantKind(t, err, models.KindNotFound)
	} else if err != nil || req.State != state {
		t.Errorf("request %s: %v, %v, want %s", key, req, err, state)
	}
	list, _, err := s.ListEvents(t.Context(), store.EventFilter{SubjectID: key})
	if err != nil || len(list) != events {
		t.Errorf("%s has %d events, want %d (%v)", key, len(list), events, err)
	}
}

func TestIssuancesAreStoredTogether(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		var calls []func() error
		var all []store.Reservation
		for i := range 40 {
			all = append(all, reservation(fmt.Sprint("k", i)))
			calls = append(calls, reserve(s, all[i]))
		}
		for _, err := range gathered(s, calls...) {
			if err != nil {
				t.Fatal(err)
			}
		}
		calls = nil
		for i, r := range all {
			calls = append(calls, func() error {
				won, err := s.Record(context.Background(), recording(r))
				if !won && err == nil {
					err = errors.New("another was first")
				}
				return err
			})
			if i%2 == 0 { // and some reservations among the recordings
				calls = append(calls, reserve(s, reservation(fmt.Sprint("late", i))))
			}
		}
		for _, err := range gathered(s, calls...) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for i, r := range all {
			wantStored(t, s, fmt.Sprint("k", i), models.RequestIssued, 2)
			same(t, must[*models.Request](t)(s.FindRequest(t.Context(), r.Request.ID)), r.Request)
			same(t, must[*models.Certificate](t)(s.FindCertificate(t.Context(), r.Certificate.ID)).DER, r.Certificate.DER)
			if _, err := s.FindCertificateByFingerprint(t.Context(), r.Certificate.Fingerprint); err != nil {
				t.Errorf("what was issued here is not found as such: %v", err)
			}
		}
		wantStored(t, s, "late0", models.RequestReserved, 1)
	})
}

func TestAnIssuanceThatCannotBeStoredHurtsNoOther(t *testing.T) {
	for name, spoil := range map[string]func(r *store.Reservation){
		"a serial number that is taken": func(r *store.Reservation) { r.Certificate.Serial, r.Certificate.IssuerKeyID = "aa", "bb" },
		"a text that no text can hold":  func(r *store.Reservation) { r.Events[0].Address = "a\x00b"; r.Request.AuthSubject = "\xff\x00" },
		"a reservation without a key":   func(r *store.Reservation) { r.Request.Key = "" },
	} {
		t.Run(name, func(t *testing.T) {
			fixture.Stores(t, func(t *testing.T, s *store.Store) {
				taken := reservation("taken")
				taken.Certificate.Serial, taken.Certificate.IssuerKeyID = "aa", "bb"
				if err := reserve(s, taken)(); err != nil {
					t.Fatal(err)
				}
				bad := reservation("bad")
				spoil(&bad)
				n := 3
				if bad.Request.Key == "" { // is refused before it waits
					wantKind(t, reserve(s, bad)(), models.KindInvalid)
					n = 2
				}
				errs := gathered(s, []func() error{reserve(s, reservation("a")), reserve(s, reservation("z")), reserve(s, bad)}[:n]...)
				if errs[0] != nil || errs[1] != nil {
					t.Errorf("the others: %v", errs)
				}
				wantStored(t, s, "a", models.RequestReserved, 1)
				wantStored(t, s, "z", models.RequestReserved, 1)
				if n == 3 && errs[2] != nil {
					wantStored(t, s, "bad", "", 0)
				}
			})
		})
	}
}

func TestTheSameReservationIsStoredOnce(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		var mu sync.Mutex
		inserted, ids := 0, map[models.RequestID]bool{}
		var calls []func() error
		for range 8 {
			r := reservation("same")
			calls = append(calls, func() error {
				ok, err := s.Reserve(context.Background(), r)
				mu.Lock()
				defer mu.Unlock()
				if ok {
					inserted++
				}
				ids[r.Request.ID] = true
				return err
			})
		}
		for _, err := range gathered(s, calls...) {
			if err != nil {
				t.Error(err)
			}
		}
		if inserted != 1 || len(ids) != 1 {
			t.Errorf("%d inserted, %d requests", inserted, len(ids))
		}
		wantStored(t, s, "same", models.RequestReserved, 1)
	})
}

func TestReservationsCanRefuse(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		r := reservation("refused")
		r.Then = func(*store.Tx) error { return models.Errorf(models.KindDenied, "one too many") }
		_, err := s.Reserve(t.Context(), r)
		wantKind(t, err, models.KindDenied)
		wantStored(t, s, "refused", "", 0)
		r = reservation("granted")
		r.Then = func(tx *store.Tx) error { return tx.Promise(models.OutboxItem{Action: "x", SubjectID: "y"}) }
		if inserted, err := s.Reserve(t.Context(), r); !inserted || err != nil {
			t.Errorf("%t, %v", inserted, err)
		}
		wantStored(t, s, "granted", models.RequestReserved, 1)
	})
}

func TestARecordingNeedsTheRequestAsItWas(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		r, other := reservation("moved"), reservation("other")
		for _, each := range []store.Reservation{r, other} {
			if err := reserve(s, each)(); err != nil {
				t.Fatal(err)
			}
		}
		write(t, s, func(tx *store.Tx) error {
			now, err := tx.FindRequestByKey(t.Context(), "moved")
			if err != nil {
				return err
			}
			now.State = models.RequestFailed
			return tx.SaveRequest(now)
		})
		record := func(r store.Reservation) func() error {
			return func() error { _, err := s.Record(context.Background(), recording(r)); return err }
		}
		errs := gathered(s, record(r), record(other))
		wantKind(t, errs[0], models.KindConflict)
		if errs[1] != nil {
			t.Error(errs[1])
		}
		if cert := must[*models.Certificate](t)(s.FindCertificate(t.Context(), r.Certificate.ID)); len(cert.DER) != 0 {
			t.Error("the certificate was recorded although its request has failed")
		}
		wantStored(t, s, "other", models.RequestIssued, 2)
		again := recording(other)
		again.Request, again.DER = nil, []byte("another signature")
		if won, err := s.Record(t.Context(), again); won || err != nil {
			t.Errorf("the second signature: %t, %v", won, err)
		}
	})
}

func TestWhoGaveUpWaitingIsNotStored(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		var gaveUp error
		var all sync.WaitGroup
		store.Gather(s, 1, func() {
			all.Go(func() { _, gaveUp = s.Reserve(ctx, reservation("gone")) })
			cancel()
			all.Wait()
		})
		wantKind(t, gaveUp, models.KindUnavailable)
		if err := reserve(s, reservation("next"))(); err != nil {
			t.Error(err)
		}
		wantStored(t, s, "gone", "", 0)
		wantStored(t, s, "next", models.RequestReserved, 1)
	})
}

// leaver is the context of a caller who leaves after his issuance was taken
// up: Done is not closed before, so he cannot have given up waiting.
type leaver struct{ context.Context }

func (leaver) Done() <-chan struct{} { return nil }
func (leaver) Err() error            { return context.Canceled }

func TestWhoLeavesMeanwhileHurtsNoOther(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		left := reservation("left")
		left.Events[0].Actor, left.Events[0].DeviceID = "", "a device" // whose name has to be looked up
		errs := gathered(s, reserve(s, reservation("a")), reserve(s, reservation("z")),
			func() error { _, err := s.Reserve(leaver{t.Context()}, left); return err })
		for _, err := range errs[:2] {
			if err != nil {
				t.Errorf("the others: %v", err)
			}
		}
		wantStored(t, s, "a", models.RequestReserved, 1)
		wantStored(t, s, "z", models.RequestReserved, 1)
		if errs[2] != nil {
			wantStored(t, s, "left", "", 0)
		}
	})
}

// lockedKey is a store on PostgreSQL, and the key of a request that a
// transaction holds until it is released; others soon give up waiting.
func lockedKey(t *testing.T, key string) (s *store.Store, release func()) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: fixture.Postgres(t) + "&lock_timeout=1s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	held, released, over := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		over <- s.Write(context.Background(), func(tx *store.Tx) error {
			_, err := tx.InsertRequest(newRequest(key))
			close(held)
			<-released
			return errors.Join(err, errors.New("rolled back"))
		})
	}()
	<-held
	return s, func() { close(released); <-over }
}

// TestALockFailsOnlyWhoNeedsIt holds the key of one of three requests, so that
// PostgreSQL gives up waiting for it.
func TestALockFailsOnlyWhoNeedsIt(t *testing.T) {
	t.Parallel()
	s, release := lockedKey(t, "locked")
	errs := gathered(s, reserve(s, reservation("a")), reserve(s, reservation("locked")), reserve(s, reservation("z")))
	release()
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("the others: %v, %v", errs[0], errs[2])
	}
	wantKind(t, errs[1], models.KindUnavailable)
	wantStored(t, s, "a", models.RequestReserved, 1)
	wantStored(t, s, "locked", "", 0)
	wantStored(t, s, "z", models.RequestReserved, 1)
}

// TestWhoWaitsForALockDoesNotTurnInCircles looks how often the turn is taken
// while the only issuance that is left waits for PostgreSQL.
func TestWhoWaitsForALockDoesNotTurnInCircles(t *testing.T) {
	t.Parallel()
	s, release := lockedKey(t, "locked")
	defer release()
	var others sync.WaitGroup
	over := make(chan struct{})
	store.Gather(s, 2, func() {
		others.Go(func() { _ = reserve(s, reservation("a"))() })
		go func() { defer close(over); _ = reserve(s, reservation("locked"))() }()
	})
	others.Wait()
	turns, before := 0, 0
	for waiting := true; waiting; runtime.Gosched() {
		select {
		case <-over:
			waiting = false
		default:
		}
		now := store.Turns(s)
		if now > before {
			turns++
		}
		before = now
	}
	if turns > 10 {
		t.Errorf("the turn was taken %d times although nothing was to be stored", turns)
	}
}
