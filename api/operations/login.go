// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Identity is a person as an OpenID provider knows them.
type Identity struct {
	Issuer, Subject string
	Name            string // may be empty, and may change
	Groups          []string
}

// OpenID asks a provider who somebody is. Package integrations/oidc does it.
type OpenID interface {
	// AuthURL returns where a browser has to go.
	AuthURL(ctx context.Context, state, nonce, verifier string) (string, error)
	// Exchange returns who came back with a code and, where the provider tells
	// it, an issuer.
	Exchange(ctx context.Context, code, issuer, nonce, verifier string) (*Identity, error)
}

// Logins says who may log in, and as what.
type Logins struct {
	OpenID   OpenID // nil: nobody
	Issuer   string
	Rules    []LoginRule
	Create   bool          // unknown people become operators if a rule names one of their groups
	Lifetime time.Duration // of a session
	Guard    *auth.Guard
}

// LoginRule gives the members of a group a role. The first that fits counts.
type LoginRule struct {
	Group   string
	Role    models.Role
	Domains []string // nil means all
}

// LoginStart is how a login begins: for a browser with the path that it goes
// to afterwards; for a program with where it listens, the digest of its
// verifier (RFC 7636) and its own state.
type LoginStart struct {
	Return    string
	Redirect  string
	Challenge string
	State     string
}

// journey is what the browser keeps between its going and coming. State, nonce
// and verifier are digests of it: whoever comes back has to bring the cookie of
// the browser that went, unchanged, and the server keeps nothing.
type journey struct {
	Secret []byte    `json:"secret"`
	Until  time.Time `json:"until"`
	LoginStart
}

const journeyTime = 10 * time.Minute

func derive(what, cookie string) string {
	sum := sha256.Sum256([]byte("trustloom login " + what + "\x00" + cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var (
	challenges = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	states     = regexp.MustCompile(`^[A-Za-z0-9._~-]{16,128}$`)
	// loopbacks are where a program may listen (RFC 8252 §7.3): addresses, no names.
	loopbacks = regexp.MustCompile(`^http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]{0,4}/callback$`)
	// returns are paths of this server: what a browser could read as another
	// server has two slashes, or a backslash.
	returns = regexp.MustCompile(`^/([A-Za-z0-9_.~-][A-Za-z0-9_.~/-]*)?$`)
)

func (s LoginStart) check() error {
	switch {
	case s.Redirect == "" && s.Challenge == "" && s.State == "":
		if !returns.MatchString(s.Return) || strings.Contains(s.Return, "//") {
			return models.Errorf(models.KindInvalid, "return is not a path of this server")
		}
		return nil
	case s.Return != "/" || !loopbacks.MatchString(s.Redirect):
		return models.Errorf(models.KindInvalid, "redirect is not http://127.0.0.1:PORT/callback")
	case !challenges.MatchString(s.Challenge) || !states.MatchString(s.State):
		return models.Errorf(models.KindInvalid, "challenge or state is missing or malformed")
	}
	return nil
}

// StartLogin returns the cookie that the browser has to keep, and where it
// goes. It is KindNotFound without a provider.
func (o *Operations) StartLogin(ctx context.Context, in LoginStart) (cookie, address string, err error) {
	if o.logins.OpenID == nil {
		return "", "", models.Errorf(models.KindNotFound, "no OpenID provider is configured (--oidc-issuer)")
	}
	if in.Return == "" {
		in.Return = "/"
	}
	if err := in.check(); err != nil {
		return "", "", err
	}
	j := journey{Secret: make([]byte, 32), Until: o.now().Add(journeyTime).UTC(), LoginStart: in}
	rand.Read(j.Secret) //nolint:errcheck // never fails since Go 1.24
	text, err := json.Marshal(j)
	if err != nil {
		return "", "", err
	}
	cookie = base64.RawURLEncoding.EncodeToString(text)
	address, err = o.logins.OpenID.AuthURL(ctx, derive("state", cookie), derive("nonce", cookie), derive("verifier", cookie))
	return cookie, address, err
}

// LoginAnswer is what a browser brings back.
type LoginAnswer struct {
	Cookie, State, Code, Issuer string
	Error, Description          string // of the provider; the description goes to the log only
	Address, RequestID          string
}

// LoginEnd is how a login ended: with a session for the browser, or with the
// address at which the program listens.
type LoginEnd struct {
	Token     string
	ExpiresAt time.Time
	Location  string
}

var errLogin = models.Errorf(models.KindUnauthenticated, "the login failed; begin again")

// FinishLogin takes a browser back. It is KindUnauthenticated unless it is the
// one that went, and KindDenied for people who are no operators.
func (o *Operations) FinishLogin(ctx context.Context, in LoginAnswer) (end *LoginEnd, err error) {
	if o.logins.OpenID == nil {
		return nil, models.Errorf(models.KindNotFound, "no OpenID provider is configured (--oidc-issuer)")
	}
	err = o.logins.Guard.Try(ctx, auth.Attempt{Method: auth.MethodLogin, Address: in.Address}, func() error {
		end, err = o.finishLogin(ctx, in)
		return err
	})
	return end, err
}

func (o *Operations) finishLogin(ctx context.Context, in LoginAnswer) (*LoginEnd, error) {
	j, err := o.journeyOf(in)
	if err != nil {
		return nil, err
	}
	if in.Error != "" || in.Code == "" {
		o.logger.InfoContext(ctx, "the OpenID provider refused a login", slog.String("error", in.Error), slog.String("description", in.Description))
		return nil, errLogin
	}
	person, err := o.logins.OpenID.Exchange(ctx, in.Code, in.Issuer, derive("nonce", in.Cookie), derive("verifier", in.Cookie))
	if err != nil {
		return nil, err
	}
	return o.admit(ctx, in, j, person)
}

const maxCookie = 4 << 10

func (o *Operations) journeyOf(in LoginAnswer) (j journey, err error) {
	if in.Cookie == "" || len(in.Cookie) > maxCookie || subtle.ConstantTimeCompare([]byte(in.State), []byte(derive("state", in.Cookie))) != 1 {
		return j, errLogin
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(in.Cookie)
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil || len(j.Secret) != 32 || j.check() != nil {
		return j, errLogin.Because(err)
	}
	if !o.now().Before(j.Until) {
		return j, models.Errorf(models.KindUnauthenticated, "the login took too long; begin again")
	}
	return j, nil
}

// admit finds or makes the operator and lets them in.
func (o *Operations) admit(ctx context.Context, in LoginAnswer, j journey, person *Identity) (end *LoginEnd, err error) {
	var denied error
	err = o.write(ctx, func(tx *store.Tx) error {
		denied = nil
		operator, err := o.operatorOf(ctx, tx, in, person)
		if err != nil {
			return err
		}
		if operator.Role == "" { // what was written about that holds
			denied = models.Errorf(models.KindDenied, "%s is in no group that may log in, and has no role of their own", operator.Name)
			return nil
		}
		if j.Redirect == "" {
			end, err = o.session(tx, in, operator)
			if err == nil {
				end.Location = j.Return
			}
			return err
		}
		code, hash := auth.NewToken()
		end = &LoginEnd{Location: j.Redirect + "?" + url.Values{"code": {code}, "state": {j.State}}.Encode()}
		return tx.InsertLogin(&models.Login{CodeHash: hash, OperatorID: operator.ID, Challenge: j.Challenge, ExpiresAt: models.UTC(o.now().Add(time.Minute))})
	})
	if err == nil {
		err = denied
	}
	if err != nil {
		return nil, err
	}
	return end, nil
}

// CollectSession gives the program that began a login its session, for the
// code that the browser brought and the verifier of its challenge. A code is
// good once, for a minute.
func (o *Operations) CollectSession(ctx context.Context, in LoginAnswer, code, verifier string) (out *api.Token, err error) {
	attempt := auth.Attempt{Method: auth.MethodLogin, Principal: auth.HashToken(code), Address: in.Address}
	err = o.logins.Guard.Try(ctx, attempt, func() error {
		out, err = o.collect(ctx, in, code, verifier)
		return err
	})
	return out, err
}

func (o *Operations) collect(ctx context.Context, in LoginAnswer, code, verifier string) (*api.Token, error) {
	var out *api.Token
	good := false
	err := o.write(ctx, func(tx *store.Tx) error {
		login, err := tx.TakeLogin(auth.HashToken(code))
		if models.KindOf(err) == models.KindNotFound && err != nil {
			return errLogin
		}
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(verifier))
		given := base64.RawURLEncoding.EncodeToString(sum[:])
		if good = subtle.ConstantTimeCompare([]byte(given), []byte(login.Challenge)) == 1 && o.now().Before(login.ExpiresAt); !good {
			return nil // and the code is gone
		}
		operator, err := tx.HoldOperator(login.OperatorID)
		if err != nil {
			return err
		}
		end, err := o.session(tx, in, operator)
		if err != nil {
			return err
		}
		out = &api.Token{Operator: operator.Name, Role: operator.Role, Domains: operator.Domains, Session: true, Token: end.Token, ExpiresAt: &end.ExpiresAt}
		return nil
	})
	if err == nil && !good {
		err = errLogin
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}
