// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json/jsontext"
	"errors"
	"iter"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/test/fixture"
)

// client serves a world over TLS and returns a client with a token of it.
func client(t *testing.T, w *world, as string) *api.Client {
	t.Helper()
	server := httptest.NewTLSServer(w)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c, err := api.NewClient(api.Config{URL: server.URL, Token: w.tokens[as], RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func count[T any](t *testing.T, items iter.Seq2[T, error]) (n int) {
	t.Helper()
	for _, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// done fails the test if a call failed.
func done[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestTheClientSpeaksEveryRoute also proves that each route has a success that
// the document foresees: every answer is compared with it.
func TestTheClientSpeaksEveryRoute(t *testing.T) {
	w := small(t)
	c, ctx := client(t, w, "admin"), t.Context()
	speakTrust(t, ctx, w, c)
	speakDevices(t, ctx, w, c)
	speakTruststores(t, ctx, w, c)
	speakCertificates(t, ctx, w, c)
	speakOperators(t, ctx, w, c)
	speakAudit(t, ctx, w, c)
	for _, op := range declared() {
		if !w.succeeded[op.id] {
			t.Errorf("the client has not got a success out of %s", op.id)
		}
	}
}

func speakBlocklists(t *testing.T, ctx context.Context, c *api.Client) {
	digests := []string{strings.Repeat("01", 32), strings.Repeat("02", 32)}
	if changed := done[*api.BlocklistChanged](t)(c.ChangeBlocklist(ctx, "c", api.BlocklistChange{Add: digests})); changed.Added != 2 || changed.InUse == nil {
		t.Errorf("blocklist: %+v", changed)
	}
	if n := count(t, c.AllBlocklists(ctx)); n != 1 {
		t.Errorf("%d blocklists", n)
	}
	if n := count(t, c.AllBlockedKeys(ctx, "c", api.BlockedKeyFilter{})); n != 2 {
		t.Errorf("%d blocked keys", n)
	}
	if err := c.DeleteBlocklist(ctx, "c"); err != nil {
		t.Error(err)
	}
}

func speakTrust(t *testing.T, ctx context.Context, w *world, c *api.Client) {
	done[*api.CA](t)(c.CreateCA(ctx, api.CACreation{Name: "c-root", Type: models.CARoot}))
	if ca := done[*api.CA](t)(c.FindCA(ctx, "c-root")); ca.Pending() || ca.Validity.String() != "10y" || ca.NotAfter.IsZero() {
		t.Errorf("CA: %+v", ca)
	}
	done[[]byte](t)(c.CAChain(ctx, "c-root"))
	if n := count(t, c.AllCAs(ctx)); n != 4 {
		t.Errorf("%d CAs", n)
	}
	speakCAs(t, ctx, c)
	speakBlocklists(t, ctx, c)
	rule := &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 2}}}
	domain := done[*api.Domain](t)(c.CreateDomain(ctx, api.DomainCreation{Name: "c", IssuingCA: "alpha-ca", Approval: api.ApprovalPolicy{Renewal: rule}}))
	if domain.Approval.Renewal.Steps[0].Quorum != 2 {
		t.Errorf("domain: %+v", domain)
	}
	changed := done[*api.Domain](t)(c.ChangeDomain(ctx, "c", api.DomainChange{Approval: api.PolicyChange{Renewal: api.SetRule(nil), Onboarding: api.SetRule(rule)}}))
	if changed.Approval.Renewal != nil || changed.Approval.Onboarding == nil {
		t.Errorf("changed domain: %+v", changed)
	}
	kept := "90d"
	if d := done[*api.Domain](t)(c.ChangeDomain(ctx, "c", api.DomainChange{Retention: &kept})); d.Retention != kept {
		t.Errorf("domain with a retention rule: %+v", d)
	}
	if p := done[*api.PurgePreview](t)(c.PreviewPurge(ctx, "c", api.PurgeQuery{Retention: "30d"})); p.Retention != "30d" || p.Before.IsZero() {
		t.Errorf("preview: %+v", p)
	}
	done[*api.Purge](t)(c.PurgeDomain(ctx, "c"))
	done[*api.Domain](t)(c.FindDomain(ctx, "c"))
	if n := count(t, c.AllDomains(ctx)); n != 3 {
		t.Errorf("%d domains", n)
	}
	done[*api.Page[api.Preset]](t)(c.ListPresets(ctx))
	if p := done[*api.Preset](t)(c.FindPreset(ctx, "critical")); len(p.Document) == 0 {
		t.Errorf("preset: %+v", p)
	}
	hardened := "hardened"
	if d := done[*api.Domain](t)(c.ChangeDomain(ctx, "c", api.DomainChange{Preset: &hardened, DryRun: true})); d.Report == nil || len(d.Report.Violations) == 0 {
		t.Errorf("dry run: %+v", d)
	}
	document := done[*api.Profile](t)(c.FindProfile(ctx, "opc_ua", 1)).Document
	done[*api.Profile](t)(c.CreateProfile(ctx, api.ProfileCreation{Name: "c", Document: document}))
	if p := done[*api.Profile](t)(c.PutProfile(ctx, "c", api.ProfileVersion{Document: document})); p.Version != 2 {
		t.Errorf("profile: %+v", p)
	}
	count(t, c.AllProfiles(ctx))
	if s := done[*jsontext.Value](t)(c.ProfileSchema(ctx)); !s.IsValid() || !strings.Contains(string(*s), policy.SchemaID) {
		t.Errorf("schema: %s", *s)
	}
	trial := done[*api.ProfileVerdict](t)(c.TryProfile(ctx, api.ProfileTrial{Profile: "c", Domain: "alpha", CSR: string(fixture.CSR(t, "x", "uri:urn:example-01"))}))
	if !trial.Issued || trial.SANs[0] != "uri:urn:example-01" || trial.Subject != "SERIALNUMBER=4711,CN=x" || len(trial.Extensions) != 8 {
		t.Errorf("trial: %+v", trial)
	}
	ours := done[*api.ConvertedProfile](t)(c.ConvertProfile(ctx, api.ProfileConversion{Format: "trustpoint", Document: jsontext.Value(`{"type":"cert_profile"}`)}))
	if !ours.Document.IsValid() || len(ours.Notes) == 0 || len(ours.Lost) != 0 {
		t.Errorf("converted: %+v", ours)
	}
	pem := string(done[[]byte](t)(fixture.Certificates(2)))
	done[*api.Truststore](t)(c.CreateTruststore(ctx, api.TruststoreCreation{Name: "c", PEM: pem}))
	if s := done[*api.Truststore](t)(c.PutTruststore(ctx, "c", api.TruststoreVersion{PEM: pem + pem})); s.Version != 2 || len(s.Certificates) != 2 || s.PEM != pem {
		t.Errorf("truststore: %+v", s)
	}
	done[*api.Truststore](t)(c.FindTruststore(ctx, "c", 0))
	count(t, c.AllTruststores(ctx))
	done[*api.Registration](t)(c.CreateRegistration(ctx, api.RegistrationCreation{Name: "c", Truststore: "c", Domain: "c", SerialPattern: ".+"}))
	done[*api.Registration](t)(c.FindRegistration(ctx, "c"))
	count(t, c.AllRegistrations(ctx))
	if err := c.DeleteRegistration(ctx, "c"); err != nil {
		t.Error(err)
	}
}

// speakCAs leaves no more CAs than there were, but for two from elsewhere.
func speakCAs(t *testing.T, ctx context.Context, c *api.Client) {
	root := fixture.NewOutside(t, "Outside", nil)
	waiting := done[*api.CA](t)(c.CreateCA(ctx, api.CACreation{Name: "c-waiting", Type: models.CAIssuing, External: true}))
	if !waiting.Awaits() {
		t.Errorf("CA: %+v", waiting)
	}
	request := done[[]byte](t)(c.CARequest(ctx, "c-waiting"))
	installed := done[*api.CA](t)(c.InstallCA(ctx, "c-waiting", api.CACertificate{Certificate: root.Answer(t, request), Chain: root.PEM()}))
	if installed.State != models.CAActive || installed.Issuer != "outside" {
		t.Errorf("CA: %+v", installed)
	}
	other := fixture.NewOutside(t, "Other", nil)
	imported := done[*api.CA](t)(c.ImportCA(ctx, api.CAImport{Name: "c-imported", PKCS12: other.PKCS12(t, "geheim-12"), Password: "geheim-12"}))
	if imported.Origin != models.CAImported || imported.Type != models.CARoot {
		t.Errorf("CA: %+v", imported)
	}
	done[*api.CA](t)(c.CreateCA(ctx, api.CACreation{Name: "c-known", Type: models.CAExternal, Certificate: string(fixture.NewOutside(t, "Known", nil).PEM())}))
	if err := c.DeleteCA(ctx, "c-known"); err != nil {
		t.Error(err)
	}
}

func speakDevices(t *testing.T, ctx context.Context, w *world, c *api.Client) {
	method := api.OnboardingArming{Method: models.ESTPassword}
	if d := done[*api.Device](t)(c.CreateDevice(ctx, api.DeviceCreation{Name: "c", Domain: "c", Onboarding: method})); d.Onboarding.Secret == "" {
		t.Errorf("device: %+v", d)
	}
	done[*api.Device](t)(c.ArmDevice(ctx, "c", method))
	done[*api.Device](t)(c.SuspendDevice(ctx, "c"))
	done[*api.Device](t)(c.ResumeDevice(ctx, "c"))
	done[*api.Device](t)(c.DecommissionDevice(ctx, "c"))
	done[*api.Device](t)(c.FindDevice(ctx, "c"))
	if n := count(t, c.AllDevices(ctx, api.DeviceFilter{Domain: "c", State: models.DeviceDecommissioned})); n != 1 {
		t.Errorf("%d devices", n)
	}
	order := api.DeliveryCreation{Channel: models.DeliverToOperator, KeyAlgorithm: models.ECP384}
	first := done[*api.Delivery](t)(c.CreateDelivery(ctx, w.Alpha.Device, order))
	done[*api.Delivery](t)(c.FindDelivery(ctx, first.ID))
	if file := done[*api.DeliveryFile](t)(c.CollectDelivery(ctx, first.ID, api.DeliveryCollection{Format: models.FormatTarGz})); file.FileName != "device.tar.gz" {
		t.Errorf("file: %+v", file)
	}
	second := done[*api.Delivery](t)(c.CreateDelivery(ctx, w.Alpha.Device, order))
	done[*api.Delivery](t)(c.WithdrawDelivery(ctx, second.ID))
	if n := count(t, c.AllDeliveries(ctx, api.DeliveryFilter{Device: w.Alpha.Device})); n != 3 {
		t.Errorf("%d deliveries", n)
	}
	request, approval := string(w.Alpha.Request), string(w.Alpha.Approval)
	done[*api.Request](t)(c.FindRequest(ctx, request))
	done[*api.Request](t)(c.WithdrawRequest(ctx, request, api.Withdrawal{Reason: "twice"}))
	if n := count(t, c.AllRequests(ctx, api.RequestFilter{Device: w.Alpha.Device})); n != 1 {
		t.Errorf("%d requests", n)
	}
	a := done[*api.Approval](t)(c.FindApproval(ctx, approval))
	done[*api.Approval](t)(c.DecideApproval(ctx, approval, api.DecisionCreation{Decision: models.VerdictApprove, SubjectSHA256: a.SubjectSHA256}))
	if n := count(t, c.AllApprovals(ctx, api.ApprovalFilter{State: models.ApprovalPending})); n != 2 {
		t.Errorf("%d approvals", n)
	}
}

func speakOperators(t *testing.T, ctx context.Context, w *world, c *api.Client) {
	o := done[*api.Operator](t)(c.CreateOperator(ctx, api.OperatorCreation{Name: "dora", Role: models.RoleViewer, Domains: []string{"alpha"}, OIDCSubject: "4711"}))
	if o.Role != models.RoleViewer || o.OIDCSubject != "4711" || len(o.Domains) != 1 {
		t.Errorf("operator: %+v", o)
	}
	if o = done[*api.Operator](t)(c.ChangeOperator(ctx, "dora", api.OperatorChange{Role: models.RoleOperator, AllDomains: true})); o.Role != models.RoleOperator || len(o.Domains) != 0 {
		t.Errorf("changed operator: %+v", o)
	}
	done[*api.Operator](t)(c.DisableOperator(ctx, "dora"))
	done[*api.Operator](t)(c.EnableOperator(ctx, "dora"))
	card := w.Cards.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Dora"}})
	done[*api.Operator](t)(c.AddOperatorCertificate(ctx, "dora", api.OperatorCertificateCreation{PEM: fixture.PEM(card.Leaf)}))
	o = done[*api.Operator](t)(c.FindOperator(ctx, "dora"))
	if len(o.Certificates) != 1 || o.Certificates[0].Subject != "CN=Dora" || o.Certificates[0].Match != models.MatchFingerprint {
		t.Fatalf("operator with a certificate: %+v", o)
	}
	if err := c.RemoveOperatorCertificate(ctx, "dora", o.Certificates[0].ID); err != nil {
		t.Error(err)
	}
	done[*api.Token](t)(c.CreateToken(ctx, api.TokenCreation{Name: "e", Role: models.RoleViewer}))
	if made := done[*api.Token](t)(c.ChangeToken(ctx, "e", api.TokenChange{Role: models.RoleAuditor, ExpiresIn: models.Duration(time.Hour)})); made.Role != models.RoleAuditor || made.ExpiresAt == nil {
		t.Errorf("changed token: %+v", made)
	}
	w.tokens["session"] = w.Session(t, "erna", models.RoleViewer, "alpha")
	erna := client(t, w, "session")
	if s := done[*api.Session](t)(erna.FindSession(ctx)); s.Operator != "erna" || s.Role != models.RoleViewer || len(s.Domains) != 1 || s.ExpiresAt == nil {
		t.Errorf("session: %+v", s)
	}
	if err := erna.EndSession(ctx); err != nil {
		t.Error(err)
	}
	if _, err := erna.FindSession(ctx); err == nil {
		t.Error("the session goes on")
	}
}

func speakAudit(t *testing.T, ctx context.Context, w *world, c *api.Client) {
	head := done[*api.AuditHead](t)(c.SignAuditHead(ctx))
	if again := done[*api.AuditHeads](t)(c.ListAuditHeads(ctx, api.AuditHeadQuery{})); len(again.Heads) != 1 || again.Heads[0] != *head {
		t.Errorf("heads: %+v, want %+v", again, head)
	}
	part := done[*api.AuditPart](t)(c.ReadAuditChain(ctx, api.AuditPartQuery{}))
	if len(part.Records) < head.Seq || part.Records[head.Seq-1].Hash != head.Hash {
		t.Errorf("%d records for the head of place %d", len(part.Records), head.Seq)
	}
	v := done[*api.AuditVerification](t)(c.VerifyAudit(ctx, api.AuditVerificationQuery{Seq: head.Seq, Hash: head.Hash}))
	if !v.Done || len(v.Findings) > 0 || v.Checked < head.Seq || v.Heads != 2 {
		t.Errorf("verification: %+v", v)
	}
	wrong := api.AuditVerificationQuery{Seq: head.Seq - 1, Hash: head.Hash}
	if v := done[*api.AuditVerification](t)(c.VerifyAudit(ctx, wrong)); len(v.Findings) != 1 || v.Findings[0].Kind != "head" {
		t.Errorf("a head that was kept of another log: %+v", v)
	}
	if n := count(t, c.WholeTimeline(ctx, w.Alpha.Device)); n == 0 {
		t.Error("the timeline is empty")
	}
}

func speakCertificates(t *testing.T, ctx context.Context, w *world, c *api.Client) {
	id := string(w.Alpha.Certificate)
	done[*api.Certificate](t)(c.FindCertificate(ctx, id))
	leaf := fixture.NewOutside(t, "c-leaf", nil, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 })
	imported := done[*api.CertificateImportResult](t)(c.ImportCertificates(ctx, api.CertificateImport{File: leaf.PEM()}))
	if len(imported.Items) != 1 || imported.Items[0].Outcome != "imported" {
		t.Errorf("imported: %+v", imported)
	}
	done[[]byte](t)(c.CertificatePEM(ctx, id))
	done[*api.Certificate](t)(c.RevokeCertificate(ctx, id, api.Revocation{Reason: "certificateHold"}))
	if r := done[*api.Certificate](t)(c.ReleaseCertificate(ctx, id)); r.Status != "valid" {
		t.Errorf("released: %+v", r)
	}
	if n := count(t, c.AllCertificates(ctx, api.CertificateFilter{Device: w.Alpha.Device})); n != 1 {
		t.Errorf("%d certificates", n)
	}
	if made := done[*api.Token](t)(c.CreateToken(ctx, api.TokenCreation{Name: "c", Role: models.RoleViewer})); !strings.HasPrefix(made.Token, "tl_") {
		t.Errorf("token: %+v", made)
	}
	if err := c.RevokeToken(ctx, "c"); err != nil {
		t.Error(err)
	}
	count(t, c.AllTokens(ctx))
	count(t, c.AllOperators(ctx))
	if n := count(t, c.AllEvents(ctx, api.EventFilter{Action: "token.revoked"})); n != 1 {
		t.Errorf("%d events", n)
	}
	var problem *api.Problem
	if _, err := c.FindDevice(ctx, "no/such?device"); !errors.As(err, &problem) || problem.Status != 404 ||
		!strings.Contains(problem.Error(), "there is no device no/such?device (request ") {
		t.Errorf("error: %v", err)
	}
}
