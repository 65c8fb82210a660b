// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/api/rest"
	"github.com/trustloom/trustloom/api/server"
	"github.com/trustloom/trustloom/api/ui"
	"github.com/trustloom/trustloom/api/va"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// interfaces mounts what operators, devices and relying parties talk to.
func (a *App) interfaces(mounts *server.Config) {
	guard := a.guard()
	a.logins.Guard = guard
	door := enroll.New(enroll.Config{
		Store: a.store, Issuance: a.acts.Issuance, Stories: a.stories, Endings: a.endings, Wait: a.cfg.EnrollWait, Backlog: a.cfg.EnrollBacklog, DeviceRate: a.cfg.DeviceRate, Guard: guard, People: a.people.Issued, Now: a.now,
		Fault: a.fault(), Logger: a.log,
	})
	a.deliver = enroll.NewDeliveries(enroll.DeliveryConfig{Door: door, Sealer: a.keySealer, Signer: a.signKeys, Life: a.cfg.DeliveryLife})
	ops := operations.New(operations.Config{
		Store: a.store, Stories: a.stories, Audit: a.sealer, Deliverer: a.deliver, Now: a.now, Logger: a.log, PublicURL: a.cfg.PublicURL,
		Keys: a.issuer, Sealer: a.keySealer, KeyStores: slices.Sorted(maps.Keys(a.keys)), People: a.people, Logins: a.logins,
	})
	mounts.REST = rest.New(rest.Config{
		Operations: ops, Authenticator: auth.New(a.store, a.now).Guarded(guard).Knowing(a.people), Logger: a.log, Now: a.now, Version: a.cfg.Version,
		Enroll: enrollREST(enroll.NewREST(door)),
	})
	requestID := func(r *http.Request) string { return r.Header.Get(server.RequestIDHeader) }
	responder := est.NewResponder(enroll.NewEST(door).Delivering(a.deliver), est.Options{Logger: a.log, RequestID: requestID})
	mounts.CMP = server.Observe(a.log, a.cmp(door, requestID))
	mounts.UI = server.Observe(a.log, ui.New(ui.Config{Downloads: ops, Guard: guard, Now: a.now, Logger: a.log}))
	mounts.EST = server.Observe(a.log, responder)
	mounts.Enroll = server.Observe(a.log, enroll.NewWeb(door, a.log, requestID))
	mounts.VA = va.New(va.Config{Store: a.store, Now: a.now, Logger: a.log})
}

// cmp is the server of CMP. Its nonces are known on every node and after a
// restart: transactions wait for weeks.
func (a *App) cmp(door *enroll.Door, requestID func(*http.Request) string) http.Handler {
	backend := enroll.NewCMP(enroll.CMPConfig{Door: door, Confirmations: a.acts.Confirmations, Protectors: a.acts.Protectors, Deliveries: a.deliver, Sealer: a.keySealer})
	return cmp.NewResponder(backend, cmp.Options{Logger: a.log, RequestID: requestID, Now: a.now, NonceKey: a.nonceKey})
}

// enrollREST puts the device's door behind its route.
func enrollREST(door *enroll.REST) rest.Enroll {
	return func(r *http.Request, domain, profile, csr string) (*api.Enrollment, time.Duration, error) {
		got, err := door.Enroll(r, domain, profile, csr)
		if err != nil || got.RetryAfter > 0 {
			return nil, got.RetryAfter, err
		}
		return &api.Enrollment{Certificate: string(pki.EncodePEM(got.Certificate)), Chain: string(pki.EncodePEM(got.Chain...))}, 0, nil
	}
}

// signKeys signs with the key of the server's own TLS certificate, which the
// client has just verified.
func (a *App) signKeys() (crypto.Signer, *x509.Certificate, error) {
	var own *tls.Certificate
	if len(a.tls.Certificates) > 0 {
		own = &a.tls.Certificates[0]
	} else {
		var err error
		if own, err = a.tls.GetCertificate(&tls.ClientHelloInfo{}); err != nil {
			return nil, nil, err
		}
	}
	signer, ok := own.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, models.Errorf(models.KindInvalid, "the server's TLS key signs nothing else; leave the wish for encryption out")
	}
	cert, err := x509.ParseCertificate(own.Certificate[0])
	return signer, cert, err
}

// sweep looks after the keys that wait for being delivered. A process that
// serves no interfaces has none.
func (a *App) sweep(ctx context.Context) {
	if a.deliver != nil {
		a.deliver.Sweep(ctx)
	}
}
