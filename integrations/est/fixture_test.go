// SPDX-License-Identifier: MIT

package est

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// authority is a CA with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (a authority) issue(template *x509.Certificate, pub any) *x509.Certificate {
	template.SerialNumber = pki.NewSerial()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, pub, a.key))))
}

func newCA(name string, issuer *authority) authority {
	ca := authority{key: newKey()}
	if issuer == nil {
		issuer = &ca
	}
	ca.cert = issuer.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, ca.key.Public())
	return ca
}

// plant is a small CA with a domain "press-shop": a Backend that really
// authenticates and really issues.
type plant struct {
	root, issuing authority

	mu      sync.Mutex
	waiting map[string]time.Duration // by the request's digest: told to come back
	labels  []Label
	peers   []Peer
	fail    error
}

func newPlant() *plant {
	root := newCA("Plant Root", nil)
	return &plant{root: root, issuing: newCA("Plant Issuing", &root), waiting: map[string]time.Duration{}}
}

func (p *plant) domain(label Label) error {
	if label.Domain != "press-shop" {
		return models.Errorf(models.KindNotFound, "there is no domain %s", label.Domain)
	}
	return p.fail
}

func (p *plant) CACerts(_ context.Context, label Label) ([]*x509.Certificate, error) {
	return []*x509.Certificate{p.issuing.cert, p.root.cert}, p.domain(label)
}

func (p *plant) SimpleEnroll(_ context.Context, label Label, csr *pki.CSR, peer Peer) (Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.labels, p.peers = append(p.labels, label), append(p.peers, peer)
	if err := p.domain(label); err != nil {
		return Result{}, err
	}
	switch {
	case peer.HasBasic && peer.Username == "press-01" && peer.Password == "open:sesame":
	case len(peer.Certificates) > 0 && !peer.HasBasic:
		if _, err := pki.VerifyClient(peer.Certificates[0], peer.Certificates[1:], []*x509.Certificate{p.root.cert}, time.Now()); err != nil {
			return Result{}, err
		}
	default:
		return Result{}, models.Errorf(models.KindUnauthenticated, "who are you?")
	}
	if delay := p.waiting[csr.SHA256]; delay > 0 {
		return Result{RetryAfter: delay}, nil
	}
	cert := p.issuing.issue(&x509.Certificate{Subject: csr.Request.Subject, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, csr.Request.PublicKey)
	return Result{Certificates: []*x509.Certificate{cert, p.issuing.cert}}, nil
}

func (p *plant) SimpleReenroll(ctx context.Context, label Label, csr *pki.CSR, peer Peer) (Result, error) {
	if len(peer.Certificates) == 0 {
		return Result{}, models.Errorf(models.KindUnauthenticated, "present the certificate to be renewed")
	}
	if err := pki.SameSubjectAndSAN(csr, peer.Certificates[0]); err != nil {
		return Result{}, err
	}
	peer.HasBasic = false
	return p.SimpleEnroll(ctx, label, csr, peer)
}

// hold makes the request wait, or lets it through with a delay of zero.
func (p *plant) hold(csr []byte, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[must(pki.ParseCSR(csr)).SHA256] = delay
}

// calls returns how often the backend was asked to enroll, and the last peer.
func (p *plant) calls() (int, Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.peers) == 0 {
		return 0, Peer{}
	}
	return len(p.peers), p.peers[len(p.peers)-1]
}

// serve starts a responder on TLS that asks for client certificates.
func serve(t testing.TB, p *plant) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(NewResponder(p, Options{RequestID: func(*http.Request) string { return "r-1" }}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that tests break off
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1", "http/1.0"}} // curl --http1.0 offers nothing else
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func trust(server *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}

func newRequest(name string, key *ecdsa.PrivateKey) []byte {
	return must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key))
}

func newClient(t testing.TB, cfg ClientConfig) *Client {
	t.Helper()
	client, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// wanted is what the plant wants to see in a request; the domain_credential
// profile wants nothing.
var wanted = pki.CSRAttrs{ChallengePassword: true, Key: models.ECP384, Subject: []pki.Attribute{{OID: "2.5.4.10", Value: "Plant"}, {OID: "2.5.4.3"}},
	Extensions: []pki.ExtensionTemplate{{OID: "2.5.29.37", Value: []byte{0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2}}, {OID: "2.5.29.17", Critical: true}}}

func (p *plant) CSRAttrs(_ context.Context, label Label, _ Peer) (pki.CSRAttrs, error) {
	if label.Profile == "domain_credential" {
		return pki.CSRAttrs{}, p.domain(label)
	}
	return wanted, p.domain(label)
}
