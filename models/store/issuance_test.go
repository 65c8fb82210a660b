// SPDX-License-Identifier: MIT

package store_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestRequests(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		r := newRequest("k1")
		write(t, s, func(tx *store.Tx) error { _, err := tx.InsertRequest(r); return err })
		same(t, must[*models.Request](t)(s.FindRequest(background, r.ID)), r)
		deadline := later(0)
		r.State, r.WorkflowID, r.Deadline = models.RequestWaiting, "w1", &deadline
		write(t, s, func(tx *store.Tx) error { return tx.SaveRequest(r) })
		same(t, must[*models.Request](t)(s.FindRequestByKey(background, "k1")), r)

		stale := *r
		r.State = models.RequestApproved
		write(t, s, func(tx *store.Tx) error { return tx.SaveRequest(r) })
		stale.State = models.RequestRejected
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveRequest(&stale) }), models.KindConflict)
		if stale.Revision != 2 {
			t.Errorf("a refused save changed the revision to %d", stale.Revision)
		}
		wantKind(t, s.Write(background, func(tx *store.Tx) error {
			return tx.SaveRequest(&models.Request{ID: "none", State: models.RequestFailed})
		}), models.KindNotFound)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveRequest(&models.Request{State: models.RequestFailed}) }), models.KindInvalid)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { _, err := tx.InsertRequest(newRequest("")); return err }), models.KindInvalid)

		// What identifies a request is not changed by a save.
		changed := *r
		changed.Key, changed.CSR = "k2", []byte("other")
		write(t, s, func(tx *store.Tx) error { return tx.SaveRequest(&changed) })
		if got := must[*models.Request](t)(s.FindRequest(background, r.ID)); got.Key != "k1" || string(got.CSR) != "csr" {
			t.Errorf("key %q and CSR %q were saved", got.Key, got.CSR)
		}
	})
}

func TestRequestsMoveOnlyAlongTransitions(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		states := []models.RequestState{models.RequestReceived, models.RequestWaiting, models.RequestApproved, models.RequestReserved,
			models.RequestIssued, models.RequestRejected, models.RequestExpired, models.RequestWithdrawn, models.RequestFailed}
		for _, from := range states {
			for _, to := range states {
				r := newRequest(string(from + to))
				r.State = from
				err := s.Write(background, func(tx *store.Tx) error {
					if _, err := tx.InsertRequest(r); err != nil {
						return err
					}
					r.State = to
					return tx.SaveRequest(r)
				})
				if allowed := models.RequestTransitions.Allowed(from, to); allowed != (err == nil) {
					t.Errorf("from %s to %s: error %v, allowed is %v", from, to, err, allowed)
				} else if err != nil {
					wantKind(t, err, models.KindConflict)
				}
			}
		}
	})
}

func TestManyCopiesOfOneRequestMakeOneRow(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		const n = 200
		var inserted atomic.Int32
		var ids [n]models.RequestID
		together(n, func(i int) {
			r := newRequest("same")
			if err := s.Write(background, func(tx *store.Tx) error {
				won, err := tx.InsertRequest(r)
				if won {
					inserted.Add(1)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
			ids[i] = r.ID
		})
		if inserted.Load() != 1 {
			t.Errorf("%d copies were inserted, want 1", inserted.Load())
		}
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("copies found %s and %s", ids[0], id)
			}
		}
	})
}

func TestCertificateIsReservedSignedRecordedOnce(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		c := newCertificate("k1")
		again := newCertificate("k1")
		again.Serial, again.TBS = "99", []byte("other")
		write(t, s, func(tx *store.Tx) error {
			first, err := tx.ReserveCertificate(c)
			second, err2 := tx.ReserveCertificate(again)
			if !first || second {
				t.Errorf("reserved %v and %v, want the first only", first, second)
			}
			return errors.Join(err, err2)
		})
		same(t, again, c)
		same(t, must[*models.Certificate](t)(s.FindCertificateByRequestKey(background, "k1")), c)
		_, err := s.FindCertificateByFingerprint(background, "")
		wantKind(t, err, models.KindNotFound)

		for attempt := 1; attempt <= 2; attempt++ {
			var row *models.Certificate
			write(t, s, func(tx *store.Tx) (err error) { row, err = tx.BeginSigning(c.ID); return err })
			if row.Attempts != attempt || row.State != models.CertificateSigning {
				t.Errorf("attempt %d: %d attempts, state %s", attempt, row.Attempts, row.State)
			}
		}
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.RevokeCertificate(c.ID, "superseded", later(0)) }), models.KindConflict)

		var winners atomic.Int32
		together(20, func(i int) {
			if err := s.Write(background, func(tx *store.Tx) error {
				won, err := tx.RecordCertificate(c.ID, fmt.Append(nil, "der ", i), fmt.Sprint("fp", i))
				if won {
					winners.Add(1)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
		if winners.Load() != 1 {
			t.Errorf("%d callers recorded, want 1", winners.Load())
		}
		got := must[*models.Certificate](t)(s.FindCertificate(background, c.ID))
		if got.State != models.CertificateIssued || "fp"+string(got.DER[4:]) != got.Fingerprint {
			t.Errorf("recorded %s with fingerprint %s in state %s", got.DER, got.Fingerprint, got.State)
		}
		same(t, must[*models.Certificate](t)(s.FindCertificateByFingerprint(background, got.Fingerprint)), got)
		same(t, must[*models.Certificate](t)(s.FindCertificateBySerial(background, got.IssuerKeyID, got.Serial)), got)
		_, err = s.FindCertificateBySerial(background, "other", got.Serial)
		wantKind(t, err, models.KindNotFound)

		// Who begins to sign again is given what is recorded.
		write(t, s, func(tx *store.Tx) error {
			row, err := tx.BeginSigning(c.ID)
			same(t, row, got)
			return err
		})
	})
}

func TestReservationNeedsAllItsParts(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		for name, spoil := range map[string]func(c *models.Certificate){
			"no request key":  func(c *models.Certificate) { c.RequestKey = "" },
			"no serial":       func(c *models.Certificate) { c.Serial = "" },
			"no issuer key":   func(c *models.Certificate) { c.IssuerKeyID = "" },
			"already signed":  func(c *models.Certificate) { c.DER = []byte("der") },
			"another's state": func(c *models.Certificate) { c.State = models.CertificateIssued },
		} {
			c := newCertificate("k")
			spoil(c)
			if err := s.Write(background, func(tx *store.Tx) error { _, err := tx.ReserveCertificate(c); return err }); models.KindOf(err) != models.KindInvalid {
				t.Errorf("%s: got %v, want Invalid", name, err)
			}
		}
		write(t, s, func(tx *store.Tx) error { _, err := tx.ReserveCertificate(newCertificate("k1")); return err })
		same := newCertificate("k2")
		same.Serial = newCertificate("k1").Serial
		wantKind(t, s.Write(background, func(tx *store.Tx) error { _, err := tx.ReserveCertificate(same); return err }), models.KindConflict)
		same.IssuerKeyID = "bb22" // the same serial of another CA key is no conflict
		write(t, s, func(tx *store.Tx) error { _, err := tx.ReserveCertificate(same); return err })
		wantKind(t, s.Write(background, func(tx *store.Tx) error { _, err := tx.RecordCertificate(same.ID, nil, "fp"); return err }), models.KindInvalid)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { _, err := tx.RecordCertificate("none", []byte("x"), "fp"); return err }), models.KindNotFound)
		wantKind(t, s.Write(background, func(tx *store.Tx) error { _, err := tx.BeginSigning("none"); return err }), models.KindNotFound)
	})
}

// issued adds a recorded certificate.
func issued(t testing.TB, s *store.Store, c *models.Certificate) *models.Certificate {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		if _, err := tx.ReserveCertificate(c); err != nil {
			return err
		}
		_, err := tx.RecordCertificate(c.ID, []byte("der "+c.RequestKey), "fp "+c.RequestKey)
		return err
	})
	return c
}

func TestRevocationAndHold(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		c := issued(t, s, newCertificate("k1"))
		revoke := func(reason models.RevocationReason, at time.Time) error {
			return s.Write(background, func(tx *store.Tx) error { return tx.RevokeCertificate(c.ID, reason, at) })
		}
		release := func() error { return s.Write(background, func(tx *store.Tx) error { return tx.ReleaseHold(c.ID) }) }
		wantKind(t, release(), models.KindConflict)
		wantKind(t, revoke("removeFromCRL", later(0)), models.KindInvalid)
		for _, err := range []error{revoke("certificateHold", later(0)), release(), revoke("certificateHold", later(time.Hour))} {
			if err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, revoke("certificateHold", later(0)), models.KindConflict)
		if err := revoke("keyCompromise", later(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		wantKind(t, release(), models.KindConflict)
		wantKind(t, revoke("superseded", later(0)), models.KindConflict)

		issued(t, s, newCertificate("k2"))
		entries := must[[]store.RevokedEntry](t)(s.RevokedCertificates(background, c.IssuerKeyID))
		same(t, entries, []store.RevokedEntry{{Serial: c.Serial, Reason: "keyCompromise",
			RevokedAt: later(time.Hour).UTC().Truncate(time.Microsecond), NotAfter: c.NotAfter}})
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.ReleaseHold("none") }), models.KindNotFound)
	})
}

func TestApprovals(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		r := newRequest("k1")
		write(t, s, func(tx *store.Tx) error { _, err := tx.InsertRequest(r); return err })
		var opened atomic.Int32
		var first models.Approval
		together(20, func(int) {
			a := &models.Approval{RequestID: r.ID, SubjectSHA256: "aa", DomainID: r.DomainID, State: models.ApprovalPending,
				Steps: []models.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: later(time.Hour), RemindAt: later(0), EscalateAt: later(0)}
			if err := s.Write(background, func(tx *store.Tx) error {
				won, err := tx.OpenApproval(a)
				if won {
					opened.Add(1)
					first = *a
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
		if opened.Load() != 1 {
			t.Fatalf("%d approvals were opened, want 1", opened.Load())
		}
		a := must[*models.Approval](t)(s.FindApprovalByRequest(background, r.ID))
		same(t, a, &first)
		decide := func(operator models.OperatorID) error {
			return s.Write(background, func(tx *store.Tx) error {
				return tx.InsertDecision(&models.ApprovalDecision{ApprovalID: a.ID, OperatorID: operator, OperatorName: string(operator), Verdict: models.VerdictApprove})
			})
		}
		if err := errors.Join(decide("alice"), decide("bob")); err != nil {
			t.Fatal(err)
		}
		wantKind(t, decide("alice"), models.KindConflict)
		words := must[[]models.ApprovalDecision](t)(s.Decisions(background, a.ID))
		if len(words) != 2 || words[0].OperatorID != "alice" || words[1].OperatorID != "bob" {
			t.Errorf("decisions are %v", words)
		}

		a.State, a.Reason = models.ApprovalApproved, "fine"
		write(t, s, func(tx *store.Tx) error { return tx.SaveApproval(a) })
		same(t, must[*models.Approval](t)(s.FindApproval(background, a.ID)), a)
		a.State = models.ApprovalRejected
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveApproval(a) }), models.KindConflict)
	})
}
