// SPDX-License-Identifier: MIT

package rest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// The tables of this test have to know every route. A new noun, filter or
// member of a body makes it fail until somebody says here what it refers to:
// that is its purpose.

// absentName and absentID name nothing.
const (
	absentName = "zeta-thing"
	absentID   = "01999999-9999-7999-8999-999999999999"
)

// things are what names and identifiers stand for, by kind.
type things map[string]string

// thingsOf returns what a site has. Operators and tokens are of no site.
func thingsOf(s *fixture.Site) things {
	return things{
		"ca": s.CA, "preset": presetOf(s), "domain": s.Domain, "profile": s.Profile, "truststore": s.Truststore, "registration": s.Registration, "device": s.Device,
		"request": string(s.Request), "approval": string(s.Approval), "certificate": string(s.Certificate), "delivery": string(s.Delivery), "serial": s.Serial,
		"operator": "boss", "token": "boss", "blocklist": "leaked", "own": absentID,
	}
}

// presetOf has a preset for alpha; they are everybody's, so beta has none that
// others could not see.
func presetOf(s *fixture.Site) string {
	if s.Domain == "alpha" {
		return "hardened"
	}
	return "of-" + s.Domain
}

// absentThings has a name or identifier of the same form for each kind.
func absentThings() things {
	none := things{}
	for kind := range thingsOf(&fixture.Site{}) {
		none[kind] = absentName
	}
	none["request"], none["approval"], none["certificate"], none["delivery"], none["own"] = absentID, absentID, absentID, absentID, absentID
	none["serial"] = strings.Repeat("7", 30)
	return none
}

// nounKinds says what the parameters of the paths below a noun are. Without
// parameters, "" stands for nothing.
var nounKinds = map[string]struct{ name, id string }{
	"cas": {name: "ca"}, "domains": {name: "domain"}, "presets": {name: "preset"}, "profiles": {name: "profile"}, "truststores": {name: "truststore"},
	"registrations": {name: "registration"}, "devices": {name: "device"}, "requests": {id: "request"}, "approvals": {id: "approval"},
	"certificates": {id: "certificate"}, "deliveries": {id: "delivery"}, "operators": {name: "operator", id: "own"}, "tokens": {name: "token"}, "schemas": {}, "profile-trials": {}, "profile-conversions": {}, "blocklists": {name: "blocklist"}, "session": {}, "audit": {},
}

// filterKinds says what a query parameter refers to; "" to nothing.
var filterKinds = map[string]string{
	"domain": "domain", "device": "device", "request": "request", "subject": "certificate", "serial": "serial",
	"limit": "", "cursor": "", "state": "", "status": "", "expires_before": "", "action": "", "noun": "", "version": "", "format": "", "origin": "", "group": "", "metadata": "",
	"actor": "", "since": "", "until": "", "after": "", "seq": "", "hash": "", "fingerprint": "", "retention": "",
}

// memberKinds says what a member of a body refers to; "" to nothing. Members
// of members are found, too.
var memberKinds = map[string]string{
	"issuer": "ca", "issuing_ca": "ca", "domain": "domain", "domains": "domain", "truststore": "truststore", "truststores": "truststore", "profiles": "profile",
	"device": "device", "renews": "certificate", "csr": "",
	"name": "", "type": "", "key": "", "algorithm": "", "store": "", "subject": "", "common_name": "", "organization": "", "organizational_unit": "",
	"country": "", "locality": "", "province": "", "serial_number": "", "document": "", "pem": "", "data": "", "format": "", "serial_pattern": "", "method": "",
	"home": "device", "policy": "", "ocsp_url": "", "groups": "", "add_groups": "", "remove_groups": "", "add": "", "remove": "",
	"state": "", "operations": "", "onboarding_methods": "", "der": "", "idevid_sha256": "", "reason": "", "comment": "", "decision": "", "subject_sha256": "", "role": "", "operator": "", "oidc_subject": "", "match": "",
	"preset": "", "cursor": "", "channel": "", "profile": "profile", "key_algorithm": "", "sans": "", "life": "", "password": "", "file": "", "bind_devices": "", "certificate": "", "chain": "",
	"cmp": "", "ra_truststore": "truststore", "confirm_wait": "",
	"validity": "", "expires_in": "", "overlap": "", "deadline": "", "remind_after": "", "escalate_after": "", "retention": "",
}

// noReferences are operations that a limited token is refused whatever it
// refers to, or whose members refer to nothing in them.
func refusedAnyway(w *world, op operation) bool {
	return w.do(call{as: "alpha-admin", method: op.method, path: pathTo(op), body: bodies[op.id]}).Code == http.StatusForbidden
}

// fill makes the path of a route about things.
func fill(t *testing.T, op operation, about things) string {
	t.Helper()
	kinds, known := nounKinds[strings.Split(op.path, "/")[1]]
	if !known || (strings.Contains(op.path, "{name}") && kinds.name == "") || (strings.Contains(op.path, "{id}") && kinds.id == "") {
		t.Fatalf("%s: nounKinds of this test has to say what the parameters of %s are", op.id, op.path)
	}
	path := strings.NewReplacer("{name}", url.PathEscape(about[kinds.name]), "{id}", about[kinds.id]).Replace(op.path)
	if strings.Contains(path, "{") {
		t.Fatalf("%s: this test does not know every parameter of %s", op.id, op.path)
	}
	return path
}

var requestIDMember = regexp.MustCompile(`"request_id":"[^"]*"`)

// same fails the test unless two answers are equal but for the name asked.
func (w *world) same(t *testing.T, what string, theirs, absent call, their, none string) {
	t.Helper()
	normal := func(c call, name string) (int, string) {
		a := w.do(c)
		text := requestIDMember.ReplaceAllString(a.Body.String(), `"request_id":""`)
		return a.Code, strings.ReplaceAll(text, name, "*")
	}
	code1, text1 := normal(theirs, their)
	code2, text2 := normal(absent, none)
	if code1 != code2 || text1 != text2 {
		t.Errorf("%s: what is of another domain answers otherwise than what is not there\nof another: %d %s\nnot there:  %d %s", what, code1, text1, code2, text2)
	}
}

// tells are strings that only what is beta's has.
func tells(s *fixture.Site) []string {
	return []string{"beta", s.Serial, string(s.Request), string(s.Approval), string(s.Certificate), string(s.Delivery)}
}

func (w *world) tellsNothing(t *testing.T, what string, c call) {
	t.Helper()
	body := w.do(c).Body.String()
	for _, tell := range tells(&w.Beta) {
		if strings.Contains(body, tell) {
			t.Errorf("%s tells %q: %s", what, tell, body)
		}
	}
}

func TestATokenOfOneDomainSeesNothingOfAnother(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		for _, op := range declared() {
			t.Run(op.id, func(t *testing.T) {
				w.pathsAreIsolated(t, op)
				w.filtersAreIsolated(t, op)
				w.bodiesAreIsolated(t, op)
				w.pagesAreIsolated(t, op)
			})
		}
	})
}

func (w *world) pathsAreIsolated(t *testing.T, op operation) {
	their, none := thingsOf(&w.Beta), absentThings()
	if !strings.Contains(op.path, "{") {
		fill(t, op, their)
		return
	}
	kinds := nounKinds[strings.Split(op.path, "/")[1]]
	kind := kinds.name
	if kind == "" {
		kind = kinds.id
	}
	body := bodies[op.id]
	theirs := call{as: "alpha-admin", method: op.method, body: body, path: fill(t, op, their)}
	w.same(t, op.id, theirs, call{as: "alpha-admin", method: op.method, body: body, path: fill(t, op, none)}, their[kind], none[kind])
	if a := w.do(theirs); a.Code != http.StatusNotFound && a.Code != http.StatusForbidden {
		t.Errorf("%s of beta: status %d, neither absent nor forbidden: %s", op.id, a.Code, a.Body)
	}
	if op.method == http.MethodGet && !refusedAnyway(w, op) { // or the test would prove nothing
		if a := w.do(call{as: "alpha-admin", method: op.method, path: fill(t, op, thingsOf(&w.Alpha))}); a.Code != http.StatusOK && a.Code != http.StatusConflict {
			t.Errorf("%s of alpha: status %d: %s", op.id, a.Code, a.Body)
		}
	}
}

func (w *world) filtersAreIsolated(t *testing.T, op operation) {
	their, none, own := thingsOf(&w.Beta), absentThings(), thingsOf(&w.Alpha)
	queryFields(op.request, func(f reflect.StructField) {
		name := f.Tag.Get("query")
		kind, known := filterKinds[name]
		if !known {
			t.Errorf("%s: filterKinds of this test has to say what ?%s= refers to", op.id, name)
		}
		if kind == "" {
			return
		}
		path := fill(t, op, own) + "?" + name + "="
		w.same(t, op.id+"?"+name, call{as: "alpha-admin", method: op.method, path: path + their[kind]},
			call{as: "alpha-admin", method: op.method, path: path + none[kind]}, their[kind], none[kind])
	})
}

// bodyOf returns the type of an operation's body, nil if it takes none.
func bodyOf(op operation) reflect.Type {
	var body reflect.Type
	for f := range op.request.Fields() {
		if f.Tag.Get("in") == "body" {
			body = f.Type
		}
	}
	return body
}

// members calls do for each member of a JSON type that holds text, at any
// depth.
func members(t reflect.Type, depth int, do func(name string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || depth > 6 {
		return
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		switch {
		case inner.Kind() == reflect.String && name != "":
			do(name)
		case inner.Kind() == reflect.Struct && inner != timeType:
			members(inner, depth+1, do)
		}
	}
}

func (w *world) bodiesAreIsolated(t *testing.T, op operation) {
	body := bodyOf(op)
	if body == nil {
		return
	}
	if bodies[op.id] == "" {
		t.Fatalf("%s: bodies in permissions_test.go has to have a body for it", op.id)
	}
	refused := refusedAnyway(w, op)
	seen := map[string]bool{}
	members(body, 0, func(name string) {
		kind, known := memberKinds[name]
		switch {
		case seen[name]:
		case !known:
			t.Errorf("%s: memberKinds of this test has to say what %q in the body refers to", op.id, name)
		case kind != "" && !refused:
			w.memberIsIsolated(t, op, name, kind)
		}
		seen[name] = true
	})
}

// memberIsIsolated sends a body in which all but one member are alpha's.
func (w *world) memberIsIsolated(t *testing.T, op operation, member, kind string) {
	own, their, none := thingsOf(&w.Alpha), thingsOf(&w.Beta), absentThings()
	with := func(value string) call {
		var body map[string]any
		if err := json.Unmarshal([]byte(bodies[op.id]), &body); err != nil {
			t.Fatal(err)
		}
		for name := range maps.Clone(body) {
			if memberKinds[name] != "" {
				body[name] = own[memberKinds[name]]
			}
		}
		if _, ok := body["cmp"]; ok {
			body["cmp"] = map[string]string{"ra_truststore": own["truststore"]}
		}
		if member == "ra_truststore" {
			body["cmp"] = map[string]string{member: value}
		} else {
			body[member] = value
		}
		if slices.Contains([]string{"domains", "profiles", "truststores"}, member) {
			body[member] = []string{value}
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return call{as: "alpha-admin", method: op.method, path: fill(t, op, own), body: string(text)}
	}
	w.same(t, op.id+" with "+member, with(their[kind]), with(none[kind]), their[kind], none[kind])
	if a := w.do(with(none[kind])); a.Code != http.StatusNotFound {
		t.Errorf("%s with %s: status %d for what is not there, so this proves nothing: %s", op.id, member, a.Code, a.Body)
	}
}

// pagesAreIsolated reads a list to its end, and goes on from every place in the
// list that somebody without limits sees.
func (w *world) pagesAreIsolated(t *testing.T, op operation) {
	if op.method != http.MethodGet {
		return
	}
	path := fill(t, op, thingsOf(&w.Alpha))
	w.tellsNothing(t, op.id, call{as: "alpha-admin", method: op.method, path: path})
	paged := false
	queryFields(op.request, func(f reflect.StructField) { paged = paged || f.Tag.Get("query") == "cursor" })
	for cursor, pages := "", 0; paged && pages < 40; pages++ {
		all := w.do(call{as: "admin", method: op.method, path: path + "?limit=1&cursor=" + cursor})
		if cursor = text(all, "next_cursor"); cursor == "" {
			break
		}
		w.tellsNothing(t, op.id+" after somebody else's page", call{as: "alpha-admin", method: op.method, path: path + "?cursor=" + cursor})
	}
}

// TestNamesThatAreTakenElsewhere shows what a token limited to a domain can
// find out all the same: that a name is taken. It learns nothing else.
func TestNamesThatAreTakenElsewhere(t *testing.T) {
	w := small(t)
	for path, body := range map[string]string{
		"/devices":       `{"name":"beta-device","domain":"alpha","onboarding":{"method":"est-password"}}`,
		"/registrations": `{"name":"beta-registration","truststore":"alpha-truststore","domain":"alpha","serial_pattern":"1"}`,
	} {
		a := w.do(call{as: "alpha-admin", method: http.MethodPost, path: path, body: body})
		if told := strings.ReplaceAll(strings.ReplaceAll(a.Body.String(), "beta-device", ""), "beta-registration", ""); a.Code != http.StatusConflict || strings.Contains(told, "beta") {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
	}
}
