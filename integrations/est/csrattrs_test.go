// SPDX-License-Identifier: MIT

package est

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestTheClientAsksWhatIsWanted(t *testing.T) {
	server := serve(t, newPlant())
	for profile, want := range map[string]pki.CSRAttrs{"": wanted, "domain_credential": {}} {
		got, err := newClient(t, ClientConfig{URL: server.URL, Roots: trust(server), Label: Label{Domain: "press-shop", Profile: profile}}).CSRAttrs(t.Context())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", profile, err, diff)
		}
	}
}

func TestAnswersToCSRAttrsOfOtherServers(t *testing.T) {
	tests := map[string]struct {
		status int
		media  string
		body   string
		want   pki.CSRAttrs
		kind   models.Kind
	}{
		"204":                   {204, "", "", pki.CSRAttrs{}, 0},
		"404":                   {404, "text/plain", "no", pki.CSRAttrs{}, 0},
		"an empty sequence":     {200, "application/csrattrs", "MAA=\r\n", pki.CSRAttrs{}, 0},
		"an empty one in DER":   {200, "application/csrattrs", "0\x00", pki.CSRAttrs{}, 0},
		"RFC 9908, section 5.4": {200, "application/csrattrs", "MCkGCSqGSIb3DQEJBzARBgkqhkiG9w0BAQExBAIC\nEAAGCSqGSIb3DQEBCw==", pki.CSRAttrs{ChallengePassword: true, Key: models.RSA4096}, 0},
		"another type":          {200, "text/html", "MAA=", pki.CSRAttrs{}, models.KindUnavailable},
		"garbage":               {200, "application/csrattrs", "<html>", pki.CSRAttrs{}, models.KindUnavailable},
		"an endless answer":     {200, "application/csrattrs", strings.Repeat("A", maxAnswer+1), pki.CSRAttrs{}, models.KindUnavailable},
		"401":                   {401, "text/plain", "who are you?", pki.CSRAttrs{}, models.KindUnauthenticated},
		"503":                   {503, "text/plain", "later", pki.CSRAttrs{}, models.KindUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.media)
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			got, err := newClient(t, ClientConfig{URL: server.URL, Roots: trust(server)}).CSRAttrs(t.Context())
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil && models.KindOf(err) != tt.kind || err == nil && tt.kind != 0 {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}
