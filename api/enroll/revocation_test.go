// SPDX-License-Identifier: MIT

package enroll_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// publishes keeps a CRL of a manufacturer.
func (w *world) publishes(truststore string, m *manufacturer, number int64, until time.Time, revoked ...*x509.Certificate) {
	w.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: until}
	for _, cert := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, m.cert, m.key)
	check(w.t, err)
	key := sha256.Sum256(m.cert.RawSubjectPublicKeyInfo)
	w.write(func(tx *store.Tx) error {
		return tx.SaveForeignCRL(&models.ForeignCRL{TruststoreName: truststore, IssuerKeySHA256: hex.EncodeToString(key[:]), Number: big.NewInt(number).Text(16), DER: der, NextUpdate: until})
	})
}

func (w *world) rules(truststore string, policy models.RevocationPolicy, responder string) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.SaveRevocation(&models.TruststoreRevocation{TruststoreName: truststore, Policy: policy, OCSPURL: responder})
	})
}

func TestARevokedIDevIDIsRefused(t *testing.T) {
	type scene struct {
		*world
		m             *manufacturer
		idevid, other *x509.Certificate
	}
	tomorrow, yesterday := time.Now().Add(24*time.Hour), time.Now().Add(-24*time.Hour)
	responder := func(s *scene, status int) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			body, err := xocsp.CreateResponse(s.m.cert, s.m.cert, xocsp.Response{
				Status: status, SerialNumber: s.idevid.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: tomorrow, RevokedAt: yesterday}, s.m.key)
			check(s.t, err)
			_, _ = w.Write(body)
		}))
		s.t.Cleanup(server.Close)
		return server.URL
	}
	const dead = "http://127.0.0.1:1/"
	const fine = models.Kind(99)
	tests := map[string]struct {
		prepare func(*scene)
		want    models.Kind
	}{
		"nothing is known":                     {func(*scene) {}, fine},
		"nothing is known, and it is required": {func(s *scene) { s.rules("maker", models.RevocationRequire, "") }, models.KindDenied},
		"a CRL without it":                     {func(s *scene) { s.publishes("maker", s.m, 1, tomorrow, s.other) }, fine},
		"a CRL without it, and it is required": {func(s *scene) {
			s.rules("maker", models.RevocationRequire, "")
			s.publishes("maker", s.m, 1, tomorrow, s.other)
		}, fine},
		"a CRL with it":                        {func(s *scene) { s.publishes("maker", s.m, 1, tomorrow, s.other, s.idevid) }, models.KindUnauthenticated},
		"a CRL with it, of another truststore": {func(s *scene) { s.publishes("other", s.m, 1, tomorrow, s.idevid) }, fine},
		"a CRL with it, and checking is off": {func(s *scene) {
			s.rules("maker", models.RevocationOff, "")
			s.publishes("maker", s.m, 1, tomorrow, s.idevid)
		}, fine},
		"O07 a CRL with it that is out of date": {func(s *scene) { s.publishes("maker", s.m, 1, yesterday, s.idevid) }, models.KindUnauthenticated},
		"O07 a CRL that is out of date, and it is required": {func(s *scene) {
			s.rules("maker", models.RevocationRequire, "")
			s.publishes("maker", s.m, 1, yesterday)
		}, models.KindDenied},
		"a second CRL revokes": {func(s *scene) {
			s.publishes("maker", s.m, 1, tomorrow)
			_, err := s.enroll("", s.csr(nil, nil), with(s.m.idevid(s.t, "SN-2")))
			check(s.t, err)
			s.publishes("maker", s.m, 2, tomorrow, s.idevid)
		}, models.KindUnauthenticated},
		"OCSP says good, and it is required":            {func(s *scene) { s.rules("maker", models.RevocationRequire, responder(s, xocsp.Good)) }, fine},
		"OCSP says revoked":                             {func(s *scene) { s.rules("maker", models.RevocationIfKnown, responder(s, xocsp.Revoked)) }, models.KindUnauthenticated},
		"OCSP does not know it":                         {func(s *scene) { s.rules("maker", models.RevocationIfKnown, responder(s, xocsp.Unknown)) }, fine},
		"OCSP does not know it, and it is required":     {func(s *scene) { s.rules("maker", models.RevocationRequire, responder(s, xocsp.Unknown)) }, models.KindDenied},
		"O06 the responder is away":                     {func(s *scene) { s.rules("maker", models.RevocationIfKnown, dead) }, fine},
		"O06 the responder is away, and it is required": {func(s *scene) { s.rules("maker", models.RevocationRequire, dead) }, models.KindUnavailable},
		"the responder is away, and a current CRL helps": {func(s *scene) {
			s.rules("maker", models.RevocationRequire, dead)
			s.publishes("maker", s.m, 1, tomorrow)
		}, fine},
		"OCSP says good, the CRL says revoked": {func(s *scene) {
			s.rules("maker", models.RevocationRequire, responder(s, xocsp.Good))
			s.publishes("maker", s.m, 1, tomorrow, s.idevid)
		}, models.KindUnauthenticated},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scene{world: newWorld(t), m: newManufacturer(t, "Maker")}
			s.m.cert.KeyUsage |= x509.KeyUsageCRLSign
			s.m.cert = sign(t, s.m.cert, s.m.cert, s.m.key, s.m.key)
			s.trust("maker", ".*", s.m)
			s.idevid, s.other = s.m.idevid(t, "SN-1"), s.m.idevid(t, "SN-9")
			tt.prepare(s)
			before := s.rows()
			_, err := s.enroll("", s.csr(nil, nil), with(s.idevid))
			if tt.want == fine {
				check(t, err)
				return
			}
			if err == nil || models.KindOf(err) != tt.want {
				t.Errorf("the answer is %v, want kind %s", err, tt.want)
			}
			if after := s.rows(); after != before {
				t.Errorf("the refusal changed rows from %v to %v", before, after)
			}
		})
	}
}
