// SPDX-License-Identifier: MIT

// Package auth recognises operators by their bearer tokens (RFC 6750) and
// says what each role may do.
//
// A token is shown once and kept as its SHA-256 only: 256 random bits need no
// slow hash, and looking the digest up compares nothing that an attacker could
// learn byte by byte. The package must not know HTTP.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

const (
	tokenPrefix = "tl_"
	tokenBytes  = 32
	tokenLength = len(tokenPrefix) + 43 // base64url of 32 bytes, unpadded
)

// Principal is an operator as recognised by a token.
type Principal struct {
	OperatorID models.OperatorID
	Name       string // of the operator
	TokenID    models.TokenID
	TokenName  string
	Role       models.Role
	Domains    []string // names of the domains that the token sees; empty means all
}

// Limited reports whether the principal sees some domains only.
func (p Principal) Limited() bool { return len(p.Domains) > 0 }

// NewToken returns a fresh token, "tl_" and 43 characters of base64url, and
// the hash that is kept of it.
func NewToken() (token, hash string) {
	raw := make([]byte, tokenBytes)
	rand.Read(raw) //nolint:errcheck // never fails since Go 1.24
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	return token, HashToken(token)
}

// HashToken returns the lower-case hex SHA-256 of a token.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// wellFormed reports whether s has the shape of a token, so that nothing else
// costs a query.
func wellFormed(s string) bool {
	if len(s) != tokenLength || !strings.HasPrefix(s, tokenPrefix) {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s[len(tokenPrefix):])
	return err == nil && len(raw) == tokenBytes
}

// Authenticator recognises bearer tokens against the store.
type Authenticator struct {
	store *store.Store
	now   func() time.Time
	guard *Guard
}

// New returns an Authenticator that lets everybody guess.
func New(s *store.Store, now func() time.Time) *Authenticator {
	return &Authenticator{store: s, now: now}
}

// Guarded returns a copy whose attempts go through g.
func (a *Authenticator) Guarded(g *Guard) *Authenticator {
	return &Authenticator{store: a.store, now: a.now, guard: g}
}

// Credentials are what a request proves its sender with.
type Credentials struct {
	Bearer  string // the token; empty if there is none
	Address string // where the request comes from
}

// errRefused is the same for every reason, so that nobody learns which
// tokens exist or existed.
func errRefused() *models.Error {
	return models.Errorf(models.KindUnauthenticated, "the bearer token is missing, unknown, expired or revoked")
}

// Authenticate returns the principal of a request. It is KindUnauthenticated
// for anything but a token that is known, neither expired nor revoked, and
// whose operator is not disabled; KindLimited after too many failures.
func (a *Authenticator) Authenticate(ctx context.Context, c Credentials) (who Principal, err error) {
	if c.Bearer == "" {
		return Principal{}, errRefused()
	}
	hash := HashToken(c.Bearer)
	err = a.guard.Try(ctx, Attempt{Method: MethodToken, Principal: hash, Address: c.Address}, func() error {
		if !wellFormed(c.Bearer) {
			return errRefused()
		}
		who, err = a.token(ctx, hash)
		return err
	})
	return who, err
}

func (a *Authenticator) token(ctx context.Context, hash string) (Principal, error) {
	token, err := a.store.FindTokenByHash(ctx, hash)
	if err != nil {
		return Principal{}, refusedIfAbsent(err)
	}
	if subtle.ConstantTimeCompare([]byte(token.Hash), []byte(hash)) != 1 || token.RevokedAt != nil ||
		(token.ExpiresAt != nil && !a.now().Before(*token.ExpiresAt)) {
		return Principal{}, errRefused()
	}
	operator, err := a.store.FindOperator(ctx, token.OperatorID)
	if err != nil {
		return Principal{}, refusedIfAbsent(err)
	}
	if operator.Disabled {
		return Principal{}, errRefused()
	}
	return Principal{
		OperatorID: operator.ID, Name: operator.Name, TokenID: token.ID, TokenName: token.Name,
		Role: token.Role, Domains: token.Domains,
	}, nil
}

func refusedIfAbsent(err error) error {
	if models.KindOf(err) == models.KindNotFound {
		return errRefused().Because(err)
	}
	return err
}
