// SPDX-License-Identifier: MIT

package activities_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func (w *world) preset(name string) {
	w.t.Helper()
	w.domain.Preset = name
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
}

// TestAPresetThatBecameStricterMeanwhileHolds lets a request wait under one
// preset and be issued under another.
func TestAPresetThatBecameStricterMeanwhileHolds(t *testing.T) {
	oneApproved := models.Decision{Outcome: models.OutcomeWait, Reasons: []string{"admitted"},
		Approval: &models.ApprovalRule{Steps: []models.ApprovalStep{{Name: "operator", Quorum: 1}}}}
	tests := map[string]struct {
		preset   string
		decision models.Decision
		change   func(*models.Request)
		member   string // that refuses; empty: it is issued
	}{
		"industrial issues":                             {"industrial", issueAtOnce, nil, ""},
		"hardened refuses what nobody approved":         {"hardened", issueAtOnce, nil, "onboarding_people"},
		"hardened issues what one approved":             {"hardened", oneApproved, nil, ""},
		"critical refuses what one approved":            {"critical", oneApproved, nil, "onboarding_people"},
		"hardened refuses a key that was made here":     {"hardened", oneApproved, func(r *models.Request) { r.Protocol = models.ProtocolDelivery }, "server_made_keys"},
		"hardened refuses a key by serverkeygen":        {"hardened", oneApproved, func(r *models.Request) { r.Protocol = models.ProtocolServerKeyGen }, "server_made_keys"},
		"critical refuses a key on P-256 by its IDevID": {"critical", issueAtOnce, func(r *models.Request) { r.AuthMethod = models.AuthIDevID }, "device_keys"},
		"a preset of tomorrow refuses everything":       {"of-tomorrow", oneApproved, nil, "which this version"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fixture.Open(t, fixture.SQLite(t)))
			req := w.newRequest(models.KindOnboarding, "domain_credential", tt.decision)
			if tt.change != nil {
				tt.change(req)
			}
			w.preset(tt.preset)
			facts, err := w.acts.Issuance.Facts(context.Background(), req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.acts.Issuance.Issue(context.Background(), req, facts, models.Event{Actor: "x", Action: "request.received", Noun: "request"}, nil)
			if (err == nil) != (tt.member == "") || err != nil && !strings.Contains(models.PublicText(err), tt.member) {
				t.Errorf("%v, want %q", err, tt.member)
			}
			if rows := w.certificates(req); (len(rows) == 0) != (tt.member != "") {
				t.Errorf("%d certificates", len(rows))
			}
		})
	}
}

// lasting makes a self-signed CA of a lifetime.
func (w *world) lasting(name string, life time.Duration) *models.CA {
	w.t.Helper()
	ca := &models.CA{
		ID: models.NewID[models.CAID](), Name: name, Type: models.CARoot, State: models.CAPending, Generation: 1,
		Subject: models.Name{CommonName: "Plant " + name}, Validity: models.Duration(life),
	}
	ca.Key = models.KeyRef{Store: models.StoreSoftware, ID: "ca-" + string(ca.ID), Algorithm: models.ECP256}
	w.write(func(tx *store.Tx) error { return tx.InsertCA(ca) })
	for _, step := range []func(context.Context, activities.AuthorityInput) (activities.AuthorityResult, error){
		w.acts.Authorities.GenerateAuthorityKey, w.acts.Authorities.ReserveAuthorityCertificate,
		w.acts.Authorities.SignAuthorityCertificate, w.acts.Authorities.ActivateAuthority,
	} {
		if _, err := step(context.Background(), activities.AuthorityInput{CAID: ca.ID}); err != nil {
			w.t.Fatal(err)
		}
	}
	return ca
}

func TestTheDecisionSaysThatThePresetCutsACertificate(t *testing.T) {
	w := newWorld(t, fixture.Open(t, fixture.SQLite(t)))
	w.write(func(tx *store.Tx) error {
		return tx.InsertProfile(&models.Profile{ID: models.NewID[models.ProfileID](), Name: "long", Document: []byte(
			`{"type":"cert_profile","version":1,"credential_type":"domain","subject":{"common_name":"{{device.name}}"},"extensions":{},"validity":{"duration":"900d"}}`)})
	})
	w.domain.IssuingCAID, w.domain.Profiles = w.lasting("anchor", 10*365*24*time.Hour).ID, []string{"long"}
	w.preset("industrial")
	req := w.newRequest(models.KindOnboarding, "long", issueAtOnce)
	facts, err := w.acts.Issuance.Facts(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := w.acts.Issuance.Issue(context.Background(), req, facts, models.Event{Actor: "x", Action: "request.received", Noun: "request"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lasts := cert.NotAfter.Sub(models.UTC(w.now)); lasts > 730*24*time.Hour || lasts < 729*24*time.Hour {
		t.Errorf("it lasts %s", lasts)
	}
	stored, err := w.store.FindRequest(context.Background(), req.ID)
	if err != nil || !slices.ContainsFunc(stored.Decision.Reasons, func(r string) bool { return strings.HasSuffix(r, "preset industrial permits 2y (certificate_longest)") }) {
		t.Errorf("reasons %q, %v", stored.Decision.Reasons, err)
	}
}

func TestCRLsLastAsLongAsTheStrictestPresetPermits(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		w.write(func(tx *store.Tx) error {
			return tx.InsertDomain(&models.Domain{ID: models.NewID[models.DomainID](), Name: "paint-shop", IssuingCAID: w.ca.ID, Profiles: []string{"tls_server"}, Preset: "lab"})
		})
		for preset, want := range map[string]time.Duration{"lab": 7 * 24 * time.Hour, "industrial": 7 * 24 * time.Hour, "critical": 48 * time.Hour} {
			w.preset(preset)
			if _, err := w.acts.Publication.PublishCRL(context.Background(), activities.PublishInput{CAID: w.ca.ID}); err != nil {
				t.Fatal(err)
			}
			crl, err := w.store.LatestCRL(context.Background(), w.ca.KeyID)
			if err != nil || crl.NextUpdate.Sub(crl.ThisUpdate) != want {
				t.Errorf("under %s a CRL lasts %s, %v", preset, crl.NextUpdate.Sub(crl.ThisUpdate), err)
			}
		}
	})
}
