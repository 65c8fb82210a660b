// SPDX-License-Identifier: MIT

package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
)

// bodies has a body for each operation that takes one: what is tested with
// them is the way to the operation, so they ask for things that do not exist.
var bodies = map[string]string{
	"CreateCA": `{"name":"x","type":"issuing","issuer":"none"}`, "CreateDomain": `{"name":"x","issuing_ca":"none"}`, "ChangeDomain": `{"issuing_ca":"none"}`,
	"CreateProfile": `{"name":"x","document":{}}`, "PutProfile": `{"document":{}}`, "CreateTruststore": `{"name":"x","pem":"none"}`,
	"PutTruststore": `{"pem":"none"}`, "CreateRegistration": `{"name":"x","truststore":"none","domain":"none","serial_pattern":"1"}`,
	"CreateDevice": `{"name":"x","domain":"none","onboarding":{"method":"est-password"}}`, "ArmDevice": `{"method":"est-password"}`,
	"WithdrawRequest": `{"reason":"x"}`, "DecideApproval": `{"decision":"approve"}`, "RevokeCertificate": `{"reason":"superseded"}`,
	"CreateToken": `{"name":"x","role":"none"}`, "ChangeToken": `{"role":"viewer"}`, "CreateOperator": `{"name":"x","role":"none"}`, "ChangeOperator": `{"role":"viewer"}`,
	"AddOperatorCertificate": `{"pem":"none"}`,
}

// pathTo fills the parameters of a route with what does not exist.
func pathTo(op operation) string {
	return strings.NewReplacer("{name}", "none", "{id}", exampleID).Replace(op.path)
}

// declared lists the routes for operators; that for devices has its own tests.
func declared() []operation {
	s := newSurface(Config{})
	s.declare()
	return slices.DeleteFunc(s.routes, func(op operation) bool { return op.device })
}

func TestEveryRouteAsksForItsPermission(t *testing.T) {
	w := small(t)
	w.tokens["unknown"], _ = auth.NewToken()
	for _, op := range declared() {
		c := call{method: op.method, path: pathTo(op), body: bodies[op.id]}
		for _, name := range []string{"", "unknown"} {
			c.as = name
			if a := w.do(c); a.Code != http.StatusUnauthorized || a.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s with token %q: status %d", op.id, name, a.Code)
			}
		}
		for _, role := range models.Roles {
			c.as = string(role)
			denied := w.do(c).Code == http.StatusForbidden
			if denied == auth.Allowed(role, op.permission) {
				t.Errorf("%s as %s: denied is %v", op.id, role, denied)
			}
		}
	}
}

func TestRolesAndPermissions(t *testing.T) {
	granted := map[models.Role][]string{
		models.RoleViewer:   {},
		models.RoleOperator: {"CreateRegistration", "DeleteRegistration", "CreateDevice", "ArmDevice", "SuspendDevice", "ResumeDevice", "DecommissionDevice", "WithdrawRequest", "RevokeCertificate", "ReleaseCertificate"},
		models.RoleApprover: {"DecideApproval"},
		models.RoleAuditor:  {"ListOperators", "FindOperator", "ListTokens", "ListEvents"},
	}
	special := map[string]bool{"ListOperators": true, "FindOperator": true, "ListTokens": true, "ListEvents": true}
	for _, op := range declared() {
		for role, ids := range granted {
			want := (op.method == http.MethodGet && !special[op.id]) || op.id == "EndSession"
			for _, id := range ids {
				want = want || id == op.id
			}
			if got := auth.Allowed(role, op.permission); got != want {
				t.Errorf("%s may %s: %v, want %v", role, op.id, got, want)
			}
		}
		if !auth.Allowed(models.RoleAdmin, op.permission) {
			t.Errorf("an administrator may not %s", op.id)
		}
	}
}

func TestATokenOfOneDomainSeesNothingOfAnother(t *testing.T) {
	w := small(t)
	// Everything of beta, by name or identifier, through every route.
	names := map[string]string{
		"cas": w.Beta.CA, "domains": w.Beta.Domain, "profiles": w.Beta.Profile, "truststores": w.Beta.Truststore,
		"registrations": w.Beta.Registration, "devices": w.Beta.Device, "tokens": "boss",
	}
	ids := map[string]string{"requests": string(w.Beta.Request), "approvals": string(w.Beta.Approval), "certificates": string(w.Beta.Certificate)}
	for _, op := range declared() {
		noun := strings.Split(op.path, "/")[1]
		c := call{as: "alpha-admin", method: op.method, body: bodies[op.id],
			path: strings.NewReplacer("{name}", names[noun], "{id}", ids[noun]).Replace(op.path)}
		a := w.do(c)
		if strings.Contains(op.path, "{") && a.Code != http.StatusNotFound && a.Code != http.StatusForbidden {
			t.Errorf("%s of beta: status %d: %s", op.id, a.Code, a.Body)
		}
		if op.method == http.MethodGet && strings.Contains(op.path, "{") && a.Code != http.StatusNotFound {
			t.Errorf("%s of beta: status %d, not as if it were absent", op.id, a.Code)
		}
		for _, telling := range []string{w.Beta.CA, `"beta"`, w.Beta.Serial, string(w.Beta.Request), string(w.Beta.Approval), string(w.Beta.Certificate), "beta-device"} {
			// The caller's own words come back in a refusal, and only they.
			if strings.Contains(a.Body.String(), telling) && a.Code < 300 {
				t.Errorf("%s tells of beta: %s", op.id, a.Body)
			}
		}
	}
}

func TestFiltersAndReferencesStayInTheDomain(t *testing.T) {
	w := small(t)
	for _, x := range []exchange{
		get("/devices?domain=beta", 404), get("/requests?domain=beta", 404), get("/requests?device=beta-device", 404),
		get("/approvals?domain=beta", 404), get("/certificates?domain=beta", 404), get("/certificates?device=beta-device", 404),
		get("/audit?device=beta-device", 404),
		get("/certificates?serial="+w.Beta.Serial, 200, `"items":[]`),
		get("/audit?request="+string(w.Beta.Request), 200, `"items":[]`),
		send("PATCH", "/domains/alpha", `{"issuing_ca":"beta-ca"}`, 404),
		send("PATCH", "/domains/alpha", `{"profiles":["beta-profile"]}`, 404),
		send("POST", "/registrations", `{"name":"x","truststore":"beta-truststore","domain":"alpha","serial_pattern":"1"}`, 404),
		send("POST", "/registrations", `{"name":"x","truststore":"alpha-truststore","domain":"beta","serial_pattern":"1"}`, 404),
		send("POST", "/devices", `{"name":"x","domain":"beta","onboarding":{"method":"est-password"}}`, 404),
		send("POST", "/tokens", `{"name":"x","role":"admin"}`, 403),
		send("POST", "/cas", `{"name":"x","type":"root"}`, 403),
		// and its own things are there
		get("/cas", 200, `"alpha-ca"`, `"root"`), get("/domains", 200, `"alpha"`), get("/profiles", 200, `"alpha-profile"`, `"tls_server"`),
		get("/truststores", 200, `"alpha-truststore"`), get("/registrations", 200, `"alpha-registration"`), get("/devices", 200, `"alpha-device"`),
		get("/requests", 200, string(w.Alpha.Request)), get("/approvals", 200, string(w.Alpha.Approval)),
		get("/certificates", 200, w.Alpha.Serial), get("/audit", 200, `"device.registered"`),
		send("PATCH", "/domains/alpha", `{"suspended":true}`, 200),
	} {
		x.as = "alpha-admin"
		w.expect(t, x)
	}
}

func TestATokenWhoseDomainsAreGoneSeesNothing(t *testing.T) {
	w := small(t)
	w.token(t, "ghost", models.RoleAdmin, "gone")
	for _, path := range []string{"/cas", "/domains", "/truststores", "/registrations", "/devices", "/requests", "/approvals", "/certificates", "/audit"} {
		w.expect(t, exchange{call: call{as: "ghost", method: "GET", path: path}, status: 200, with: []string{`"items":[]`}})
	}
}
