// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/trustloom/trustloom/integrations/est"
)

// reenrollments prepares renewals of the devices' domain credentials, each for
// a new key.
func (p *plant) reenrollments(ctx context.Context, clients, each int) (operation, error) {
	requests, err := p.requests(ctx, clients, each)
	return func(ctx context.Context, client int) error {
		csr, err := requests.next(client)
		if err == nil {
			_, err = enrolled(p.devices[client].est.SimpleReenroll(ctx, csr))
		}
		return err
	}, err
}

// enrollments prepares the devices' requests for application certificates,
// which they ask for over a connection of their own.
func (p *plant) enrollments(ctx context.Context, clients, each int) (operation, error) {
	for _, d := range p.devices[:clients] {
		if d.application != nil {
			continue
		}
		cfg := p.est
		cfg.Label.Profile = applicationProfile
		cfg.Certificate = &tls.Certificate{Certificate: [][]byte{d.credential.Raw}, PrivateKey: d.key}
		var err error
		if d.application, err = est.NewClient(cfg); err != nil {
			return nil, err
		}
	}
	requests, err := p.requests(ctx, clients, each)
	return func(ctx context.Context, client int) error {
		csr, err := requests.next(client)
		if err == nil {
			_, err = enrolled(p.devices[client].application.SimpleEnroll(ctx, csr))
		}
		return err
	}, err
}

// requests are those that each client has left.
type requests [][][]byte

func (r requests) next(client int) ([]byte, error) {
	if len(r[client]) == 0 {
		return nil, errExhausted
	}
	csr := r[client][0]
	r[client] = r[client][1:]
	return csr, nil
}

// requests makes keys, and requests that name what the domain credentials name.
func (p *plant) requests(ctx context.Context, clients, each int) (requests, error) {
	requests := make(requests, clients)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(runtime.NumCPU())
	for i := range clients {
		all.Go(func() (err error) {
			c := p.devices[i].credential
			wish := &x509.CertificateRequest{
				RawSubject: c.RawSubject, DNSNames: c.DNSNames, IPAddresses: c.IPAddresses, URIs: c.URIs, EmailAddresses: c.EmailAddresses,
			}
			requests[i] = make([][]byte, each)
			for j := range requests[i] {
				if requests[i][j], _, err = newRequest(wish); err != nil || ctx.Err() != nil {
					return errors.Join(err, ctx.Err())
				}
			}
			return nil
		})
	}
	return requests, all.Wait()
}
