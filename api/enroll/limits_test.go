// SPDX-License-Identifier: MIT

package enroll_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"sync"
	"testing"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// limited is a profile for servers of which there is one of a name, and at
// most two in a device.
const limited = `{"type":"cert_profile","version":1,"subject":{"CN":{}},"extensions":{"SAN":{"dns":{}}},
	"validity":{"duration":"30d"},"uniqueness":["dns_names"],"maximum_active":2}`

func limitedWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	w := worldIn(t, s)
	w.write(func(tx *store.Tx) error {
		w.domain.Profiles = append(w.domain.Profiles, "limited")
		w.domain.Aliases = map[string]string{"web": "limited"}
		if err := tx.SaveDomain(w.domain); err != nil {
			return err
		}
		return tx.InsertProfile(&models.Profile{ID: models.NewID[models.ProfileID](), Name: "limited", Document: []byte(limited)})
	})
	return w
}

func wantRefusal(t *testing.T, err error, says string) {
	t.Helper()
	if models.KindOf(err) != models.KindDenied || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want Denied with %q", err, says)
	}
}

func TestUniquenessAndMaximum(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := limitedWorld(t, s)
		_, one := w.onboarded("press-01")
		_, two := w.onboarded("press-02")
		ask := func(who *x509.Certificate, dns string) (*x509.Certificate, error) {
			result, err := w.enroll("web", w.csr(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{dns}}), with(who))
			if err != nil {
				return nil, err
			}
			return result.Certificates[0], nil
		}
		first, err := ask(one, "hmi.example")
		check(t, err)
		_, err = ask(two, "HMI.example")
		wantRefusal(t, err, `another device of the domain has a valid certificate with "dns:hmi.example"`)

		// A second one of the same name is the device's own; a third is too many.
		second, err := ask(one, "hmi.example")
		check(t, err)
		_, err = ask(one, "web.example")
		wantRefusal(t, err, "the device has 2 valid certificates of profile limited, which permits 2")

		// A renewal replaces, however often.
		for range 3 {
			result, err := w.reenroll(w.renewalOf(first), with(first))
			check(t, err)
			first = result.Certificates[0]
		}
		_, err = ask(one, "web.example")
		wantRefusal(t, err, "the device has 2 valid certificates")

		// What is revoked neither counts nor claims, but what is held does.
		w.revoke(first, "certificateHold")
		_, err = ask(one, "web.example")
		wantRefusal(t, err, "the device has 2 valid certificates")
		w.revoke(first, "superseded")
		_, err = ask(one, "web.example")
		check(t, err)
		_, err = ask(two, "hmi.example")
		wantRefusal(t, err, "another device of the domain")
		w.revoke(second, "superseded")
		_, err = ask(two, "hmi.example")
		wantRefusal(t, err, "another device of the domain") // the predecessors of the first are valid still
	})
}

func TestLimitsHoldInARace(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := limitedWorld(t, s)
		const devices = 4
		var who [devices]*x509.Certificate
		for i := range who {
			name := "press-0" + string(rune('1'+i))
			_, who[i] = w.onboarded(name)
		}
		race := func(n int, ask func(i int) (est.Result, error)) (issued int) {
			start := make(chan struct{})
			var all sync.WaitGroup
			errs := make([]error, n)
			for i := range n {
				all.Go(func() {
					<-start
					_, errs[i] = ask(i)
				})
			}
			close(start)
			all.Wait()
			for _, err := range errs {
				switch {
				case err == nil:
					issued++
				case models.KindOf(err) != models.KindDenied:
					t.Error(err)
				}
			}
			return issued
		}
		template := &x509.CertificateRequest{DNSNames: []string{"b.example", "a.example"}}
		if issued := race(devices, func(i int) (est.Result, error) { return w.enroll("web", w.csr(nil, template), with(who[i])) }); issued != 1 {
			t.Errorf("%d devices have one name", issued)
		}
		if issued := race(8, func(int) (est.Result, error) {
			return w.enroll("limited", w.csr(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}), with(who[0]))
		}); issued > 2 || issued < 1 {
			t.Errorf("a device has %d certificates more of at most 2", issued)
		}
	})
}
