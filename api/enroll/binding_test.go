// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"testing"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// serveEST puts the door behind a real listener.
func (w *world) serveEST(version uint16) *httptest.Server {
	w.t.Helper()
	server := httptest.NewUnstartedServer(est.NewResponder(w.est, est.Options{}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: version, MaxVersion: version}
	server.StartTLS()
	w.t.Cleanup(server.Close)
	return server
}

func (w *world) client(server *httptest.Server, cfg est.ClientConfig) *est.Client {
	w.t.Helper()
	cfg.URL, cfg.Roots, cfg.Label.Domain = server.URL, x509.NewCertPool(), w.domain.Name
	cfg.Roots.AddCert(server.Certificate())
	client, err := est.NewClient(cfg)
	check(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

func TestADomainThatDemandsChannelBinding(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			w := openedWorld(t, fixture.Open(t, fixture.SQLite(t)))
			doors := *models.NewDomainDoors()
			doors.ChannelBinding = true
			w.doors(doors)
			w.device("press-01")
			server, key, ctx := w.serveEST(version), newKey(t), context.Background()
			csr := w.csr(key, nil)
			client := w.client(server, est.ClientConfig{Username: "press-01", Password: "secret of press-01"})

			w.refused(models.KindInvalid, func() (est.Result, error) { return client.SimpleEnroll(ctx, csr.DER) }) // E10
			for range 3 {                                                                                          // E15, over a connection of its own each time: other octets, the same request
				got, err := client.SimpleEnrollBound(ctx, csr.DER, key)
				if err != nil || !got.Pending() || len(w.requests()) != 1 {
					t.Fatalf("%+v, %v, %d requests", got, err, len(w.requests()))
				}
			}
			if w.deviceNamed("press-01").SecretUsedBy != w.requests()[0].Key {
				t.Error("the secret was not used for the request")
			}
			check(t, w.play(&w.requests()[0]))
			got, err := client.SimpleEnrollBound(ctx, csr.DER, key)
			check(t, err)
			again, err := client.SimpleEnrollBound(ctx, csr.DER, key)
			if err != nil || !again.Certificates[0].Equal(got.Certificates[0]) {
				t.Fatalf("the same request again: %+v, %v", again, err)
			}
			credential := w.client(server, est.ClientConfig{Label: est.Label{Profile: "tls_server"},
				Certificate: &tls.Certificate{Certificate: [][]byte{got.Certificates[0].Raw}, PrivateKey: key}})
			work := newKey(t)
			if _, err := credential.SimpleEnrollBound(ctx, w.csr(work, nil).DER, work); err != nil {
				t.Error(err)
			}
			w.refused(models.KindInvalid, func() (est.Result, error) { return credential.SimpleEnroll(ctx, w.csr(work, nil).DER) })
			renewal, next := w.renewalOf(got.Certificates[0]), newKey(t)
			renewal = w.csr(next, renewal.Request)
			reenroll := w.client(server, est.ClientConfig{Certificate: &tls.Certificate{Certificate: [][]byte{got.Certificates[0].Raw}, PrivateKey: key}})
			w.refused(models.KindInvalid, func() (est.Result, error) { return reenroll.SimpleReenroll(ctx, renewal.DER) })
			if _, err := reenroll.SimpleReenrollBound(ctx, renewal.DER, next); err != nil {
				t.Error(err)
			}
		})
	}
}
