// SPDX-License-Identifier: MIT

package operations_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// people is a provider at which somebody has just logged in. That real ones
// are understood, test/e2e and integrations/oidc show.
type people struct {
	operations.Identity
	state, nonce, verifier string
}

func (p *people) AuthURL(_ context.Context, state, nonce, verifier string) (string, error) {
	p.state, p.nonce, p.verifier = state, nonce, verifier
	return "https://login.example/auth", nil
}

func (p *people) Exchange(_ context.Context, code, _, nonce, verifier string) (*operations.Identity, error) {
	if code != "good" || nonce != p.nonce || verifier != p.verifier {
		return nil, models.Errorf(models.KindUnauthenticated, "refused")
	}
	who := p.Identity
	return &who, nil
}

// logins is a plant at which people log in.
type logins struct {
	*fixture.Plant
	*people
	ops *operations.Operations
	now time.Time
}

func newLogins(t *testing.T, p *fixture.Plant, change func(*operations.Logins)) *logins {
	t.Helper()
	l := &logins{Plant: p, people: &people{Identity: operations.Identity{Issuer: "https://login.example", Subject: "1", Name: "Alice Ärmel@plant", Groups: []string{"admins"}}}, now: time.Now()}
	cfg := operations.Logins{
		OpenID: l.people, Issuer: "https://login.example", Create: true, Lifetime: time.Hour,
		Rules: []operations.LoginRule{{Group: "press", Role: models.RoleOperator, Domains: []string{"alpha"}}, {Group: "admins", Role: models.RoleAdmin}},
	}
	if change != nil {
		change(&cfg)
	}
	l.ops = operations.New(operations.Config{Store: p.Store, Stories: p.Stories, Logins: cfg, Now: func() time.Time { return l.now }})
	return l
}

// login goes and comes back.
func (l *logins) login(t *testing.T, start operations.LoginStart, change func(*operations.LoginAnswer)) (*operations.LoginEnd, error) {
	t.Helper()
	cookie, _, err := l.ops.StartLogin(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	answer := operations.LoginAnswer{Cookie: cookie, State: l.state, Code: "good", Address: "192.0.2.7"}
	if change != nil {
		change(&answer)
	}
	return l.ops.FinishLogin(t.Context(), answer)
}

func (l *logins) who(t *testing.T, end *operations.LoginEnd) auth.Principal {
	t.Helper()
	who, err := l.Auth.Authenticate(t.Context(), auth.Credentials{Cookie: end.Token})
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func TestGroupsDecideAtEachLogin(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		l := newLogins(t, p, nil)
		first, err := l.login(t, operations.LoginStart{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if who := l.who(t, first); who.Name != "alice-rmel" || who.Role != models.RoleAdmin || who.Limited() || first.Location != "/" {
			t.Errorf("first: %+v, %+v", who, first)
		}
		l.Groups, l.Name = []string{"admins", "press"}, "another name"
		second, err := l.login(t, operations.LoginStart{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, end := range []*operations.LoginEnd{first, second} {
			if who := l.who(t, end); who.Name != "alice-rmel" || who.Role != models.RoleOperator || !who.Limited() {
				t.Errorf("the first rule that fits counts, in every session: %+v", who)
			}
		}
		l.Groups = []string{"guests"}
		_, err = l.login(t, operations.LoginStart{}, nil)
		refuses(t, "somebody who is in no group any more", err, models.KindDenied)
		for _, end := range []*operations.LoginEnd{first, second} {
			_, err := l.Auth.Authenticate(t.Context(), auth.Credentials{Cookie: end.Token})
			refuses(t, "and what they had", err, models.KindUnauthenticated)
		}
		l.Subject, l.Name, l.Groups = "2", "boss", []string{"admins"}
		_, err = l.login(t, operations.LoginStart{}, nil)
		refuses(t, "somebody with the name of another operator", err, models.KindDenied)
		l.Name = "***"
		_, err = l.login(t, operations.LoginStart{}, nil)
		refuses(t, "somebody without a name", err, models.KindDenied)
	})
}

func TestPeopleWhoHaveToBeEnteredFirst(t *testing.T) {
	p := fixture.NewPlant(t, fixture.Open(t, fixture.SQLite(t)))
	l := newLogins(t, p, func(c *operations.Logins) { c.Create, c.Rules = false, nil })
	_, err := l.login(t, operations.LoginStart{}, nil)
	refuses(t, "unknown", err, models.KindDenied)
	if _, err := l.ops.CreateOperator(t.Context(), p.Boss, api.OperatorCreation{Name: "alice", OIDCSubject: "1"}); err != nil {
		t.Fatal(err)
	}
	_, err = l.login(t, operations.LoginStart{}, nil)
	refuses(t, "without a role", err, models.KindDenied)
	if _, err := l.ops.ChangeOperator(t.Context(), p.Boss, "alice", api.OperatorChange{Role: models.RoleApprover}); err != nil {
		t.Fatal(err)
	}
	end, err := l.login(t, operations.LoginStart{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if who := l.who(t, end); who.Name != "alice" || who.Role != models.RoleApprover {
		t.Errorf("%+v", who)
	}
	_, err = l.ops.CreateOperator(t.Context(), p.Boss, api.OperatorCreation{Name: "twin", OIDCSubject: "1"})
	refuses(t, "two operators of one subject", err, models.KindConflict)
}

// TestAnswersThatAreRefused is R07 of the list of attacks, and R08 (fixation).
func TestAnswersThatAreRefused(t *testing.T) {
	p := fixture.NewPlant(t, fixture.Open(t, fixture.SQLite(t)))
	l := newLogins(t, p, nil)
	other, _, err := l.ops.StartLogin(t.Context(), operations.LoginStart{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*operations.LoginAnswer){
		"no cookie":                         func(a *operations.LoginAnswer) { a.Cookie = "" },
		"no state":                          func(a *operations.LoginAnswer) { a.State = "" },
		"another state":                     func(a *operations.LoginAnswer) { a.State = a.State[1:] + "A" },
		"the cookie of another login":       func(a *operations.LoginAnswer) { a.Cookie = other },
		"a cookie that was changed":         func(a *operations.LoginAnswer) { a.Cookie += "A" },
		"a megabyte of cookie":              func(a *operations.LoginAnswer) { a.Cookie = strings.Repeat("A", 1<<20) },
		"no code":                           func(a *operations.LoginAnswer) { a.Code = "" },
		"another code":                      func(a *operations.LoginAnswer) { a.Code = "bad" },
		"an error, and a code all the same": func(a *operations.LoginAnswer) { a.Error = "access_denied" },
		"eleven minutes later":              func(*operations.LoginAnswer) { l.now = l.now.Add(11 * time.Minute) },
	} {
		_, err := l.login(t, operations.LoginStart{}, change)
		refuses(t, name, err, models.KindUnauthenticated)
	}
	none := newLogins(t, p, func(c *operations.Logins) { c.OpenID = nil })
	_, _, err = none.ops.StartLogin(t.Context(), operations.LoginStart{})
	refuses(t, "no provider", err, models.KindNotFound)
	_, err = none.ops.FinishLogin(t.Context(), operations.LoginAnswer{})
	refuses(t, "no provider", err, models.KindNotFound)
}

func TestAProgramCollectsItsSession(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		l := newLogins(t, p, func(c *operations.Logins) { c.Guard = auth.NewGuard(auth.GuardConfig{}) })
		verifier := strings.Repeat("v", 43)
		sum := sha256.Sum256([]byte(verifier))
		start := operations.LoginStart{Redirect: "http://127.0.0.1:1234/callback", State: strings.Repeat("s", 16), Challenge: base64.RawURLEncoding.EncodeToString(sum[:])}
		from := operations.LoginAnswer{Address: "192.0.2.7"}
		code := func() string {
			end, err := l.login(t, start, nil)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(end.Location)
			if err != nil || u.Host != "127.0.0.1:1234" || u.Path != "/callback" || u.Query().Get("state") != start.State || end.Token != "" {
				t.Fatalf("%+v, %v", end, err)
			}
			return u.Query().Get("code")
		}
		good := code()
		token, err := l.ops.CollectSession(t.Context(), from, good, verifier)
		if err != nil || token.Role != models.RoleAdmin || !token.Session {
			t.Fatalf("%+v, %v", token, err)
		}
		if _, err := l.Auth.Authenticate(t.Context(), auth.Credentials{Bearer: token.Token}); err != nil {
			t.Error(err)
		}
		_, err = l.ops.CollectSession(t.Context(), from, good, verifier)
		refuses(t, "the code again", err, models.KindUnauthenticated)
		stolen := code()
		for _, guess := range []string{"", start.Challenge, verifier} { // the wrong one burns the code
			_, err = l.ops.CollectSession(t.Context(), from, stolen, guess)
			refuses(t, "a stolen code", err, models.KindUnauthenticated)
		}
		late := code()
		l.now = l.now.Add(61 * time.Second)
		_, err = l.ops.CollectSession(t.Context(), from, late, verifier)
		refuses(t, "a code that is late", err, models.KindUnauthenticated)
		_, err = l.Auth.Authenticate(t.Context(), auth.Credentials{Bearer: late})
		refuses(t, "a code as a token", err, models.KindUnauthenticated)
	})
}
