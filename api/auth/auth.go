// SPDX-License-Identifier: MIT

// Package auth recognises operators, by bearer tokens (RFC 6750), sessions and
// client certificates, says what each role may do, and slows down whoever
// guesses, devices included.
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
	"crypto/x509"
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
	Name       string         // of the operator
	TokenID    models.TokenID // empty without a token
	TokenName  string         // or what stands for one
	Role       models.Role
	Domains    []string   // names of the domains that it sees; nil means all
	ExpiresAt  *time.Time // of the token, if it ends
	Session    bool       // the token was made by a login
}

// Limited reports whether the principal sees some domains only.
func (p Principal) Limited() bool { return p.Domains != nil }

// Key names what the principal authenticated with: nobody else has it.
func (p Principal) Key() string {
	if p.TokenID != "" {
		return string(p.TokenID)
	}
	return "operator/" + string(p.OperatorID)
}

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

// Authenticator recognises operators against the store.
type Authenticator struct {
	store  *store.Store
	now    func() time.Time
	guard  *Guard
	people *People
}

// New returns an Authenticator that knows tokens only, and lets everybody guess.
func New(s *store.Store, now func() time.Time) *Authenticator {
	return &Authenticator{store: s, now: now}
}

// Guarded returns a copy whose attempts go through g.
func (a *Authenticator) Guarded(g *Guard) *Authenticator {
	c := *a
	c.guard = g
	return &c
}

// Knowing returns a copy that recognises people's certificates, too.
func (a *Authenticator) Knowing(p *People) *Authenticator {
	c := *a
	c.people = p
	return &c
}

// Credentials are what a request proves its sender with.
type Credentials struct {
	Bearer       string              // the token of the Authorization header; empty if there is none
	Cookie       string              // the session of a browser; empty if there is none
	Certificates []*x509.Certificate // of the TLS connection, the sender's first
	Address      string              // where the request comes from
}

// errRefused is the same for every reason, so that nobody learns which
// tokens exist or existed.
func errRefused() *models.Error {
	return models.Errorf(models.KindUnauthenticated, "the bearer token is missing, unknown, expired or revoked")
}

// Authenticate returns the principal of a request, by the one method that it
// names: a token, a session, or, where the CAs of operators are known, a client
// certificate. Two of them are KindInvalid. It is KindUnauthenticated unless
// token or certificate are good and their operator is not disabled, and
// KindLimited after too many failures.
func (a *Authenticator) Authenticate(ctx context.Context, c Credentials) (who Principal, err error) {
	certificate := a.people != nil && len(c.Certificates) > 0
	switch given := []bool{c.Bearer != "", c.Cookie != "", certificate}; {
	case given[0] && (given[1] || given[2]), given[1] && given[2]:
		return Principal{}, models.Errorf(models.KindInvalid, "authenticate by one method: token, session or client certificate")
	case certificate:
		err = a.guard.Try(ctx, Attempt{Method: MethodCertificate, Principal: fingerprint(c.Certificates[0]), Address: c.Address}, func() error {
			who, err = a.people.authenticate(ctx, c.Certificates)
			return err
		})
		return who, err
	case c.Cookie != "":
		who, err = a.bearer(ctx, c.Cookie, c.Address)
		if err == nil && !who.Session {
			return Principal{}, errRefused() // a token was put into a cookie: nobody but us sets that
		}
		return who, err
	}
	return a.bearer(ctx, c.Bearer, c.Address)
}

func (a *Authenticator) bearer(ctx context.Context, bearer, address string) (who Principal, err error) {
	if bearer == "" {
		return Principal{}, errRefused()
	}
	hash := HashToken(bearer)
	err = a.guard.Try(ctx, Attempt{Method: MethodToken, Principal: hash, Address: address}, func() error {
		if !wellFormed(bearer) {
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
	if operator.Disabled || (token.Session && operator.Role == "") {
		return Principal{}, errRefused()
	}
	who := Principal{
		OperatorID: operator.ID, Name: operator.Name, TokenID: token.ID, TokenName: token.Name,
		Role: token.Role, Domains: token.Domains, ExpiresAt: token.ExpiresAt, Session: token.Session,
	}
	if token.Session {
		who.Role, who.Domains = operator.Role, operator.Domains
	}
	return who, nil
}

func refusedIfAbsent(err error) error {
	if models.KindOf(err) == models.KindNotFound {
		return errRefused().Because(err)
	}
	return err
}
