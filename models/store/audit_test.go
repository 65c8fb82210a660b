// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

var auditKey = audit.NewKey([]byte("the sealing key of a test, 32 by"))

// audited opens a store of each dialect whose events are authenticated.
func audited(t *testing.T, test func(t *testing.T, s *store.Store, url string)) {
	t.Helper()
	fixture.URLs(t, func(t *testing.T, url string) {
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url, AuditKey: auditKey}))
		t.Cleanup(func() { _ = s.Close() })
		test(t, s, url)
	})
}

func event(i int) models.Event {
	return models.Event{Actor: "operator:alice", Address: "192.0.2.7", Action: "device.changed", Noun: "device", SubjectID: fmt.Sprint("device-", i),
		WorkflowID: "workflow", RunID: "run", Details: map[string]string{"name": fmt.Sprint("press-", i), "why": "spare <part> & \u00e4\u2028"}}
}

func happen(t testing.TB, s *store.Store, from, n int) {
	t.Helper()
	for i := range n {
		write(t, s, func(tx *store.Tx) error { return tx.Audit(event(from + i)) })
	}
}

// sealAll seals until nothing waits.
func sealAll(t testing.TB, s *store.Store) audit.Tip {
	t.Helper()
	for {
		sealed := must[store.Sealed](t)(s.SealAudit(background, 1000))
		if state := must[store.AuditState](t)(s.AuditState(background)); state.Waiting.IsZero() {
			return sealed.Tip
		}
	}
}

func checked(t testing.TB, s *store.Store) audit.Walk {
	t.Helper()
	walk := audit.Walk{}
	for !must[bool](t)(s.CheckAudit(background, &walk, nil)) {
		continue
	}
	return walk
}

// signer signs heads as the server does.
func signer(t testing.TB) func(s *store.Store, tip audit.Tip) *models.AuditHead {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	cert, err := audit.NewCertificate(crypto.Signer(key), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return func(s *store.Store, tip audit.Tip) *models.AuditHead {
		head := must[*models.AuditHead](t)(audit.SignHead(tip, time.Now(), key, cert))
		write(t, s, func(tx *store.Tx) error { return tx.AddAuditHead(head) })
		return head
	}
}

func TestEventsOfManyTransactionsAreSealedInOrderWithoutGaps(t *testing.T) {
	t.Parallel()
	audited(t, func(t *testing.T, s *store.Store, url string) {
		other := must[*store.Store](t)(store.Open(background, store.Config{URL: url, AuditKey: auditKey}))
		defer other.Close()
		sealers := []*store.Store{s}
		if strings.HasPrefix(url, "postgres") {
			sealers = append(sealers, other) // two processes
		}
		ctx, stop := context.WithCancel(background)
		var sealing sync.WaitGroup
		for _, sealer := range sealers {
			sealing.Go(func() {
				for ctx.Err() == nil {
					if _, err := sealer.SealAudit(background, 1+mathrand.IntN(30)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		const writers, each = 8, 40
		undone := errors.New("rolled back after the events were written")
		together(writers, func(w int) {
			for i := range each {
				err := s.Write(background, func(tx *store.Tx) error {
					for range 1 + i%3 {
						if err := tx.Audit(event(w*each + i)); err != nil {
							return err
						}
					}
					if i%7 == 0 { // leaves gaps among the positions
						if err := store.FlushEvents(tx); err != nil {
							return err
						}
						return undone
					}
					return nil
				})
				if err != nil && !errors.Is(err, undone) {
					t.Error(err)
				}
			}
		})
		stop()
		sealing.Wait()
		tip := sealAll(t, s)
		walk := checked(t, s)
		if len(walk.Findings) > 0 || walk.Tip != tip {
			t.Errorf("the check ends at %d of %d with %+v", walk.Seq, tip.Seq, walk.Findings)
		}
		if got := lines(t, s, "SELECT CAST(COUNT(*) AS TEXT) FROM events"); got[0] != fmt.Sprint(tip.Seq) {
			t.Errorf("%s events, %d places", got[0], tip.Seq)
		}
	})
}

func TestSealingWaitsForTransactionsThatHaveNotEnded(t *testing.T) {
	t.Parallel()
	s := must[*store.Store](t)(store.Open(background, store.Config{URL: fixture.Postgres(t)}))
	defer s.Close()
	slow, flushed, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.Write(background, func(tx *store.Tx) error {
			err := errors.Join(tx.Audit(event(1)), store.FlushEvents(tx))
			close(flushed)
			<-slow
			return err
		})
	}()
	<-flushed
	happen(t, s, 2, 1)
	for range 3 {
		if sealed := must[store.Sealed](t)(s.SealAudit(background, 10)); sealed.Events != 0 || sealed.More {
			t.Fatalf("sealed %+v before the event that was first", sealed)
		}
	}
	if state := must[store.AuditState](t)(s.AuditState(background)); state.Waiting.IsZero() {
		t.Error("nobody is told that an event waits")
	}
	close(slow)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sealAll(t, s)
	part := must[store.ChainPart](t)(s.ReadChain(background, 0))
	if len(part.Entries) != 2 || part.Entries[0].Event.SubjectID != "device-1" {
		t.Errorf("got %+v", part)
	}
}

// tampering is every way to change the log with SQL, and what the check says.
// $k stands for the identifier of the k-th event, in order.
var tampering = map[string]struct {
	sql  []string
	kind string
	says string
}{
	"nothing":                              {nil, "", ""},
	"an edited actor":                      {[]string{"UPDATE events SET actor = 'operator:bob' WHERE id = $5"}, audit.FindingEdited, "place 5"},
	"an edited time":                       {[]string{"UPDATE events SET at = (SELECT at FROM events WHERE id = $3) WHERE id = $5"}, audit.FindingEdited, "place 5"},
	"edited details":                       {[]string{`UPDATE events SET details = '{"name":"press-9"}' WHERE id = $6`}, audit.FindingEdited, "place 6"},
	"details that are no JSON":             {[]string{`UPDATE events SET details = 'x' WHERE id = $6`}, audit.FindingEdited, "place 6"},
	"an edited run":                        {[]string{"UPDATE events SET run_id = 'other' WHERE id = $1"}, audit.FindingEdited, "place 1"},
	"an edited code":                       {[]string{"UPDATE events SET mac = NULL WHERE id = $4"}, audit.FindingEdited, "code"},
	"another identifier":                   {[]string{"UPDATE events SET id = 'x' WHERE id = $4"}, audit.FindingInserted, "no place"},
	"a deleted row":                        {[]string{"DELETE FROM events WHERE id = $5"}, audit.FindingDeleted, "place 5"},
	"the first row deleted":                {[]string{"DELETE FROM events WHERE id = $1"}, audit.FindingDeleted, "place 1"},
	"the last row deleted":                 {[]string{"DELETE FROM events WHERE id = $9"}, audit.FindingDeleted, "place 9"},
	"swapped rows, by position":            {[]string{"UPDATE events SET position = 1000 + position WHERE id IN ($4, $5)", "UPDATE events SET position = (SELECT MAX(position) FROM events WHERE position < 1000) - 5 WHERE id = $5", "UPDATE events SET position = position - 1000 + 1 WHERE id = $4"}, audit.FindingReordered, "changed places"},
	"swapped rows, by identifier":          {[]string{"UPDATE events SET id = 'x' WHERE id = $4", "UPDATE events SET id = $4 WHERE id = $5", "UPDATE events SET id = $5 WHERE id = 'x'"}, audit.FindingReordered, "changed places"},
	"swapped contents":                     {[]string{"UPDATE events SET subject_id = 'device-4', details = (SELECT details FROM events e WHERE e.id = $5) WHERE id = $4"}, audit.FindingEdited, "place 4"},
	"a row between others":                 {[]string{"DELETE FROM events WHERE id = $5", insertLike("$5", "'forged'", "$4")}, audit.FindingInserted, "forged"},
	"a row before all":                     {[]string{strings.Replace(insertLike("$1", "'forged'", "$1"), ") + 1", ") - 1", 1)}, audit.FindingInserted, "forged"},
	"a truncated tail":                     {[]string{"DELETE FROM events WHERE id IN ($7, $8, $9)"}, audit.FindingDeleted, "place 7"},
	"a truncated tail, chain included":     {[]string{"DELETE FROM events WHERE id IN ($7, $8, $9)", "DELETE FROM audit_blocks WHERE last_seq > 6"}, audit.FindingTruncated, "3 events at the end were cut off"},
	"everything deleted but the heads":     {[]string{"DELETE FROM events", "DELETE FROM audit_blocks"}, audit.FindingTruncated, "cut off"},
	"a block deleted":                      {[]string{"DELETE FROM audit_blocks WHERE last_seq = 6"}, audit.FindingChain, "goes on with place 7 after place 3"},
	"a block's entries":                    {[]string{"UPDATE audit_blocks SET entries = (SELECT entries FROM audit_blocks b WHERE b.last_seq = 3) WHERE last_seq = 6"}, audit.FindingChain, "does not follow"},
	"a block's hash":                       {[]string{"UPDATE audit_blocks SET hash = (SELECT hash FROM audit_blocks b WHERE b.last_seq = 3) WHERE last_seq = 6"}, audit.FindingChain, "does not follow"},
	"a block's entries made unreadable":    {[]string{"UPDATE audit_blocks SET entries = hash WHERE last_seq = 6"}, audit.FindingChain, "damaged"},
	"a head for another place":             {[]string{"UPDATE audit_heads SET seq = 5"}, audit.FindingHead, "not valid"},
	"a head's signature":                   {[]string{"UPDATE audit_heads SET signature = hash"}, audit.FindingHead, "not valid"},
	"a row at the end, after the sealing":  {[]string{insertLike("$9", "'late'", "$9")}, audit.FindingForged, "not written by Trustloom"},
	"a row at the end, with a stolen code": {[]string{strings.Replace(insertLike("$9", "'late'", "$9"), "details, NULL", "details, mac", 1)}, audit.FindingForged, "not written by Trustloom"},
}

// insertLike makes a row like an existing one, behind another.
func insertLike(model, id, behind string) string {
	return "INSERT INTO events (position, id, at, actor, address, action, noun, subject_id, domain_id, device_id, request_id, workflow_id, run_id, details, mac) " +
		"SELECT (SELECT position FROM copies WHERE id = " + behind + ") + 1, " + id + ", at, actor, address, action, noun, subject_id, domain_id, device_id, request_id, workflow_id, run_id, details, NULL FROM copies WHERE id = " + model
}

func TestTheCheckFindsEveryTampering(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url, AuditKey: auditKey}))
		defer s.Close()
		for name, c := range tampering {
			t.Run(name, func(t *testing.T) {
				defer write(t, s, startAnew)
				for i := range 3 { // three blocks
					happen(t, s, 1+3*i, 3)
					sealAll(t, s)
				}
				signer(t)(s, sealAll(t, s))
				if before := checked(t, s); len(before.Findings) > 0 || before.Seq != 9 || before.Heads != 1 {
					t.Fatalf("before: %+v", before)
				}
				tamper(t, s, c.sql)
				sealAll(t, s) // the server goes on
				walk := checked(t, s)
				if c.kind == "" {
					if len(walk.Findings) > 0 {
						t.Errorf("found %+v", walk.Findings)
					}
					return
				}
				if walk.Sound() || walk.Findings[0].Kind != c.kind || !strings.Contains(walk.Findings[0].Text, c.says) {
					t.Errorf("want %s with %q first, got %+v", c.kind, c.says, walk.Findings)
				}
			})
		}
	})
}

// startAnew empties the log for the next case.
func startAnew(tx *store.Tx) error {
	err := errors.Join(tx.Exec("DROP TABLE copies"), tx.Exec("DELETE FROM events"), tx.Exec("DELETE FROM audit_blocks"), tx.Exec("DELETE FROM audit_heads"))
	if tx.Dialect() == "postgres" {
		err = errors.Join(err, tx.Exec("SELECT setval('events_position', 1, false)"))
	}
	return err
}

func tamper(t *testing.T, s *store.Store, statements []string) {
	t.Helper()
	ids := lines(t, s, "SELECT id FROM events ORDER BY position")
	write(t, s, func(tx *store.Tx) error {
		if err := tx.Exec("CREATE TABLE copies AS SELECT * FROM events"); err != nil {
			return err
		}
		for _, statement := range statements {
			for i := len(ids); i > 0; i-- {
				statement = strings.ReplaceAll(statement, fmt.Sprint("$", i), "'"+ids[i-1]+"'")
			}
			if err := tx.Exec(statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		if tx.Dialect() == "postgres" { // as INSERT without a position would leave it
			return tx.Exec("SELECT setval('events_position', (SELECT GREATEST(MAX(position), 9) FROM events WHERE position < 1000))")
		}
		return nil
	})
}

func TestARewrittenChainIsContradictedByItsSignedHead(t *testing.T) {
	t.Parallel()
	audited(t, func(t *testing.T, s *store.Store, _ string) {
		sign := signer(t)
		happen(t, s, 1, 5)
		kept := sign(s, sealAll(t, s))
		ids := lines(t, s, "SELECT id FROM events ORDER BY position")
		write(t, s, func(tx *store.Tx) error { // by somebody who has the sealing key, too
			return errors.Join(tx.Exec("DELETE FROM events WHERE id = '"+ids[2]+"'"), tx.Exec("DELETE FROM audit_blocks"), tx.Audit(event(99)))
		})
		tip := sealAll(t, s)
		if walk := checked(t, s); walk.Sound() || walk.Findings[0].Kind != audit.FindingHead || !strings.Contains(walk.Findings[0].Text, "rewritten") {
			t.Errorf("with the head in the database: %+v", walk.Findings)
		}
		write(t, s, func(tx *store.Tx) error { return tx.Exec("DELETE FROM audit_heads") })
		if walk := checked(t, s); !walk.Sound() {
			t.Errorf("without any head nobody can know, but: %+v", walk.Findings)
		}
		walk := audit.Walk{}
		walk.Head(kept, tip, audit.Trust{})
		if walk.Sound() {
			t.Error("a head that was kept elsewhere agrees with the rewritten chain")
		}
	})
}

func TestAnEventThatNobodySealsIsFound(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fixture.URLs(t, func(t *testing.T, url string) {
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url, Now: func() time.Time { return now }}))
		defer s.Close()
		happen(t, s, 1, 1)
		if walk := checked(t, s); !walk.Sound() {
			t.Errorf("one that was just written: %+v", walk.Findings)
		}
		now = now.Add(time.Hour)
		if walk := checked(t, s); walk.Sound() || walk.Findings[0].Kind != audit.FindingInserted {
			t.Errorf("an hour later: %+v", walk.Findings)
		}
		now = time.Now()
	})
}

func TestAChangeWhoseEventCannotBeWrittenFails(t *testing.T) {
	t.Parallel()
	audited(t, func(t *testing.T, s *store.Store, _ string) {
		write(t, s, func(tx *store.Tx) error { return tx.Exec("ALTER TABLE events RENAME TO gone") })
		err := s.Write(background, func(tx *store.Tx) error {
			return errors.Join(tx.InsertOperator(&models.Operator{Name: "eve"}), tx.Audit(event(1)))
		})
		if err == nil {
			t.Error("the change was made without its event")
		}
		write(t, s, func(tx *store.Tx) error { return tx.Exec("ALTER TABLE gone RENAME TO events") })
		_, err = s.FindOperatorByName(background, "eve")
		wantKind(t, err, models.KindNotFound)
		err = s.Write(background, func(tx *store.Tx) error {
			return errors.Join(tx.InsertOperator(&models.Operator{Name: "eve"}), tx.Audit(models.Event{Action: "operator.created"}))
		})
		wantKind(t, err, models.KindInternal)
		_, err = s.FindOperatorByName(background, "eve")
		wantKind(t, err, models.KindNotFound)
	})
}

func TestEventsNameTheOriginOfTheirTransaction(t *testing.T) {
	t.Parallel()
	audited(t, func(t *testing.T, s *store.Store, _ string) {
		ctx := store.WithOrigin(background, store.Origin{Actor: "device:press-01", Address: "192.0.2.9", RequestID: "req", WorkflowID: "w", RunID: "r"})
		err := s.Write(ctx, func(tx *store.Tx) error {
			return errors.Join(tx.Audit(models.Event{Action: "a.filled"}),
				tx.Audit(models.Event{Actor: "operator:bob\xff\x00", Address: "::1", WorkflowID: "other", Action: "b.own", Details: map[string]string{"x": "\xfe"}}))
		})
		if err != nil {
			t.Fatal(err)
		}
		events, _, err := s.ListEvents(background, store.EventFilter{})
		if err != nil || len(events) != 2 {
			t.Fatal(len(events), err)
		}
		a, b := events[0], events[1]
		if a.Actor != "device:press-01" || a.Address != "192.0.2.9" || a.WorkflowID != "w" || a.RunID != "r" || a.Details["request_id"] != "req" {
			t.Errorf("filled: %+v", a)
		}
		if b.Address != "::1" || b.WorkflowID != "other" || b.RunID != "" {
			t.Errorf("own: %+v", b)
		}
		_, domain := plant(t, s)
		device := newDevice("press-07", domain.ID)
		write(t, s, func(tx *store.Tx) error { return tx.InsertDevice(device) })
		write(t, s, func(tx *store.Tx) error { return tx.Audit(models.Event{Action: "c.device", DeviceID: device.ID}) })
		if events, _, err := s.ListEvents(background, store.EventFilter{Action: "c.device"}); err != nil || len(events) != 1 || events[0].Actor != "device:press-07" {
			t.Errorf("of a device: %+v, %v", events, err)
		}
		sealAll(t, s)
		if walk := checked(t, s); len(walk.Findings) > 0 || !walk.Authenticated {
			t.Errorf("found %+v", walk)
		}
	})
}

func TestEventsAreFilteredByTimeAndActor(t *testing.T) {
	t.Parallel()
	audited(t, func(t *testing.T, s *store.Store, _ string) {
		start := time.Now()
		for _, actor := range []string{"operator:alice", "device:press-01", "operator:alice", "system"} {
			write(t, s, func(tx *store.Tx) error { return tx.Audit(models.Event{Actor: actor, Action: "x.done"}) })
		}
		for filter, want := range map[*store.EventFilter]int{
			{Actor: "operator:alice"}:                                   2,
			{Actor: "device:press-01"}:                                  1,
			{Actor: "system", Since: start.Add(-time.Second)}:           1,
			{Since: time.Now().Add(time.Second)}:                        0,
			{Until: start.Add(-time.Second)}:                            0,
			{Since: start.Add(-time.Hour), Until: start.Add(time.Hour)}: 4,
		} {
			if rows, _, err := s.ListEvents(background, *filter); err != nil || len(rows) != want {
				t.Errorf("%+v: %d rows, want %d (%v)", filter, len(rows), want, err)
			}
		}
	})
}

func TestEventsFromBeforeTheChainAreSealedFirst(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url})) // no key: as older versions wrote
		happen(t, s, 1, 3)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = must[*store.Store](t)(store.Open(background, store.Config{URL: url, AuditKey: auditKey}))
		defer s.Close()
		happen(t, s, 4, 2)
		sealAll(t, s)
		if walk := checked(t, s); len(walk.Findings) > 0 || walk.Seq != 5 {
			t.Errorf("found %+v", walk)
		}
	})
}
