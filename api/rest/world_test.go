// SPDX-License-Identifier: MIT

package rest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// world is a plant behind its REST API. Every answer, whatever the test is
// about, is compared with what the OpenAPI document says of its route.
type world struct {
	*fixture.Plant
	http.Handler
	log    *bytes.Buffer
	tokens map[string]string // by name

	mu        sync.Mutex
	succeeded map[string]bool // operations, by id
}

func newWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	w := &world{Plant: fixture.NewPlant(t, s), log: &bytes.Buffer{}, tokens: map[string]string{}, succeeded: map[string]bool{}}
	for _, role := range models.Roles {
		w.token(t, string(role), role)
	}
	w.token(t, "alpha-admin", models.RoleAdmin, "alpha")
	logger := slog.New(slog.NewJSONHandler(&synced{buffer: w.log}, nil))
	surface := newSurface(Config{Operations: w.Ops, Authenticator: w.Auth, Logger: logger})
	surface.declare()
	surface.serveLogin()
	surface.serveDocument("")
	w.Handler = w.checked(t, surface)
	return w
}

// synced is a writer for several goroutines.
type synced struct {
	mu     sync.Mutex
	buffer *bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.Write(p)
}

func small(t *testing.T) *world {
	t.Helper()
	return newWorld(t, fixture.Open(t, fixture.SQLite(t)))
}

func (w *world) token(t *testing.T, name string, role models.Role, domains ...string) {
	t.Helper()
	w.tokens[name], _ = w.Token(t, name, role, domains...)
}

// call is a request of a test.
type call struct {
	as     string // name of a token; empty: none
	method string
	path   string // under BasePath, unless it begins with a slash twice
	body   string
	header http.Header
}

func (w *world) do(c call) *httptest.ResponseRecorder { return w.doWith(c) }

// card makes an operator with a role, who has a smart card.
func (w *world) card(t *testing.T, role models.Role) *x509.Certificate {
	t.Helper()
	card := w.Cards.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Card of " + string(role)}}).Leaf
	name := "card-" + string(role)
	_, err := w.Ops.CreateOperator(t.Context(), w.Boss, api.OperatorCreation{Name: name, Role: role})
	if err == nil {
		_, err = w.Ops.AddOperatorCertificate(t.Context(), w.Boss, name, api.OperatorCertificateCreation{PEM: fixture.PEM(card)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// doWith is do over TLS with a client certificate, if one is given.
func (w *world) doWith(c call, certs ...*x509.Certificate) *httptest.ResponseRecorder {
	r := httptest.NewRequest(c.method, BasePath+c.path, strings.NewReader(c.body))
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.as != "" {
		r.Header.Set("Authorization", "Bearer "+w.tokens[c.as])
	}
	maps.Copy(r.Header, c.header)
	if len(certs) > 0 {
		r.TLS = &tls.ConnectionState{PeerCertificates: certs}
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer
}

// checked compares each answer with the document.
func (w *world) checked(t *testing.T, s *surface) http.Handler {
	doc := s.document("")
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		s.engine.ServeHTTP(recorder, r)
		if e := endpointFor(doc, r); e != nil {
			if recorder.Code < 300 {
				w.mu.Lock()
				w.succeeded[e.OperationID] = true
				w.mu.Unlock()
			}
			checkAnswer(t, doc, e, recorder)
		}
		maps.Copy(out.Header(), recorder.Header())
		out.WriteHeader(recorder.Code)
		io.Copy(out, recorder.Body) //nolint:errcheck // a recorder never fails to write
	})
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// endpointFor finds the operation of a request. A path without parameters goes
// before one with them, as OpenAPI has it.
func endpointFor(doc *document, r *http.Request) *endpoint {
	if methods := doc.Paths[strings.TrimPrefix(r.URL.Path, BasePath)]; methods[strings.ToLower(r.Method)] != nil {
		return methods[strings.ToLower(r.Method)]
	}
	for path, methods := range doc.Paths {
		pattern := "^" + BasePath + placeholder.ReplaceAllString(path, "[^/]+") + "$"
		if regexp.MustCompile(pattern).MatchString(r.URL.Path) {
			return methods[strings.ToLower(r.Method)]
		}
	}
	return nil
}

// checkAnswer fails the test unless the document foresees the answer.
func checkAnswer(t *testing.T, doc *document, e *endpoint, a *httptest.ResponseRecorder) {
	t.Helper()
	described := e.Responses[strconv.Itoa(a.Code)]
	if described == nil {
		t.Errorf("%s answered %d, which the document does not have", e.OperationID, a.Code)
		return
	}
	if described.Ref != "" {
		described = doc.Components.Responses[described.Ref[strings.LastIndex(described.Ref, "/")+1:]]
	}
	if len(described.Content) == 0 {
		if a.Body.Len() > 0 {
			t.Errorf("%s answered %d with a body", e.OperationID, a.Code)
		}
		return
	}
	m, ok := described.Content[a.Header().Get("Content-Type")]
	if !ok {
		t.Errorf("%s answered %d as %q", e.OperationID, a.Code, a.Header().Get("Content-Type"))
		return
	}
	if m.Schema.Type == "string" {
		return
	}
	var value any
	if err := json.Unmarshal(a.Body.Bytes(), &value); err != nil {
		t.Errorf("%s: %v", e.OperationID, err)
	}
	checkValue(t, doc, m.Schema, value, e.OperationID)
}

// checkValue compares a value with a schema, members that the schema does not
// have included.
func checkValue(t *testing.T, doc *document, s *schema, value any, where string) {
	t.Helper()
	if s.Ref != "" {
		s = doc.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	switch v := value.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				t.Errorf("%s lacks %s", where, name)
			}
		}
		for name, member := range v {
			switch {
			case s.Properties[name] != nil:
				checkValue(t, doc, s.Properties[name], member, where+"."+name)
			case s.AdditionalProperties == nil && s.Properties != nil:
				t.Errorf("%s has %s, which the document does not have", where, name)
			}
		}
		wantType(t, s, "object", where)
	case []any:
		wantType(t, s, "array", where)
		for _, item := range v {
			checkValue(t, doc, s.Items, item, where+"[]")
		}
	case string:
		wantType(t, s, "string", where)
		if s.Enum != nil && !slices.Contains(s.Enum, v) {
			t.Errorf("%s is %q, not one of %q", where, v, s.Enum)
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			t.Errorf("%s is %q, not %s", where, v, s.Pattern)
		}
	case bool:
		wantType(t, s, "boolean", where)
	case float64:
		wantType(t, s, "integer", where)
	case nil:
		t.Errorf("%s is null", where)
	}
}

func wantType(t *testing.T, s *schema, kind, where string) {
	t.Helper()
	if s.Type != kind {
		t.Errorf("%s is of type %s, the document says %q", where, kind, s.Type)
	}
}

// text returns a member of a JSON answer, "" if it is not there.
func text(a *httptest.ResponseRecorder, members ...string) string {
	var value any
	if json.Unmarshal(a.Body.Bytes(), &value) != nil {
		return ""
	}
	for _, m := range members {
		object, _ := value.(map[string]any)
		value = object[m]
	}
	s, _ := value.(string)
	return s
}
