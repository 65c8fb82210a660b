// SPDX-License-Identifier: MIT

package enroll_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// fetch asks the device's web door as the holder of certificates.
func (w *world) fetch(path, etag string, certs ...*x509.Certificate) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://pki.example"+path, nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: certs}
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	answer := httptest.NewRecorder()
	enroll.NewWeb(w.door, slog.New(slog.DiscardHandler), func(*http.Request) string { return "r-1" }).ServeHTTP(answer, r)
	return answer
}

const truststoresPath = "/api/v1/enroll/press-shop/truststores"

// deliver gives the domain a truststore for its devices.
func (w *world) deliver(name string, m *manufacturer) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.InsertTruststore(&models.Truststore{Name: name, Certificates: [][]byte{m.cert.Raw}})
	})
	w.domain.Truststores = append(w.domain.Truststores, name)
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
}

func TestADeviceFetchesItsTruststores(t *testing.T) {
	w := newWorld(t)
	_, credential := w.onboarded("press-01")
	m := newManufacturer(t, "Plant servers")
	w.deliver("servers", m)
	answer := w.fetch(truststoresPath, "", credential)
	var list struct {
		Items []struct {
			Name, SHA256          string
			Version, Certificates int
		}
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil || len(list.Items) != 1 {
		t.Fatalf("the list is %d %s", answer.Code, answer.Body)
	}
	if item := list.Items[0]; item.Name != "servers" || item.Version != 1 || item.Certificates != 1 {
		t.Errorf("the list is %+v", list)
	}
	tag := answer.Header().Get("ETag")
	if again := w.fetch(truststoresPath, tag, credential); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("the same list: %d %s", again.Code, again.Body)
	}
	content := w.fetch(truststoresPath+"/servers", "", credential)
	if content.Code != 200 || content.Body.String() != string(pki.EncodePEM(m.cert)) || content.Header().Get("ETag") != `"`+list.Items[0].SHA256+`"` {
		t.Errorf("the content is %d %s", content.Code, content.Body)
	}
	if der := w.fetch(truststoresPath+"/servers?format=der", "", credential); der.Body.String() != string(m.cert.Raw) {
		t.Errorf("the content as DER is %d %s", der.Code, der.Body)
	}
	w.write(func(tx *store.Tx) error {
		return tx.InsertTruststore(&models.Truststore{Name: "servers", Certificates: [][]byte{newManufacturer(t, "Others").cert.Raw}})
	})
	if changed := w.fetch(truststoresPath, tag, credential); changed.Code != 200 || changed.Header().Get("ETag") == tag {
		t.Errorf("the list after a change: %d", changed.Code)
	}
}

func TestWhoGetsNoTruststores(t *testing.T) {
	type scene struct {
		*world
		credential, app *x509.Certificate
	}
	tests := map[string]struct {
		status int
		path   string
		holds  func(*scene) []*x509.Certificate
	}{
		"nobody without a certificate": {401, truststoresPath, func(*scene) []*x509.Certificate { return nil }},
		"E01 a revoked credential": {401, truststoresPath, func(s *scene) []*x509.Certificate {
			s.revoke(s.credential, "keyCompromise")
			return []*x509.Certificate{s.credential}
		}},
		"E01 an expired credential": {401, truststoresPath, func(s *scene) []*x509.Certificate {
			s.now = s.credential.NotAfter.Add(time.Second)
			return []*x509.Certificate{s.credential}
		}},
		"E02 a credential of another domain": {403, "/api/v1/enroll/paint-shop/truststores", func(s *scene) []*x509.Certificate { return []*x509.Certificate{s.credential} }},
		"E05 an application certificate":     {403, truststoresPath, func(s *scene) []*x509.Certificate { return []*x509.Certificate{s.app} }},
		"E06 a twin of a credential":         {401, truststoresPath, func(s *scene) []*x509.Certificate { return []*x509.Certificate{s.twin(s.credential)} }},
		"a suspended device": {403, truststoresPath, func(s *scene) []*x509.Certificate {
			s.changeDevice("press-01", func(d *models.Device) { d.State = models.DeviceSuspended })
			return []*x509.Certificate{s.credential}
		}},
		"an IDevID": {403, truststoresPath, func(s *scene) []*x509.Certificate {
			return []*x509.Certificate{s.maker(".*").idevid(s.t, "SN-1")}
		}},
		"a truststore of another domain": {404, truststoresPath + "/others", func(s *scene) []*x509.Certificate { return []*x509.Certificate{s.credential} }},
		"a domain that is not there":     {404, "/api/v1/enroll/nowhere/truststores", func(s *scene) []*x509.Certificate { return []*x509.Certificate{s.credential} }},
		"a format that is not there":     {400, truststoresPath + "/servers?format=jks", func(s *scene) []*x509.Certificate { return []*x509.Certificate{s.credential} }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scene{world: newWorld(t)}
			_, s.credential = s.onboarded("press-01")
			s.app = s.application(s.credential)
			s.deliver("servers", newManufacturer(t, "Plant servers"))
			s.write(func(tx *store.Tx) error {
				return tx.InsertTruststore(&models.Truststore{Name: "others", Certificates: [][]byte{s.caCertificate().Raw}})
			})
			held := tt.holds(s)
			before := s.rows()
			answer := s.fetch(tt.path, "", held...)
			if answer.Code != tt.status || !strings.Contains(answer.Body.String(), `"request_id":"r-1"`) {
				t.Errorf("the answer is %d %s, want %d", answer.Code, answer.Body, tt.status)
			}
			if strings.Contains(answer.Body.String(), "BEGIN CERTIFICATE") {
				t.Error("the refusal holds certificates")
			}
			if after := s.rows(); after != before {
				t.Errorf("the refusal changed rows from %v to %v", before, after)
			}
		})
	}
}
