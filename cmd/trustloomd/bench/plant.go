// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
)

// The names in the server that is measured.
const (
	rootName    = "bench-root"
	issuingName = "bench-issuing"
	domainName  = "bench"
)

const (
	caPatience    = time.Minute
	registrations = 8 // devices that are registered at the same time
)

// plant is the operator and the devices of a server.
type plant struct {
	api      *api.Client
	est      est.ClientConfig
	cmp      cmp.ClientConfig
	devices  []*device     // onboarded, one for each client
	doors    []*est.Client // connections without a certificate, one for each client
	cmpDoors []*cmp.Client // the same, for CMP
	names    atomic.Int64
}

// device is one that has its domain credential.
type device struct {
	credential *x509.Certificate
	key        *ecdsa.PrivateKey
	est        *est.Client
	cmp        *cmp.Client // once it is measured

	application *est.Client // for application certificates, once they are measured
}

// newPlant makes a root, an issuing CA and a domain, and onboards devices.
func newPlant(ctx context.Context, s *server, keys string, devices int) (*plant, error) {
	ca := filepath.Join(s.dataDir, "tls", "ca.pem")
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("read the server's CA: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	token, err := os.ReadFile(filepath.Join(s.dataDir, "admin-token"))
	if err != nil {
		return nil, fmt.Errorf("read the operator's token: %w", err)
	}
	p := &plant{
		est: est.ClientConfig{URL: "https://" + s.https, Roots: roots, Label: est.Label{Domain: domainName}},
		cmp: cmp.ClientConfig{URL: "http://" + s.http, Label: cmp.Label{Domain: domainName}},
	}
	p.api, err = api.NewClient(api.Config{URL: "https://" + s.https, CAFile: ca, Token: strings.TrimSpace(string(token))})
	if err != nil {
		return nil, err
	}
	if err := p.pki(ctx, keys); err != nil {
		return nil, err
	}
	for range devices {
		d, err := p.onboard(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("onboard a device: %w", err), p.close())
		}
		p.devices = append(p.devices, d)
	}
	return p, nil
}

// pki makes the CAs and the domain.
func (p *plant) pki(ctx context.Context, keys string) error {
	for _, creation := range []api.CACreation{
		{Name: rootName, Type: models.CARoot, Key: api.Key{Store: keys}},
		{Name: issuingName, Type: models.CAIssuing, Issuer: rootName, Key: api.Key{Store: keys}},
	} {
		if err := p.makeCA(ctx, creation); err != nil {
			return err
		}
	}
	if _, err := p.api.CreateDomain(ctx, api.DomainCreation{Name: domainName, IssuingCA: issuingName}); err != nil {
		return fmt.Errorf("make the domain: %w", err)
	}
	return nil
}

func (p *plant) makeCA(ctx context.Context, creation api.CACreation) error {
	ctx, cancel := context.WithTimeout(ctx, caPatience)
	defer cancel()
	ca, err := p.api.CreateCA(ctx, creation)
	for err == nil && ca.Pending() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("make CA %s: %w", creation.Name, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
		ca, err = p.api.FindCA(ctx, creation.Name)
	}
	if err != nil {
		return fmt.Errorf("make CA %s: %w", creation.Name, err)
	}
	if ca.State != models.CAActive {
		return fmt.Errorf("make CA %s: it is %s: %s", creation.Name, ca.State, ca.Failure)
	}
	return nil
}

// newcomer is a registered device, with the request for its first identity.
type newcomer struct {
	username, password string
	csr                []byte
	key                *ecdsa.PrivateKey
}

// create registers another device.
func (p *plant) create(ctx context.Context, method models.OnboardingMethod) (*api.Device, error) {
	number := p.names.Add(1)
	registered, err := p.api.CreateDevice(ctx, api.DeviceCreation{
		Name: fmt.Sprintf("bench-%06d", number), SerialNumber: fmt.Sprintf("SN-%06d", number), Domain: domainName,
		Onboarding: api.OnboardingArming{Method: method},
	})
	if err != nil {
		return nil, fmt.Errorf("register a device: %w", err)
	}
	return registered, nil
}

func (p *plant) register(ctx context.Context) (newcomer, error) {
	registered, err := p.create(ctx, models.ESTPassword)
	if err != nil {
		return newcomer{}, err
	}
	n := newcomer{username: registered.Onboarding.Username, password: registered.Onboarding.Secret}
	n.csr, n.key, err = newRequest(&x509.CertificateRequest{Subject: pkix.Name{CommonName: registered.Name}})
	return n, err
}

// onboard gives a new device its domain credential and a connection that
// authenticates with it.
func (p *plant) onboard(ctx context.Context) (*device, error) {
	n, err := p.register(ctx)
	if err != nil {
		return nil, err
	}
	cfg := p.est
	cfg.Username, cfg.Password = n.username, n.password
	first, err := est.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	defer first.Close()
	result, err := enrolled(first.SimpleEnroll(ctx, n.csr))
	if err != nil {
		return nil, err
	}
	cfg = p.est
	cfg.Certificate = &tls.Certificate{Certificate: [][]byte{result.Raw}, PrivateKey: n.key}
	d := &device{credential: result, key: n.key}
	d.est, err = est.NewClient(cfg)
	return d, err
}

// several makes n of something, some at the same time, to be taken one by one.
func several[T any](ctx context.Context, n int, one func(context.Context) (T, error)) (<-chan T, error) {
	made := make(chan T, n)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(registrations)
	for range n {
		all.Go(func() error {
			thing, err := one(ctx)
			made <- thing // has room for all
			return err
		})
	}
	err := all.Wait()
	close(made)
	return made, err
}

// onboardings prepares devices that want to be onboarded, each client's over
// one connection.
func (p *plant) onboardings(ctx context.Context, clients, each int) (operation, error) {
	for len(p.doors) < clients {
		door, err := est.NewClient(p.est)
		if err != nil {
			return nil, err
		}
		p.doors = append(p.doors, door)
	}
	waiting, err := several(ctx, clients*each, p.register)
	return func(ctx context.Context, client int) error {
		n, ok := <-waiting
		if !ok {
			return errExhausted
		}
		_, err := enrolled(p.doors[client].As(n.username, n.password).SimpleEnroll(ctx, n.csr))
		return err
	}, err
}

func (p *plant) close() error {
	for _, d := range p.devices {
		d.est.Close()
		if d.cmp != nil {
			d.cmp.Close()
		}
		if d.application != nil {
			d.application.Close()
		}
	}
	for _, door := range p.doors {
		door.Close()
	}
	for _, door := range p.cmpDoors {
		door.Close()
	}
	return nil
}

// enrolled returns the certificate of an answer; one that waits is an error,
// because nothing here waits for people.
func enrolled(result est.Result, err error) (*x509.Certificate, error) {
	if err != nil {
		return nil, err
	}
	if result.Pending() {
		return nil, errors.New("the server told a device to come back; is it overloaded?")
	}
	return result.Certificates[0], nil
}

// newRequest makes a P-256 key and a request for it.
func newRequest(wish *x509.CertificateRequest) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, wish, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a request: %w", err)
	}
	return csr, key, nil
}
