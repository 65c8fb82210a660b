// SPDX-License-Identifier: MIT

package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

var errWrong = models.Errorf(models.KindUnauthenticated, "wrong")

// guarded is a guard with a clock, and how often it let something be looked at.
type guarded struct {
	*auth.Guard
	now    time.Time
	looked int
}

func newGuarded(cfg auth.GuardConfig) *guarded {
	g := &guarded{now: clock}
	cfg.Now = func() time.Time { return g.now }
	g.Guard = auth.NewGuard(cfg)
	return g
}

func (g *guarded) try(t *testing.T, principal, address string, result error) error {
	t.Helper()
	return g.Try(t.Context(), auth.Attempt{Method: auth.MethodPassword, Principal: principal, Address: address}, func() error {
		g.looked++
		return result
	})
}

// tries repeats an attempt and returns how many were looked at.
func (g *guarded) tries(t *testing.T, n int, principal, address string) int {
	t.Helper()
	before := g.looked
	for range n {
		_ = g.try(t, principal, address, errWrong)
	}
	return g.looked - before
}

func TestAPrincipalIsLockedForLongerEachTime(t *testing.T) {
	g := newGuarded(auth.GuardConfig{Failures: 3, Lock: 10 * time.Second, MaxLock: 30 * time.Second, AddressPerMinute: 1000})
	if n := g.tries(t, 1000, "press-01", "192.0.2.1"); n != 3 {
		t.Errorf("%d looked at, want 3", n)
	}
	for _, lock := range []time.Duration{10, 20, 30, 30} {
		g.now = g.now.Add(lock*time.Second - time.Nanosecond)
		err := g.try(t, "press-01", "192.0.2.2", nil)
		if models.KindOf(err) != models.KindLimited || models.RetryAfter(err) != time.Nanosecond {
			t.Errorf("just before %d s: %v, %v", lock, err, models.RetryAfter(err))
		}
		g.now = g.now.Add(time.Nanosecond)
		if n := g.tries(t, 5, "press-01", "192.0.2.1"); n != 1 {
			t.Errorf("after %d s: %d looked at, want 1", lock, n)
		}
	}
	for _, twin := range []string{"PRESS-01", " press-01", "press-01\t"} {
		if n := g.tries(t, 1, twin, "192.0.2.9"); n != 0 {
			t.Errorf("%q gets around the lock", twin)
		}
	}
	if err := g.try(t, "press-02", "192.0.2.1", nil); err != nil {
		t.Errorf("another device: %v", err)
	}
	g.now = g.now.Add(30 * time.Second)
	if err := g.try(t, "press-01", "192.0.2.1", nil); err != nil {
		t.Errorf("the right one after the lock: %v", err)
	}
	if n := g.tries(t, 5, "press-01", "192.0.2.1"); n != 3 {
		t.Errorf("after a success: %d looked at, want 3", n)
	}
	g.now = g.now.Add(61 * time.Second)
	if n := g.tries(t, 5, "press-01", "192.0.2.1"); n != 3 {
		t.Errorf("long after: %d looked at, want 3", n)
	}
}

func TestOnlyAWrongProofCounts(t *testing.T) {
	g := newGuarded(auth.GuardConfig{Failures: 2, AddressPerMinute: 2})
	for range 20 {
		for _, err := range []error{nil, models.Errorf(models.KindUnavailable, "away"), models.Errorf(models.KindDenied, "no"), errors.New("broken")} {
			if got := g.try(t, "press-01", "192.0.2.1", err); !errors.Is(got, err) {
				t.Fatalf("%v became %v", err, got)
			}
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = g.Try(t.Context(), auth.Attempt{Method: auth.MethodPassword, Principal: "press-01"}, func() error { panic("x") })
	}()
	if err := g.try(t, "press-01", "192.0.2.1", nil); err != nil {
		t.Error(err)
	}
	var none *auth.Guard
	if err := none.Try(t.Context(), auth.Attempt{}, func() error { return errWrong }); !errors.Is(err, errWrong) {
		t.Error(err)
	}
}

func TestAnAddressIsSlowedDownNotShutOut(t *testing.T) {
	for name, x := range map[string]struct{ attacker, neighbour, other string }{
		"IPv4":            {"192.0.2.1", "192.0.2.1:5000", "192.0.2.2"},
		"IPv6":            {"2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"},
		"IPv4 within v6":  {"::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"},
		"IPv6 and a zone": {"fe80::1%eth0", "fe80::1%eth1", "fe80:0:0:1::1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(auth.GuardConfig{Failures: 5, AddressPerMinute: 20})
			if err := g.try(t, "proven", x.neighbour, nil); err != nil {
				t.Fatal(err)
			}
			n := 0
			for i := range 1000 {
				n += g.tries(t, 1, fmt.Sprint("guess-", i%50), x.attacker)
			}
			if n != 40 { // 20 failures, and 20 first tries of others
				t.Errorf("%d looked at, want 40", n)
			}
			if err := g.try(t, "guess-1", x.neighbour, nil); models.KindOf(err) != models.KindLimited || models.RetryAfter(err) > 6*time.Second {
				t.Errorf("a principal that failed: %v, %v", err, models.RetryAfter(err))
			}
			if err := g.try(t, "proven", x.neighbour, nil); err != nil {
				t.Errorf("who proved itself from there: %v", err)
			}
			if err := g.try(t, "fresh", x.other, nil); err != nil {
				t.Errorf("another address: %v", err)
			}
			g.now = g.now.Add(time.Second)
			if err := g.try(t, "fresh", x.neighbour, nil); err != nil {
				t.Errorf("who has not failed, a second later: %v", err)
			}
			g.now = g.now.Add(time.Minute)
			if n := g.tries(t, 100, "guess-1", x.attacker); n != 4 {
				t.Errorf("a minute later: %d looked at, want 4", n)
			}
		})
	}
}

func TestAttemptsAtTheSameTimeAreCounted(t *testing.T) {
	g := newGuarded(auth.GuardConfig{Failures: 5})
	var group sync.WaitGroup
	var mu sync.Mutex
	looked, gate := 0, make(chan struct{})
	for i := range 200 {
		group.Go(func() {
			_ = g.Try(t.Context(), auth.Attempt{Method: auth.MethodPassword, Principal: "press-01", Address: fmt.Sprint("192.0.2.", i)}, func() error {
				mu.Lock()
				looked++
				mu.Unlock()
				<-gate
				return errWrong
			})
		})
	}
	for range 200 { // nobody gets further than those that are looked at
		_ = g.try(t, "other", "", nil)
	}
	close(gate)
	group.Wait()
	if looked > 5 {
		t.Errorf("%d looked at, want 5 at most", looked)
	}
}

func TestTheMemoryOfAGuardIsBounded(t *testing.T) {
	g := newGuarded(auth.GuardConfig{Failures: 2, AddressPerMinute: 5, Entries: 100})
	g.tries(t, 2, "victim", "198.51.100.1")
	for i := range 5000 { // one address cannot make it forget others
		g.tries(t, 1, fmt.Sprint(strings.Repeat("x", 1000), i), "192.0.2.1")
	}
	if g.tries(t, 1, "victim", "198.51.100.2") != 0 {
		t.Error("the lock was forgotten")
	}
	if n := testing.AllocsPerRun(1, func() { g.tries(t, 1, "y", "192.0.2.1") }); n > 50 {
		t.Errorf("%v allocations", n)
	}
}

func TestALockIsAuditedOnce(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		heard := map[string]int{}
		g := newGuarded(auth.GuardConfig{Failures: 3, Lock: time.Second, Store: s, Observe: func(method, outcome string) { heard[method+" "+outcome]++ }})
		name := "press-01\r\nadmin\x1b[31m" + strings.Repeat("x", 500)
		g.tries(t, 50, name, "192.0.2.1")
		events := locks(t, s)
		if len(events) != 1 || events[0].Details["claimed"] != "press-01??admin?[31m"+strings.Repeat("x", 44) || events[0].Address != "192.0.2.1" ||
			events[0].Details["failures"] != "3" || events[0].Details["until"] != "2027-01-31T08:00:01Z" {
			t.Errorf("events %+v", events)
		}
		if heard["password failed"] != 3 || heard["password locked"] != 47 {
			t.Errorf("heard %v", heard)
		}
		for i := range 200 { // many principals, from everywhere
			g.tries(t, 3, fmt.Sprint("device-", i), fmt.Sprint("198.51.100.", i))
		}
		if n := len(locks(t, s)); n != 50 {
			t.Errorf("%d events, want 50 at most", n)
		}
		g.now = g.now.Add(time.Minute)
		g.tries(t, 3, "last", "203.0.113.1")
		events = locks(t, s)
		if last := events[len(events)-1]; !strings.HasPrefix(last.Details["not_told"], "151 locks") {
			t.Errorf("last event %+v", last)
		}
	})
}

func locks(t *testing.T, s *store.Store) []models.Event {
	t.Helper()
	events, _, err := s.ListEvents(t.Context(), store.EventFilter{Action: "authentication.locked", Page: store.Page{Limit: 500}})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestTokensAreGuessedSlowly(t *testing.T) {
	s := fixture.Open(t, fixture.SQLite(t))
	good, later := seed(t, s, "good", nil), seed(t, s, "later", nil)
	g := newGuarded(auth.GuardConfig{AddressPerMinute: 10, Store: s})
	a := auth.New(s, func() time.Time { return g.now }).Guarded(g.Guard)
	authenticate := func(token, address string) models.Kind {
		if _, err := a.Authenticate(t.Context(), auth.Credentials{Bearer: token, Address: address}); err != nil {
			return models.KindOf(err)
		}
		return 0
	}
	authenticate(good, "192.0.2.1")
	counts := map[models.Kind]int{}
	for range 1000 {
		unknown, _ := auth.NewToken()
		counts[authenticate(unknown, "192.0.2.1")]++
	}
	if counts[models.KindUnauthenticated] != 20 || counts[models.KindLimited] != 980 {
		t.Errorf("%v", counts)
	}
	if kind := authenticate(good, "192.0.2.1"); kind != 0 {
		t.Errorf("the operator at that address: %v", kind)
	}
	if kind := authenticate(later, "192.0.2.2"); kind != 0 {
		t.Errorf("one elsewhere: %v", kind)
	}
	for range 100 { // without a token nothing was guessed
		if kind := authenticate("", "192.0.2.3"); kind != models.KindUnauthenticated {
			t.Errorf("nothing: %v", kind)
		}
	}
}
