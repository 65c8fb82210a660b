// SPDX-License-Identifier: MIT

package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// exchange is one request and what its answer must, and must not, contain.
type exchange struct {
	call
	status  int
	with    []string
	without []string
}

func (w *world) expect(t *testing.T, x exchange) {
	t.Helper()
	a := w.do(x.call)
	if a.Code != x.status {
		t.Fatalf("%s %s: status %d, want %d: %s", x.method, x.path, a.Code, x.status, a.Body)
	}
	for _, s := range x.with {
		if !strings.Contains(a.Body.String(), s) {
			t.Errorf("%s %s: no %s in %s", x.method, x.path, s, a.Body)
		}
	}
	for _, s := range x.without {
		if strings.Contains(a.Body.String(), s) {
			t.Errorf("%s %s: %s in %s", x.method, x.path, s, a.Body)
		}
	}
}

func get(path string, status int, with ...string) exchange {
	return exchange{call: call{as: "admin", method: http.MethodGet, path: path}, status: status, with: with}
}

func send(method, path, body string, status int, with ...string) exchange {
	return exchange{call: call{as: "admin", method: method, path: path, body: body}, status: status, with: with}
}

// script is what operators do, by noun. The steps of a noun build on each
// other, the nouns do not.
func script(w *world) map[string][]exchange {
	request, approval := "/requests/"+string(w.Alpha.Request), "/approvals/"+string(w.Alpha.Approval)
	certificate := "/certificates/" + string(w.Alpha.Certificate)
	return map[string][]exchange{
		"certification authorities": {
			send("POST", "/cas", `{"name":"r2","type":"root","key":{"algorithm":"ec-p384","store":"pkcs11"},"subject":{"common_name":"R2"},"validity":"3650d","demo":true}`, 201,
				`"state":"active"`, `"demo":true`, `"algorithm":"EC-P384"`, `"store":"pkcs11"`, "BEGIN CERTIFICATE", `"crl_url":"http://pki.example/crl/`),
			send("POST", "/cas", `{"name":"r2","type":"root"}`, 409),
			send("POST", "/cas", `{"name":"i2","type":"issuing","issuer":"r2"}`, 201, `"issuer":"r2"`, `"validity":"5y"`),
			get("/cas", 200, `"name":"i2"`, `"next_cursor":""`),
			get("/cas/i2", 200, `"chain":"-----BEGIN CERTIFICATE-----`),
			get("/cas/i2/chain", 200, "-----BEGIN CERTIFICATE-----"),
			get("/cas/none", 404, "there is no CA none"),
		},
		"domains and their approval rules": {
			send("POST", "/domains", `{"name":"d2","issuing_ca":"alpha-ca"}`, 201, `"opc_ua"`, `"tls_server"`, `"approval":{}`),
			send("PATCH", "/domains/d2", `{"approval":{"onboarding":{"steps":[{"name":"operator","quorum":1}],"deadline":"72h"}}}`, 200,
				`"deadline":"3d"`, `"remind_after":"36h"`, `"escalate_after":"54h"`),
			send("PATCH", "/domains/d2", `{"suspended":true}`, 200, `"suspended":true`, `"onboarding":{"steps"`),
			send("PATCH", "/domains/d2", `{"approval":{"onboarding":null},"profiles":["opc_ua"]}`, 200, `"approval":{}`, `"profiles":["opc_ua"]`),
			send("PATCH", "/domains/d2", `{"approval":{"onboarding":{"steps":[]}}}`, 400),
			send("PATCH", "/domains/d2", `{"issuing_ca":"root"}`, 400),
			get("/domains/d2", 200, `"issuing_ca":"alpha-ca"`),
			get("/domains?limit=1", 200, `"items":[{"id"`),
		},
		"profiles": {
			get("/profiles", 200, `"domain_credential"`),
			get("/profiles/tls_server", 200, `"document":{`, `"shipped":true`),
			get("/profiles/tls_server?version=7", 404),
			send("POST", "/profiles", `{"name":"p2","document":{"nothing":1}}`, 400),
		},
		"devices": {
			send("POST", "/devices", `{"name":"press-01","domain":"alpha","serial_number":"4711","onboarding":{"method":"est-password"}}`, 201,
				`"username":"press-01"`, `"secret":"`),
			send("POST", "/devices", `{"name":"press-02","domain":"alpha","onboarding":{"method":"est-idevid"},"idevid_sha256":"`+strings.Repeat("Ab", 32)+`"}`, 201,
				`"idevid_sha256":"`+strings.Repeat("ab", 32)),
			send("POST", "/devices", `{"name":"press-03","domain":"none","onboarding":{"method":"est-password"}}`, 404),
			get("/devices?domain=alpha&state=registered", 200, `"press-01"`, `"press-02"`),
			get("/devices?domain=alpha&state=gone", 400),
			get("/devices/press-01", 200, `"epoch":1`),
		},
		"arming and states of a device": {
			send("POST", "/devices", `{"name":"press-11","domain":"alpha","onboarding":{"method":"est-password"}}`, 201),
			send("POST", "/devices/press-11/onboarding", `{"method":"est-password"}`, 201, `"secret":"`, `"epoch":2`),
			send("POST", "/devices/press-11/suspension", "", 200, `"state":"suspended"`),
			send("DELETE", "/devices/press-11/suspension", "", 200, `"state":"registered"`),
			send("POST", "/devices/beta-device/decommission", "", 200, `"state":"decommissioned"`),
			send("POST", "/devices/beta-device/onboarding", `{"method":"est-password"}`, 409),
		},
		"keys that Trustloom makes": {
			send("POST", "/devices/alpha-device/deliveries", `{"channel":"post"}`, 400, "operator, download"),
			send("POST", "/devices/alpha-device/deliveries", `{"channel":"operator","key_algorithm":"RSA-8192"}`, 400, "EC-P256"),
			send("POST", "/devices/alpha-device/deliveries", `{"channel":"operator","life":"8d"}`, 400, "between 5m and 7d"),
			send("POST", "/devices/alpha-device/deliveries", `{"channel":"operator","profile":"generic"}`, 404, "has no profile generic"),
			send("POST", "/devices/alpha-device/deliveries", `{"channel":"operator"}`, 201, `"state":"ready"`, `"profile":"domain_credential"`, `"ordered_by":"operator:admin"`),
			send("POST", "/devices/alpha-device/deliveries", `{"channel":"download","profile":"alpha-profile","sans":["dns:a.example"]}`, 201, `"code":"0123`, `"tries_left":3`),
			send("POST", "/devices/alpha-device/deliveries", `{"channel":"download"}`, 409, "open already"),
			get("/deliveries?device=alpha-device&state=ready", 200, `"channel":"operator"`, `"channel":"download"`),
			get("/deliveries?state=lost", 400),
			get("/deliveries/none", 404, "there is no delivery none"),
			{call: call{as: "alpha-admin", method: "GET", path: "/deliveries?domain=alpha"}, status: 200, with: []string{`"domain":"alpha"`}, without: []string{`"code":`}},
		},
		"truststores and registrations": {
			get("/truststores", 200, `"alpha-truststore"`, `"subject":"CN=Manufacturer 0"`),
			send("POST", "/truststores", `{"name":"t2","pem":"nothing"}`, 400),
			send("PUT", "/truststores/none", `{"pem":"nothing"}`, 400),
			get("/registrations/alpha-registration", 200, `"serial_pattern":"[0-9]+"`),
			send("POST", "/registrations", `{"name":"r2","truststore":"alpha-truststore","domain":"alpha","serial_pattern":"PR-[0-9]{6}"}`, 201),
			send("DELETE", "/registrations/r2", "", 204),
			send("DELETE", "/registrations/r2", "", 404),
		},
		"requests": {
			get("/requests?state=waiting&domain=alpha", 200, `"state":"waiting"`, `"reasons":["the domain asks people"]`),
			get(request, 200, `"csr":"-----BEGIN CERTIFICATE REQUEST-----`, `"approval":"`+string(w.Alpha.Approval)),
			send("POST", request+"/withdrawal", `{"reason":""}`, 400),
			send("POST", request+"/withdrawal", `{"reason":"ordered twice"}`, 202, `"state":"waiting"`),
			get("/requests/1%20or%201=1", 404),
			get("/requests/00000000-0000-0000-0000-000000000000", 404),
		},
		"approvals": {
			get("/approvals?state=pending", 200, string(w.Alpha.Approval), string(w.Beta.Approval)),
			send("POST", approval+"/decision", `{"decision":"perhaps"}`, 400, "approve, reject"),
			send("POST", approval+"/decision", `{"decision":"approve","comment":"seen"}`, 200, `"current_step":1`),
			send("POST", approval+"/decision", `{"decision":"approve"}`, 409, "admin has already decided"),
			{call: call{as: "approver", method: "POST", path: approval + "/decision", body: `{"decision":"reject","comment":"wrong plant"}`}, status: 200,
				with: []string{`"state":"rejected"`, `"reason":"wrong plant"`, `"operator":"approver"`}},
			get(approval, 200, `"decision":"approve"`, `"step":"security"`),
		},
		"certificates": {
			get("/certificates?domain=alpha", 200, `"status":"valid"`, w.Alpha.Serial),
			get("/certificates?serial=00:"+strings.ToUpper(w.Alpha.Serial), 200, w.Alpha.Serial),
			get("/certificates?expires_before=2020-01-01T00:00:00Z", 200, `"items":[]`),
			get("/certificates?status=good", 400),
			get("/certificates?serial=xyz", 400),
			get(certificate+"/pem", 200, "-----BEGIN CERTIFICATE-----"),
			send("DELETE", certificate+"/revocation", "", 409),
			send("POST", certificate+"/revocation", `{"reason":"keyCompromise","comment":"stolen"}`, 200, `"revocation_reason":"keyCompromise"`, `"status":"revoked"`),
			send("POST", certificate+"/revocation", `{"reason":"keyCompromise"}`, 409),
			send("POST", certificate+"/revocation", `{"reason":"keycompromise"}`, 400),
		},
		"operators, tokens and the audit log": {
			send("POST", "/tokens", `{"name":"line-3","role":"viewer","domains":["alpha"],"expires_in":"30d"}`, 201, `"token":"tl_`, `"operator":"line-3"`, `"expires_at"`),
			{call: call{as: "admin", method: "GET", path: "/tokens"}, status: 200, with: []string{`"line-3"`}, without: []string{"tl_"}},
			send("POST", "/tokens", `{"name":"line-4","role":"root"}`, 400, "viewer, operator"),
			get("/operators", 200, `"line-3"`),
			send("DELETE", "/tokens/line-3", "", 204),
			get("/audit?noun=token", 200, `"action":"token.revoked"`, `"actor":"operator:admin"`),
			get("/audit?device=alpha-device", 200, `"device.registered"`),
		},
	}
}

func TestWhatOperatorsDo(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		for name, steps := range script(w) {
			t.Run(name, func(t *testing.T) {
				for _, x := range steps {
					w.expect(t, x)
				}
			})
		}
	})
}

func TestACAThatIsNotReadyIsAccepted(t *testing.T) {
	w := small(t)
	w.Stories.Idle = true
	w.expect(t, send("POST", "/cas", `{"name":"slow","type":"root"}`, 202, `"state":"pending"`))
	w.expect(t, get("/cas/slow/chain", 409, "has no certificate"))
	w.expect(t, send("POST", "/domains", `{"name":"early","issuing_ca":"slow"}`, 400))
}

func TestCursors(t *testing.T) {
	w := small(t)
	first := w.do(call{as: "admin", method: "GET", path: "/cas?limit=1"})
	next := text(first, "next_cursor")
	if next == "" {
		t.Fatal("no cursor")
	}
	w.expect(t, exchange{call: call{as: "admin", method: "GET", path: "/cas?limit=1&cursor=" + next}, status: 200,
		with: []string{`"beta-ca"`}, without: []string{`"name":"alpha-ca"`}})
	for name, path := range map[string]string{
		"the cursor of another list":  "/domains?cursor=" + next,
		"a cursor that was changed":   "/cas?cursor=x" + next,
		"a cursor that was cut":       "/cas?cursor=" + next[:len(next)-2],
		"not a cursor":                "/cas?cursor=%00%ff",
		"a long cursor":               "/cas?cursor=" + strings.Repeat("A", 900),
		"a limit over the bound":      "/cas?limit=501",
		"a negative limit":            "/cas?limit=-1",
		"a limit that is no number":   "/cas?limit=1%20or%201=1",
		"a limit twice":               "/cas?limit=1&limit=2",
		"an unknown parameter":        "/cas?sort=id;drop",
		"a parameter of another list": "/cas?domain=alpha",
		"a time of another form":      "/certificates?expires_before=tomorrow",
	} {
		t.Run(name, func(t *testing.T) { w.expect(t, get(path, 400)) })
	}
	for _, path := range []string{"/cas", "/domains", "/profiles", "/truststores", "/registrations"} {
		w.expect(t, exchange{call: call{as: "alpha-admin", method: "GET", path: path + "?cursor=*"}, status: 400})
		w.expect(t, exchange{call: call{as: "alpha-admin", method: "GET", path: path + "?limit=501"}, status: 400})
	}
}

func TestAPathHasOneSpelling(t *testing.T) {
	w := small(t)
	for path, status := range map[string]int{
		"/cas": 200, "/cas/": 404, "//cas": 404, "/CAS": 404, "/cas/..": 404, "/./cas": 404, "/cas/root%2Fchain": 404, "/cas%3Flimit=1": 404, "/%63as": 404, "/cas;a=b": 404,
	} {
		if a := w.do(call{as: "admin", method: "GET", path: path}); a.Code != status {
			t.Errorf("%s: status %d, want %d", path, a.Code, status)
		}
	}
	a := w.do(call{as: "admin", method: "DELETE", path: "/cas"})
	if a.Code != http.StatusMethodNotAllowed || a.Header().Get("Content-Type") != problemType || a.Header().Get("Allow") == "" {
		t.Errorf("DELETE /cas: %d %v %s", a.Code, a.Header(), a.Body)
	}
}
