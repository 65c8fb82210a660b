// SPDX-License-Identifier: MIT

package rest

import (
	"net/http"
	"strings"
	"testing"
)

func TestBodiesThatAreRefused(t *testing.T) {
	w := small(t)
	device := func(members string) string {
		return `{"name":"x","domain":"alpha","onboarding":{"method":"est-password"}` + members + `}`
	}
	for name, c := range map[string]struct{ path, body, with string }{
		"no body":                         {"/devices", "", "body"},
		"not JSON":                        {"/devices", "name=x", "not valid JSON"},
		"half of it":                      {"/devices", `{"name":"x"`, "not valid JSON"},
		"two values":                      {"/devices", device("") + device(""), ""},
		"an array":                        {"/devices", `[]`, ""},
		"null":                            {"/devices", `null`, "null has no meaning"},
		"a null member":                   {"/devices", device(`,"serial_number":null`), "body/serial_number: null"},
		"a null inside":                   {"/devices", device(`,"metadata":{"a":null}`), "body/metadata/a: null"},
		"a null list":                     {"/tokens", `{"name":"x","role":"viewer","domains":null}`, "null"},
		"an unknown member":               {"/devices", device(`,"state":"onboarded"`), "body/state: is not a known member"},
		"an unknown member inside":        {"/devices", `{"name":"x","domain":"alpha","onboarding":{"method":"est-password","secret":"mine"}}`, "secret"},
		"another letter case":             {"/devices", device(`,"Serial_Number":"1"`), "not a known member"},
		"a member twice":                  {"/devices", device(`,"name":"y"`), "given twice"},
		"a member twice inside":           {"/devices", device(`,"metadata":{"a":"1","a":"2"}`), "given twice"},
		"a number for a text":             {"/devices", device(`,"serial_number":4711`), "not of the expected type"},
		"a number out of range":           {"/domains", `{"name":"x","issuing_ca":"alpha-ca","approval":{"renewal":{"steps":[{"name":"a","quorum":1e400}]}}}`, ""},
		"a duration without unit":         {"/cas", `{"name":"x","type":"root","validity":"30"}`, "such as 30d"},
		"a duration that is a number":     {"/cas", `{"name":"x","type":"root","validity":30}`, ""},
		"invalid UTF-8":                   {"/devices", device(`,"serial_number":"` + "\xff" + `"`), ""},
		"deep nesting":                    {"/devices", device(`,"metadata":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000)), "deeper"},
		"deep nesting in a document":      {"/profiles", `{"name":"x","document":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`, "deeper"},
		"ten megabytes":                   {"/devices", device(`,"serial_number":"` + strings.Repeat("1", 10<<20) + `"`), "longer than"},
		"a body where none is taken":      {"/devices/alpha-device/suspension", `{"reason":"x"}`, "takes no body"},
		"an unknown member of a rule":     {"/domains", `{"name":"x","issuing_ca":"alpha-ca","approval":{"renewal":{"steps":[{"name":"a"}],"who":"me"}}}`, "not a known member"},
		"an empty object":                 {"/devices", `{}`, "device name"},
		"a control character in a reason": {"/requests/" + string(w.Alpha.Request) + "/withdrawal", `{"reason":"a\u001b[31m"}`, "cannot be printed"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do(call{as: "admin", method: http.MethodPost, path: c.path, body: c.body, header: http.Header{"Content-Type": {"application/json"}}})
			if a.Code != http.StatusBadRequest || !strings.Contains(text(a, "detail"), c.with) || len(a.Body.String()) > 1000 {
				t.Errorf("answer %d %s, want 400 with %q", a.Code, a.Body, c.with)
			}
		})
	}
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		a := w.do(call{as: "admin", method: http.MethodPost, path: "/devices", body: device(""), header: http.Header{"Content-Type": {media}}})
		if a.Code != http.StatusBadRequest {
			t.Errorf("media type %q: %d", media, a.Code)
		}
	}
	if a := w.do(call{as: "admin", method: http.MethodPost, path: "/devices", body: device(""), header: http.Header{"Content-Type": {"Application/JSON; charset=utf-8"}}}); a.Code != http.StatusCreated {
		t.Errorf("media type with a parameter: %d %s", a.Code, a.Body)
	}
}

func TestNullInAChangeOfARule(t *testing.T) {
	w := small(t)
	for body, status := range map[string]int{
		`{"approval":{"renewal":null}}`: 200, `{"approval":{"renewal":{"steps":null}}}`: 400, `{"approval":null}`: 400, `{"suspended":null}`: 400,
		`{"approval":{"renewal":{"steps":[{"name":"a"}],"Deadline":"1h"}}}`: 400, `{}`: 200,
	} {
		w.expect(t, send("PATCH", "/domains/alpha", body, status))
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"name":"x","domain":"alpha","onboarding":{"method":"est-password"}}`))
	f.Add([]byte(`{"name":null}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var req struct {
			Name     string            `json:"name"`
			Metadata map[string]string `json:"metadata"`
		}
		if err := decodeBody(data, &req); err != nil && problemOf(err).Status != http.StatusBadRequest {
			t.Errorf("%q: %v", data, err)
		}
	})
}
