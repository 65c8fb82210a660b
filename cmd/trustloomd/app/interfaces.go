// SPDX-License-Identifier: MIT

package app

import (
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
	"github.com/trustloom/trustloom/api/va"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models/pki"
)

// interfaces mounts what operators, devices and relying parties talk to.
func (a *App) interfaces(mounts *server.Config) {
	ops := operations.New(operations.Config{
		Store: a.store, Stories: a.stories, Audit: a.sealer, Now: time.Now, Logger: a.log, PublicURL: a.cfg.PublicURL,
		KeyStores: slices.Sorted(maps.Keys(a.keys)), People: a.people,
	})
	guard := a.guard()
	door := enroll.New(enroll.Config{
		Store: a.store, Issuance: a.acts.Issuance, Stories: a.stories, Wait: a.cfg.EnrollWait, Backlog: a.cfg.EnrollBacklog, Guard: guard, People: a.people.Issued, Now: time.Now,
		Fault: a.fault(), Logger: a.log,
	})
	mounts.REST = rest.New(rest.Config{
		Operations: ops, Authenticator: auth.New(a.store, time.Now).Guarded(guard).Knowing(a.people), Logger: a.log, Now: time.Now, Version: a.cfg.Version,
		Enroll: enrollREST(enroll.NewREST(door)),
	})
	requestID := func(r *http.Request) string { return r.Header.Get(server.RequestIDHeader) }
	responder := est.NewResponder(enroll.NewEST(door), est.Options{Logger: a.log, RequestID: requestID})
	mounts.EST = server.Observe(a.log, responder)
	mounts.Enroll = server.Observe(a.log, enroll.NewWeb(door, a.log, requestID))
	mounts.VA = va.New(va.Config{Store: a.store, Now: time.Now, Logger: a.log})
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
