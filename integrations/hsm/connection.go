// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThalesGroup/crypto11"

	"github.com/trustloom/trustloom/models"
)

// connection is one opening of the token. Key handles live and die with it.
type connection struct {
	token   *crypto11.Context
	retired atomic.Bool // set before token is closed: its errors mean nothing any more

	mu   sync.Mutex
	keys map[string]crypto11.Signer
}

func (c *connection) cached(id string) (crypto11.Signer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, ok := c.keys[id]
	return key, ok
}

func (c *connection) remember(id string, key crypto11.Signer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[id] = key
}

func (c *connection) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, id)
}

// call does op on the token, and once more on a freshly opened one if the
// error shows that this one was lost. It takes at most limit: no module is
// waited for for ever. Errors are models.Error.
func call[T any](ctx context.Context, s *PKCS11, limit time.Duration, op func(context.Context, *connection) (T, error)) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := s.acquire(ctx, nil)
	if err != nil {
		return none, err
	}
	attempt := func() (T, error) {
		return within(ctx, func() (T, error) { return op(ctx, conn) })
	}
	result, err := attempt()
	if err == nil || !s.lost(conn, err) {
		return result, s.translate(err)
	}
	s.cfg.Logger.Warn("PKCS#11 token was lost; opening it again", "error", err)
	conn, reopenErr := s.acquire(ctx, conn)
	if reopenErr != nil {
		return none, fmt.Errorf("%w; it was lost because of: %w", reopenErr, err)
	}
	result, err = attempt()
	return result, s.translate(err)
}

// acquire returns a connection other than stale. It opens the token if need
// be, or waits for whoever is doing so.
func (s *PKCS11) acquire(ctx context.Context, stale *connection) (*connection, error) {
	for {
		s.mu.Lock()
		conn, opening, err := s.acquireLocked(stale)
		s.mu.Unlock()
		if opening == nil {
			return conn, err
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return nil, checkContext(ctx)
		}
	}
}

// acquireLocked returns a connection, or what to wait for, or an error.
func (s *PKCS11) acquireLocked(stale *connection) (*connection, chan struct{}, error) {
	switch {
	case s.closed:
		return nil, nil, models.Errorf(models.KindUnavailable, "the key store is closed")
	case s.refused != nil:
		return nil, nil, s.refused
	case s.opening != nil:
		return nil, s.opening, nil
	case s.conn != nil && s.conn != stale:
		return s.conn, nil, nil
	}
	if rest := s.lastTry.Add(s.cfg.ReopenInterval).Sub(s.cfg.Now()); !s.lastTry.IsZero() && rest > 0 {
		return nil, nil, models.Errorf(models.KindUnavailable,
			"the PKCS#11 token %q does not work; it is tried again soon", s.cfg.name()).After(rest).Because(s.lastErr)
	}
	s.lastTry = s.cfg.Now()
	s.opening = make(chan struct{})
	go s.reopen(s.conn)
	s.conn = nil // belongs to reopen now
	return nil, s.opening, nil
}

// reopen closes old, if any, and opens the token. One runs at a time.
func (s *PKCS11) reopen(old *connection) {
	if old != nil {
		_ = s.letGo(old)
	}
	token, err := s.configure(s.cfg.MaxSessions - 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastErr = err
	switch {
	case err != nil:
		s.refuse(err)
	case s.closed:
		_ = token.Close() // nobody uses it yet: nothing to wait for
	default:
		s.conn = &connection{token: token, keys: map[string]crypto11.Signer{}}
		s.cfg.Logger.Info("PKCS#11 token is open")
	}
	close(s.opening)
	s.opening = nil
}

// letGo closes conn. It waits for the calls that are running.
func (s *PKCS11) letGo(conn *connection) error {
	conn.retired.Store(true)
	// A probe holds the module open: it has to end first.
	s.probing <- struct{}{}
	defer func() { <-s.probing }()
	return conn.token.Close()
}

// refuse, under s.mu, opens the circuit for good if err says that the PIN is not accepted.
func (s *PKCS11) refuse(err error) {
	if s.refused != nil || !isPINError(err) {
		return
	}
	s.refused = models.Errorf(models.KindUnavailable,
		"the PKCS#11 token %q refused the PIN; it was tried once and is not tried again before a restart with the right PIN",
		s.cfg.name()).Because(err)
	s.cfg.Logger.Error("PKCS#11 token refused the PIN; correct it and restart", "error", err)
}

// configure opens the token with at most sessions sessions.
func (s *PKCS11) configure(sessions int) (token *crypto11.Context, err error) {
	defer func() {
		// crypto11 panics on a token that grants a single session.
		if p := recover(); p != nil {
			token, err = nil, fmt.Errorf("open token: %v", p)
		}
	}()
	token, err = crypto11.Configure(&crypto11.Config{
		Path:            s.cfg.Module,
		TokenLabel:      s.cfg.TokenLabel,
		SlotNumber:      s.cfg.Slot,
		Pin:             s.cfg.PIN,
		MaxSessions:     sessions,
		PoolWaitTimeout: poolWait,
	})
	if err != nil {
		return nil, fmt.Errorf("open token: %w", err)
	}
	return token, nil
}

// probe proves that the token is there and that we are logged in, which
// finding nothing does not: a token that was pulled out, or a session that
// lost its login, shows an empty list. It opens a second context beside conn;
// the module answers its login with CKR_USER_ALREADY_LOGGED_IN.
func (s *PKCS11) probe(ctx context.Context, conn *connection) error {
	select {
	case s.probing <- struct{}{}:
		defer func() { <-s.probing }()
	case <-ctx.Done():
		return checkContext(ctx)
	}
	if conn.retired.Load() {
		return errRetired
	}
	if err := s.refusal(nil); err != nil {
		return err
	}
	second, err := s.configure(2)
	if err == nil {
		return second.Close()
	}
	if refused := s.refusal(err); refused != nil {
		return refused
	}
	return fmt.Errorf("%w: %w", errAway, err)
}

// refusal returns why the circuit is open, opening it first if err asks for it.
func (s *PKCS11) refusal(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse(err)
	return s.refused
}
