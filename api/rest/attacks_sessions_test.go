// SPDX-License-Identifier: MIT

package rest

import (
	"crypto/x509"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestForeignPagesChangeNothing is R08: a browser sends the cookie of a session
// for pages of others, too.
func TestForeignPagesChangeNothing(t *testing.T) {
	w := small(t)
	cookie := sessionCookie + "=" + w.Session(t, "sina", models.RoleAdmin)
	own, site, origin := "https://example.com", "Sec-Fetch-Site", "Origin" // the host of httptest
	create := call{method: http.MethodPost, path: "/devices", body: press.body}
	for what, c := range map[string]struct {
		header http.Header
		status int
	}{
		"from nowhere":                            {http.Header{}, 403},
		"from another site":                       {http.Header{site: {"cross-site"}}, 403},
		"from another host of the site":           {http.Header{site: {"same-site"}}, 403},
		"typed in":                                {http.Header{site: {"none"}}, 403},
		"from another origin":                     {http.Header{origin: {"https://evil.example"}}, 403},
		"from an origin that begins like ours":    {http.Header{origin: {own + ".evil.example"}}, 403},
		"from an origin that ends like ours":      {http.Header{origin: {"https://evil" + own[len("https://"):]}}, 403},
		"from ours without TLS":                   {http.Header{origin: {"http://example.com"}}, 403},
		"from another port of ours":               {http.Header{origin: {own + ":8443"}}, 403},
		"from a file":                             {http.Header{origin: {"null"}}, 403},
		"from two sites at once":                  {http.Header{site: {"same-origin"}, origin: {"https://evil.example"}}, 403},
		"from ours, by an origin that is foreign": {http.Header{site: {"cross-site"}, origin: {own}}, 403},
		"from ours, twice":                        {http.Header{"Cookie": {cookie + "; " + cookie}, origin: {own}}, 401},
		"with a token for a session":              {http.Header{"Cookie": {sessionCookie + "=" + w.tokens["admin"]}, origin: {own}}, 401},
		"with a cookie that anybody could plant":  {http.Header{"Cookie": {strings.TrimPrefix(cookie, "__Host-")}, origin: {own}}, 401},
		"with a token beside it":                  {http.Header{"Authorization": {"Bearer " + w.tokens["admin"]}, origin: {own}}, 400},
	} {
		t.Run(what, func(t *testing.T) {
			ours := create
			ours.header = http.Header{"Cookie": {cookie}}
			maps.Copy(ours.header, c.header)
			before := w.recorded(t)
			if a := w.do(ours); a.Code != c.status || w.recorded(t) != before {
				t.Errorf("status %d, want %d; %s became %s: %s", a.Code, c.status, before, w.recorded(t), a.Body)
			}
		})
	}
	create.header = http.Header{"Cookie": {cookie}, origin: {own}}
	if a := w.doWith(create, w.card(t, models.RoleAdmin)); a.Code != http.StatusBadRequest {
		t.Errorf("with a smart card beside it: status %d: %s", a.Code, a.Body)
	}
	for _, op := range declared() {
		if op.method == http.MethodGet {
			continue
		}
		foreign := call{method: op.method, path: pathTo(op), body: bodies[op.id], header: http.Header{"Cookie": {cookie}, site: {"cross-site"}}}
		if a := w.do(foreign); a.Code != http.StatusForbidden {
			t.Errorf("%s from another site: status %d", op.id, a.Code)
		}
	}
	if a := w.do(create); a.Code != http.StatusCreated { // or the test would prove nothing
		t.Errorf("from a page of ours: status %d: %s", a.Code, a.Body)
	}
}

// TestNobodyElsesPagesReadAnswers is R08: no route gives a page of another
// origin leave, by no name that it may have.
func TestNobodyElsesPagesReadAnswers(t *testing.T) {
	w := small(t)
	for _, origin := range []string{"https://evil.example", "https://example.com", "null", "https://example.com.evil.example"} {
		for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodPost} {
			a := w.do(call{as: "admin", method: method, path: "/cas", header: http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}}})
			for name := range a.Header() {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s from %s: %s is %q", method, origin, name, a.Header()[name])
				}
			}
		}
	}
}

// TestNobodyIsBelievedTheirCertificate is E07 for people: a certificate counts
// if the connection has it, not if a header says so.
func TestNobodyIsBelievedTheirCertificate(t *testing.T) {
	w := small(t)
	card := w.card(t, models.RoleAdmin)
	if a := w.doWith(call{method: http.MethodGet, path: "/session"}, card); a.Code != http.StatusOK {
		t.Fatalf("the card itself: status %d: %s", a.Code, a.Body)
	}
	text := pemOf(card)
	for _, name := range []string{"X-SSL-Client-Cert", "X-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert", "x_ssl_client_cert", "SSL_CLIENT_CERT", "X-ARR-ClientCert", "X-Remote-User", "Remote-User"} {
		if a := w.do(call{method: http.MethodGet, path: "/session", header: http.Header{name: {text}}}); a.Code != http.StatusUnauthorized {
			t.Errorf("%s: status %d: %s", name, a.Code, a.Body)
		}
	}
}

func pemOf(c *x509.Certificate) string { return strings.ReplaceAll(fixture.PEM(c), "\n", "%0A") }

// TestFilesAreNamedPlainly is R12: what a file is called is safe in a header
// and on any disk.
func TestFilesAreNamedPlainly(t *testing.T) {
	w := small(t)
	for _, path := range []string{"/cas/alpha-ca/bundle", "/truststores/alpha-truststore/content", "/truststores/alpha-truststore/content?format=pkcs7"} {
		a := w.do(call{as: "admin", method: http.MethodGet, path: path})
		if got := a.Header().Get("Content-Disposition"); a.Code != http.StatusOK || !plainAttachment.MatchString(got) {
			t.Errorf("%s: status %d, %q", path, a.Code, got)
		}
	}
	for _, name := range []string{`a";x="b`, "../../etc/passwd", "a\r\nSet-Cookie: x=y", "con.", "-rf", strings.Repeat("a", 300), "ä", "a/b", ".hidden", ""} {
		body, err := json.Marshal(map[string]string{"name": name, "pem": fixture.PEM(w.Cards.CA)})
		if err != nil {
			t.Fatal(err)
		}
		if a := w.do(call{as: "admin", method: http.MethodPost, path: "/truststores", body: string(body)}); a.Code != http.StatusBadRequest {
			t.Errorf("a truststore %q: status %d: %s", name, a.Code, a.Body)
		}
	}
}

var plainAttachment = regexp.MustCompile(`^attachment; filename="[a-z0-9][a-z0-9._-]*"$`)

// TestQuestionsOfLoginsAreRead is R07 for what a browser brings: nothing twice,
// nothing unknown, and nothing of it is an answer's or a log's to repeat.
func TestQuestionsOfLoginsAreRead(t *testing.T) {
	w := small(t)
	for path, status := range map[string]int{
		"/login?return=/&return=//evil.example":                    400,
		"/login?next=https://evil.example":                         400,
		"/login?return=%zz":                                        400,
		"/login":                                                   404, // there is no provider here
		"/login/callback?state=a&state=b":                          400,
		"/login/callback?code=a&code=b":                            400,
		"/login/callback?iss=a&iss=b":                              400,
		"/login/callback?x=" + strings.Repeat("a", 17<<10):         400,
		"/login/callback?error=%3Cscript%3E&error_description=%zz": 400,
		"/login/callback?error=%3Cscript%3Eplanted":                404,
	} {
		w.log.Reset()
		a := w.do(call{method: http.MethodGet, path: path})
		if a.Code != status || a.Header().Get("Location") != "" || strings.Contains(a.Body.String(), "<script>") || strings.Contains(w.log.String(), "planted") {
			t.Errorf("%.60s: status %d, want %d, to %q: %s\n%s", path, a.Code, status, a.Header().Get("Location"), a.Body, w.log)
		}
		if policy := a.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%.60s: headers %v", path, a.Header())
		}
	}
}
