// SPDX-License-Identifier: MIT

// Package hsm keeps private keys: it makes them, finds them, signs with them
// and destroys them by reference, and never hands one out.
//
// There are two kinds of key store. Software seals each key with AES-256-GCM
// (NIST SP 800-38D) in a file of its own. PKCS11 leaves the keys in a token
// that speaks PKCS #11 v2.40 (OASIS), found by CKA_ID and CKA_LABEL, and heals
// by itself when the token was away. Both pass the same conformance tests.
//
// The package knows nothing of certificates, policy, the database or Temporal.
package hsm

import (
	"context"
	"crypto"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/trustloom/trustloom/models"
)

// KeyStore is a place where private keys live.
//
// Keys are named by an identifier of 1 to 64 of the characters a-z, 0-9 and
// "-"; any other is KindInvalid. All methods are safe for concurrent use. A
// context that ends gives KindUnavailable; the work it had asked for may still
// be done, and asking again finds it. A store that cannot work at the moment
// gives KindUnavailable, with RetryAfter where it knows.
type KeyStore interface {
	// Generate returns the public key of the key called id, making the key if
	// there is none. It is idempotent, also between processes: whoever asks
	// gets the same key. An existing key of another algorithm is
	// KindConflict, an algorithm this store cannot make KindInvalid.
	Generate(ctx context.Context, id string, alg models.KeyAlgorithm) (crypto.PublicKey, error)

	// Signer returns the key called id; KindNotFound if there is none. The
	// signer may be kept, is safe for concurrent use, outlives ctx, and ends
	// with the key: once that is destroyed, Sign is KindNotFound.
	Signer(ctx context.Context, id string) (crypto.Signer, error)

	// Destroy removes the key called id for good. It is idempotent: a key
	// that is not there is no error.
	Destroy(ctx context.Context, id string) error

	// Check reports whether the store works. It is cheap enough to be asked
	// every second.
	Check(ctx context.Context) error

	// Close releases what the store holds; keys stay. It is idempotent.
	Close() error
}

// Stores are the key stores of an installation by name: models.StoreSoftware,
// models.StorePKCS11.
type Stores map[string]KeyStore

// Find returns the key store called name, and KindInvalid naming the choices
// if there is none.
func (s Stores) Find(name string) (KeyStore, error) {
	if store, ok := s[name]; ok {
		return store, nil
	}
	names := make([]string, 0, len(s))
	for n := range s {
		names = append(names, n)
	}
	slices.Sort(names)
	return nil, models.Errorf(models.KindInvalid, "key store %q is not configured; there is %s",
		name, strings.Join(names, ", "))
}

var validID = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// checkCall refuses identifiers that are not valid and contexts that are over.
func checkCall(ctx context.Context, id string) error {
	if !validID.MatchString(id) {
		return models.Errorf(models.KindInvalid, "key identifier %q is not 1 to 64 of a-z, 0-9 and -", id)
	}
	return checkContext(ctx)
}

// checkContext is KindUnavailable, because of the context's error, once ctx is over.
func checkContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return models.Errorf(models.KindUnavailable, "the key store was not given the time it needs").Because(err)
	}
	return nil
}

// within runs op and returns its result, or an error as soon as ctx is over.
// Neither a call into a module nor the making of a key
// can be interrupted: op is left to end by itself.
func within[T any](ctx context.Context, op func() (T, error)) (T, error) {
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		result, err := op()
		done <- outcome{result, err}
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		var none T
		return none, checkContext(ctx)
	}
}

func notFound(id string) error {
	return models.Errorf(models.KindNotFound, "there is no key %q in this key store", id)
}

// keyLocks lets one caller at a time work on a key identifier.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// lock waits until nobody else works on id, or ctx is over.
func (l *keyLocks) lock(ctx context.Context, id string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		busy, ok := l.held[id]
		if !ok {
			break
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, checkContext(ctx)
		}
	}
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	mine := make(chan struct{})
	l.held[id] = mine
	return func() {
		l.mu.Lock()
		delete(l.held, id)
		l.mu.Unlock()
		close(mine)
	}, nil
}
