// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"github.com/trustloom/trustloom/models"
)

const (
	labelPrefix = "trustloom-"
	// ensureTries and ensureWait bound how long processes that make the same
	// key at the same time step back for each other.
	ensureTries = 8
	ensureWait  = 20 * time.Millisecond
)

// Label returns the CKA_LABEL of the key that a PKCS11 store makes under id;
// its CKA_ID is id itself.
func Label(id string) string { return labelPrefix + id }

var (
	errAmbiguous = errors.New("its CKA_ID and CKA_LABEL do not lead to one key")
	errHalves    = errors.New("its private and its public half do not belong together")
)

// locator finds the one key that a name stands for; KindNotFound if there is
// none, and any doubt is an error.
type locator func(ctx context.Context, c *connection, name string) (crypto11.Signer, error)

// find returns the key called id.
func (s *PKCS11) find(ctx context.Context, c *connection, id string) (crypto11.Signer, error) {
	return s.prove(ctx, c, id, s.locate)
}

// prove returns the key that locate finds after it has proved, once per
// connection, that its two halves belong together.
func (s *PKCS11) prove(ctx context.Context, c *connection, id string, locate locator) (crypto11.Signer, error) {
	if key, ok := c.cached(id); ok {
		return key, nil
	}
	key, err := locate(ctx, c, id)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("trustloom proof of " + id))
	signature, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if !verify(key.Public(), digest[:], signature, crypto.SHA256) {
		return nil, s.doubt(id, errHalves)
	}
	c.remember(id, key)
	return key, nil
}

// locate looks for the one key that has both the CKA_ID and the CKA_LABEL of
// id. Anything that makes this doubtful is KindInternal.
func (s *PKCS11) locate(ctx context.Context, c *connection, id string) (crypto11.Signer, error) {
	found, err := s.count(c, id)
	if err != nil {
		return nil, err
	}
	if found == 0 {
		// An empty list is also what a token shows that is not there.
		if err := s.probe(ctx, c); err != nil {
			return nil, err
		}
		if found, err = s.count(c, id); err != nil {
			return nil, err
		}
	}
	if found == 0 {
		return nil, notFound(id)
	}
	if found > 1 {
		return nil, s.doubt(id, errAmbiguous)
	}
	pairs, err := c.token.FindKeyPairs([]byte(id), []byte(Label(id)))
	if err != nil {
		return nil, fmt.Errorf("find key %s: %w", id, err)
	}
	if len(pairs) != 1 {
		return nil, s.doubt(id, fmt.Errorf("%w: %d pairs carry both", errAmbiguous, len(pairs)))
	}
	return pairs[0], nil
}

// count returns how many private keys carry the CKA_ID or the CKA_LABEL of
// id, whichever are more.
func (s *PKCS11) count(c *connection, id string) (int, error) {
	byID, err := c.token.FindPrivateKeys([]byte(id), nil)
	if err != nil {
		return 0, fmt.Errorf("find key %s: %w", id, err)
	}
	byLabel, err := c.token.FindPrivateKeys(nil, []byte(Label(id)))
	if err != nil {
		return 0, fmt.Errorf("find key %s: %w", id, err)
	}
	return max(len(byID), len(byLabel)), nil
}

func (s *PKCS11) doubt(id string, err error) error {
	return models.Errorf(models.KindInternal, "the PKCS#11 token %q does not hold exactly one key %q",
		s.cfg.name(), id).Because(err)
}

// lockKey keeps others from making or destroying the key called id: those in
// this process, and in the other processes of this host. SoftHSM needs the
// latter: when two processes write at the same moment, one of them may not see
// the other's key until the token is opened again.
func (s *PKCS11) lockKey(ctx context.Context, id string) (unlock func(), err error) {
	unlockID, err := s.locks.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	unlockHost, err := hostLock(ctx, s.cfg.Module)
	if err != nil {
		unlockID()
		return nil, err
	}
	return func() {
		unlockHost()
		unlockID()
	}, nil
}

// ensure returns the key called id, making it if there is none.
func (s *PKCS11) ensure(ctx context.Context, c *connection, id string, row algorithm) (crypto11.Signer, error) {
	return s.settle(ctx, c, id, func() (removable, error) { return s.make(c, id, row) })
}

// removable is a key that can be taken back.
type removable interface{ Delete() error }

// settle returns the key called id, bringing it into the token by put if there
// is none.
//
// A key it put there is kept only once it was seen to be the only one. Seen
// otherwise, it is taken back, nobody having been told of it, and after a
// moment of its own length each process looks again.
func (s *PKCS11) settle(ctx context.Context, c *connection, id string, put func() (removable, error)) (crypto11.Signer, error) {
	for try := 1; ; try++ {
		var mine removable
		key, err := s.find(ctx, c, id)
		if models.KindOf(err) == models.KindNotFound {
			if mine, err = put(); err == nil {
				key, err = s.find(ctx, c, id)
			}
		}
		if !isUnsettled(err) {
			return key, err
		}
		if mine != nil {
			if err := mine.Delete(); err != nil {
				return nil, fmt.Errorf("take back key %s: %w", id, err)
			}
		}
		if try == ensureTries {
			return nil, err
		}
		select {
		case <-time.After(rand.N(time.Duration(try) * ensureWait)):
		case <-ctx.Done():
			return nil, checkContext(ctx)
		}
	}
}

// isUnsettled reports what a key looks like while another process makes it or
// takes it back.
func isUnsettled(err error) bool {
	return errors.Is(err, errAmbiguous) || errors.Is(err, errHalves) || is(err, pkcs11.CKR_OBJECT_HANDLE_INVALID)
}

// make makes a key in the token.
func (s *PKCS11) make(c *connection, id string, row algorithm) (crypto11.Signer, error) {
	public, private, err := templates(id)
	if err != nil {
		return nil, fmt.Errorf("describe key %s: %w", id, err)
	}
	key, err := row.token(c.token, public, private)
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", row.name, err)
	}
	return key, nil
}

// templates describes the two halves of a new key: it stays in the token, and
// it signs. Tokens and crypto11 would let it decrypt and unwrap as well.
func templates(id string) (public, private crypto11.AttributeSet, err error) {
	public, err = crypto11.NewAttributeSetWithIDAndLabel([]byte(id), []byte(Label(id)))
	if err != nil {
		return nil, nil, err
	}
	private = public.Copy()
	set := func(to crypto11.AttributeSet, value bool, attributes ...crypto11.AttributeType) {
		for _, a := range attributes {
			err = errors.Join(err, to.Set(a, value))
		}
	}
	set(public, true, crypto11.CkaToken, crypto11.CkaVerify)
	set(public, false, crypto11.CkaEncrypt, crypto11.CkaWrap)
	set(private, true, crypto11.CkaToken, crypto11.CkaPrivate, crypto11.CkaSensitive, crypto11.CkaSign)
	set(private, false, crypto11.CkaExtractable, crypto11.CkaDecrypt, crypto11.CkaUnwrap)
	return public, private, err
}
