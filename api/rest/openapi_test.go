// SPDX-License-Identifier: MIT

package rest

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestTheDocumentIsTheOneThatWasAgreed(t *testing.T) {
	const golden = "testdata/openapi.golden.json"
	answer := httptest.NewRecorder()
	New(Config{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, BasePath+"/openapi.json", nil))
	if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, type %q", answer.Code, answer.Header().Get("Content-Type"))
	}
	got := append(answer.Body.Bytes(), '\n')
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the API has changed (go test ./api/rest -update accepts it):\n%s", cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")))
	}
}

func TestExamplesOfTheDocumentFitItsSchemas(t *testing.T) {
	s := newSurface(Config{})
	s.declare()
	doc := s.document("")
	check := func(m media, where string) {
		data, err := json.Marshal(m.Example)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(data, &value); err != nil {
			t.Fatal(err)
		}
		checkValue(t, doc, m.Schema, value, where)
	}
	for path, methods := range doc.Paths {
		for method, e := range methods {
			if e.RequestBody != nil {
				check(e.RequestBody.Content[mediaJSON], method+" "+path+" request")
			}
			for status, r := range e.Responses {
				for _, m := range r.Content {
					if m.Example != nil {
						check(m, method+" "+path+" "+status)
					}
				}
			}
		}
	}
	for name, r := range doc.Components.Responses {
		check(r.Content[problemType], name)
	}
}

func TestReferencesAndOperationNamesOfTheDocument(t *testing.T) {
	s := newSurface(Config{})
	s.declare()
	doc := s.document("")
	seen := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, e := range methods {
			if seen[e.OperationID] {
				t.Errorf("operation %s is there twice", e.OperationID)
			}
			seen[e.OperationID] = true
			for _, name := range placeholder.FindAllString(path, -1) {
				found := false
				for _, p := range e.Parameters {
					found = found || (p.In == "path" && p.Required && "{"+p.Name+"}" == name)
				}
				if !found {
					t.Errorf("%s %s does not describe %s", method, path, name)
				}
			}
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), `"$ref":"#/components/`)[1:] {
		kind, name, _ := strings.Cut(part[:strings.Index(part, `"`)], "/")
		if (kind == "schemas" && doc.Components.Schemas[name] == nil) || (kind == "responses" && doc.Components.Responses[name] == nil) {
			t.Errorf("%s %s is referred to and not there", kind, name)
		}
	}
}

func TestTheReadablePageLoadsNothing(t *testing.T) {
	answer := httptest.NewRecorder()
	New(Config{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/docs", nil))
	page := answer.Body.String()
	for _, want := range []string{"<h1>Trustloom API</h1>", "/api/v1/devices/{name}/onboarding", "est-password", "devices.write", "keyCompromise"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not mention %s", want)
		}
	}
	for _, foreign := range []string{"<script", "src=", "@import", "url(", "http://", "https://cdn"} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page has %s", foreign)
		}
	}
	csp := answer.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy: %s", csp)
	}
}
