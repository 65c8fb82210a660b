// SPDX-License-Identifier: MIT

package rest

import (
	"encoding/json/v2"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
)

// The cookies. The prefix makes browsers take them from this host over TLS
// only, so that no neighbour can plant one.
const (
	sessionCookie = "__Host-trustloom-session"
	loginCookie   = "__Host-trustloom-login"
)

// LoginPath is where a login begins, and CallbackPath where the OpenID
// provider sends the browser back to.
const (
	LoginPath    = BasePath + "/login"
	CallbackPath = LoginPath + "/callback"
)

// serveLogin adds what browsers and programs log in by. These are no
// operations of the document: they are asked by browsers, with redirects.
func (s *surface) serveLogin() {
	s.engine.GET(LoginPath, s.startLogin)
	s.engine.GET(CallbackPath, s.finishLogin)
	s.engine.POST(LoginPath+"/session", s.collectSession)
}

func (s *surface) startLogin(c *gin.Context) {
	query, err := checkNames(c, "return", "redirect", "challenge", "state")
	if err != nil {
		s.fail(c, err)
		return
	}
	start := operations.LoginStart{Return: query.Get("return"), Redirect: query.Get("redirect"), Challenge: query.Get("challenge"), State: query.Get("state")}
	cookie, address, err := s.ops.StartLogin(c.Request.Context(), start)
	if err != nil {
		s.fail(c, err)
		return
	}
	// Lax: the browser comes back from another site.
	setCookie(c, &http.Cookie{Name: loginCookie, Value: cookie, MaxAge: 600, SameSite: http.SameSiteLaxMode})
	c.Header("Referrer-Policy", "no-referrer")
	c.Redirect(http.StatusSeeOther, address)
}

func setCookie(c *gin.Context, cookie *http.Cookie) {
	cookie.Path, cookie.Secure, cookie.HttpOnly = "/", true, true
	http.SetCookie(c.Writer, cookie)
}

// checkNames reads a query that has no parameter twice. Others than those
// named are refused.
func checkNames(c *gin.Context, names ...string) (url.Values, error) {
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return nil, models.Errorf(models.KindInvalid, "the query of the URL is malformed").Because(err)
	}
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
	}
	for name, values := range query {
		if !known[name] || len(values) > 1 {
			return nil, models.Errorf(models.KindInvalid, "query parameter %q is not known here, or given twice", printable(name))
		}
	}
	return query, nil
}

var errorCodes = regexp.MustCompile(`^[a-z_]{1,64}$`)

func (s *surface) finishLogin(c *gin.Context) {
	setCookie(c, &http.Cookie{Name: loginCookie, MaxAge: -1, SameSite: http.SameSiteLaxMode}) // good once
	c.Header("Referrer-Policy", "no-referrer")
	answer, err := s.loginAnswer(c)
	if err != nil {
		s.fail(c, err)
		return
	}
	end, err := s.ops.FinishLogin(c.Request.Context(), answer)
	if err != nil {
		s.fail(c, err)
		return
	}
	if end.Token != "" {
		setCookie(c, &http.Cookie{Name: sessionCookie, Value: end.Token, Expires: end.ExpiresAt, SameSite: http.SameSiteLaxMode})
	}
	c.Redirect(http.StatusSeeOther, end.Location)
}

// loginAnswer reads what a browser brings back. Providers may add parameters,
// such as session_state; those that count must not be there twice.
func (s *surface) loginAnswer(c *gin.Context) (operations.LoginAnswer, error) {
	answer := operations.LoginAnswer{Address: c.RemoteIP(), RequestID: c.GetString(requestIDKey)}
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil || len(c.Request.URL.RawQuery) > 16<<10 {
		return answer, models.Errorf(models.KindInvalid, "the query of the URL is malformed").Because(err)
	}
	for name, into := range map[string]*string{
		"state": &answer.State, "code": &answer.Code, "iss": &answer.Issuer, "error": &answer.Error, "error_description": &answer.Description,
	} {
		if len(query[name]) > 1 {
			return answer, models.Errorf(models.KindInvalid, "query parameter %s is given more than once", name)
		}
		*into = query.Get(name)
	}
	if answer.Error != "" && !errorCodes.MatchString(answer.Error) {
		answer.Error = "other"
	}
	answer.Description = printable(answer.Description)
	if cookies := c.Request.CookiesNamed(loginCookie); len(cookies) == 1 {
		answer.Cookie = cookies[0].Value
	}
	return answer, nil
}

func (s *surface) collectSession(c *gin.Context) {
	var in api.SessionCollection
	body, err := readBody(c.Request)
	if err == nil {
		err = checkMediaType(c.Request)
	}
	if err == nil {
		err = decodeBody(body, &in)
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	from := operations.LoginAnswer{Address: c.RemoteIP(), RequestID: c.GetString(requestIDKey)}
	token, err := s.ops.CollectSession(c.Request.Context(), from, in.Code, in.Verifier)
	if err != nil {
		s.fail(c, err)
		return
	}
	answer, err := json.Marshal(token, json.Deterministic(true))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Data(http.StatusCreated, mediaJSON, answer)
}

// session returns the session in a request's cookie. One that would change
// something has to come from a page of this server: a browser sends cookies
// for other sites' pages, too. It is KindDenied otherwise.
func session(r *http.Request) (string, error) {
	cookies := r.CookiesNamed(sessionCookie)
	if len(cookies) != 1 || cookies[0].Value == "" {
		return "", nil
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return cookies[0].Value, nil
	}
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if site == "" && origin == "" || site != "" && site != "same-origin" || origin != "" && origin != "https://"+r.Host {
		return "", models.Errorf(models.KindDenied, "a session of a browser changes things from pages of this server only")
	}
	return cookies[0].Value, nil
}

// forget ends the cookie of a session that ended.
func forget(c *gin.Context) {
	setCookie(c, &http.Cookie{Name: sessionCookie, MaxAge: -1, Expires: time.Unix(1, 0), SameSite: http.SameSiteLaxMode})
}
