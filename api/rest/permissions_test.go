// SPDX-License-Identifier: MIT

package rest

import (
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// bodies has a body for each operation that takes one: what is tested with
// them is the way to the operation, so they ask for things that do not exist.
var bodies = map[string]string{
	"CreateCA": `{"name":"x","type":"issuing","issuer":"none"}`, "CreateDomain": `{"name":"x","issuing_ca":"none"}`, "ChangeDomain": `{"issuing_ca":"none"}`,
	"TryProfile": `{"profile":"none","domain":"none","csr":"none"}`, "ConvertProfile": `{"format":"none","document":{}}`,
	"CreateProfile": `{"name":"x","document":{}}`, "PutProfile": `{"document":{}}`, "CreateTruststore": `{"name":"x","pem":"none"}`,
	"PutTruststore": `{"pem":"none"}`, "CreateRegistration": `{"name":"x","truststore":"none","domain":"none","serial_pattern":"1"}`,
	"CreateDevice": `{"name":"x","domain":"none","onboarding":{"method":"est-password"}}`, "ArmDevice": `{"method":"est-password"}`,
	"ChangeBlocklist": `{"remove":["00"]}`, "PutTruststoreRevocation": `{"policy":"off"}`, "PutForeignCRL": `{"pem":"none"}`, "UnbindDevice": `{}`, "ChangeDevice": `{}`, "AnnotateCertificate": `{"metadata":{}}`, "AnnotateCA": `{"metadata":{}}`,
	"WithdrawRequest": `{"reason":"x"}`, "DecideApproval": `{"decision":"approve"}`, "RevokeCertificate": `{"reason":"superseded"}`,
	"CreateToken": `{"name":"x","role":"none"}`, "ChangeToken": `{"role":"viewer"}`, "CreateOperator": `{"name":"x","role":"none"}`, "ChangeOperator": `{"role":"viewer"}`,
	"AddOperatorCertificate": `{"pem":"none"}`,
	"CreateDelivery":         `{"channel":"operator"}`, "CollectDelivery": `{"format":"pkcs12","password":"none"}`,
	"ImportCertificates": `{"file":"MAA="}`, "ImportCA": `{"name":"x"}`, "InstallCA": `{"certificate":"MAA="}`,
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

// outsiders adds tokens that nobody gets in with, and returns their names.
func outsiders(t *testing.T, w *world) []string {
	t.Helper()
	past := time.Now().Add(-time.Second)
	for name, change := range map[string]func(*models.Token, *models.Operator){
		"expired":                func(k *models.Token, _ *models.Operator) { k.ExpiresAt = &past },
		"revoked":                func(k *models.Token, _ *models.Operator) { k.RevokedAt = &past },
		"of a disabled operator": func(_ *models.Token, o *models.Operator) { o.Disabled = true },
		"session of a disabled one": func(k *models.Token, o *models.Operator) {
			k.Session, o.Role, o.Disabled = true, models.RoleAdmin, true
		},
		"session that has ended": func(k *models.Token, o *models.Operator) {
			k.Session, o.Role, k.ExpiresAt = true, models.RoleAdmin, &past
		},
		"session of one with no role": func(k *models.Token, _ *models.Operator) { k.Session = true },
	} {
		token, hash := auth.NewToken()
		slug := strings.ReplaceAll(name, " ", "-")
		operator := &models.Operator{ID: models.NewID[models.OperatorID](), Name: slug}
		row := &models.Token{ID: models.NewID[models.TokenID](), Name: slug, OperatorID: operator.ID, Role: models.RoleAdmin, Hash: hash}
		change(row, operator)
		err := w.Store.Write(t.Context(), func(tx *store.Tx) error { return errors.Join(tx.InsertOperator(operator), tx.InsertToken(row)) })
		if err != nil {
			t.Fatal(err)
		}
		w.tokens[name] = token
	}
	w.tokens["unknown"], _ = auth.NewToken()
	return append(slices.Collect(maps.Keys(w.tokens)), "")
}

// TestEveryRouteAsksForItsPermission calls every route as everybody: nobody,
// those who are nobody any more, every role by token, by session and by card,
// and every role limited to a domain.
func TestEveryRouteAsksForItsPermission(t *testing.T) {
	w := small(t)
	w.tokens = map[string]string{}
	strangers := outsiders(t, w)
	cards := map[models.Role]*x509.Certificate{}
	for _, role := range models.Roles {
		w.token(t, "token of "+string(role), role)
		w.token(t, "limited "+string(role), role, "alpha")
		w.tokens["session of "+string(role)] = w.Session(t, "s-"+string(role), role)
		cards[role] = w.card(t, role)
	}
	for _, op := range declared() {
		if bodyOf(op) != nil && bodies[op.id] == "" {
			t.Errorf("%s: bodies has to have a body for it", op.id)
		}
		c := call{method: op.method, path: pathTo(op), body: bodies[op.id]}
		for _, c.as = range strangers {
			if a := w.do(c); a.Code != http.StatusUnauthorized || a.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s with token %q: status %d", op.id, c.as, a.Code)
			}
		}
		for _, role := range models.Roles {
			allowed := auth.Allowed(role, op.permission)
			for _, c.as = range []string{"token of " + string(role), "session of " + string(role)} {
				if op.id != "EndSession" && (w.do(c).Code == http.StatusForbidden) == allowed {
					t.Errorf("%s by %s: denied is %v", op.id, c.as, !allowed)
				}
			}
			c.as = ""
			if (w.doWith(c, cards[role]).Code == http.StatusForbidden) == allowed {
				t.Errorf("%s by the card of %s: denied is %v: %s", op.id, role, !allowed, w.doWith(c, cards[role]).Body)
			}
			c.as = "limited " + string(role)
			within := auth.Authorize(auth.Principal{Role: role, Domains: []string{"alpha"}}, op.permission) == nil
			if (w.do(c).Code == http.StatusForbidden) == within {
				t.Errorf("%s as %s: denied is %v", op.id, c.as, !within)
			}
		}
	}
}

func TestRolesAndPermissions(t *testing.T) {
	granted := map[models.Role][]string{
		models.RoleViewer:   {},
		models.RoleOperator: {"CreateRegistration", "DeleteRegistration", "CreateDevice", "ArmDevice", "SuspendDevice", "ResumeDevice", "UnbindDevice", "ChangeDevice", "AnnotateCertificate", "DecommissionDevice", "CreateDelivery", "CollectDelivery", "WithdrawDelivery", "WithdrawRequest", "RevokeCertificate", "ReleaseCertificate"},
		models.RoleApprover: {"DecideApproval"},
		models.RoleAuditor:  {"ListOperators", "FindOperator", "ListTokens", "ListEvents", "VerifyAudit", "ReadAuditChain", "ListAuditHeads", "SignAuditHead"},
	}
	special := map[string]bool{"ListOperators": true, "FindOperator": true, "ListTokens": true, "ListEvents": true, "VerifyAudit": true, "ReadAuditChain": true, "ListAuditHeads": true}
	for _, op := range declared() {
		for role, ids := range granted {
			want := (op.method == http.MethodGet && !special[op.id]) || slices.Contains([]string{"EndSession", "TryProfile", "ConvertProfile"}, op.id)
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
