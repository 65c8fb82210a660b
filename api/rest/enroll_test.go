// SPDX-License-Identifier: MIT

package rest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func TestTheRouteForDevices(t *testing.T) {
	issued := &api.Enrollment{Certificate: "-----BEGIN CERTIFICATE-----\n", Chain: "-----BEGIN CERTIFICATE-----\n"}
	says := func(got *api.Enrollment, wait time.Duration, err error) Enroll {
		return func(*http.Request, string, string, string) (*api.Enrollment, time.Duration, error) {
			return got, wait, err
		}
	}
	const body = `{"csr":"x"}`
	tests := map[string]struct {
		enroll  Enroll
		path    string
		body    string
		media   string
		status  int
		header  map[string]string
		saying  string
		private string // must not be in the answer
	}{
		"a certificate": {enroll: says(issued, 0, nil), body: body, status: 200, saying: `"certificate":"-----BEGIN CERTIFICATE-----\n"`,
			header: map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"}},
		"a wait": {enroll: says(nil, 4100*time.Millisecond, nil), body: body, status: 202, header: map[string]string{"Retry-After": "5"}, saying: `"retry_after":5`},
		"no proof": {enroll: says(nil, 0, models.Errorf(models.KindUnauthenticated, "who are you?")), body: body, status: 401, saying: "who are you?",
			header: map[string]string{"WWW-Authenticate": `Basic realm="trustloom enroll", charset="UTF-8"`, "Content-Type": "application/problem+json"}},
		"too many tries":         {enroll: says(nil, 0, models.Errorf(models.KindLimited, "slowly").After(time.Minute)), body: body, status: 429, header: map[string]string{"Retry-After": "60"}},
		"a fault":                {enroll: says(nil, 0, models.Errorf(models.KindInternal, "broken").Because(http.ErrAbortHandler)), body: body, status: 500, private: "abort"},
		"no body":                {enroll: says(issued, 0, nil), body: "", status: 400, saying: "the body"},
		"an unknown member":      {enroll: says(issued, 0, nil), body: `{"csr":"x","ca":true}`, status: 400, saying: "not a known member"},
		"a form":                 {enroll: says(issued, 0, nil), body: body, media: "text/plain", status: 400, saying: "application/json"},
		"a query":                {enroll: says(issued, 0, nil), path: "/enroll/press-shop/generic?profile=x", body: body, status: 400},
		"a path without profile": {enroll: says(issued, 0, nil), path: "/enroll/press-shop", body: body, status: 404},
		"no door":                {body: body, status: 404, saying: "devices are not enrolled here"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, BasePath+orElse(tt.path, "/enroll/press-shop/domain_credential"), strings.NewReader(tt.body))
			r.Header.Set("Content-Type", orElse(tt.media, "application/json"))
			a := httptest.NewRecorder()
			New(Config{Enroll: tt.enroll}).ServeHTTP(a, r)
			if a.Code != tt.status || !strings.Contains(a.Body.String(), tt.saying) || tt.private != "" && strings.Contains(a.Body.String(), tt.private) {
				t.Errorf("status %d, want %d: %s", a.Code, tt.status, a.Body)
			}
			for key, want := range tt.header {
				if got := a.Header().Get(key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
		})
	}
}

func TestTheDoorForDevicesGetsWhatWasSent(t *testing.T) {
	var got []string
	door := func(r *http.Request, domain, profile, csr string) (*api.Enrollment, time.Duration, error) {
		username, _, _ := r.BasicAuth()
		got = []string{domain, profile, csr, username}
		return &api.Enrollment{}, 0, nil
	}
	r := httptest.NewRequest(http.MethodPost, BasePath+"/enroll/press-shop/tls%5Fserver", strings.NewReader(`{"csr":"a\nb"}`))
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("press-01", "secret")
	New(Config{Enroll: door}).ServeHTTP(httptest.NewRecorder(), r)
	if strings.Join(got, "|") != "press-shop|tls_server|a\nb|press-01" {
		t.Errorf("%q", got)
	}
}
