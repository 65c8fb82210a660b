// SPDX-License-Identifier: MIT

package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// oddValues are JSON values that no member of any body expects (R05).
var oddValues = map[string]string{
	"null": `null`, "a number without end": `1e400`, "a negative number": `-1`, "a fraction": `0.5`, "an object": `{"a":{"b":[]}}`, "an array": `[[{}]]`,
	"true": `true`, "nothing": `""`, "a NUL": `"x\u0000y"`, "a line break and a colour": `"x\r\n\u001b[31my"`, "the other direction": `"x\u202ey"`,
	"half a character": `"\ud800"`, "a statement": `"x' OR 1=1; DROP TABLE devices; --"`, "a path": `"../../../../etc/passwd"`,
	"a script": `"<script>alert(1)</script>"`, "a template": `"{{ device.name }}"`, "a long text": `"` + strings.Repeat("x", 100_000) + `"`,
	"a list of nothing": `[null]`, "a list of numbers": `[1e400]`, "a list of texts": `["x\u0000"]`, "base64 of nothing": `"AAAA"`,
}

// recorded counts what an attack must not add to.
func (w *world) recorded(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	count := func(n int, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	events := func() (int, error) {
		all := 0
		for cursor := ""; ; {
			rows, next, err := w.Store.ListEvents(ctx, store.EventFilter{Page: store.Page{Limit: store.MaxLimit, Cursor: cursor}})
			all += len(rows)
			if err != nil || next == "" {
				return all, err
			}
			cursor = next
		}
	}
	devices, _, err := w.Store.ListDevices(ctx, store.DeviceFilter{Page: store.Page{Limit: store.MaxLimit}})
	sum := fmt.Sprint("devices ", count(len(devices), err))
	cas, err := w.Store.AllCAs(ctx)
	sum += fmt.Sprint(", CAs ", count(len(cas), err))
	certificates, _, err := w.Store.ListCertificates(ctx, store.CertificateFilter{Page: store.Page{Limit: store.MaxLimit}})
	sum += fmt.Sprint(", certificates ", count(len(certificates), err))
	tokens, _, err := w.Store.ListTokens(ctx, store.Page{Limit: store.MaxLimit})
	sum += fmt.Sprint(", tokens ", count(len(tokens), err))
	return sum + fmt.Sprint(", events ", count(events()))
}

// TestOddJSONAtEveryRoute is R05, R04 and R11 for each member of each body: no
// value is a fault of the server, and what is refused changes nothing.
func TestOddJSONAtEveryRoute(t *testing.T) {
	w := small(t)
	before := w.recorded(t)
	for _, op := range declared() {
		if bodyOf(op) == nil {
			continue
		}
		path := fill(t, op, thingsOf(&w.Alpha))
		for f := range bodyOf(op).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			for what, value := range oddValues {
				a := w.do(call{as: "admin", method: op.method, path: path, body: w.oddBody(t, op, name, value)})
				if a.Code >= http.StatusInternalServerError || (a.Code >= http.StatusBadRequest && a.Body.Len() > 6000) {
					t.Errorf("%s with %s as %s: status %d, %d bytes: %.300s", op.id, name, what, a.Code, a.Body.Len(), a.Body)
				}
				after := w.recorded(t)
				if a.Code >= http.StatusBadRequest && after != before {
					t.Errorf("%s with %s as %s: refused with %d, but %s became %s", op.id, name, what, a.Code, before, after)
				}
				before = after
			}
		}
	}
}

// oddBody is a body of an operation whose references are alpha's, but for one
// member.
func (w *world) oddBody(t *testing.T, op operation, name, value string) string {
	t.Helper()
	body := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(bodies[op.id]), &body); err != nil {
		t.Fatal(err)
	}
	own := thingsOf(&w.Alpha)
	members := []string{`"` + name + `":` + value}
	for member, text := range body {
		if kind := memberKinds[member]; kind != "" {
			text = json.RawMessage(`"` + own[kind] + `"`)
		}
		if member != name {
			members = append(members, `"`+member+`":`+string(text))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// TestSecretsInBrokenBodiesAreNotLogged is R18: a secret that is written where
// or how it does not belong is in the log as little as a good one.
func TestSecretsInBrokenBodiesAreNotLogged(t *testing.T) {
	w := small(t)
	for what, c := range map[string]struct{ path, body string }{
		"a password as a number":        {"/cas/imports", `{"name":"x","pkcs12":"MAA=","password":4815162342}`},
		"a password in an object":       {"/cas/imports", `{"name":"x","pkcs12":"MAA=","password":{"a":"4815162342"}}`},
		"a key as PEM, not base64":      {"/cas/imports", `{"name":"x","key":"-----BEGIN PRIVATE KEY-----\n4815162342\n-----END PRIVATE KEY-----"}`},
		"a key as PEM for the chain":    {"/cas/imports", `{"name":"x","chain":"-----BEGIN PRIVATE KEY-----4815162342"}`},
		"a password that does not fit":  {"/cas/imports", `{"name":"x","pkcs12":"MAA=","password":"4815162342"}`},
		"a password for the inventory":  {"/certificates/imports", `{"file":"MAA=","password":4815162342}`},
		"a password of a delivery":      {"/deliveries/" + string(w.Alpha.Delivery) + "/collection", `{"format":"pkcs12","password":4815162342}`},
		"a code of a login as a number": {"/login/session", `{"code":4815162342,"verifier":"x"}`},
		"a code of a login":             {"/login/session", `{"code":"4815162342","verifier":"4815162342"}`},
		"a token in the query":          {"/cas/imports?token=4815162342", `{}`},
		"half a body":                   {"/cas/imports", `{"name":"x","password":"4815162342`},
		"a body that is no JSON":        {"/cas/imports", `password=4815162342`},
	} {
		t.Run(what, func(t *testing.T) {
			w.log.Reset()
			before := w.recorded(t)
			a := w.do(call{as: "admin", method: http.MethodPost, path: c.path, body: c.body})
			if a.Code < 400 || a.Code >= 500 {
				t.Errorf("status %d: %s", a.Code, a.Body)
			}
			if strings.Contains(w.log.String(), "4815162342") {
				t.Errorf("the log has it: %s", w.log)
			}
			if what != "a token in the query" && strings.Contains(a.Body.String(), "4815162342") {
				t.Errorf("the answer has it: %s", a.Body)
			}
			if after := w.recorded(t); after != before {
				t.Errorf("%s became %s", before, after)
			}
		})
	}
}

// TestOddDocuments is R05 for the members of profile documents, ours and
// Trustpoint's: what is not one is refused, and nothing is a fault.
func TestOddDocuments(t *testing.T) {
	w := small(t)
	quote := func(s string) string {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	request := quote(string(fixture.CSR(t, "press-09")))
	members := []string{"name", "type", "subject", "subject.allow", "subject.cn", "extensions", "extensions.san", "extensions.san.dns_names", "extensions.basic_constraints",
		"extensions.key_usage", "extensions.extended_key_usage", "extensions.crl", "validity", "validity.days", "validity.offset_s", "reject_mods", "keys", "ext", "subj", "$schema"}
	for _, member := range members {
		for what, value := range oddValues {
			document := value
			parts := strings.Split(member, ".")
			for i := len(parts) - 1; i >= 0; i-- {
				document = `{` + quote(parts[i]) + `:` + document + `}`
			}
			for path, body := range map[string]string{
				"/profile-conversions": `{"format":"trustpoint","document":` + document + `}`,
				"/profile-trials":      `{"domain":"alpha","document":` + document + `,"csr":` + request + `}`,
			} {
				a := w.do(call{as: "admin", method: http.MethodPost, path: path, body: body})
				if a.Code >= http.StatusInternalServerError || a.Body.Len() > 20_000 {
					t.Errorf("%s with %s as %s: status %d, %d bytes: %.300s", path, member, what, a.Code, a.Body.Len(), a.Body)
				}
			}
		}
	}
}
