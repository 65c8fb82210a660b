// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// The attacks of reference/attacks.md §5.2 and §5.7 that reach the door. None
// of them leaves a row.
func TestAttacks(t *testing.T) {
	type scene struct {
		*world
		credential, app, foreign *x509.Certificate // of press-01, and of press-02
	}
	simple := func(profile string, peer func(*scene) est.Peer) func(*scene) (est.Result, error) {
		return func(s *scene) (est.Result, error) { return s.enroll(profile, s.csr(nil, nil), peer(s)) }
	}
	credential := func(s *scene) est.Peer { return with(s.credential) }
	basic := func(username, password string) func(*scene) est.Peer {
		return func(*scene) est.Peer { return est.Peer{Username: username, Password: password, HasBasic: true} }
	}
	tests := map[string]struct {
		kind   models.Kind
		attack func(*scene) (est.Result, error)
	}{
		"E01 a revoked credential": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			s.revoke(s.credential, "keyCompromise")
			return s.enroll("tls_server", s.csr(nil, nil), with(s.credential))
		}},
		"E01 a revoked certificate renews itself": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			s.revoke(s.credential, "superseded")
			return s.reenroll(s.renewalOf(s.credential), with(s.credential))
		}},
		"E01 an expired credential": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			s.now = s.credential.NotAfter
			return s.enroll("tls_server", s.csr(nil, nil), with(s.credential))
		}},
		"E01 a credential that is not valid yet": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			s.now = s.credential.NotBefore.Add(-time.Second)
			return s.enroll("tls_server", s.csr(nil, nil), with(s.credential))
		}},
		"E01 a certificate of nobody we know": {models.KindUnauthenticated, simple("tls_server", func(s *scene) est.Peer {
			return with(newManufacturer(s.t, "Nobody").idevid(s.t, "SN-1"))
		})},
		"E01 a credential under a revoked CA": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			s.ca.State = models.CARevoked
			s.write(func(tx *store.Tx) error { return tx.SaveCA(s.ca) })
			return s.enroll("tls_server", s.csr(nil, nil), with(s.credential))
		}},
		"E02 a credential of another domain": {models.KindDenied, func(s *scene) (est.Result, error) {
			return s.est.SimpleEnroll(context.Background(), est.Label{Domain: "paint-shop", Profile: "tls_server"}, s.csr(nil, nil), with(s.credential))
		}},
		"E02 a renewal in another domain": {models.KindDenied, func(s *scene) (est.Result, error) {
			return s.est.SimpleReenroll(context.Background(), est.Label{Domain: "paint-shop"}, s.renewalOf(s.credential), with(s.credential))
		}},
		"E02 a secret of another domain": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			return s.est.SimpleEnroll(context.Background(), est.Label{Domain: "paint-shop"}, s.csr(nil, nil), secretOf("press-03"))
		}},
		"E03 a renewal with another subject": {models.KindDenied, func(s *scene) (est.Result, error) {
			return s.reenroll(s.csr(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "press-02"}}), with(s.credential))
		}},
		"E03 a renewal with another name": {models.KindDenied, func(s *scene) (est.Result, error) {
			return s.reenroll(s.csr(nil, &x509.CertificateRequest{RawSubject: s.credential.RawSubject, DNSNames: []string{"evil.example"}}), with(s.credential))
		}},
		"E04 a renewal of one certificate with another": {models.KindDenied, func(s *scene) (est.Result, error) {
			return s.reenroll(s.renewalOf(s.foreign), with(s.credential))
		}},
		"E04 a renewal under another profile": {models.KindDenied, func(s *scene) (est.Result, error) {
			return s.est.SimpleReenroll(context.Background(), est.Label{Domain: "press-shop", Profile: "tls_client"}, s.renewalOf(s.app), with(s.app))
		}},
		"E05 an application certificate enrolls":                {models.KindDenied, simple("tls_client", func(s *scene) est.Peer { return with(s.app) })},
		"E05 an application certificate asks for a credential":  {models.KindDenied, simple("", func(s *scene) est.Peer { return with(s.app) })},
		"E05 a credential asks for another credential":          {models.KindDenied, simple("", credential)},
		"E05 a secret asks for an application certificate":      {models.KindDenied, simple("tls_server", func(*scene) est.Peer { return secretOf("press-03") })},
		"E05 the certificate of the CA":                         {models.KindDenied, simple("tls_server", func(s *scene) est.Peer { return with(s.caCertificate()) })},
		"E05 the certificate of the CA renews itself":           {models.KindDenied, func(s *scene) (est.Result, error) { c := s.caCertificate(); return s.reenroll(s.renewalOf(c), with(c)) }},
		"E06 a twin with serial number, subject and identifier": {models.KindUnauthenticated, simple("tls_server", func(s *scene) est.Peer { return with(s.twin(s.credential)) })},
		"E06 a twin renews": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			return s.reenroll(s.renewalOf(s.credential), with(s.twin(s.credential)))
		}},
		"E08 a wrong password":                     {models.KindUnauthenticated, simple("", basic("press-03", "wrong"))},
		"E08 no password":                          {models.KindUnauthenticated, simple("", basic("press-03", ""))},
		"E08 no user name":                         {models.KindUnauthenticated, simple("", basic("", "secret of press-03"))},
		"E08 a device that is not there":           {models.KindUnauthenticated, simple("", basic("press-99", "wrong"))},
		"E08 a megabyte":                           {models.KindUnauthenticated, simple("", basic("press-03", strings.Repeat("a", 1<<20)))},
		"E08 a NUL behind the password":            {models.KindUnauthenticated, simple("", basic("press-03", "secret of press-03\x00"))},
		"E08 a twin in other characters":           {models.KindUnauthenticated, simple("", basic("press-03", "secret of press‑03"))},
		"E08 another device's secret":              {models.KindUnauthenticated, simple("", basic("press-03", "secret of press-01"))},
		"E08 a secret that was used":               {models.KindUnauthenticated, simple("", basic("press-01", "secret of press-01"))},
		"E08 a wrong password beside a credential": {models.KindUnauthenticated, simple("tls_server", func(s *scene) est.Peer { p := with(s.credential); p.HasBasic = true; return p })},
		"E09 nothing at all":                       {models.KindUnauthenticated, simple("", func(*scene) est.Peer { return est.Peer{} })},
		"E09 a renewal with a password only": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			return s.reenroll(s.csr(nil, nil), secretOf("press-03"))
		}},
		"A10 the key of another device": {models.KindDenied, func(s *scene) (est.Result, error) {
			key := newKey(s.t)
			_, err := s.enroll("tls_server", s.csr(key, nil), with(s.credential))
			check(s.t, err)
			before := s.rows()
			got, err := s.enroll("tls_server", s.csr(key, nil), with(s.foreign))
			if s.rows() != before {
				s.t.Error("the refusal left rows")
			}
			return got, err
		}},
		"B01 a serial number outside the pattern":   {models.KindDenied, simple("", func(s *scene) est.Peer { return with(s.maker("SN-[0-9]+").idevid(s.t, "SN-1x")) })},
		"B01 a pattern that is open at its ends":    {models.KindDenied, simple("", func(s *scene) est.Peer { return with(s.maker("SN-1|SN-2").idevid(s.t, "xSN-1")) })},
		"B01 metacharacters in the serial number":   {models.KindDenied, simple("", func(s *scene) est.Peer { return with(s.maker("SN-1").idevid(s.t, "SN-.")) })},
		"B01 a line break behind the serial number": {models.KindDenied, simple("", func(s *scene) est.Peer { return with(s.maker("SN-1").idevid(s.t, "SN-1\n")) })},
		"B01 a manufacturer of another domain": {models.KindUnauthenticated, simple("", func(s *scene) est.Peer {
			s.maker(".*")
			return with(newManufacturer(s.t, "Other").idevid(s.t, "SN-1"))
		})},
		"B01 no serial number": {models.KindDenied, simple("", func(s *scene) est.Peer { return with(s.maker(".*").idevid(s.t, "")) })},
		"B01 an IDevID asks for an application certificate": {models.KindDenied, simple("tls_server", func(s *scene) est.Peer {
			return with(s.maker(".*").idevid(s.t, "SN-1"))
		})},
		"B09 an IDevID in a domain without registration": {models.KindUnauthenticated, func(s *scene) (est.Result, error) {
			peer := with(s.maker(".*").idevid(s.t, "SN-1"))
			return s.est.SimpleEnroll(context.Background(), est.Label{Domain: "paint-shop"}, s.csr(nil, nil), peer)
		}},
		"a domain that is not there": {models.KindNotFound, func(s *scene) (est.Result, error) {
			return s.est.SimpleEnroll(context.Background(), est.Label{Domain: "nowhere"}, s.csr(nil, nil), secretOf("press-03"))
		}},
		"a profile that is not there":     {models.KindNotFound, simple("nothing", credential)},
		"a profile that is not permitted": {models.KindDenied, simple("opc_ua", credential)},
		"a domain that is suspended": {models.KindDenied, func(s *scene) (est.Result, error) {
			s.domain.Suspended = true
			s.write(func(tx *store.Tx) error { return tx.SaveDomain(s.domain) })
			return s.enroll("tls_server", s.csr(nil, nil), with(s.credential))
		}},
		"simpleenroll is switched off": {models.KindNotFound, func(s *scene) (est.Result, error) {
			s.doors(models.DomainDoors{Open: []models.DeviceOperation{models.OpSimpleReenroll}})
			return s.enroll("", s.csr(nil, nil), secretOf("press-03"))
		}},
		"simplereenroll is switched off": {models.KindNotFound, func(s *scene) (est.Result, error) {
			s.doors(models.DomainDoors{Open: []models.DeviceOperation{models.OpSimpleEnroll}})
			return s.reenroll(s.renewalOf(s.credential), with(s.credential))
		}},
		"onboarding by password is not admitted": {models.KindDenied, func(s *scene) (est.Result, error) {
			s.doors(models.DomainDoors{Open: models.DeviceOperations, Methods: []models.OnboardingMethod{models.ESTIDevID}})
			return s.enroll("", s.csr(nil, nil), secretOf("press-03"))
		}},
		"onboarding by IDevID is not admitted": {models.KindDenied, func(s *scene) (est.Result, error) {
			s.doors(models.DomainDoors{Open: models.DeviceOperations, Methods: []models.OnboardingMethod{models.ESTPassword}})
			return s.enroll("", s.csr(nil, nil), with(s.maker(".*").idevid(s.t, "SN-1")))
		}},
		"a CA that is retiring": {models.KindDenied, func(s *scene) (est.Result, error) {
			s.ca.State = models.CARetiring
			s.write(func(tx *store.Tx) error { return tx.SaveCA(s.ca) })
			return s.enroll("", s.csr(nil, nil), secretOf("press-03"))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scene{world: newWorld(t)}
			_, s.credential = s.onboarded("press-01")
			_, s.foreign = s.onboarded("press-02")
			s.app = s.application(s.credential)
			s.device("press-03")
			var answer est.Result
			before := s.rows()
			answer, err := tt.attack(s)
			if err == nil || models.KindOf(err) != tt.kind {
				t.Errorf("the answer is %+v, %v; want kind %s", answer, err, tt.kind)
			}
			// An attack may prepare something, but not make the door do so.
			if after := s.rows(); !strings.HasPrefix(name, "A10") && (after[0] != before[0] || after[1] != before[1] || after[2] != before[2] || after[3] != before[3]) {
				t.Errorf("the refusal changed requests, certificates, devices, events from %v to %v", before, after)
			}
			if strings.Contains(models.PublicText(err), "secret of") {
				t.Errorf("the answer %q holds a secret", models.PublicText(err))
			}
		})
	}
}

func (w *world) caCertificate() *x509.Certificate {
	w.t.Helper()
	cert, err := x509.ParseCertificate(w.ca.CertificateDER)
	check(w.t, err)
	return cert
}

// twin makes a certificate that looks like cert, by a CA that looks like its.
func (w *world) twin(cert *x509.Certificate) *x509.Certificate {
	w.t.Helper()
	signer, parent := newKey(w.t), *w.caCertificate()
	parent.PublicKey = signer.Public()
	return sign(w.t, &x509.Certificate{
		SerialNumber: new(big.Int).Set(cert.SerialNumber), RawSubject: cert.RawSubject, SubjectKeyId: cert.SubjectKeyId,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, KeyUsage: cert.KeyUsage, ExtKeyUsage: cert.ExtKeyUsage,
	}, &parent, newKey(w.t), signer)
}

func (w *world) maker(pattern string) *manufacturer {
	w.t.Helper()
	m := newManufacturer(w.t, "Maker")
	w.trust("maker", pattern, m)
	return m
}

func TestIDevIDBinding(t *testing.T) {
	onboard := func(w *world, idevid *x509.Certificate) error {
		_, err := w.enroll("", w.csr(nil, nil), with(idevid))
		return err
	}
	t.Run("two manufacturers with one serial number are two devices", func(t *testing.T) { // B02
		w, a, b := newWorld(t), newManufacturer(t, "A"), newManufacturer(t, "B")
		w.trust("a", ".*", a)
		w.trust("b", ".*", b)
		check(t, onboard(w, a.idevid(t, "SN-1")))
		check(t, onboard(w, b.idevid(t, "SN-1")))
		if devices := w.rows()[2]; devices != 2 {
			t.Errorf("%d devices, want 2", devices)
		}
	})
	t.Run("an IDevID does not onboard a device that was armed with a password", func(t *testing.T) {
		w := newWorld(t)
		m := w.maker(".*")
		idevid := m.idevid(t, "SN-1")
		check(t, onboard(w, idevid))
		name := "maker-sn-1"
		check(t, w.play(&w.requests()[0]))
		w.changeDevice(name, func(d *models.Device) { d.Epoch, d.State, d.Method = 1, models.DeviceRegistered, models.ESTPassword })
		w.refused(models.KindDenied, func() (est.Result, error) { return w.enroll("", w.csr(nil, nil), with(idevid)) })
	})
	t.Run("a device in the making is not made twice", func(t *testing.T) {
		w := newWorld(t)
		idevid := w.maker(".*").idevid(t, "SN-1")
		check(t, onboard(w, idevid))
		w.refused(models.KindDenied, func() (est.Result, error) { return w.enroll("", w.csr(nil, nil), with(idevid)) })
	})
}

// doors sets the switches of the domain.
func (w *world) doors(d models.DomainDoors) {
	w.t.Helper()
	w.domain.Operations = &d
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
}
