// SPDX-License-Identifier: MIT

package auth

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Attempt is one try to prove an identity, whatever the protocol.
type Attempt struct {
	// Method is one of those below. It is a label of the metric: a constant,
	// never what a client sent.
	Method string
	// Principal is who the client claims to be: a device's name, the hash of a
	// token, a fingerprint. Any text of any length; case and outer space do not
	// make it another one. Empty if the method names nobody.
	Principal string
	// Address is where the attempt comes from, an IP address with or without a
	// port. Anything else is not limited by address.
	Address string
	// Domain is where the attempt goes, for the audit event; it may be empty.
	Domain models.DomainID
}

// GuardConfig says how many failures are too many. Zero values get the
// defaults.
type GuardConfig struct {
	Failures         int           // of one principal before it is locked; 10
	Lock, MaxLock    time.Duration // the first lock, doubled by each failure after it, up to the longest; 30 s, 15 min
	AddressPerMinute int           // failures of one address, as rate and as burst; 60
	Entries          int           // principals and addresses remembered, each; 65,536

	Store  *store.Store // gets the audit event of a lock; nil writes none
	Now    func() time.Time
	Logger *slog.Logger
	// Observe is told of each failed attempt and of each one that was refused
	// unread; outcome is "failed", "locked" or "limited". It must return at once.
	Observe func(method, outcome string)
}

// The methods of attempts.
const (
	MethodPassword    = "password"    // of a device
	MethodCertificate = "certificate" // of a device or a person
	MethodToken       = "token"       // of an operator; the principal is its hash
	MethodCode        = "code"        // of a delivery
	MethodLogin       = "login"       // at an OpenID provider
)

// The verdicts that Observe hears.
const (
	OutcomeFailed  = "failed"  // the proof was wrong
	OutcomeLocked  = "locked"  // the principal is locked: not looked at
	OutcomeLimited = "limited" // the address has failed too often: not looked at
)

// Guard slows down whoever guesses: every authentication, of devices, of
// operators and of codes, goes through Try.
//
// A principal that failed too often is locked for a time that doubles with
// each further failure; an attempt during a lock is refused unread and does
// not prolong it. An address has a bucket of failures that refills steadily:
// it is slowed down, never shut out, because other devices may live behind it.
// While it is empty, the address still gets through
//
//   - as a principal that proved itself from there within a day, and
//   - as principals that have not failed yet, up to as many as the bucket holds,
//     with ten times its rate.
//
// Success costs nothing. Names that exist and names that do not are treated
// alike. Memory is bounded: the least recently seen entries are forgotten. The
// counts are of this process only. The nil Guard lets everything through. It
// is safe for concurrent use.
type Guard struct {
	cfg GuardConfig

	mu         sync.Mutex
	principals *lru[digest, principalState]
	addresses  *lru[netip.Prefix, addressState]
	proven     *lru[digest, time.Time] // principal and address of a success
	events     bucket                  // bounds the audit events of locks
	unsaid     int                     // locks without an event since the last one that has one
}

type digest = [sha256.Size]byte

// principalState is what is remembered of a principal that failed or tries.
type principalState struct {
	failures int
	trying   int // attempts that are under way
	locked   time.Time
	last     time.Time // of the last failure
}

// addressState has what an address may still do.
type addressState struct{ failures, fresh bucket }

// NewGuard returns a Guard.
func NewGuard(cfg GuardConfig) *Guard {
	setDefault(&cfg.Failures, 10)
	setDefault(&cfg.Lock, 30*time.Second)
	setDefault(&cfg.MaxLock, 15*time.Minute)
	setDefault(&cfg.AddressPerMinute, 60)
	setDefault(&cfg.Entries, 1<<16)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string) {}
	}
	return &Guard{
		cfg: cfg, principals: newLRU[digest, principalState](cfg.Entries), addresses: newLRU[netip.Prefix, addressState](cfg.Entries),
		proven: newLRU[digest, time.Time](cfg.Entries), events: newBucket(eventBurst, eventsPerMinute, cfg.Now()),
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

const (
	provenFor       = 24 * time.Hour // how long a success speaks for a principal at its address
	freshFactor     = 10             // first tries per allowed failure, at an address that failed too often
	eventBurst      = 50             // audit events of locks at once, and per minute
	eventsPerMinute = 10
)

// Try lets prove look at the proof unless the principal or the address has
// failed too often; then it is KindLimited with RetryAfter, in the same words
// whatever the reason. Otherwise the error is that of prove: KindUnauthenticated
// counts as a failure, nil as a success, any other as neither.
func (g *Guard) Try(ctx context.Context, a Attempt, prove func() error) error {
	if g == nil {
		return prove()
	}
	t := g.ticket(a)
	if wait, outcome := g.admitInTurn(ctx, t); wait > 0 {
		g.cfg.Observe(a.Method, outcome)
		return models.Errorf(models.KindLimited, "too many failed attempts; wait before the next one").After(wait)
	}
	settled := false
	defer func() { // also if prove panics
		if !settled {
			g.release(t)
		}
	}()
	err := prove()
	settled = true
	switch {
	case err == nil:
		g.succeed(t)
	case models.KindOf(err) == models.KindUnauthenticated:
		g.cfg.Observe(a.Method, OutcomeFailed)
		if lock := g.fail(t); lock != nil {
			g.tell(ctx, a, lock)
		}
	default:
		g.release(t)
	}
	return err
}

// ticket is an attempt with its keys.
type ticket struct {
	principal digest
	named     bool
	address   netip.Prefix // not valid: not limited by address
	pair      digest
}

func (g *Guard) ticket(a Attempt) ticket {
	t := ticket{address: network(a.Address), named: a.Principal != ""}
	if t.named {
		t.principal = sha256.Sum256([]byte(a.Method + "\x00" + string(a.Domain) + "\x00" + strings.ToLower(strings.TrimSpace(a.Principal))))
		t.pair = sha256.Sum256(append(t.principal[:], t.address.String()...))
	}
	return t
}

// network returns the address itself for IPv4 and its /64 for IPv6, where one
// subscriber has that many.
func network(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		port, err := netip.ParseAddrPort(address)
		if err != nil {
			return netip.Prefix{}
		}
		ip = port.Addr()
	}
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// outcomeBusy is that of an attempt which waits for others of its principal
// that are under way: together they may be the last that it has. Turns are
// tried again turnPause later, at most turns times.
const (
	outcomeBusy = "busy"
	turnPause   = 10 * time.Millisecond
	turns       = 200
)

// admitInTurn is admit for a principal that does many things at once: the
// copies of an honest request take turns instead of being refused.
func (g *Guard) admitInTurn(ctx context.Context, t ticket) (time.Duration, string) {
	wait, outcome := g.admit(t)
	for n := 0; outcome == outcomeBusy && n < turns; n++ {
		select {
		case <-ctx.Done():
			return wait, OutcomeLocked
		case <-time.After(turnPause):
		}
		wait, outcome = g.admit(t)
	}
	if outcome == outcomeBusy {
		outcome = OutcomeLocked
	}
	return wait, outcome
}

// admit returns how long to wait and why, or zero and counts the attempt as
// under way.
func (g *Guard) admit(t ticket) (time.Duration, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.cfg.Now()
	proven := g.provenAt(t, now)
	if !t.named {
		return g.admitAddress(t, now, false), OutcomeLimited
	}
	p := &principalState{} // not remembered unless it is admitted: names cost a client nothing
	if known, ok := g.principals.peek(t.principal); ok {
		p = known
		g.forgive(p, now)
	}
	switch {
	case now.Before(p.locked):
		return p.locked.Sub(now), OutcomeLocked
	case !proven && p.trying > 0 && p.failures+p.trying >= g.cfg.Failures:
		return time.Second, outcomeBusy
	}
	if wait := g.admitAddress(t, now, p.failures == 0); wait > 0 && !proven {
		return wait, OutcomeLimited
	}
	g.principals.get(t.principal).trying++
	return 0, ""
}

// provenAt reports whether the principal proved itself from this address
// within a day.
func (g *Guard) provenAt(t ticket, now time.Time) bool {
	at, ok := g.proven.peek(t.pair)
	return ok && t.named && now.Sub(*at) < provenFor
}

// admitAddress returns how long an address has to wait.
func (g *Guard) admitAddress(t ticket, now time.Time, fresh bool) time.Duration {
	if !t.address.IsValid() {
		return 0
	}
	a := g.address(t, now)
	wait := a.failures.wait(now)
	if wait == 0 || (fresh && a.fresh.take(now)) {
		return 0
	}
	return wait
}

func (g *Guard) address(t ticket, now time.Time) *addressState {
	a := g.addresses.get(t.address)
	if a.failures.perMinute == 0 { // new
		n := float64(g.cfg.AddressPerMinute)
		a.failures, a.fresh = newBucket(n, n, now), newBucket(n, freshFactor*n, now)
	}
	return a
}

// forgive forgets failures that are long past.
func (g *Guard) forgive(p *principalState, now time.Time) {
	if p.failures > 0 && now.Sub(p.last) > 2*g.cfg.MaxLock {
		*p = principalState{trying: p.trying}
	}
}

func (g *Guard) release(t ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done(t)
}

// done ends an attempt and returns its principal's state, nil if it has none.
func (g *Guard) done(t ticket) *principalState {
	if !t.named {
		return nil
	}
	p := g.principals.get(t.principal)
	p.trying = max(0, p.trying-1) // it may have been forgotten meanwhile
	return p
}

func (g *Guard) succeed(t ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.done(t); p != nil {
		trying := p.trying
		if *p = (principalState{trying: trying}); trying == 0 {
			g.principals.remove(t.principal)
		}
		*g.proven.get(t.pair) = g.cfg.Now()
	}
}

// lockout is a lock that was just set.
type lockout struct {
	failures int
	until    time.Time
	silent   bool // too many events already
	unsaid   int
}

// fail counts a failure and returns the lock that it led to, if any.
func (g *Guard) fail(t ticket) *lockout {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.cfg.Now()
	if t.address.IsValid() {
		g.address(t, now).failures.spend(now)
	}
	p := g.done(t)
	if p == nil {
		return nil
	}
	if now.Before(p.locked) {
		return nil // another one that was under way locked it
	}
	p.failures++
	p.last = now
	if p.failures < g.cfg.Failures {
		return nil
	}
	p.locked = now.Add(g.lockTime(p.failures))
	lock := &lockout{failures: p.failures, until: p.locked, silent: !g.events.take(now)}
	if lock.silent {
		g.unsaid++
	} else {
		lock.unsaid, g.unsaid = g.unsaid, 0
	}
	return lock
}

// lockTime doubles with each failure beyond those that are free.
func (g *Guard) lockTime(failures int) time.Duration {
	lock := g.cfg.Lock
	for range failures - g.cfg.Failures {
		if lock *= 2; lock >= g.cfg.MaxLock {
			break
		}
	}
	return min(lock, g.cfg.MaxLock)
}
