// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"slices"
	"testing"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestWhatADomainWantsToSeeInARequest(t *testing.T) {
	w := openedWorld(t, fixture.Open(t, fixture.SQLite(t)))
	_, credential := w.onboarded("press-01")
	ask := func(profile string, peer est.Peer) (pki.CSRAttrs, error) {
		return w.est.CSRAttrs(context.Background(), est.Label{Domain: w.domain.Name, Profile: profile}, peer)
	}
	before := w.rows()
	names := func(c pki.CSRAttrs) bool {
		return slices.Contains(c.Subject, pki.Attribute{OID: "2.5.4.3", Value: "press-01"})
	}
	stranger, err := ask("", est.Peer{})
	check(t, err)
	if names(stranger) || stranger.ChallengePassword {
		t.Errorf("a stranger is told %+v", stranger)
	}
	known, err := ask("", with(credential))
	check(t, err)
	if !names(known) {
		t.Errorf("the device is told %+v", known)
	}
	if twin, err := ask("", with(w.twin(credential))); err != nil || names(twin) {
		t.Errorf("a twin of its certificate is told %+v, %v", twin, err)
	}
	doors := *models.NewDomainDoors()
	doors.ChannelBinding = true
	w.doors(doors)
	if bound, err := ask("tls_server", est.Peer{}); err != nil || !bound.ChallengePassword {
		t.Errorf("a binding is demanded: %+v, %v", bound, err)
	}
	for _, profile := range []string{"nothing", "opc_ua"} {
		if _, err := ask(profile, est.Peer{}); models.KindOf(err) != models.KindNotFound {
			t.Errorf("%s: %v", profile, err)
		}
	}
	w.doors(models.DomainDoors{Open: []models.DeviceOperation{models.OpSimpleEnroll}})
	if _, err := ask("", est.Peer{}); models.KindOf(err) != models.KindNotFound {
		t.Errorf("switched off: %v", err)
	}
	if after := w.rows(); after[0] != before[0] || after[1] != before[1] {
		t.Error("asking left rows")
	}
}
