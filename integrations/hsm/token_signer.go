// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"io"

	"github.com/ThalesGroup/crypto11"

	"github.com/trustloom/trustloom/models"
)

// maxWrongSignatures is how many wrong signatures in a row put a key out of use.
const maxWrongSignatures = 3

// tokenSigner signs with the key called id, wherever its handle is at the time.
type tokenSigner struct {
	store  *PKCS11
	id     string
	locate locator
	public crypto.PublicKey
}

// Public implements crypto.Signer.
func (k *tokenSigner) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer. The token uses its own randomness. Sign
// takes at most 30 s and returns only signatures that verify with Public.
func (k *tokenSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	digest, opts, err := k.prepare(digest, opts)
	if err != nil {
		return nil, err
	}
	if err := k.store.checkQuarantine(k.id); err != nil {
		return nil, err
	}
	return call(context.Background(), k.store, signWait, func(ctx context.Context, c *connection) ([]byte, error) {
		key, err := k.store.prove(ctx, c, k.id, k.locate)
		if err != nil {
			return nil, err
		}
		return k.sign(key, digest, opts)
	})
}

func (k *tokenSigner) sign(key crypto11.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, models.Errorf(models.KindInternal, "the PKCS#11 token %q holds another key under the name %q than before",
			k.store.cfg.name(), k.id)
	}
	signature, err := key.Sign(nil, digest, opts)
	if err != nil {
		return nil, err
	}
	correct := verify(k.public, digest, signature, opts)
	k.store.noteSignature(k.id, correct)
	if !correct {
		return nil, errWrongSignature
	}
	return signature, nil
}

// prepare brings what Go's signers take into the form tokens take.
func (k *tokenSigner) prepare(digest []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts, error) {
	if opts == nil {
		opts = crypto.Hash(0)
	}
	hash := opts.HashFunc()
	if hash != 0 && len(digest) != hash.Size() {
		return nil, nil, models.Errorf(models.KindInvalid, "the digest has %d bytes instead of the %d of %s", len(digest), hash.Size(), hash)
	}
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		// A digest longer than the order of the curve is cut (FIPS 186-5 §6.4).
		if size := (public.Params().N.BitLen() + 7) / 8; len(digest) > size {
			digest = digest[:size]
		}
	case *rsa.PublicKey:
		if hash == 0 {
			return nil, nil, models.Errorf(models.KindInvalid, "an RSA signature needs a hash algorithm")
		}
		if pss, ok := opts.(*rsa.PSSOptions); ok && pss.SaltLength == rsa.PSSSaltLengthAuto {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: pss.Hash}
		}
	}
	return digest, opts, nil
}

func verify(public crypto.PublicKey, digest, signature []byte, opts crypto.SignerOpts) bool {
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest, signature)
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(public, pss.Hash, digest, signature, pss) == nil
		}
		return rsa.VerifyPKCS1v15(public, opts.HashFunc(), digest, signature) == nil
	default:
		return false
	}
}

// noteSignature counts wrong signatures in a row.
func (s *PKCS11) noteSignature(id string, correct bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if correct {
		delete(s.wrongSig, id)
		return
	}
	s.wrongSig[id]++
	s.cfg.Logger.Error("PKCS#11 token returned a wrong signature", "key", id, "in_a_row", s.wrongSig[id])
}

// checkQuarantine refuses a key for which the token signed wrongly too often.
func (s *PKCS11) checkQuarantine(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrongSig[id] < maxWrongSignatures {
		return nil
	}
	return models.Errorf(models.KindInternal, "key %q is out of use: the PKCS#11 token %q signed wrongly with it %d times in a row",
		id, s.cfg.name(), maxWrongSignatures).Because(errors.New("look at the token, then restart"))
}
