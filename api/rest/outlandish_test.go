// SPDX-License-Identifier: MIT

package rest

import (
	"net/http"
	"testing"

	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestOutlandishNames asks for what no database can hold.
func TestOutlandishNames(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		for path, want := range map[string]int{
			"/devices/press": http.StatusNotFound,

			"/devices/%00":               http.StatusBadRequest,
			"/devices/a%FFb":             http.StatusBadRequest,
			"/domains/%00":               http.StatusBadRequest,
			"/profiles/%00":              http.StatusBadRequest,
			"/truststores/a%FFb":         http.StatusBadRequest,
			"/devices?domain=%00":        http.StatusBadRequest,
			"/certificates?device=a%FFb": http.StatusBadRequest,
			"/certificates?status=%00":   http.StatusBadRequest,
			"/audit?device=%00":          http.StatusBadRequest,
			"/certificates?serial=%00":   http.StatusBadRequest,
		} {
			if got := w.do(call{method: http.MethodGet, path: path, as: "admin"}); got.Code != want {
				t.Errorf("%s: %d %s, want %d", path, got.Code, got.Body, want)
			}
		}
		device := `{"name":"press","domain":"\u0000","serial_number":"1","onboarding":{"method":"est-password"}}`
		got := w.do(call{method: http.MethodPost, path: "/devices", as: "admin", body: device})
		if got.Code != http.StatusBadRequest && got.Code != http.StatusNotFound {
			t.Errorf("a device in the domain NUL: %d %s", got.Code, got.Body)
		}
	})
}
