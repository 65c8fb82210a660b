// SPDX-License-Identifier: MIT

package enroll_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// rest asks the REST side of the door.
func (w *world) rest(profile string, csr *pki.CSR, sender func(*http.Request)) (enroll.Outcome, error) {
	w.t.Helper()
	return w.restText(w.domain.Name, profile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr.DER})), sender)
}

func (w *world) restText(domain, profile, csr string, sender func(*http.Request)) (enroll.Outcome, error) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(""))
	r.TLS = &tls.ConnectionState{}
	sender(r)
	return enroll.NewREST(w.door).Enroll(r, domain, profile, csr)
}

func basicOf(name, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

func showing(cert *x509.Certificate) func(*http.Request) {
	return func(r *http.Request) { r.TLS.PeerCertificates = []*x509.Certificate{cert} }
}

// restDevice registers a device that speaks JSON.
func (w *world) restDevice(name string) {
	w.t.Helper()
	w.device(name)
	w.changeDevice(name, func(d *models.Device) { d.Method = models.RESTPassword })
}

func openedWorld(t *testing.T, s *store.Store) *world {
	w := worldIn(t, s)
	w.doors(*models.NewDomainDoors())
	return w
}

func TestADeviceThatSpeaksJSON(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": fixture.SQLite, "postgres": fixture.Postgres} {
		t.Run(name, func(t *testing.T) {
			w := openedWorld(t, fixture.Open(t, url(t)))
			w.restDevice("press-01")
			csr, proof := w.csr(nil, nil), basicOf("press-01", "secret of press-01")
			waits, err := w.rest("domain_credential", csr, proof)
			if err != nil || waits.RetryAfter <= 0 {
				t.Fatalf("%+v, %v", waits, err)
			}
			for range 3 { // E15
				again, err := w.rest("domain_credential", csr, proof)
				if err != nil || again.RetryAfter != waits.RetryAfter || len(w.requests()) != 1 {
					t.Fatalf("%+v, %v, %d requests", again, err, len(w.requests()))
				}
			}
			check(t, w.play(w.requestOf(csr)))
			credential, err := w.rest("domain_credential", csr, proof)
			check(t, err)
			if len(credential.Chain) != 2 || credential.Certificate.CheckSignatureFrom(credential.Chain[0]) != nil {
				t.Fatalf("chain of %d", len(credential.Chain))
			}
			if _, err := w.rest("domain_credential", w.csr(nil, nil), proof); models.KindOf(err) != models.KindUnauthenticated {
				t.Errorf("the secret is good for another request: %v", err)
			}
			app, err := w.rest("tls_server", w.csr(nil, nil), showing(credential.Certificate))
			check(t, err)
			for profile, old := range map[string]*x509.Certificate{"tls_server": app.Certificate, "domain_credential": credential.Certificate} {
				renewed, err := w.rest(profile, w.renewalOf(old), showing(old))
				check(t, err)
				if string(renewed.Certificate.RawSubject) != string(old.RawSubject) || renewed.Certificate.Equal(old) {
					t.Errorf("the renewal under %s", profile)
				}
			}
		})
	}
}

func TestAttacksOnTheJSONDoor(t *testing.T) {
	type scene struct {
		*world
		credential, app *x509.Certificate
	}
	ask := func(profile string, sender func(*scene) func(*http.Request)) func(*scene) (enroll.Outcome, error) {
		return func(s *scene) (enroll.Outcome, error) { return s.rest(profile, s.csr(nil, nil), sender(s)) }
	}
	tests := map[string]struct {
		kind   models.Kind
		attack func(*scene) (enroll.Outcome, error)
	}{
		"E01 a revoked credential": {models.KindUnauthenticated, func(s *scene) (enroll.Outcome, error) {
			s.revoke(s.credential, "keyCompromise")
			return s.rest("tls_server", s.csr(nil, nil), showing(s.credential))
		}},
		"E01 a certificate of nobody we know": {models.KindUnauthenticated, ask("tls_server", func(s *scene) func(*http.Request) {
			return showing(newManufacturer(s.t, "Nobody").idevid(s.t, "SN-1"))
		})},
		"E01 an IDevID": {models.KindUnauthenticated, ask("domain_credential", func(s *scene) func(*http.Request) {
			return showing(s.maker(".*").idevid(s.t, "SN-1"))
		})},
		"E02 another domain": {models.KindDenied, func(s *scene) (enroll.Outcome, error) {
			s.other.Operations = models.NewDomainDoors()
			s.write(func(tx *store.Tx) error { return tx.SaveDomain(s.other) })
			return s.restText(s.other.Name, "tls_server", requestText(s.csr(nil, nil)), showing(s.credential))
		}},
		"E03 a renewal with another subject": {models.KindDenied, func(s *scene) (enroll.Outcome, error) {
			return s.rest("tls_server", s.csr(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "press-02"}}), showing(s.app))
		}},
		"E05 an application certificate enrolls": {models.KindDenied, ask("tls_client", func(s *scene) func(*http.Request) { return showing(s.app) })},
		"E05 the certificate of the CA":          {models.KindDenied, ask("tls_server", func(s *scene) func(*http.Request) { return showing(s.caCertificate()) })},
		"E06 a twin":                             {models.KindUnauthenticated, ask("tls_server", func(s *scene) func(*http.Request) { return showing(s.twin(s.credential)) })},
		"E08 a wrong password":                   {models.KindUnauthenticated, ask("domain_credential", func(*scene) func(*http.Request) { return basicOf("press-03", "wrong") })},
		"E08 the secret of an EST device":        {models.KindUnauthenticated, ask("domain_credential", func(*scene) func(*http.Request) { return basicOf("press-02", "secret of press-02") })},
		"E08 a megabyte":                         {models.KindUnauthenticated, ask("domain_credential", func(*scene) func(*http.Request) { return basicOf("press-03", strings.Repeat("a", 1<<20)) })},
		"E08 a wrong password beside a credential": {models.KindUnauthenticated, ask("tls_server", func(s *scene) func(*http.Request) {
			return func(r *http.Request) { showing(s.credential)(r); r.SetBasicAuth("press-01", "") }
		})},
		"E08 a token of an operator": {models.KindUnauthenticated, ask("domain_credential", func(*scene) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("Authorization", "Bearer tl_x") }
		})},
		"E09 nothing at all": {models.KindUnauthenticated, ask("domain_credential", func(*scene) func(*http.Request) { return func(*http.Request) {} })},
		"E12 a domain with a slash": {models.KindNotFound, func(s *scene) (enroll.Outcome, error) {
			return s.restText("../press-shop", "domain_credential", requestText(s.csr(nil, nil)), basicOf("press-03", "secret of press-03"))
		}},
		"E12 a profile of 2 KiB": {models.KindNotFound, ask(strings.Repeat("p", 2048), func(*scene) func(*http.Request) { return basicOf("press-03", "secret of press-03") })},
		"a secret asks for work": {models.KindDenied, ask("tls_server", func(*scene) func(*http.Request) { return basicOf("press-03", "secret of press-03") })},
		"no request": {models.KindInvalid, func(s *scene) (enroll.Outcome, error) {
			return s.restText("press-shop", "tls_server", "", showing(s.credential))
		}},
		"a request that is not one": {models.KindInvalid, func(s *scene) (enroll.Outcome, error) {
			return s.restText("press-shop", "tls_server", "{}", showing(s.credential))
		}},
		"rest-enroll is switched off": {models.KindNotFound, func(s *scene) (enroll.Outcome, error) {
			s.domain.Operations = nil
			s.write(func(tx *store.Tx) error { return tx.SaveDomain(s.domain) })
			return s.rest("tls_server", s.csr(nil, nil), showing(s.credential))
		}},
		"rest-password is not admitted": {models.KindDenied, func(s *scene) (enroll.Outcome, error) {
			d := *models.NewDomainDoors()
			d.Methods = []models.OnboardingMethod{models.ESTPassword}
			s.doors(d)
			return s.rest("domain_credential", s.csr(nil, nil), basicOf("press-03", "secret of press-03"))
		}},
		"E10 no binding where one is demanded": {models.KindInvalid, func(s *scene) (enroll.Outcome, error) {
			d := *models.NewDomainDoors()
			d.ChannelBinding = true
			s.doors(d)
			return s.rest("domain_credential", s.csr(nil, nil), basicOf("press-03", "secret of press-03"))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scene{world: openedWorld(t, fixture.Open(t, fixture.SQLite(t)))}
			_, s.credential = s.onboarded("press-01")
			s.app = s.application(s.credential)
			s.device("press-02")
			s.restDevice("press-03")
			before := s.rows()
			got, err := tt.attack(s)
			if err == nil || models.KindOf(err) != tt.kind {
				t.Errorf("the answer is %+v, %v; want kind %s", got, err, tt.kind)
			}
			if after := s.rows(); after != before {
				t.Errorf("the refusal changed requests, certificates, devices, events, promises from %v to %v", before, after)
			}
			if strings.Contains(models.PublicText(err), "secret of") {
				t.Errorf("the answer %q holds a secret", models.PublicText(err))
			}
		})
	}
}

func requestText(csr *pki.CSR) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr.DER}))
}
