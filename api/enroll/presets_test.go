// SPDX-License-Identifier: MIT

package enroll_test

import (
	"strings"
	"testing"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// preset gives the domain another preset, and says what it gives.
func (w *world) preset(name string) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		row, err := tx.FindDomainByName(w.t.Context(), w.domain.Name)
		if err != nil {
			return err
		}
		row.Preset = name
		if err := tx.SaveDomain(row); err != nil {
			return err
		}
		*w.domain = *row
		return nil
	})
}

func names(t *testing.T, err error, member string) {
	t.Helper()
	if models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), "("+member+")") {
		t.Errorf("%v, want a refusal that names %s", err, member)
	}
}

func TestPresetsLetDevicesIn(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := worldIn(t, s)
		w.device("press-01")
		csr := w.csr(nil, nil)
		w.preset("hardened")
		w.refused(models.KindDenied, func() (est.Result, error) { return w.enroll("domain_credential", csr, secretOf("press-01")) })
		w.askPeople()
		if got, err := w.enroll("domain_credential", csr, secretOf("press-01")); err != nil || !got.Pending() {
			t.Errorf("with people: %+v, %v", got, err)
		}
	})
}

func TestPresetsHoldForRenewalsAndSwitchBack(t *testing.T) {
	w := newWorld(t)
	_, credential := w.onboarded("press-01")
	application := w.application(credential)
	w.preset("critical")
	_, err := w.reenroll(w.renewalOf(application), with(application))
	if models.KindOf(err) != models.KindInvalid || !strings.Contains(models.PublicText(err), "demands channel binding") {
		t.Errorf("a request that is not bound: %v", err)
	}
	bound := with(application)
	bound.Bound = true
	_, err = w.reenroll(w.renewalOf(application), bound)
	names(t, err, "device_keys")
	w.preset("industrial")
	got, err := w.reenroll(w.renewalOf(application), with(application))
	if err != nil || got.Pending() {
		t.Errorf("after the way back: %+v, %v", got, err)
	}
}

func TestPresetsForbidKeysThatAreMadeHere(t *testing.T) {
	d := keygen(t, fixture.Open(t, fixture.SQLite(t)))
	device := d.armed("hand-01", models.Manual)
	_, credential := d.onboarded("press-01")
	d.preset("hardened")
	_, _, err := d.order(device, models.DeliverToOperator, "domain_credential")
	names(t, err, "server_made_keys")
	_, _, err = d.order(d.deviceNamed("press-01"), models.DeliverToOperator, "tls_server")
	names(t, err, "server_made_keys")
	_, err = d.generate("tls_server", d.csr(nil, nil), with(credential))
	names(t, err, "server_made_keys")
	d.preset("industrial")
	if _, _, err := d.order(device, models.DeliverToOperator, "domain_credential"); err != nil {
		t.Error(err)
	}
}
