// SPDX-License-Identifier: MIT

package ui_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/api/ui"
	"github.com/trustloom/trustloom/models"
)

const (
	goodCode = "7k2m-p0xq-94ht-v6zd"
	password = "correct horse battery"
)

// counter is the other side of the page: it knows one code.
type counter struct {
	asked []operations.Download
	err   error
	name  string
}

func (c *counter) RedeemDownload(_ context.Context, in operations.Download) (*models.DeliveryPackage, error) {
	c.asked = append(c.asked, in)
	switch {
	case c.err != nil:
		return nil, c.err
	case in.Code != goodCode:
		return nil, models.Errorf(models.KindUnauthenticated, "The device name or the code is wrong. You have 2 more tries.")
	}
	return &models.DeliveryPackage{FileName: c.name, MediaType: "application/x-pkcs12", Content: []byte("the key")}, nil
}

// site is the page with its log.
type site struct {
	http.Handler
	*counter
	log *bytes.Buffer
}

func newSite() *site {
	s := &site{counter: &counter{name: "drive-08.p12"}, log: &bytes.Buffer{}}
	s.Handler = ui.New(ui.Config{Downloads: s.counter, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Pause: time.Millisecond,
		Guard: auth.NewGuard(auth.GuardConfig{})})
	return s
}

func form(changes ...string) url.Values {
	v := url.Values{"device": {"drive-08"}, "code": {goodCode}, "format": {"pkcs12"}, "password": {password}, "again": {password}}
	for i := 0; i+1 < len(changes); i += 2 {
		v.Set(changes[i], changes[i+1])
	}
	return v
}

func (s *site) post(v url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://pki.example/download", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *site) get(target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

func TestTheFileComesWithTheRightCode(t *testing.T) {
	s := newSite()
	got := s.post(form("device", " Drive-08 "))
	if got.Code != http.StatusOK || got.Body.String() != "the key" || got.Header().Get("Content-Disposition") != `attachment; filename=drive-08.p12` {
		t.Errorf("got %d %v %q", got.Code, got.Header(), got.Body)
	}
	want := operations.Download{Device: "drive-08", Code: goodCode, Format: models.FormatPKCS12, Password: password, Address: "192.0.2.1"}
	if len(s.asked) != 1 || s.asked[0] != want {
		t.Errorf("asked for %+v", s.asked)
	}
}

func TestEveryAnswerIsHardened(t *testing.T) {
	s := newSite()
	for name, got := range map[string]*httptest.ResponseRecorder{
		"the form": s.get("/download"), "the style sheet": s.get("/download/style.css"), "nothing": s.get("/download/x"),
		"the file": s.post(form()), "a refusal": s.post(form("code", "x")), "a foreign form": s.post(form(), "Sec-Fetch-Site", "cross-site"),
	} {
		h := got.Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" ||
			h.Get("X-Frame-Options") != "DENY" || h.Get("Set-Cookie") != "" {
			t.Errorf("%s: %v", name, h)
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script") {
			t.Errorf("%s: the policy is %q", name, csp)
		}
	}
	page := s.get("/download").Body.String()
	for _, never := range []string{"<script", "style=", "onclick", "http://", "https://"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q in it", never)
		}
	}
}

// R08: another site cannot spend a device's tries from the browser of somebody
// in the plant.
func TestAForeignFormDoesNothing(t *testing.T) {
	s := newSite()
	for name, header := range map[string][]string{
		"by its fetch metadata": {"Sec-Fetch-Site", "cross-site"}, "from a sibling": {"Sec-Fetch-Site", "same-site"},
		"by its origin": {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, "from nowhere": {"Sec-Fetch-Site", "", "Origin", "null"},
		"from a suffix": {"Sec-Fetch-Site", "", "Origin", "https://pki.example.evil.example"},
	} {
		if got := s.post(form(), header...); got.Code != http.StatusForbidden || len(s.asked) != 0 {
			t.Errorf("%s: %d, asked %v", name, got.Code, s.asked)
		}
	}
}

func TestFormsThatAreRefusedUnread(t *testing.T) {
	twice := form()
	twice.Add("code", "other")
	for name, c := range map[string]struct {
		form   url.Values
		header []string
		says   string
	}{
		"no name":             {form("device", ""), nil, "name of the device"},
		"a name that is none": {form("device", `"><script>alert(1)</script>`), nil, "name of the device"},
		"two passwords":       {form("again", "another one"), nil, "not the same"},
		"a field twice":       {twice, nil, "could not be read"},
		"another media type":  {form(), []string{"Content-Type", "text/plain"}, "use the form"},
		"a JSON body":         {form(), []string{"Content-Type", "application/json"}, "use the form"},
		"more than a form":    {form("code", strings.Repeat("a", 9<<10)), nil, "could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			got := s.post(c.form, c.header...)
			if got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), c.says) || len(s.asked) != 0 {
				t.Errorf("got %d %s, asked %v", got.Code, got.Body, s.asked)
			}
			if strings.Contains(got.Body.String(), "<script") {
				t.Error("the page has the script in it")
			}
		})
	}
}

func TestWhatIsInTheAddressDoesNotCount(t *testing.T) {
	s := newSite()
	r := httptest.NewRequest(http.MethodPost, "/download?"+form().Encode(), http.NoBody)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || len(s.asked) != 0 {
		t.Errorf("a code in the address was taken: %d %v", w.Code, s.asked)
	}
	page := s.get("/download?device=drive-08&code=" + goodCode).Body.String()
	if !strings.Contains(page, `value="drive-08"`) || strings.Contains(page, goodCode) {
		t.Error("the address fills in the name and nothing else")
	}
	if page := s.get(`/download?device=%22%3E%3Cscript%3E`).Body.String(); strings.Contains(page, "<script") {
		t.Error("the address brings a script")
	}
}

func TestErrorsAreSentences(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		says   string
	}{
		"a wrong code":   {nil, 403, "You have 2 more tries."},
		"used already":   {models.Errorf(models.KindConflict, "This was downloaded already."), 409, "downloaded already"},
		"a fault":        {io.ErrUnexpectedEOF, 500, "Your code was not used up"},
		"an outage":      {models.Errorf(models.KindUnavailable, "the database is away"), 503, "Your code was not used up"},
		"too many tries": {models.Errorf(models.KindLimited, "wait").After(30 * time.Second), 429, "wait 31 seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			s.err = c.err
			v := form()
			if c.err == nil {
				v = form("code", "zzzz-zzzz-zzzz-zzzz")
			}
			got := s.post(v)
			if got.Code != c.status || !strings.Contains(got.Body.String(), c.says) || !strings.Contains(got.Body.String(), `role="alert"`) {
				t.Errorf("got %d\n%s", got.Code, got.Body)
			}
			for _, secret := range []string{goodCode, "zzzz", password} {
				if strings.Contains(s.log.String(), secret) || strings.Contains(got.Body.String(), `"`+secret) {
					t.Errorf("%q is in the log or on the page", secret)
				}
			}
		})
	}
}

func TestWhoGuessesIsSlowedDown(t *testing.T) {
	s := newSite()
	for range 10 {
		s.post(form("code", "zzzz-zzzz-zzzz-zzzz"))
	}
	asked := len(s.asked)
	if got := s.post(form()); got.Code != http.StatusTooManyRequests || got.Header().Get("Retry-After") == "" || len(s.asked) != asked {
		t.Errorf("after ten wrong codes: %d", got.Code)
	}
	if got := s.post(form("device", "drive-09")); got.Code != http.StatusOK {
		t.Errorf("another device at the same address: %d", got.Code)
	}
}

func TestOtherMethods(t *testing.T) {
	s := newSite()
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, "/download", nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}
