// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/trustloom/trustloom/models"
)

const (
	exchangeTimeout = 30 * time.Second
	fileServerCA    = "server-ca.pem"
	fileTruststore  = "truststore.pem"
	fileLock        = "lock"
)

// agent keeps the credentials of one device in one domain.
type agent struct {
	disk
	cfg    *config
	roots  *x509.CertPool // whom the server's TLS certificate must come from
	secret func() (string, error)
	log    *slog.Logger
	now    func() time.Time
	held   []*holding // in the order of the wishes
	trusts *trusts
	token  *token
}

// holding is a wish with where it is kept and what happened to it.
type holding struct {
	*wish
	store *store
	status
}

// status is what happened last to a credential.
type status struct {
	Failures    int       `json:"failures,omitempty"` // in a row
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	NextAttempt time.Time `json:"next_attempt,omitzero"` // while it fails or waits
	Waiting     bool      `json:"waiting,omitempty"`     // the server said 202
}

// open takes the state folder and finishes what was interrupted. The folder is
// given back by release.
func (a *agent) open(ctx context.Context) (release func(), err error) {
	if err := os.MkdirAll(a.cfg.StateDir, dirPerm); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	unlock, err := lock(filepath.Join(a.cfg.StateDir, fileLock))
	if err != nil {
		return nil, err
	}
	release = func() {
		a.token.close()
		unlock()
	}
	if err := a.load(ctx); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func (a *agent) load(ctx context.Context) error {
	if err := sweep(a.cfg.StateDir); err != nil {
		return err
	}
	var err error
	if a.roots, err = a.serverCA(); err != nil {
		return err
	}
	for _, w := range a.cfg.Wishes {
		s, err := openStore(filepath.Join(a.cfg.StateDir, w.Name), a.now, a.fault)
		if err != nil {
			return err
		}
		s.token = a.token
		h := &holding{wish: w, store: s}
		if err := readJSON(s.path(fileStatus), &h.status); err != nil && !errors.Is(err, os.ErrNotExist) {
			a.log.Warn("the status is not readable and begins anew", "certificate", w.Name, "error", err)
			h.status = status{}
		}
		a.held = append(a.held, h)
		if err := a.resume(ctx, h); err != nil {
			return err
		}
	}
	a.trusts, err = a.openTrusts(ctx)
	return err
}

// resume finishes an interrupted change and shows files that are newly wanted.
func (a *agent) resume(ctx context.Context, h *holding) error {
	interrupted := exists(h.store.path(fileChange))
	err := h.store.recover(ctx, h.wish)
	if errors.Is(err, errRefused) {
		return a.failed(h, err)
	}
	if err != nil {
		return fmt.Errorf("recover %s: %w", h.Name, err)
	}
	now, err := h.store.current()
	if err != nil || now == nil {
		return err
	}
	if interrupted && h == a.domain() && now.Predecessor == "" {
		a.forgetSecret()
	}
	return h.store.show(h.wish, now.Name)
}

// serverCA returns the trust anchors of the server: the file that is named, or
// the copy that the first contact left.
func (a *agent) serverCA() (*x509.CertPool, error) {
	kept := filepath.Join(a.cfg.StateDir, fileServerCA)
	path := orElse(a.cfg.CA, kept)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && a.cfg.CA == "" && a.cfg.plainHTTP() {
		return nil, nil
	}
	if errors.Is(err, os.ErrNotExist) && a.cfg.CA == "" {
		return nil, usagef("name the CA of the server's TLS certificate on first contact: --ca FILE (the server keeps it as tls/ca.pem)")
	}
	if err != nil {
		return nil, fmt.Errorf("read the server's CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, usagef("%s has no certificate in PEM", path)
	}
	return pool, nil
}

// keepServerCA remembers the trust anchors that just proved right.
func (a *agent) keepServerCA() error {
	kept := filepath.Join(a.cfg.StateDir, fileServerCA)
	if a.cfg.CA == "" || a.cfg.CA == kept {
		return nil
	}
	data, err := os.ReadFile(a.cfg.CA)
	if err != nil {
		return err
	}
	if there, err := os.ReadFile(kept); err == nil && string(there) == string(data) {
		return nil
	}
	return a.replaceFile(kept, data, filePerm)
}

// domain is the holding of the domain credential.
func (a *agent) domain() *holding { return a.held[0] }

// next is when something is to be done about a credential.
func (a *agent) next(h *holding) time.Time {
	if !h.NextAttempt.IsZero() {
		return h.NextAttempt
	}
	v, err := h.store.current()
	if err != nil || v == nil || v.Wish != h.digest() || !a.placed(h, v.Key) {
		return a.now()
	}
	return v.due()
}

// advance does what is due for a credential, with one exchange at most, and
// notes how it went. force renews before it is due.
func (a *agent) advance(ctx context.Context, h *holding, force bool) error {
	retry, err := a.obtain(ctx, h, force)
	if err != nil && ctx.Err() != nil && !errors.Is(err, errRefused) {
		return err // it was told to end: nothing failed
	}
	if err != nil {
		return errors.Join(err, a.failed(h, err))
	}
	before := h.status
	h.status = status{}
	if retry > 0 {
		h.status = status{Waiting: true, NextAttempt: a.now().Add(retry)}
	}
	if before == h.status {
		return nil
	}
	return a.writeJSON(h.store.path(fileStatus), h.status)
}

// failed notes a failure and when to try again.
func (a *agent) failed(h *holding, cause error) error {
	remaining := time.Duration(0)
	if v, err := h.store.current(); err == nil && v != nil {
		remaining = v.leaf().NotAfter.Sub(a.now())
	}
	h.Failures++
	h.Waiting = false
	h.LastError, h.LastErrorAt = plain(cause), a.now().UTC().Truncate(time.Second)
	h.NextAttempt = a.now().Add(pause(h.Failures, models.RetryAfter(cause), remaining, rand.Float64()))
	a.log.Error("it did not work", "certificate", h.Name, "error", h.LastError, "next_attempt", when(h.NextAttempt))
	return a.writeJSON(h.store.path(fileStatus), h.status)
}
