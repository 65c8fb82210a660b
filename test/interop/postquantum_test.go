// SPDX-License-Identifier: MIT

package interop

import (
	"crypto"
	"crypto/mldsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestPostQuantumPlant runs a plant in which nothing but TLS key exchange is
// of today: CAs and device with ML-DSA keys, the device authenticated over TLS
// by its ML-DSA certificate.
func TestPostQuantumPlant(t *testing.T) {
	server := running.Start(t)
	operator := server.Client()
	for _, creation := range []api.CACreation{
		{Name: "root", Type: models.CARoot, Key: api.Key{Algorithm: models.MLDSA87}},
		{Name: "issuing", Type: models.CAIssuing, Issuer: "root", Key: api.Key{Algorithm: models.MLDSA65}},
	} {
		if ca := must[*api.CA](t)(operator.CreateCA(t.Context(), creation)); ca.State != models.CAActive {
			t.Fatalf("CA %s is %s: %s", ca.Name, ca.State, ca.Failure)
		}
	}
	must[*api.Domain](t)(operator.CreateDomain(t.Context(), api.DomainCreation{Name: "press-shop", IssuingCA: "issuing"}))
	registered := must[*api.Device](t)(operator.CreateDevice(t.Context(), api.DeviceCreation{
		Name: "press-01", Domain: "press-shop", SerialNumber: "4711", Onboarding: api.OnboardingArming{Method: models.ESTPassword},
	}))

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must[[]byte](t)(os.ReadFile(server.CA)))
	cfg := est.ClientConfig{URL: "https://" + server.HTTPS, Roots: roots, Label: est.Label{Domain: "press-shop"},
		Username: registered.Onboarding.Username, Password: registered.Onboarding.Secret}
	key := must[*mldsa.PrivateKey](t)(mldsa.GenerateKey(mldsa.MLDSA44()))
	credential := obtain(t, cfg, "x", key)
	cfg.Username, cfg.Password, cfg.Label.Profile = "", "", "tls_client"
	cfg.Certificate = &tls.Certificate{Certificate: [][]byte{credential.Raw}, PrivateKey: key}
	obtain(t, cfg, "press-01", must[*mldsa.PrivateKey](t)(mldsa.GenerateKey(mldsa.MLDSA87())))

	ca := must[*api.CA](t)(operator.FindCA(t.Context(), "issuing"))
	issuer := must[*x509.Certificate](t)(issuingCA(t, cfg))
	crl := awaitCRL(t, "http://"+server.HTTP+"/crl/"+ca.KeyID+".crl")
	if err := crl.CheckSignatureFrom(issuer); err != nil {
		t.Errorf("the CRL does not verify: %v", err)
	}
	if err := credential.CheckSignatureFrom(issuer); err != nil {
		t.Errorf("the domain credential does not verify: %v", err)
	}
}

// issuingCA returns the CA certificate of the domain that issues.
func issuingCA(t *testing.T, cfg est.ClientConfig) (*x509.Certificate, error) {
	client, err := est.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	cas, err := client.CACerts(t.Context())
	if err != nil {
		return nil, err
	}
	for _, ca := range cas {
		if ca.PublicKeyAlgorithm == x509.MLDSA && ca.Issuer.CommonName != ca.Subject.CommonName {
			return ca, nil
		}
	}
	return cas[0], nil
}

func obtain(t *testing.T, cfg est.ClientConfig, name string, key crypto.Signer) *x509.Certificate {
	t.Helper()
	client := must[*est.Client](t)(est.NewClient(cfg))
	defer client.Close()
	csr := must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key))
	result := must[est.Result](t)(client.SimpleEnroll(t.Context(), csr))
	if result.Pending() {
		t.Fatal("nobody is to be waited for, and still the device waits")
	}
	return result.Certificates[0]
}

func awaitCRL(t *testing.T, url string) *x509.RevocationList {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer := must[*http.Response](t)(http.Get(url))
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err == nil && answer.StatusCode == http.StatusOK {
			return must[*x509.RevocationList](t)(x509.ParseRevocationList(body))
		}
		if time.Now().After(deadline) {
			t.Fatalf("no CRL: %s", answer.Status)
		}
	}
}
