// SPDX-License-Identifier: MIT

package api_test

import (
	"context"
	"encoding/json/v2"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// against returns a client of a server that answers by a function.
func against(t *testing.T, answer http.HandlerFunc) *api.Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := api.NewClient(api.Config{URL: server.URL + "/", Token: "tl_secret"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACopyHasTheSameIdempotencyKey(t *testing.T) {
	var keys, bodies []string
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // an error leaves the body short, which the test sees
		keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(body))
		if len(keys) < 3 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, `{"name":"x"}`) //nolint:errcheck // the client notices
	})
	d, err := c.CreateDomain(t.Context(), api.DomainCreation{Name: "x", IssuingCA: "y"})
	if err != nil || d.Name != "x" {
		t.Fatal(d, err)
	}
	if len(keys) != 3 || keys[0] == "" || keys[0] != keys[1] || keys[1] != keys[2] || bodies[0] != `{"name":"x","issuing_ca":"y"}` || bodies[2] != bodies[0] {
		t.Errorf("keys %q, bodies %q", keys, bodies)
	}
}

func TestWhatIsRepeatedAfterABrokenConnection(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*api.Client, context.Context) error
		want int
	}{
		"GET":    {func(c *api.Client, ctx context.Context) error { _, err := c.FindCA(ctx, "x"); return err }, 3},
		"POST":   {func(c *api.Client, ctx context.Context) error { _, err := c.SuspendDevice(ctx, "x"); return err }, 3},
		"DELETE": {func(c *api.Client, ctx context.Context) error { return c.RevokeToken(ctx, "x") }, 1},
		"PATCH": {func(c *api.Client, ctx context.Context) error {
			_, err := c.ChangeDomain(ctx, "x", api.DomainChange{})
			return err
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			client := against(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Content-Length", "100") // and less is sent
				io.WriteString(w, "{")                  //nolint:errcheck // the client notices
			})
			if err := c.do(client, t.Context()); err == nil || calls != c.want {
				t.Errorf("%d calls, error %v", calls, err)
			}
		})
	}
}

func TestAnswersThatAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		media  string
		body   string
		want   string
	}{
		"a problem":                  {404, "application/problem+json", `{"detail":"there is no CA x","request_id":"r1","later":1}`, "there is no CA x (request r1)"},
		"a problem without detail":   {409, "application/problem+json", `{"title":"conflict"}`, "conflict"},
		"a problem that says little": {409, "application/problem+json", `{}`, "status 409"},
		"a page of a proxy":          {502, "text/html", "<h1>Bad Gateway</h1>", "without saying why"},
		"a redirect":                 {302, "text/html", "", "without saying why"},
		"a success that is not JSON": {200, "text/html", "<h1>Welcome</h1>", "read the answer of GET /cas/x"},
		"a success without end":      {200, "application/json", strings.Repeat(" ", 17<<20), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			client := against(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.media)
				w.Header().Set("Location", "https://elsewhere.example/")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body) //nolint:errcheck // the client notices
			})
			_, err := client.FindCA(t.Context(), "x")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "tl_secret") {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if p := new(api.Problem); c.status >= 300 && (!errors.As(err, &p) || p.Status != c.status) {
				t.Errorf("problem %+v", p)
			}
		})
	}
}

func TestAListIsFollowedToItsEnd(t *testing.T) {
	var queries []string
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		n, _ := strconv.Atoi(r.URL.Query().Get("cursor")) // 0 for the first page
		next := ""
		if n < 2 {
			next = strconv.Itoa(n + 1)
		}
		data, err := json.Marshal(api.Page[api.Certificate]{Items: []api.Certificate{{Serial: strconv.Itoa(n)}}, NextCursor: next})
		if err != nil {
			t.Error(err)
		}
		w.Write(data) //nolint:errcheck // the client notices
	})
	var got []string
	for item, err := range c.AllCertificates(t.Context(), api.CertificateFilter{Device: "a b", ExpiresBefore: time.Date(2027, 1, 1, 1, 0, 0, 0, time.FixedZone("x", 3600))}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, item.Serial)
	}
	if !cmp.Equal(got, []string{"0", "1", "2"}) || queries[0] != "device=a+b&expires_before=2027-01-01T00%3A00%3A00Z&limit=200" {
		t.Errorf("items %q, queries %q", got, queries)
	}
}

func TestAnEndlessListEnds(t *testing.T) {
	pages := 0
	for _, err := range api.Collect(func(string) (*api.Page[int], error) { pages++; return &api.Page[int]{NextCursor: "same"}, nil }) {
		t.Fatal(err)
	}
	if pages != 2 {
		t.Errorf("%d pages", pages)
	}
	failure := errors.New("no")
	for _, err := range api.Collect(func(string) (*api.Page[int], error) { return nil, failure }) {
		if !errors.Is(err, failure) {
			t.Error(err)
		}
	}
}

func TestClientsThatCannotBe(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]api.Config{
		"no URL": {}, "no scheme": {URL: "127.0.0.1:8443"}, "another scheme": {URL: "ftp://x"}, "no host": {URL: "https://"},
		"no CA file": {URL: "https://x", CAFile: empty + "2"}, "an empty CA file": {URL: "https://x", CAFile: empty},
	} {
		if _, err := api.NewClient(cfg); models.KindOf(err) != models.KindInvalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAServerOfAForeignCAIsNotSpokenTo(t *testing.T) {
	calls := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	c, err := api.NewClient(api.Config{URL: server.URL, Token: "tl_secret"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.FindCA(t.Context(), "x"); err == nil || calls != 0 {
		t.Errorf("error %v after %d calls", err, calls)
	}
}

func TestAChangeOfARuleSaysWhatItMeans(t *testing.T) {
	rule := &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "a", Quorum: 1}}, Deadline: models.Duration(time.Hour)}
	for want, change := range map[string]api.DomainChange{
		`{}`:                            {},
		`{"approval":{"renewal":null}}`: {Approval: api.PolicyChange{Renewal: api.SetRule(nil)}},
		`{"approval":{"renewal":{"steps":[{"name":"a","quorum":1}],"deadline":"1h"}}}`: {Approval: api.PolicyChange{Renewal: api.SetRule(rule)}},
	} {
		got, err := json.Marshal(change)
		if err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
		var back api.DomainChange
		if err := json.Unmarshal(got, &back); err != nil || !cmp.Equal(back, change) {
			t.Errorf("%s became %+v, %v", got, back, err)
		}
	}
}
