// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
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

// TestKeysOnAListAreRefused is A09: what shows in no key itself is on a list,
// and refused in both lanes, also after people have approved.
func TestKeysOnAListAreRefused(t *testing.T) {
	type scene struct {
		*world
		credential *x509.Certificate
		key        *ecdsa.PrivateKey
	}
	block := func(s *scene) {
		digest := s.csr(s.key, nil).SPKISHA256
		s.write(func(tx *store.Tx) error {
			_, _, err := tx.ChangeBlocklist("debian-2008", []string{digest}, nil)
			return err
		})
	}
	for name, attack := range map[string]func(*scene) error{
		"a certificate at once": func(s *scene) error {
			block(s)
			_, err := s.enroll("tls_server", s.csr(s.key, nil), with(s.credential))
			return err
		},
		"a renewal with a key that was good": func(s *scene) error {
			got, err := s.enroll("tls_server", s.csr(s.key, nil), with(s.credential))
			check(s.t, err)
			block(s)
			app := got.Certificates[0]
			_, err = s.reenroll(s.csr(s.key, &x509.CertificateRequest{RawSubject: app.RawSubject, DNSNames: app.DNSNames, IPAddresses: app.IPAddresses, URIs: app.URIs}), with(app))
			return err
		},
		"an onboarding": func(s *scene) error {
			block(s)
			s.device("press-02")
			_, err := s.enroll("", s.csr(s.key, nil), secretOf("press-02"))
			return err
		},
		"one that people approve meanwhile": func(s *scene) error {
			s.askPeople()
			csr := s.csr(s.key, nil)
			_, err := s.enroll("tls_server", csr, with(s.credential))
			check(s.t, err)
			req := s.requestOf(csr)
			s.approve(req)
			block(s)
			return s.play(req)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{world: newWorld(t), key: newKey(t)}
			_, s.credential = s.onboarded("press-01")
			err := attack(s)
			if models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), `on the list "debian-2008"`) {
				t.Errorf("error %v", err)
			}
			digest := s.csr(s.key, nil).SPKISHA256
			if rows, err := s.store.CertificatesOfKeys(t.Context(), []string{digest}, s.now, 10); err != nil || len(rows) > 1 {
				t.Errorf("%d certificates of the key, %v", len(rows), err)
			}
			_, err = s.enroll("tls_server", s.csr(nil, nil), with(s.credential)) // other keys are none of its business
			check(s.t, err)
		})
	}
}
