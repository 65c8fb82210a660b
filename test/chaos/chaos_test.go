// SPDX-License-Identifier: MIT

// Package chaos breaks what trustloomd stands on, while devices work: processes
// are killed and frozen, the engine and the databases go away and come back
// older, disks fill up, clocks jump. After each experiment `trustloomd check`
// must find every promise kept. The experiments are numbered as in
// docs/conformance/failures.md.
package chaos

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// soak asks for the experiments at their full size (make soak).
var soak = flag.Bool("soak", false, "run the experiments at their full size")

// onBoth runs an experiment on SQLite and on PostgreSQL.
func onBoth(t *testing.T, experiment func(t *testing.T, p *plant)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { experiment(t, newPlant(t, running.Start(t))) })
	t.Run("postgres", func(t *testing.T) {
		url := fixture.Postgres(t)
		experiment(t, newPlant(t, running.Start(t, "--database-url", url)))
	})
}

// plant is a server with a PKI, and everything that its devices were given.
type plant struct {
	*running.Instance
	t     testing.TB
	api   *api.Client
	roots *x509.CertPool

	mu    sync.Mutex
	given map[string]string // fingerprint of each certificate that a device holds: for what
}

const domainName = "press-shop"

func newPlant(t testing.TB, i *running.Instance) *plant {
	t.Helper()
	p := &plant{Instance: i, t: t, api: i.Client(), roots: x509.NewCertPool(), given: map[string]string{}}
	pem, err := os.ReadFile(i.CA)
	p.must(err)
	p.roots.AppendCertsFromPEM(pem)
	p.makeCA(api.CACreation{Name: "plant-root", Type: models.CARoot})
	p.makeCA(api.CACreation{Name: "plant-issuing", Type: models.CAIssuing, Issuer: "plant-root"})
	_, err = p.api.CreateDomain(t.Context(), api.DomainCreation{Name: domainName, IssuingCA: "plant-issuing"})
	p.must(err)
	return p
}

// makeCA makes a CA and waits until it issues.
func (p *plant) makeCA(creation api.CACreation) {
	p.t.Helper()
	ca, err := p.api.CreateCA(p.t.Context(), creation)
	for deadline := time.Now().Add(time.Minute); err == nil && ca.Pending() && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
		ca, err = p.api.FindCA(p.t.Context(), creation.Name)
	}
	p.must(err)
}

func (p *plant) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// device is one that was registered.
type device struct {
	plant      *plant
	name       string
	secret     string
	door       *est.Client // with its one-time secret
	credential *est.Client // with its domain credential, once it has one
}

// register registers a device for onboarding with a password.
func (p *plant) register(name string) *device {
	p.t.Helper()
	created, err := p.api.CreateDevice(context.WithoutCancel(p.t.Context()), api.DeviceCreation{
		Name: name, Domain: domainName, SerialNumber: "SN-" + name, Onboarding: api.OnboardingArming{Method: models.ESTPassword},
	})
	p.must(err)
	d := &device{plant: p, name: name, secret: created.Onboarding.Secret}
	d.door, err = est.NewClient(p.client(est.ClientConfig{Username: name, Password: created.Onboarding.Secret}))
	p.must(err)
	return d
}

func (p *plant) client(cfg est.ClientConfig) est.ClientConfig {
	cfg.URL, cfg.Roots = "https://"+p.HTTPS, p.roots
	if cfg.Label.Domain == "" {
		cfg.Label.Domain = domainName
	}
	return cfg
}

// newRequest makes a key and a request for it.
func newRequest(subject string) ([]byte, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the random source of this machine is broken
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: subject}}, key)
	if err != nil {
		panic(err)
	}
	return csr, key
}

// patience is how long a device repeats one request.
const patience = 2 * time.Minute

// onboard repeats the device's first request until it has its domain
// credential.
func (d *device) onboard() error {
	csr, key := newRequest(d.name)
	certificate, err := d.plant.patiently(d.name+" domain credential", func(ctx context.Context) (est.Result, error) { return d.door.SimpleEnroll(ctx, csr) })
	if err != nil {
		return err
	}
	d.credential, err = est.NewClient(d.plant.client(est.ClientConfig{
		Label:       est.Label{Domain: domainName, Profile: "tls_client"},
		Certificate: &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key},
	}))
	return err
}

// enroll repeats the request for one application certificate until the device
// has it.
func (d *device) enroll(what string) error {
	csr, _ := newRequest(d.name)
	_, err := d.plant.patiently(d.name+" "+what, func(ctx context.Context) (est.Result, error) { return d.credential.SimpleEnroll(ctx, csr) })
	return err
}

// patiently repeats a request while the server is away, busy, or wants the
// device to come back. What is no such answer is an error.
func (p *plant) patiently(what string, send func(context.Context) (est.Result, error)) (*x509.Certificate, error) {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		result, err := send(ctx)
		cancel()
		switch {
		case err == nil && !result.Pending():
			p.keep(what, result.Certificates[0])
			return result.Certificates[0], nil
		case err != nil && models.KindOf(err) != models.KindUnavailable && models.KindOf(err) != models.KindLimited:
			return nil, fmt.Errorf("%s is refused: %w", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s: no answer within %s", what, patience)
}

func (p *plant) keep(what string, certificate *x509.Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given[fingerprint(certificate)] = what
}

// databaseURL is where the instance keeps its rows.
func (p *plant) databaseURL() string {
	for n, arg := range p.Args {
		if arg == "--database-url" {
			return p.Args[n+1]
		}
	}
	return "sqlite:" + filepath.Join(p.Dir, "trustloom.db")
}

// checkEverything looks for broken promises, and compares the certificates of
// the database with those that the devices hold: none lost, none unknown.
func (p *plant) checkEverything(t *testing.T) {
	t.Helper()
	p.checkEverythingBut(t, "\x00")
}

// checkEverythingBut expects findings with one text, and reports how many there are.
func (p *plant) checkEverythingBut(t *testing.T, expected string) (found int) {
	t.Helper()
	p.settle(t)
	for _, f := range p.findings(t) {
		if strings.Contains(f.Problem, expected) {
			found++
			continue
		}
		t.Errorf("%s is broken: %s: %s", f.Invariant, f.Subject, f.Problem)
	}
	s, err := store.Inspect(t.Context(), store.Config{URL: p.databaseURL()})
	p.must(err)
	defer func() { _ = s.Close() }()
	p.compare(t, s)
	return found
}

// finding is one broken promise, as trustloomd check reports it.
type finding struct{ Invariant, Subject, Problem string }

// findings runs trustloomd check, which judges at once what is half-way.
func (p *plant) findings(t *testing.T) []finding {
	t.Helper()
	cmd := exec.Command(running.Binary(t, "trustloomd"), "check", "--data-dir", p.Dir, "--grace", "0s", "-o", "json")
	cmd.Env = append(os.Environ(), "TRUSTLOOM_DATABASE_URL="+p.databaseURL())
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	var report struct {
		Findings []finding
		Looked   map[string]int
	}
	if unreadable := json.Unmarshal(out, &report); unreadable != nil || report.Looked["certificates"] == 0 || (err == nil) != (len(report.Findings) == 0) {
		t.Fatalf("trustloomd check: %v\n%s%s", err, said.String(), out)
	}
	return report.Findings
}

// compare counts the certificates of devices on both sides.
func (p *plant) compare(t *testing.T, s *store.Store) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	held, page := 0, store.Page{Limit: store.MaxLimit}
	for {
		rows, next, err := s.ListCertificates(t.Context(), store.CertificateFilter{Page: page})
		p.must(err)
		for i := range rows {
			if rows[i].RequestID == "" {
				continue
			}
			if _, known := p.given[rows[i].Fingerprint]; !known {
				t.Errorf("certificate %s (%s) is in the database, but no device holds it", rows[i].ID, rows[i].State)
			}
			held++
		}
		if page.Cursor = next; next == "" {
			break
		}
	}
	if held != len(p.given) {
		t.Errorf("the devices hold %d certificates, the database %d", len(p.given), held)
	}
}

// settle waits until nothing is half-way any more.
func (p *plant) settle(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		open := 0
		for _, state := range []models.RequestState{models.RequestReceived, models.RequestApproved, models.RequestReserved} {
			page, err := p.api.ListRequests(context.WithoutCancel(t.Context()), api.RequestFilter{State: state})
			p.must(err)
			open += len(page.Items)
		}
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are still unfinished", open)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// again sends one request of a device that has its domain credential.
func (d *device) again(csr []byte) func(context.Context) (est.Result, error) {
	return func(ctx context.Context) (est.Result, error) { return d.credential.SimpleEnroll(ctx, csr) }
}
