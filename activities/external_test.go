// SPDX-License-Identifier: MIT

package activities_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestTheWaitForAnExternalCA(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		ctx, deadline := t.Context(), w.now.Add(48*time.Hour)
		ca := &models.CA{
			ID: models.NewID[models.CAID](), Name: "external", Type: models.CAIssuing, State: models.CAPending, Generation: 1, Origin: models.CARequested,
			Subject: models.Name{CommonName: "External"}, Deadline: &deadline, Key: models.KeyRef{Store: models.StoreSoftware, ID: "external", Algorithm: models.ECP384},
		}
		w.write(func(tx *store.Tx) error { return tx.InsertCA(ca) })
		in := activities.AuthorityInput{CAID: ca.ID}
		if _, err := w.acts.Authorities.GenerateAuthorityKey(ctx, in); err != nil {
			t.Fatal(err)
		}
		step := func(do func(context.Context, activities.AuthorityInput) (activities.ExternalResult, error)) activities.ExternalResult {
			t.Helper()
			var result activities.ExternalResult
			for range 2 { // every step may be repeated
				var err error
				if result, err = do(ctx, in); err != nil {
					t.Fatal(err)
				}
			}
			return result
		}
		asked := step(w.acts.External.RequestAuthorityCertificate)
		if half := asked.Deadline.Add(-24 * time.Hour); asked.State != models.CAPending || asked.RemindAt.Sub(half).Abs() > time.Minute {
			t.Errorf("%+v", asked)
		}
		step(w.acts.External.RemindOfAuthority)
		if early := step(w.acts.External.ExpireAuthority); early.State != models.CAPending {
			t.Errorf("it was given up early: %+v", early)
		}
		w.now = deadline.Add(time.Second)
		if late := step(w.acts.External.ExpireAuthority); late.State != models.CAFailed {
			t.Errorf("it was not given up: %+v", late)
		}
		events, _, err := s.ListEvents(ctx, store.EventFilter{SubjectID: string(ca.ID)})
		var actions []string
		for _, e := range events {
			actions = append(actions, e.Action)
		}
		want := []string{"ca.key-generated", "ca.certificate-requested", "ca.certificate-overdue", "ca.certificate-overdue", "ca.failed"}
		if err != nil || len(actions) != len(want) {
			t.Errorf("%v %v", actions, err)
		}
		w.write(func(tx *store.Tx) error {
			row, err := tx.FindCA(ctx, ca.ID)
			if err != nil {
				return err
			}
			return tx.DeleteCA(row)
		})
		if gone := step(w.acts.External.LookAtAuthority); gone.State != "" {
			t.Errorf("%+v", gone)
		}
	})
}

// TestCAKeysOnAListAreRefused is A09 for CAs that are made here: a token may
// make keys that others know.
func TestCAKeysOnAListAreRefused(t *testing.T) {
	w := newWorld(t, fixture.Open(t, fixture.SQLite(t)))
	for origin, step := range map[models.CAOrigin]func(context.Context, activities.AuthorityInput) error{
		models.CAMade: func(ctx context.Context, in activities.AuthorityInput) error {
			_, err := w.acts.Authorities.ReserveAuthorityCertificate(ctx, in)
			return err
		},
		models.CARequested: func(ctx context.Context, in activities.AuthorityInput) error {
			_, err := w.acts.External.RequestAuthorityCertificate(ctx, in)
			return err
		},
	} {
		name, deadline := "leaked-"+string(origin), w.now.Add(time.Hour)
		ca := &models.CA{
			ID: models.NewID[models.CAID](), Name: name, Type: models.CAIssuing, State: models.CAPending, Generation: 1, Origin: origin, IssuerID: w.ca.ID,
			Subject: models.Name{CommonName: name}, Deadline: &deadline, Validity: models.Duration(24 * time.Hour),
			Key: models.KeyRef{Store: models.StoreSoftware, ID: name, Algorithm: models.ECP256},
		}
		w.write(func(tx *store.Tx) error { return tx.InsertCA(ca) })
		in := activities.AuthorityInput{CAID: ca.ID}
		if _, err := w.acts.Authorities.GenerateAuthorityKey(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		signer, err := w.keys[models.StoreSoftware].Signer(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(signer.Public())
		if err != nil {
			t.Fatal(err)
		}
		w.write(func(tx *store.Tx) error {
			_, _, err := tx.ChangeBlocklist("leaked", []string{fmt.Sprintf("%x", sha256.Sum256(spki))}, nil)
			return err
		})
		if err := step(t.Context(), in); models.KindOf(err) != models.KindDenied {
			t.Errorf("%s: %v", origin, err)
		}
	}
}
