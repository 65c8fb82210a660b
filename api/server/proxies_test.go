// SPDX-License-Identifier: MIT

package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheAddressOfTheClient(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/24", "2001:db8::7"})
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"a stranger who claims to forward":         {"192.0.2.7:1000", []string{"198.51.100.1"}, "192.0.2.7:1000"},
		"a stranger who claims to be the proxy":    {"192.0.2.7:1000", []string{"10.0.0.5"}, "192.0.2.7:1000"},
		"a proxy that says nothing":                {"10.0.0.5:1000", nil, "10.0.0.5:1000"},
		"a proxy":                                  {"10.0.0.5:1000", []string{"198.51.100.1"}, "198.51.100.1:0"},
		"a proxy behind a mapped address":          {"[::ffff:10.0.0.5]:1000", []string{"198.51.100.1"}, "198.51.100.1:0"},
		"a proxy of the newer protocol":            {"[2001:db8::7]:1000", []string{"2001:db8:1::1"}, "[2001:db8:1::1]:0"},
		"what the client invented before it":       {"10.0.0.5:1000", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1:0"},
		"the same in a header of its own":          {"10.0.0.5:1000", []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1:0"},
		"two proxies":                              {"10.0.0.5:1000", []string{"203.0.113.9, 198.51.100.1, 10.0.0.9"}, "198.51.100.1:0"},
		"nothing but proxies":                      {"10.0.0.5:1000", []string{"10.0.0.9"}, "10.0.0.5:1000"},
		"no address":                               {"10.0.0.5:1000", []string{"unknown"}, "10.0.0.5:1000"},
		"no address after one":                     {"10.0.0.5:1000", []string{"198.51.100.1, _hidden"}, "10.0.0.5:1000"},
		"a line break":                             {"10.0.0.5:1000", []string{"198.51.100.1\r\nX: y"}, "10.0.0.5:1000"},
		"a zone":                                   {"10.0.0.5:1000", []string{"fe80::1%eth0"}, "[fe80::1]:0"},
		"more hops than are read, all of them own": {"10.0.0.5:1000", []string{"198.51.100.1" + strings.Repeat(", 10.0.0.9", 20)}, "10.0.0.5:1000"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = x.peer
			r.Header["X-Forwarded-For"] = x.forwarded
			r.Header.Set("Forwarded", "for=203.0.113.66")
			proxies.handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.RemoteAddr != x.want || r.Header.Get("X-Forwarded-For")+r.Header.Get("Forwarded") != "" {
					t.Errorf("address %s, want %s; headers %v", r.RemoteAddr, x.want, r.Header)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		})
	}
}

func TestProxiesThatAreNone(t *testing.T) {
	for _, value := range []string{"", "all", "10.0.0.0/33", "0.0.0.0/0", "::/0", "10.0.0"} {
		if _, err := ParseProxies([]string{value}); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
}
