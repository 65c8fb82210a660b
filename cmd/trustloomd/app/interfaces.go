// SPDX-License-Identifier: MIT

package app

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/api/rest"
	"github.com/trustloom/trustloom/api/server"
	"github.com/trustloom/trustloom/api/va"
	"github.com/trustloom/trustloom/integrations/est"
)

// interfaces mounts what operators, devices and relying parties talk to.
func (a *App) interfaces(mounts *server.Config) {
	ops := operations.New(operations.Config{
		Store: a.store, Stories: a.stories, Now: time.Now, Logger: a.log, PublicURL: a.cfg.PublicURL,
		KeyStores: slices.Sorted(maps.Keys(a.keys)), People: a.people,
	})
	guard := a.guard()
	mounts.REST = rest.New(rest.Config{
		Operations: ops, Authenticator: auth.New(a.store, time.Now).Guarded(guard).Knowing(a.people), Logger: a.log, Now: time.Now, Version: a.cfg.Version,
	})
	door := enroll.New(enroll.Config{
		Store: a.store, Issuance: a.acts.Issuance, Stories: a.stories, Wait: a.cfg.EnrollWait, Backlog: a.cfg.EnrollBacklog, Guard: guard, People: a.people.Issued, Now: time.Now,
		Fault: a.fault(), Logger: a.log,
	})
	requestID := func(r *http.Request) string { return r.Header.Get(server.RequestIDHeader) }
	responder := est.NewResponder(enroll.NewEST(door), est.Options{Logger: a.log, RequestID: requestID})
	mounts.EST = server.Observe(a.log, responder)
	mounts.Enroll = server.Observe(a.log, enroll.NewWeb(door, a.log, requestID))
	mounts.VA = va.New(va.Config{Store: a.store, Now: time.Now, Logger: a.log})
}
