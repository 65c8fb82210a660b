// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func refuses(t *testing.T, what string, err error, kind models.Kind) {
	t.Helper()
	if err == nil || models.KindOf(err) != kind {
		t.Errorf("%s: %v, want %s", what, err, kind)
	}
}

func TestTheLastOneWhoCanLetOthersInIsKept(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx, soon := t.Context(), models.Duration(time.Hour)
		others := map[string]api.TokenCreation{
			"expiring": {Role: models.RoleAdmin, ExpiresIn: soon}, "limited": {Role: models.RoleAdmin, Domains: []string{"alpha"}}, "weak": {Role: models.RoleOperator},
			"disabled": {Role: models.RoleAdmin},
		}
		for name, in := range others {
			in.Name = name
			if _, err := p.Ops.CreateToken(ctx, p.Boss, in); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Ops.DisableOperator(ctx, p.Boss, "disabled"); err != nil {
			t.Fatal(err)
		}
		card := p.Cards.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Carla"}})
		attempts := map[string]func() error{
			"revoke it": func() error { return p.Ops.RevokeToken(ctx, p.Boss, "boss") },
			"let it expire": func() error {
				_, err := p.Ops.ChangeToken(ctx, p.Boss, "boss", api.TokenChange{ExpiresIn: soon})
				return err
			},
			"take its role": func() error {
				_, err := p.Ops.ChangeToken(ctx, p.Boss, "boss", api.TokenChange{Role: models.RoleViewer})
				return err
			},
			"limit it to a domain": func() error {
				_, err := p.Ops.ChangeToken(ctx, p.Boss, "boss", api.TokenChange{Domains: []string{"alpha"}})
				return err
			},
			"disable the one who has it": func() error { _, err := p.Ops.DisableOperator(ctx, p.Boss, "boss"); return err },
		}
		for name, attempt := range attempts {
			refuses(t, name, attempt(), models.KindConflict)
		}
		if _, err := p.Ops.CreateOperator(ctx, p.Boss, api.OperatorCreation{Name: "carla", Role: models.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		refuses(t, "revoke it while Carla has no way in", attempts["revoke it"](), models.KindConflict)
		carla, err := p.Ops.AddOperatorCertificate(ctx, p.Boss, "carla", api.OperatorCertificateCreation{PEM: fixture.PEM(card.Leaf)})
		if err != nil {
			t.Fatal(err)
		}
		if err := attempts["revoke it"](); err != nil {
			t.Errorf("with Carla's card: %v", err)
		}
		refuses(t, "take Carla's role", func() error {
			_, err := p.Ops.ChangeOperator(ctx, p.Boss, "carla", api.OperatorChange{Role: models.RoleViewer})
			return err
		}(), models.KindConflict)
		refuses(t, "take Carla's card", p.Ops.RemoveOperatorCertificate(ctx, p.Boss, "carla", carla.Certificates[0].ID), models.KindConflict)
	})
}

func TestDomainsThatAreNamedAndNone(t *testing.T) {
	p := fixture.NewPlant(t, fixture.Open(t, fixture.SQLite(t)))
	_, err := p.Ops.CreateToken(t.Context(), p.Boss, api.TokenCreation{Name: "x", Role: models.RoleViewer, Domains: []string{}})
	refuses(t, "a token for no domain", err, models.KindInvalid)
	_, err = p.Ops.CreateOperator(t.Context(), p.Boss, api.OperatorCreation{Name: "x", Role: models.RoleViewer, Domains: []string{}})
	refuses(t, "an operator for no domain", err, models.KindInvalid)
	_, err = p.Ops.ChangeToken(t.Context(), p.Boss, "boss", api.TokenChange{Domains: []string{"alpha"}, AllDomains: true})
	refuses(t, "some and all", err, models.KindInvalid)
	_, err = p.Ops.CreateOperator(t.Context(), p.Boss, api.OperatorCreation{Name: "x", Domains: []string{"gone"}})
	refuses(t, "a domain that is not there", err, models.KindNotFound)
	if (auth.Principal{Domains: []string{}}).Limited() != true || (auth.Principal{}).Limited() {
		t.Error("no domains are read as all")
	}
}

func TestChangesHoldAtTheNextRequest(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		token, _ := p.Token(t, "rita", models.RoleOperator)
		session := p.Session(t, "sina", models.RoleOperator)
		who := func(c auth.Credentials) (auth.Principal, error) { return p.Auth.Authenticate(ctx, c) }
		if _, err := p.Ops.ChangeToken(ctx, p.Boss, "rita", api.TokenChange{Role: models.RoleViewer, Domains: []string{"alpha"}}); err != nil {
			t.Fatal(err)
		}
		if now, err := who(auth.Credentials{Bearer: token}); err != nil || now.Role != models.RoleViewer || !now.Limited() {
			t.Errorf("token after the change: %+v, %v", now, err)
		}
		_, err := p.Ops.ChangeToken(ctx, p.Boss, "session-sina", api.TokenChange{Role: models.RoleAdmin})
		refuses(t, "a session of its own role", err, models.KindConflict)
		if _, err := p.Ops.ChangeOperator(ctx, p.Boss, "sina", api.OperatorChange{Role: models.RoleApprover, Domains: []string{"beta"}}); err != nil {
			t.Fatal(err)
		}
		if now, err := who(auth.Credentials{Cookie: session}); err != nil || now.Role != models.RoleApprover || now.Domains[0] != "beta" {
			t.Errorf("session after the change: %+v, %v", now, err)
		}
		for _, name := range []string{"rita", "sina"} {
			if _, err := p.Ops.DisableOperator(ctx, p.Boss, name); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []auth.Credentials{{Bearer: token}, {Bearer: session}, {Cookie: session}} {
			_, err := who(c)
			refuses(t, "a disabled operator", err, models.KindUnauthenticated)
		}
		if _, err := p.Ops.EnableOperator(ctx, p.Boss, "rita"); err != nil {
			t.Fatal(err)
		}
		if _, err := who(auth.Credentials{Bearer: token}); err != nil {
			t.Errorf("enabled again: %v", err)
		}
	})
}

func TestWhatADisabledOperatorApprovedCountsNoMore(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx, id := t.Context(), string(p.Alpha.Approval)
		mallory, alice, bob := p.Caller(t, "mallory", models.RoleApprover), p.Caller(t, "alice", models.RoleApprover), p.Caller(t, "bob", models.RoleApprover)
		approve := api.DecisionCreation{Decision: models.VerdictApprove}
		if a, err := p.Ops.DecideApproval(ctx, mallory, id, approve); err != nil || a.CurrentStep != 1 {
			t.Fatalf("%+v, %v", a, err)
		}
		if _, err := p.Ops.DisableOperator(ctx, p.Boss, "mallory"); err != nil {
			t.Fatal(err)
		}
		a, err := p.Ops.FindApproval(ctx, p.Boss, id)
		if err != nil || a.CurrentStep != 0 || a.StepApprovals != 0 || a.State != models.ApprovalPending {
			t.Fatalf("after: %+v, %v", a, err)
		}
		_, err = p.Ops.DecideApproval(ctx, mallory, id, approve) // authenticated just before
		if err == nil {
			t.Error("a disabled operator decides")
		}
		if _, err := p.Ops.EnableOperator(ctx, p.Boss, "mallory"); err != nil {
			t.Fatal(err)
		}
		_, err = p.Ops.DecideApproval(ctx, mallory, id, approve)
		refuses(t, "a second word", err, models.KindConflict)
		for _, who := range []operations.Caller{alice, bob} {
			if a, err = p.Ops.DecideApproval(ctx, who, id, approve); err != nil {
				t.Fatal(err)
			}
		}
		if a.State != models.ApprovalApproved {
			t.Errorf("at last: %+v", a)
		}
		events, _, err := p.Store.ListEvents(ctx, store.EventFilter{Action: "approval.voided"})
		if err != nil || len(events) != 1 || events[0].Details["operator"] != "mallory" || events[0].RequestID != p.Alpha.Request {
			t.Errorf("events %+v, %v", events, err)
		}
	})
}

func TestALaterStepThatWasDecidedBeforeCounts(t *testing.T) {
	p := fixture.NewPlant(t, fixture.Open(t, fixture.SQLite(t)))
	ctx, id := t.Context(), string(p.Alpha.Approval)
	approval, err := p.Store.FindApproval(ctx, p.Alpha.Approval)
	if err != nil {
		t.Fatal(err)
	}
	approval.Steps[1].Quorum = 2
	if err := p.Store.Write(ctx, func(tx *store.Tx) error { return tx.SaveApproval(approval) }); err != nil {
		t.Fatal(err)
	}
	approve := api.DecisionCreation{Decision: models.VerdictApprove}
	for _, name := range []string{"one", "two"} {
		a, err := p.Ops.DecideApproval(ctx, p.Caller(t, name, models.RoleApprover), id, approve)
		if err != nil || a.CurrentStep != 1 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if _, err := p.Ops.DisableOperator(ctx, p.Boss, "one"); err != nil {
		t.Fatal(err)
	}
	a, err := p.Ops.DecideApproval(ctx, p.Caller(t, "three", models.RoleApprover), id, approve)
	if err != nil || a.CurrentStep != 1 || a.StepApprovals != 1 || a.State != models.ApprovalPending {
		t.Fatalf("the first step again: %+v, %v", a, err)
	}
	if a, err = p.Ops.DecideApproval(ctx, p.Caller(t, "four", models.RoleApprover), id, approve); err != nil || a.State != models.ApprovalApproved {
		t.Errorf("the last word: %+v, %v", a, err)
	}
}

func TestCertificatesOfOperators(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		strangers := fixture.NewCards(t, "Plant People") // the same name, another key
		for _, name := range []string{"alice", "bob"} {
			if _, err := p.Ops.CreateOperator(ctx, p.Boss, api.OperatorCreation{Name: name, Role: models.RoleApprover, Domains: []string{"alpha"}}); err != nil {
				t.Fatal(err)
			}
		}
		add := func(name string, cert *x509.Certificate, match models.CertificateMatch) error {
			_, err := p.Ops.AddOperatorCertificate(ctx, p.Boss, name, api.OperatorCertificateCreation{PEM: fixture.PEM(cert), Match: match})
			return err
		}
		alice := x509.Certificate{Subject: pkix.Name{CommonName: "Alice"}, EmailAddresses: []string{"Alice@plant.example"}}
		card, next, stolen := p.Cards.Issue(t, alice), p.Cards.Issue(t, alice), p.Cards.Issue(t, alice)
		for match, kind := range map[models.CertificateMatch]models.Kind{models.MatchUPN: models.KindInvalid, "cn": models.KindInvalid} {
			refuses(t, string(match), add("alice", card.Leaf, match), kind)
		}
		refuses(t, "a stranger's", add("alice", strangers.Issue(t, alice).Leaf, models.MatchEmail), models.KindInvalid)
		row, err := p.Store.FindCertificate(ctx, p.Alpha.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		device, err := x509.ParseCertificate(row.DER)
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, "a device's", add("alice", device, ""), models.KindInvalid)
		if err := add("alice", card.Leaf, models.MatchEmail); err != nil {
			t.Fatal(err)
		}
		refuses(t, "what is somebody's", add("bob", next.Leaf, models.MatchEmail), models.KindConflict)
		p.Cards.Revoke(t, time.Now().Add(time.Hour), stolen.Leaf)

		who := func(c *x509.Certificate) (auth.Principal, error) {
			return p.Auth.Authenticate(ctx, auth.Credentials{Certificates: []*x509.Certificate{c}})
		}
		now, err := who(next.Leaf)
		if err != nil || now.Name != "alice" || now.Role != models.RoleApprover || !now.Limited() || !strings.HasPrefix(now.TokenName, "certificate ") {
			t.Errorf("the next card: %+v, %v", now, err)
		}
		bob := p.Cards.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Bob"}})
		if err := add("bob", bob.Leaf, ""); err != nil {
			t.Fatal(err)
		}
		if now, err := who(bob.Leaf); err != nil || now.Name != "bob" {
			t.Errorf("a card by its fingerprint: %+v, %v", now, err)
		}
		two := alice
		two.EmailAddresses = []string{"alice@plant.example", "bob@plant.example"}
		expired := alice
		expired.NotBefore, expired.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
		server := alice
		server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for name, cert := range map[string]*x509.Certificate{
			"a card of the same name from a CA of the same name": strangers.Issue(t, alice).Leaf,
			"a card of somebody unknown":                         p.Cards.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Alice"}}).Leaf,
			"a card with two names":                              p.Cards.Issue(t, two).Leaf,
			"a card that has expired":                            p.Cards.Issue(t, expired).Leaf,
			"a certificate of a server":                          p.Cards.Issue(t, server).Leaf,
			"a revoked card":                                     stolen.Leaf,
			"a device's certificate":                             device,
			"the CA itself":                                      p.Cards.CA,
		} {
			_, err := who(cert)
			refuses(t, name, err, models.KindUnauthenticated)
		}
		token, _ := p.Token(t, "tina", models.RoleViewer)
		_, err = p.Auth.Authenticate(ctx, auth.Credentials{Bearer: token, Certificates: []*x509.Certificate{next.Leaf}})
		refuses(t, "a token and a card", err, models.KindInvalid)
		_, err = p.Auth.Authenticate(ctx, auth.Credentials{Bearer: token, Cookie: token})
		refuses(t, "a token and a session", err, models.KindInvalid)
		_, err = p.Auth.Authenticate(ctx, auth.Credentials{Cookie: token})
		refuses(t, "a token as a session", err, models.KindUnauthenticated)
		p.Cards.CRLs = nil
		p.Cards.Revoke(t, time.Now().Add(-time.Minute))
		_, err = who(next.Leaf)
		refuses(t, "a CRL that is out of date", err, models.KindUnavailable)
		listsThatAreNotCurrent(t, p, func() error { _, err := who(next.Leaf); return err })
	})
}

// listsThatAreNotCurrent lets somebody in with CRLs that begin later, or never end.
func listsThatAreNotCurrent(t *testing.T, p *fixture.Plant, enter func() error) {
	t.Helper()
	for text, c := range map[string]struct {
		begins  time.Duration
		endless bool
	}{"is not valid before": {time.Hour, false}, "nextUpdate, RFC 5280": {-time.Hour, true}} {
		p.Cards.CRLs = nil
		p.Cards.Promise(t, time.Now().Add(c.begins), c.endless)
		wantKind(t, enter(), models.KindUnavailable, text)
		p.Cards.Promise(t, time.Now().Add(time.Minute), false) // clocks differ
		if err := enter(); err != nil {
			t.Errorf("a current CRL beside one that %s: %v", text, err)
		}
	}
}

func TestNobodyApprovesWhatTheyAskedFor(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		olga, nora := p.Caller(t, "olga", models.RoleAdmin), p.Caller(t, "nora", models.RoleApprover)
		request, err := p.Store.FindRequest(ctx, p.Alpha.Request)
		if err != nil {
			t.Fatal(err)
		}
		site := p.Alpha
		site.Request, site.Approval = p.WaitingFor(t, site, func(r *models.Request) { r.AuthMethod, r.AuthSubject = models.AuthOperator, "olga" })
		id, approve := string(site.Approval), api.DecisionCreation{Decision: models.VerdictApprove}
		_, err = p.Ops.DecideApproval(ctx, olga, id, approve)
		refuses(t, "one's own request", err, models.KindDenied)
		if _, err := p.Ops.DecideApproval(ctx, nora, id, approve); err != nil {
			t.Errorf("somebody else: %v", err)
		}
		if _, err := p.Ops.DecideApproval(ctx, olga, id, api.DecisionCreation{Decision: models.VerdictReject, Comment: "not needed"}); err != nil {
			t.Errorf("rejecting one's own: %v", err)
		}
		if _, err := p.Ops.DecideApproval(ctx, olga, string(p.Alpha.Approval), approve); err != nil {
			t.Errorf("a device's request (%s): %v", request.AuthMethod, err)
		}
		events, _, err := p.Store.ListEvents(ctx, store.EventFilter{Action: "approval.refused"})
		if err != nil || len(events) != 1 || events[0].Actor != "operator:olga" || events[0].RequestID != site.Request {
			t.Errorf("events %+v, %v", events, err)
		}
	})
}
