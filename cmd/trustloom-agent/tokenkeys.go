// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// A key in a token is made, used and destroyed under a reference, its URI:
//
//  1. note the URI in the folder of made keys
//  2. make the key in the token
//  3. keep the request with the URI in the place of the key
//  4. switch to the version with the URI
//  5. remove the version before, then destroy its key, then remove the note
//
// A note without a request and without a version is a key that nothing needs:
// it is destroyed at the next occasion. Nothing is ever looked for in the
// token, so that nothing of others can be found there.

// The points of making and destroying a key in a token at which tests end the
// process.
const (
	faultNoted     = "noted"
	faultMade      = "made"
	faultDestroyed = "destroyed"
)

// newTokenKey makes a key in the token for a request of this credential.
func (s *store) newTokenKey(ctx context.Context, w *wish) (crypto.Signer, keptKey, error) {
	s.reap(ctx)
	if err := s.token.open(ctx); err != nil { // no note without a prospect
		return nil, keptKey{}, err
	}
	u := s.token.newURI(w.Name)
	if err := os.MkdirAll(s.path(dirMade), dirPerm); err != nil {
		return nil, keptKey{}, err
	}
	uri := u.String()
	if err := s.replaceFile(s.path(dirMade, string(u.ID)), []byte(uri+"\n"), filePerm); err != nil {
		return nil, keptKey{}, fmt.Errorf("note a key: %w", err)
	}
	s.fault(faultNoted)
	key, err := s.token.generate(ctx, uri, w.Key)
	if err != nil {
		return nil, keptKey{}, err
	}
	s.fault(faultMade)
	return key, keptKey{URI: uri}, nil
}

// reap destroys the keys in the token that no version and no request refers
// to. What cannot be destroyed now is destroyed later.
func (s *store) reap(ctx context.Context) {
	if s.token == nil {
		return
	}
	err := sweep(s.path(dirMade))
	notes, unread := s.unused()
	err = errors.Join(err, unread)
	for _, id := range slices.Sorted(maps.Keys(notes)) {
		if ctx.Err() != nil {
			return
		}
		if failed := s.token.destroy(ctx, notes[id]); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		s.fault(faultDestroyed)
		err = errors.Join(err, s.removeFile(s.path(dirMade, id)))
	}
	if err != nil {
		s.token.log.Warn("keys that are not needed any more stay in the token for now", "folder", s.dir, "error", plain(err))
	}
}

// unused returns the URIs of the keys that were noted and that nothing refers
// to, by the names of their notes.
func (s *store) unused() (map[string]string, error) {
	noted, err := os.ReadDir(s.path(dirMade))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	names, unread := s.versions()
	if err := errors.Join(err, unread); err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	for _, name := range append(names, dirPending) {
		key, err := readKey(s.path(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		needed[key.URI] = true
	}
	notes := map[string]string{}
	for _, note := range noted {
		uri, err := os.ReadFile(s.path(dirMade, note.Name()))
		if err != nil {
			return nil, err
		}
		if uri := strings.TrimSpace(string(uri)); !needed[uri] {
			notes[note.Name()] = uri
		}
	}
	return notes, nil
}

// signer returns a private key, wherever it is.
func (a *agent) signer(ctx context.Context, key keptKey) (crypto.Signer, error) {
	if key.URI == "" {
		return signerOf(key.PEM)
	}
	return a.token.signer(ctx, key.URI)
}

// present returns the pair of a version with a key that signs.
func (a *agent) present(ctx context.Context, v *pair) (*tls.Certificate, error) {
	if v.Key.URI == "" {
		return v.Pair, nil
	}
	key, err := a.token.signer(ctx, v.Key.URI)
	if models.KindOf(err) == models.KindNotFound {
		return nil, models.Errorf(models.KindNotFound, "the key of the certificate in use is not in the token any more: 'trustloom-agent renew --now' makes another one").Because(err)
	}
	if err != nil {
		return nil, err
	}
	return withKey(v.Pair, key)
}

// withKey joins a certificate and a key in a token, which must fit.
func withKey(pair *tls.Certificate, key crypto.Signer) (*tls.Certificate, error) {
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(pair.Leaf.PublicKey) {
		return nil, models.Errorf(models.KindInternal, "the key in the token is not the one of the certificate %s", pair.Leaf.Subject)
	}
	joined := *pair
	joined.PrivateKey = key
	return &joined, nil
}

// placed reports whether a key is where the wish wants it.
func (a *agent) placed(h *holding, key keptKey) bool {
	return h.InToken == (key.URI != "") && a.reachable(key)
}

// reachable reports whether a key is in a file, or in the token that the
// configuration names.
func (a *agent) reachable(key keptKey) bool {
	if key.URI == "" {
		return true
	}
	_, err := a.token.made(key.URI)
	return err == nil
}

// lost reports whether the token is there and does not have a key any more.
func (a *agent) lost(ctx context.Context, key keptKey) (bool, error) {
	if key.URI == "" {
		return false, nil
	}
	_, err := a.token.signer(ctx, key.URI)
	if models.KindOf(err) == models.KindNotFound {
		return true, nil
	}
	return false, err
}
