// SPDX-License-Identifier: MIT

// Package enroll is the device's door. Each protocol has one file here that
// authenticates the device by exactly one named method and reduces its
// request to a Submission; submit.go is the one way in for all of them.
//
// Authentication, parsing, proof of possession and policy come before any
// durable write: garbage makes no rows and no workflows. The package must not
// know REST, operators or pages.
package enroll

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/integrations/ocsp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/workflows"
)

// Config is what the door needs from outside.
type Config struct {
	Store    *store.Store
	Issuance *activities.Issuance
	Stories  *workflows.Client
	Endings  *activities.Endings // of stories that this process tells; nil if it tells none
	// Wait bounds how long a device waits for its story before it is told to
	// come back. Default 5 seconds.
	Wait time.Duration
	// Backlog is how many accepted requests may wait for a workflow engine
	// that is away before new ones are told to come back. Default 1000.
	Backlog int
	// DeviceRate is how many different requests a device may begin in a minute;
	// 0 bounds nothing.
	DeviceRate int
	// Guard slows down whoever guesses; nil does not.
	Guard *auth.Guard
	// People reports whether a client certificate is one of a person, who is no
	// device; nil knows none.
	People func(presented []*x509.Certificate) bool
	Now    func() time.Time
	Fault  activities.Fault
	Logger *slog.Logger
}

// ocspTime is how long a manufacturer's responder may take.
const ocspTime = 3 * time.Second

// maxWaiters bounds the stories that are waited for at the same time; devices
// beyond it are told to come back at once.
const maxWaiters = 256

// Door takes the submissions of every protocol.
type Door struct {
	cfg      Config
	flights  flights
	waiters  chan struct{}
	strain   strain
	rates    rates
	certs    pki.Cache // of CAs
	paths    paths     // of certificates of ours
	crls     crlCache  // of manufacturers
	ocsp     *ocsp.Client
	profiles policy.Cache
}

// New returns the door over cfg.
func New(cfg Config) *Door {
	if cfg.Wait == 0 {
		cfg.Wait = 5 * time.Second
	}
	if cfg.Backlog == 0 {
		cfg.Backlog = 1000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.People == nil {
		cfg.People = func([]*x509.Certificate) bool { return false }
	}
	if cfg.Fault == nil {
		cfg.Fault = func(string) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Door{cfg: cfg, waiters: make(chan struct{}, maxWaiters), ocsp: ocsp.NewClient(ocspTime, cfg.Now)}
}

// Identity is a device that proved itself, by one method.
type Identity struct {
	Method  models.AuthMethod
	Subject string         // user name, or fingerprint of the certificate
	Device  *models.Device // not yet stored if New
	New     bool           // the device is created with its first request
	// Identity is what names the device in request keys: its ID, or what its
	// IDevID says, which is there before the device is.
	Key string
	// IDevIDKey is the SHA-256 of the key of the IDevID, if that was the proof.
	IDevIDKey string
	// Certificate is the certificate that authenticated the device, if it is
	// one of ours.
	Certificate *models.Certificate
	Leaf        *x509.Certificate // the same, parsed
	// Issuer is the CA of Certificate, as it is now.
	Issuer *models.CA
	// SecretUsed says that the one-time secret was used before, so that only
	// the request that used it may be repeated.
	SecretUsed bool
}

// domain finds the domain of a label.
func (d *Door) domain(ctx context.Context, name string) (*models.Domain, error) {
	if models.CheckName("domain", name) != nil {
		return nil, models.Errorf(models.KindNotFound, "there is no domain of that name")
	}
	return d.cfg.Store.FindDomainByName(ctx, name)
}

// offering finds the domain of a label and makes sure that devices may ask for
// op in it, and that the request is bound to its connection where the domain
// demands that.
func (d *Door) offering(ctx context.Context, name string, op models.DeviceOperation, peer est.Peer) (*models.Domain, error) {
	domain, err := d.domain(ctx, name)
	if err == nil {
		err = offers(domain, op, peer)
	}
	if err != nil {
		return nil, err
	}
	return domain, nil
}

// offers is offering for a domain that was found.
func offers(domain *models.Domain, op models.DeviceOperation, peer est.Peer) error {
	if err := domain.Offers(op); err != nil {
		return err
	}
	if op == models.OpServerKeyGen {
		if err := policy.MakesKeys(domain); err != nil {
			return err
		}
	}
	if policy.DemandsBinding(domain) && !peer.Bound {
		return models.Errorf(models.KindInvalid, "domain %s demands channel binding: the challenge password of the request must be the base64 of the connection's "+
			"tls-exporter (RFC 9266) or, with TLS 1.2, its tls-unique (RFC 7030 section 3.5)", domain.Name)
	}
	return nil
}
