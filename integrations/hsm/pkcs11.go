// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/trustloom/trustloom/models"
)

// PKCS11Config says which token a PKCS #11 key store uses.
type PKCS11Config struct {
	Module     string // path of the token's PKCS #11 library
	TokenLabel string
	Slot       *int   // where the token is, for one that has no label of its own; instead of TokenLabel
	PIN        string // of the user, CKU_USER

	// MaxSessions bounds the sessions held with the token, 3 or more; 0 means
	// 8. One is kept to stay logged in, one to look whether the token is there.
	MaxSessions int
	// ReopenInterval is the least time between two attempts to open the
	// token; 0 means 2 s.
	ReopenInterval time.Duration

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means none
}

const (
	defaultMaxSessions    = 8
	minSessions           = 3
	defaultReopenInterval = 2 * time.Second

	// poolWait bounds the wait for a session, signWait one signature with all
	// that belongs to it, generateWait a key (RSA-8192 takes minutes),
	// closeWait a look at the token and the end of calls that are running.
	poolWait     = 3 * time.Second
	signWait     = 30 * time.Second
	generateWait = 10 * time.Minute
	closeWait    = 10 * time.Second
)

// String leaves the PIN out.
func (c PKCS11Config) String() string {
	return fmt.Sprintf("token %q by %s", c.name(), c.Module)
}

// name is what the token is called in messages.
func (c PKCS11Config) name() string {
	if c.Slot != nil {
		return fmt.Sprintf("in slot %d", *c.Slot)
	}
	return c.TokenLabel
}

func (c PKCS11Config) withDefaults() (PKCS11Config, error) {
	if c.MaxSessions == 0 {
		c.MaxSessions = defaultMaxSessions
	}
	if c.ReopenInterval == 0 {
		c.ReopenInterval = defaultReopenInterval
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With("token", c.name())
	switch {
	case c.TokenLabel == "" && c.Slot == nil:
		return c, models.Errorf(models.KindInvalid, "the PKCS#11 key store has no token label")
	case c.TokenLabel != "" && c.Slot != nil:
		return c, models.Errorf(models.KindInvalid, "the PKCS#11 key store is to find its token by its label or by its slot, not by both")
	case c.MaxSessions < minSessions:
		return c, models.Errorf(models.KindInvalid, "the PKCS#11 key store needs %d sessions or more, not %d", minSessions, c.MaxSessions)
	}
	if _, err := os.Stat(c.Module); err != nil {
		return c, models.Errorf(models.KindInvalid, "the PKCS#11 module %q cannot be read", c.Module).Because(err)
	}
	return c, nil
}

// PKCS11 keeps keys in a token. They are made there, CKA_PRIVATE,
// CKA_SENSITIVE and not extractable, with CKA_ID the key's identifier and
// CKA_LABEL "trustloom-" and the identifier, and never leave it. Nothing more
// is asked of a token than to generate, find, sign and destroy, and to take a
// key that was made elsewhere where somebody wants that.
//
// The store heals by itself. When a call shows that the token was away, all
// sessions are closed, the token is opened again, at most once per
// ReopenInterval, and the call is done once more; if that does not help it is
// KindUnavailable. That a key is absent is believed only of a token that has
// just shown that it is present.
//
// A PIN is tried once. If the token refuses it, every call is KindUnavailable
// and the token is left alone until the store is opened anew, so that no
// token is ever locked by repetition.
//
// Every signature is verified before it is returned. A token that gives
// wrong ones for a key three times in a row is not asked for that key again
// until the store is opened anew.
//
// Two stores in one process must not share a module: the module heals only
// once everybody has let go of it.
type PKCS11 struct {
	cfg   PKCS11Config
	locks keyLocks
	// probing is held by whoever uses the one session that is kept back.
	probing chan struct{}

	mu       sync.Mutex
	conn     *connection
	opening  chan struct{} // closed when the attempt to open that is running ends
	lastTry  time.Time     // when the last attempt to open began
	lastErr  error         // why it failed
	refused  error         // set once the token refused the PIN
	closed   bool
	wrongSig map[string]int // wrong signatures in a row, by key
}

// OpenPKCS11 opens a token. A configuration that can never work is
// KindInvalid. A token that is away or refuses the PIN is no error: the store
// is returned, says so in Check and in every call, and works (in the first
// case) as soon as the token is back. Were it an error, a supervisor that
// restarts the server would try the PIN until the token locks.
func OpenPKCS11(cfg PKCS11Config) (*PKCS11, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &PKCS11{cfg: cfg, probing: make(chan struct{}, 1), wrongSig: map[string]int{}}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if _, err := s.acquire(ctx, nil); err != nil {
		cfg.Logger.Error("PKCS#11 token does not work", "error", err)
	}
	return s, nil
}

// Generate implements KeyStore. Ed25519 is KindInvalid, and so is what the
// token itself cannot make.
//
// PKCS #11 has no unique identifiers. The processes of one host take turns, by
// a lock on the module's file; of several hosts that make the same key at the
// same time, each looks again afterwards and takes its own back if it is not
// alone.
func (s *PKCS11) Generate(ctx context.Context, id string, alg models.KeyAlgorithm) (crypto.PublicKey, error) {
	row, err := findAlgorithm(alg)
	if err != nil {
		return nil, err
	}
	if row.token == nil {
		return nil, models.Errorf(models.KindInvalid,
			"this key store cannot make %s keys; use an EC or RSA algorithm, or the key store %q", alg, models.StoreSoftware)
	}
	if err := checkCall(ctx, id); err != nil {
		return nil, err
	}
	return call(ctx, s, generateWait, func(ctx context.Context, c *connection) (crypto.PublicKey, error) {
		unlock, err := s.lockKey(ctx, id)
		if err != nil {
			return nil, err
		}
		defer unlock()
		key, err := s.ensure(ctx, c, id, row)
		if err != nil {
			return nil, err
		}
		return row.accept(id, key.Public())
	})
}

// Signer implements KeyStore.
func (s *PKCS11) Signer(ctx context.Context, id string) (crypto.Signer, error) {
	if err := checkCall(ctx, id); err != nil {
		return nil, err
	}
	return call(ctx, s, signWait, func(ctx context.Context, c *connection) (crypto.Signer, error) {
		key, err := s.find(ctx, c, id)
		if err != nil {
			return nil, err
		}
		return &tokenSigner{store: s, id: id, locate: s.locate, public: key.Public()}, nil
	})
}

// Destroy implements KeyStore. Two keys with one identifier are KindInternal:
// which one to destroy is for people to decide.
func (s *PKCS11) Destroy(ctx context.Context, id string) error {
	if err := checkCall(ctx, id); err != nil {
		return err
	}
	_, err := call(ctx, s, signWait, func(ctx context.Context, c *connection) (struct{}, error) {
		unlock, err := s.lockKey(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		defer unlock()
		key, err := s.locate(ctx, c, id)
		if models.KindOf(err) == models.KindNotFound {
			return struct{}{}, nil
		}
		if err != nil {
			return struct{}{}, err
		}
		defer c.forget(id)
		return struct{}{}, key.Delete()
	})
	return err
}

// Check implements KeyStore: the token is there, and we are logged in.
func (s *PKCS11) Check(ctx context.Context) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	_, err := call(ctx, s, closeWait, func(ctx context.Context, c *connection) (struct{}, error) {
		return struct{}{}, s.probe(ctx, c)
	})
	return err
}

// Close implements KeyStore. It waits a bounded time for calls that are
// running; KindUnavailable if the token does not let go of them.
func (s *PKCS11) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	s.mu.Lock()
	s.closed = true
	conn, opening := s.conn, s.opening
	s.conn = nil
	s.mu.Unlock()
	if opening != nil {
		select {
		case <-opening:
		case <-ctx.Done():
			return s.unavailable(ctx.Err())
		}
	}
	if conn == nil {
		return nil
	}
	_, err := within(ctx, func() (struct{}, error) { return struct{}{}, s.letGo(conn) })
	if err != nil {
		return fmt.Errorf("close token: %w", err)
	}
	return nil
}
