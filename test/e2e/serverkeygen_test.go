// SPDX-License-Identifier: MIT

package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// TestServerKeyGen gets keys that the server makes, in clear over TLS, and
// encrypted so that OpenSSL opens them.
func TestServerKeyGen(t *testing.T) {
	p := newPlant(t, start(t), models.StoreSoftware)
	d := p.register(t, "press-01")
	d.onboard()
	client := func(certificate tls.Certificate) *est.Client {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(must(os.ReadFile(p.CA))(t))
		return must(est.NewClient(est.ClientConfig{URL: "https://" + p.HTTPS, Roots: roots, Certificate: &certificate,
			Label: est.Label{Domain: p.domain, Profile: "tls_server"}}))(t)
	}(must(tls.LoadX509KeyPair(filepath.Join(d.dir, "domain.pem"), filepath.Join(d.dir, "domain.key")))(t))

	d.newCSR("plain", "/CN=press-01.example", "-addext", "subjectAltName=DNS:press-01.example")
	request := func(name string) []byte { return must(os.ReadFile(d.path(name + ".csr")))(t) }
	if _, err := client.ServerKeyGen(t.Context(), request("plain")); models.KindOf(err) != models.KindNotFound || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("before it is switched on: %v", err)
	}
	must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{Operations: &models.DeviceOperations}))(t)
	got := must(client.ServerKeyGen(t.Context(), request("plain")))(t)
	if got.Enveloped || got.Certificates[0].DNSNames[0] != "press-01.example" {
		t.Errorf("got a certificate for %v, encrypted %v", got.Certificates[0].DNSNames, got.Enveloped)
	}
	if _, err := client.ServerKeyGen(t.Context(), request("plain")); models.KindOf(err) != models.KindConflict {
		t.Errorf("a second time: %v", err)
	}

	// A device that wants its key encrypted to its domain credential.
	pair := must(tls.LoadX509KeyPair(filepath.Join(d.dir, "domain.pem"), filepath.Join(d.dir, "domain.key")))(t)
	own := must(x509.ParseCertificate(pair.Certificate[0]))(t)
	throwaway := must(pki.GenerateKey(models.ECP256))(t)
	plain := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"press-01.example"}}, throwaway))(t)
	sealed := must(client.ServerKeyGen(t.Context(), must(pki.WithKeyEncryption(plain, throwaway, own.SubjectKeyId))(t)))(t)
	if !sealed.Enveloped {
		t.Fatal("the key is not encrypted")
	}
	d.write("key.cms", sealed.Key)
	d.openssl("cms", "-decrypt", "-inform", "DER", "-in", "key.cms", "-inkey", "domain.key", "-recip", "domain.pem", "-out", "signed.der")
}
