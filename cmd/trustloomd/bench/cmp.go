// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
)

// applicationProfile is the profile of the certificates that devices ask for.
const applicationProfile = "tls_client"

// certifications prepares requests (cr) of devices for application
// certificates, signed with their domain credentials and to be confirmed
// implicitly: the inline lane of CMP. Each client is one device with one
// connection that it keeps.
func (p *plant) certifications(ctx context.Context, clients, each int) (operation, error) {
	for i := range clients {
		if p.devices[i].cmp != nil {
			continue
		}
		trust, err := p.devices[i].est.CACerts(ctx)
		if err != nil {
			return nil, fmt.Errorf("get the CA certificates: %w", err)
		}
		cfg := p.cmp
		cfg.Label.Profile, cfg.Trust = applicationProfile, trust
		cfg.Signer, cfg.Chain = p.devices[i].key, []*x509.Certificate{p.devices[i].credential}
		if p.devices[i].cmp, err = cmp.NewClient(cfg); err != nil {
			return nil, err
		}
	}
	requests := make([][]*cmp.ClientTransaction, clients)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(runtime.NumCPU())
	for i := range clients {
		all.Go(func() (err error) {
			name := p.devices[i].credential.Subject.CommonName
			requests[i] = make([]*cmp.ClientTransaction, each)
			for j := range requests[i] {
				if requests[i][j], err = newTransaction(cmp.BodyCR, name); err != nil || ctx.Err() != nil {
					return errors.Join(err, ctx.Err())
				}
			}
			return nil
		})
	}
	return func(ctx context.Context, client int) error {
		if len(requests[client]) == 0 {
			return errExhausted
		}
		transaction := requests[client][0]
		requests[client] = requests[client][1:]
		return certified(p.devices[client].cmp.Ask(ctx, transaction))
	}, all.Wait()
}

// cmpNewcomer is a device that wants to be onboarded, with its request.
type cmpNewcomer struct {
	reference   string
	secret      []byte
	transaction *cmp.ClientTransaction
}

// initializations prepares requests (ir) of devices that want to be onboarded,
// each protected with the device's one-time secret (PasswordBasedMac), each
// client's over one connection.
func (p *plant) initializations(ctx context.Context, clients, each int) (operation, error) {
	for len(p.cmpDoors) < clients {
		cfg := p.cmp
		cfg.Reference, cfg.Secret = "nobody", []byte("-")
		door, err := cmp.NewClient(cfg)
		if err != nil {
			return nil, err
		}
		p.cmpDoors = append(p.cmpDoors, door)
	}
	waiting, err := several(ctx, clients*each, p.registerCMP)
	return func(ctx context.Context, client int) error {
		n, ok := <-waiting
		if !ok {
			return errExhausted
		}
		door, err := p.cmpDoors[client].As(n.reference, n.secret)
		if err != nil {
			return err
		}
		return certified(door.Ask(ctx, n.transaction))
	}, err
}

func (p *plant) registerCMP(ctx context.Context) (n cmpNewcomer, err error) {
	registered, err := p.create(ctx, models.CMPSecret)
	if err != nil {
		return n, err
	}
	n.reference, n.secret = registered.Name, []byte(registered.Onboarding.Secret)
	n.transaction, err = newTransaction(cmp.BodyIR, registered.Name)
	return n, err
}

// newTransaction asks for a certificate for a new key.
func newTransaction(body cmp.BodyType, name string) (*cmp.ClientTransaction, error) {
	csr, key, err := newRequest(&x509.CertificateRequest{Subject: pkix.Name{CommonName: name}})
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, err
	}
	template, err := cmp.TemplateOf(parsed)
	if err != nil {
		return nil, err
	}
	return cmp.NewClientTransaction(&cmp.Request{Type: body, Template: template, Key: key})
}

// certified demands that an answer has a certificate that needs no certConf.
func certified(result *cmp.Result, err error) error {
	switch {
	case err != nil:
		return err
	case result.Pending():
		return errors.New("the server told a device to come back; is it overloaded?")
	case !result.Confirmed:
		return errors.New("the server wants a confirmation; it should grant an implicit one")
	}
	return nil
}
