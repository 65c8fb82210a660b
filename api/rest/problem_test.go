// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
)

func TestEveryKindHasAProblem(t *testing.T) {
	statuses := map[models.Kind]int{
		models.KindInvalid: 400, models.KindUnauthenticated: 401, models.KindDenied: 403, models.KindNotFound: 404,
		models.KindConflict: 409, models.KindLimited: 429, models.KindUnavailable: 503, models.KindInternal: 500,
	}
	for _, kind := range models.Kinds {
		p := problemOf(models.Errorf(kind, "what to do").Because(errors.New("password hunter2")))
		if p.Status != statuses[kind] || p.Kind != kind.String() || p.Title == "" || !strings.HasPrefix(p.Type, problemSpace) {
			t.Errorf("%s: %+v", kind, p)
		}
		if strings.Contains(p.Detail, "hunter2") || (kind != models.KindInternal) != (p.Detail == "what to do") {
			t.Errorf("%s: detail %q", kind, p.Detail)
		}
		if retry := kind == models.KindLimited || kind == models.KindUnavailable; retry != (p.RetryAfter == 5) {
			t.Errorf("%s: retry after %d", kind, p.RetryAfter)
		}
	}
	if p := problemOf(models.Errorf(models.KindLimited, "x").After(1200 * time.Millisecond)); p.RetryAfter != 2 {
		t.Errorf("seconds are rounded up: %d", p.RetryAfter)
	}
	for _, err := range []error{errors.New("dsn postgres://secret"), models.Errorf(models.Kind(99), "secret")} {
		if p := problemOf(err); p.Status != 500 || p.Kind != "Internal" || strings.Contains(p.Detail, "secret") && models.KindOf(err) == models.KindInternal {
			t.Errorf("%v: %+v", err, p)
		}
	}
}

// failing recognises everybody and lets a route fail in a chosen way.
type failing struct{}

func (failing) Authenticate(context.Context, auth.Credentials) (auth.Principal, error) {
	return auth.Principal{Role: models.RoleAdmin, Name: "admin"}, nil
}

func failingSurface(w *world, fault func() error) *surface {
	s := newSurface(Config{Authenticator: failing{}, Operations: w.Ops, Logger: nil})
	route(s, operation{id: "Fail", method: http.MethodGet, path: "/fail", permission: auth.ReadCAs, status: 200},
		func(context.Context, operations.Caller, *none) (*api.CA, error) { return nil, fault() })
	return s
}

func TestAFailureIsAProblemWithTheRequestID(t *testing.T) {
	w := small(t)
	for name, c := range map[string]struct {
		fault  func() error
		id     string
		status int
		header string
	}{
		"an error":                 {func() error { return models.Errorf(models.KindUnavailable, "later").After(time.Minute) }, "abc-1", 503, "60"},
		"a panic":                  {func() error { panic("secret") }, "abc-2", 500, ""},
		"an ID with a line break":  {func() error { return errors.New("x") }, "a\nb", 500, ""},
		"an ID that is too long":   {func() error { return errors.New("x") }, strings.Repeat("a", 65), 500, ""},
		"an ID that is not a word": {func() error { return errors.New("x") }, "<script>", 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, BasePath+"/fail", nil)
			r.Header.Set(requestIDHeader, c.id)
			a := httptest.NewRecorder()
			failingSurface(w, c.fault).engine.ServeHTTP(a, r)
			id := a.Header().Get(requestIDHeader)
			if a.Code != c.status || a.Header().Get("Content-Type") != problemType || text(a, "request_id") != id || a.Header().Get("Retry-After") != c.header {
				t.Errorf("answer %d %v %s", a.Code, a.Header(), a.Body)
			}
			if kept := id == c.id; kept != requestIDs.MatchString(c.id) || !requestIDs.MatchString(id) {
				t.Errorf("request ID %q became %q", c.id, id)
			}
		})
	}
}

func TestTheLogHasNoSecretAndNothingTheCallerChose(t *testing.T) {
	w := small(t)
	a := w.do(press)
	secret := text(a, "onboarding", "secret")
	w.do(call{as: "admin", method: "GET", path: "/devices/look%0Ahere?state=planted"})
	w.do(call{method: "GET", path: "/nothing/planted"})
	lines := w.log.String()
	for _, word := range []string{secret, w.tokens["admin"], "planted", "look"} {
		if word == "" || strings.Contains(strings.ReplaceAll(lines, `"error"`, ""), `"`+word) {
			t.Errorf("the log has %q:\n%s", word, lines)
		}
	}
	if !regexp.MustCompile(`"method":"POST","route":"/api/v1/devices","status":201,"duration":[0-9]+,"request_id":"[^"]+","principal":"admin/admin","address":"192.0.2.1"`).MatchString(lines) {
		t.Errorf("no access line for the creation:\n%s", lines)
	}
}

func TestWhoMayBeBelievedAboutAddresses(t *testing.T) {
	w := small(t)
	c := press
	c.header = http.Header{"X-Forwarded-For": {"203.0.113.9"}, "Forwarded": {"for=203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"}}
	w.do(c)
	w.expect(t, exchange{call: call{as: "admin", method: "GET", path: "/audit?action=device.registered"}, status: 200,
		with: []string{"192.0.2.1"}, without: []string{"203.0.113.9"}})
}

func TestOneAuthorizationHeaderOfTheRightScheme(t *testing.T) {
	w := small(t)
	good := "Bearer " + w.tokens["admin"]
	for name, c := range map[string]struct {
		values []string
		status int
	}{
		"the scheme has no case": {[]string{"bearer " + w.tokens["admin"]}, 200},
		"none":                   {nil, 401},
		"two":                    {[]string{good, good}, 401},
		"another scheme":         {[]string{"Basic " + w.tokens["admin"]}, 401},
		"no scheme":              {[]string{w.tokens["admin"]}, 401},
		"a token and more":       {[]string{good + " x"}, 401},
		"a megabyte of dots":     {[]string{"Bearer " + strings.Repeat(".", 1<<20)}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.do(call{method: "GET", path: "/cas", header: http.Header{"Authorization": c.values}}); a.Code != c.status {
				t.Errorf("status %d, want %d", a.Code, c.status)
			}
		})
	}
}
