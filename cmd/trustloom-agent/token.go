// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
)

const (
	// pinVariable holds the token's PIN if no file does.
	pinVariable    = "TRUSTLOOM_PIN"
	fileRefusedPIN = "pin-refused.json"
	pinRounds      = 100_000 // of PBKDF2
	tokenKeyPrefix = "agent-"
)

// tokenEntry says which token the agent makes keys in.
type tokenEntry struct {
	Module  string `yaml:"module"`
	Token   string `yaml:"token"`
	Slot    *int   `yaml:"slot"`
	PINFile string `yaml:"pin_file"`
}

// complete checks the section; what does the token belong to.
func (e *tokenEntry) complete(base string) error {
	switch {
	case e == nil:
		return nil
	case e.Module == "":
		return models.Errorf(models.KindInvalid, "pkcs11: name the token's library: module, such as /usr/lib/softhsm/libsofthsm2.so")
	case (e.Token == "") == (e.Slot == nil):
		return models.Errorf(models.KindInvalid, "pkcs11: name the token by its label (token) or by its slot, and not by both")
	case e.Slot != nil && *e.Slot < 0:
		return models.Errorf(models.KindInvalid, "pkcs11: the slot %d is no slot", *e.Slot)
	}
	absolute(&e.Module, base)
	absolute(&e.PINFile, base)
	return nil
}

// name is what the token is called in messages.
func (e *tokenEntry) name() string {
	if e.Slot != nil {
		return "slot " + strconv.Itoa(*e.Slot)
	}
	return e.Token
}

// keyStore is what the agent wants of a token; see package hsm.
type keyStore interface {
	Generate(ctx context.Context, id string, alg models.KeyAlgorithm) (crypto.PublicKey, error)
	Signer(ctx context.Context, id string) (crypto.Signer, error)
	Existing(ctx context.Context, id, label []byte) (crypto.Signer, error)
	Destroy(ctx context.Context, id string) error
	Close() error
}

// token is the token of the configuration. It is opened when a key in it is
// needed, and stays open. The zero entry: there is none.
type token struct {
	entry  *tokenEntry
	disk   disk
	marker string // the file that remembers a PIN that was refused
	pin    func() (string, error)
	now    func() time.Time
	log    *slog.Logger
	store  keyStore
	used   string // the PIN that the store was opened with
}

// newURI names a key that is to be made for a credential: no two are the same.
func (t *token) newURI(credential string) keyURI {
	readable := strings.ReplaceAll(credential[:min(len(credential), 24)], "_", "-")
	random := make([]byte, 10)
	_, _ = rand.Read(random) // never fails
	id := fmt.Sprintf("%s%s-%x", tokenKeyPrefix, readable, random)
	u := keyURI{Token: t.entry.Token, ID: []byte(id), Object: tokenLabel(id)}
	if t.entry.Slot != nil {
		u.Slot = strconv.Itoa(*t.entry.Slot)
	}
	return u
}

// holds reports whether a key is in this token, as far as its URI tells: a
// label and a number of a slot may be two names of one token.
func (t *token) holds(u keyURI) bool {
	switch {
	case t.entry == nil:
		return false
	case t.entry.Slot != nil && u.Slot != "":
		return u.Slot == strconv.Itoa(*t.entry.Slot)
	case t.entry.Token != "" && u.Token != "":
		return u.Token == t.entry.Token
	}
	return true
}

// made reads the URI of a key that the agent made. It is KindConflict for one
// in another token.
func (t *token) made(uri string) (id string, err error) {
	u, err := parseKeyURI(uri)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(string(u.ID), tokenKeyPrefix) || u.Object != tokenLabel(string(u.ID)) {
		return "", models.Errorf(models.KindInvalid, "the key %s is not one that the agent made", uri)
	}
	if !t.holds(u) {
		return "", models.Errorf(models.KindConflict, "the key %s is not in the token of the file's section pkcs11", uri)
	}
	return string(u.ID), nil
}

// generate makes the key that the URI names.
func (t *token) generate(ctx context.Context, uri string, algorithm models.KeyAlgorithm) (crypto.Signer, error) {
	return inToken(ctx, t, uri, func(store keyStore, id string) (crypto.Signer, error) {
		if _, err := store.Generate(ctx, id, algorithm); err != nil {
			return nil, err
		}
		return store.Signer(ctx, id)
	})
}

// signer returns a key that the agent made; KindNotFound if the token does not
// have it any more.
func (t *token) signer(ctx context.Context, uri string) (crypto.Signer, error) {
	return inToken(ctx, t, uri, func(store keyStore, id string) (crypto.Signer, error) { return store.Signer(ctx, id) })
}

// destroy destroys a key that the agent made. One that is not there is no error.
func (t *token) destroy(ctx context.Context, uri string) error {
	_, err := inToken(ctx, t, uri, func(store keyStore, id string) (struct{}, error) { return struct{}{}, store.Destroy(ctx, id) })
	return err
}

// existing returns a key that others made, such as that of an IDevID.
func (t *token) existing(ctx context.Context, u keyURI) (crypto.Signer, error) {
	return useToken(ctx, t, func(store keyStore) (crypto.Signer, error) { return store.Existing(ctx, u.ID, []byte(u.Object)) })
}

// inToken does something with a key that the agent made.
func inToken[T any](ctx context.Context, t *token, uri string, do func(keyStore, string) (T, error)) (T, error) {
	id, err := t.made(uri)
	if err != nil {
		var none T
		return none, err
	}
	return useToken(ctx, t, func(store keyStore) (T, error) { return do(store, id) })
}

// useToken does something with the token, opening it first if need be.
func useToken[T any](ctx context.Context, t *token, do func(keyStore) (T, error)) (T, error) {
	var none T
	if err := t.open(ctx); err != nil {
		return none, err
	}
	result, err := do(t.store)
	if pinRefused(err) { // it was away meanwhile, and has another PIN now
		return none, t.refuse(t.used, err)
	}
	return result, err
}

// open opens the token unless it is. A PIN that it refused is not tried again:
// after few such attempts a token locks itself.
func (t *token) open(ctx context.Context) error {
	if t.store != nil {
		return nil
	}
	if t.entry == nil {
		return models.Errorf(models.KindUnavailable, "the key is in a PKCS#11 token, and the file has no section pkcs11")
	}
	pin, err := t.pin()
	if err != nil {
		return err
	}
	if pin == "" {
		return models.Errorf(models.KindUnavailable, "the token %s needs its PIN: pin_file in the section pkcs11, or %s in the environment", t.entry.name(), pinVariable)
	}
	if t.refusedBefore(pin) {
		return t.refusal(nil)
	}
	store, err := openToken(ctx, t.entry, pin, t.log)
	if pinRefused(err) {
		return t.refuse(pin, err)
	}
	if err != nil {
		return err
	}
	t.store, t.used = store, pin
	if !exists(t.marker) {
		return nil
	}
	return t.disk.removeFile(t.marker)
}

// close lets go of the token.
func (t *token) close() {
	if t.store == nil {
		return
	}
	if err := t.store.Close(); err != nil {
		t.log.Warn("the token is not let go of", "error", err)
	}
	t.store, t.used = nil, ""
}

// refusedPIN remembers which PIN was refused, and not the PIN.
type refusedPIN struct {
	At     time.Time `json:"at"`
	Salt   []byte    `json:"salt"`
	Digest []byte    `json:"digest"`
}

// refuse notes a refused PIN, so that neither this process nor the next one
// tries it again.
func (t *token) refuse(pin string, cause error) error {
	t.close()
	r := refusedPIN{At: t.now().UTC().Truncate(time.Second), Salt: make([]byte, 16)}
	_, _ = rand.Read(r.Salt) // never fails
	err := t.refusal(cause)
	var kept error
	if r.Digest, kept = t.digest(pin, r.Salt); kept == nil {
		kept = t.disk.writeJSON(t.marker, r)
	}
	if kept != nil {
		t.log.Error("the refused PIN could not be noted and may be tried again", "error", kept)
	}
	return err
}

// refusal is what is said about a PIN that was refused, now or earlier.
func (t *token) refusal(cause error) error {
	return models.Errorf(models.KindUnavailable,
		"the token %s refused this PIN, which is not tried again so that the token does not lock itself: put the right one into %s (to try the same one once more, remove %s)",
		t.entry.name(), orElse(t.entry.PINFile, pinVariable), t.marker).Because(cause)
}

// refusedBefore reports whether this PIN is the one that was refused last.
func (t *token) refusedBefore(pin string) bool {
	r := &refusedPIN{}
	if err := readJSON(t.marker, r); err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			t.log.Warn("the note about a refused PIN is not readable", "error", err)
		}
		return false
	}
	digest, err := t.digest(pin, r.Salt)
	return err == nil && subtle.ConstantTimeCompare(r.Digest, digest) == 1
}

// digest is for this token alone: the same PIN may be right for another one.
func (t *token) digest(pin string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, pin+"\x00"+t.entry.Module+"\x00"+t.entry.name(), salt, pinRounds, sha256.Size)
}
