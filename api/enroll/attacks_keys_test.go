// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"testing"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
)

// TestKeysThatAreNotTheDevicesOwn is A10: a key is one device's, in whatever
// domain, and one that leaked is nobody's any more.
func TestKeysThatAreNotTheDevicesOwn(t *testing.T) {
	type scene struct {
		*world
		credential, foreign *x509.Certificate // of press-01, and of paint-01 in another domain
		key                 *ecdsa.PrivateKey
	}
	revoked := func(reason models.RevocationReason) func(*scene) (est.Result, error) {
		return func(s *scene) (est.Result, error) {
			got, err := s.enroll("tls_server", s.csr(s.key, nil), with(s.credential))
			check(s.t, err)
			s.revoke(got.Certificates[0], reason)
			return s.enroll("tls_client", s.csr(s.key, nil), with(s.credential))
		}
	}
	for name, c := range map[string]struct {
		refused bool
		attack  func(*scene) (est.Result, error)
	}{
		"a key of a device of another domain": {true, func(s *scene) (est.Result, error) {
			_, err := s.est.SimpleEnroll(context.Background(), est.Label{Domain: "paint-shop", Profile: "tls_server"}, s.csr(s.key, nil), with(s.foreign))
			check(s.t, err)
			return s.enroll("tls_server", s.csr(s.key, nil), with(s.credential))
		}},
		"the device's own key after it leaked":       {true, revoked("keyCompromise")},
		"the device's own key while it is suspected": {true, revoked("certificateHold")},
		"the device's own key after a change":        {false, revoked("superseded")},
		"a renewal with a key that leaked elsewhere": {true, func(s *scene) (est.Result, error) {
			got, err := s.enroll("tls_server", s.csr(s.key, nil), with(s.credential))
			check(s.t, err)
			s.revoke(got.Certificates[0], "keyCompromise")
			app := s.application(s.credential)
			return s.reenroll(s.csr(s.key, &x509.CertificateRequest{RawSubject: app.RawSubject, DNSNames: app.DNSNames, IPAddresses: app.IPAddresses, URIs: app.URIs}), with(app))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{world: newWorld(t), key: newKey(t)}
			_, s.credential = s.onboarded("press-01")
			home := s.domain
			s.domain = s.other
			_, s.foreign = s.onboarded("paint-01")
			s.domain = home
			got, err := c.attack(s)
			if refused := models.KindOf(err) == models.KindDenied && err != nil; refused != c.refused || (!c.refused && err != nil) {
				t.Fatalf("%+v, %v", got, err)
			}
			if !c.refused {
				return
			}
			for _, r := range s.requests() { // a refusal is told and no certificate comes of it
				if r.State == models.RequestIssued {
					continue
				}
				if r.CertificateID != "" {
					t.Errorf("request %s is %s and has the certificate %s", r.ID, r.State, r.CertificateID)
				}
			}
		})
	}
}
