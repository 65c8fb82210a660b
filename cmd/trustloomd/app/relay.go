// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"strings"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// How often the relay looks, how much it takes at a time, and how long it
// leaves alone what just happened.
const (
	relayInterval     = time.Second
	relayBatch        = 100
	rehydrateInterval = 30 * time.Second
	rehydrateBatch    = 200
	inlineGrace       = 30 * time.Second
)

// relay keeps the promises of the outbox that the process which made them
// could not keep, and from time to time brings back the stories of unfinished
// rows, should the engine have lost them. Several processes may do so at
// once: everything it does is the same done twice.
func (a *App) relay(ctx context.Context) {
	if a.cfg.Role == RoleAPI {
		return
	}
	promises, rows := time.NewTicker(relayInterval), time.NewTicker(rehydrateInterval)
	defer promises.Stop()
	defer rows.Stop()
	a.rehydrateAll(ctx)
	var cursor models.RequestID
	for {
		select {
		case <-ctx.Done():
			return
		case <-promises.C:
			a.within(ctx, a.keepPromises)
		case <-rows.C:
			a.within(ctx, func(ctx context.Context) {
				cursor, _ = a.rehydrate(ctx, cursor)
				a.rehydrateCAs(ctx)
				a.rehydrateConfirmations(ctx)
			})
		}
	}
}

// relayRound bounds one round, should the database or the engine swallow what
// is sent to it instead of refusing it.
const relayRound = time.Minute

func (a *App) within(ctx context.Context, round func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, relayRound)
	defer cancel()
	round(ctx)
}

func (a *App) keepPromises(ctx context.Context) {
	due, err := a.store.DuePromises(ctx, a.now(), relayBatch)
	if err != nil {
		a.log.Warn("the outbox cannot be read", "error", err)
		return
	}
	for _, item := range due {
		err := a.keep(ctx, item)
		away := models.KindOf(err) == models.KindUnavailable
		if err != nil {
			a.log.Warn("a promise is kept later", "action", item.Action, "subject", item.SubjectID, "attempts", item.Attempts, "error", err)
		}
		err = a.store.Write(ctx, func(tx *store.Tx) error {
			if err == nil {
				return tx.KeepPromise(item.ID)
			}
			wait := min(time.Duration(1<<min(item.Attempts, 8))*time.Second, time.Minute)
			return tx.PostponePromise(item.ID, a.now().Add(wait), models.PublicText(err))
		})
		if err != nil {
			a.log.Warn("the outbox cannot be written", "error", err)
			return
		}
		if away {
			return // each of the others would take the time of a failed call
		}
	}
}

// keep does what an item promises.
func (a *App) keep(ctx context.Context, item models.OutboxItem) error {
	switch item.Action {
	case models.OutboxStartOnboarding, models.OutboxStartEnrollment:
		return a.restart(ctx, models.RequestID(item.SubjectID))
	case models.OutboxStartAuthority:
		return a.startAuthority(ctx, models.CAID(item.SubjectID))
	case models.OutboxWakeApproval:
		return a.stories.WakeApproval(ctx, item.WorkflowID, models.ApprovalID(item.SubjectID))
	case models.OutboxWithdraw:
		return a.withdraw(ctx, item)
	case models.OutboxPublish:
		return a.stories.Publish(ctx, models.CAID(item.SubjectID))
	case models.OutboxWakeAuthority:
		return a.stories.WakeAuthority(ctx, models.CAID(item.SubjectID))
	case models.OutboxDestroyKey:
		store, id, _ := strings.Cut(item.SubjectID, "/")
		return a.issuer.DestroyKey(ctx, models.KeyRef{Store: store, ID: id})
	case models.OutboxConfirmation:
		return a.stories.StartConfirmation(ctx, models.RequestID(item.SubjectID))
	case models.OutboxRetireDevice:
		return a.retireDevice(ctx, models.DeviceID(item.SubjectID))
	}
	return models.Errorf(models.KindInternal, "unknown promise %q", item.Action)
}

// withdraw cancels the story of a request and ends the row as well, should the
// engine have lost the story.
func (a *App) withdraw(ctx context.Context, item models.OutboxItem) error {
	if err := a.stories.Withdraw(ctx, item.WorkflowID); err != nil {
		return err
	}
	_, err := a.acts.Requests.AbandonRequest(ctx, activities.AbandonInput{
		RequestID: models.RequestID(item.SubjectID), State: models.RequestWithdrawn,
		Kind: models.KindDenied.String(), Text: "withdrawn by an operator",
	})
	return err
}

func (a *App) restart(ctx context.Context, id models.RequestID) error {
	req, err := a.store.FindRequest(ctx, id)
	if err != nil || req.Finished() {
		return err
	}
	return a.stories.Restart(ctx, req)
}

// startAuthority starts the making of a CA unless it has ended meanwhile.
func (a *App) startAuthority(ctx context.Context, id models.CAID) error {
	ca, err := a.store.FindCA(ctx, id)
	if err != nil || ca.State != models.CAPending {
		return err
	}
	return a.ensureCA(ctx, ca)
}

// rehydrateAll goes over every unfinished row once, at the start, and keeps
// the promises between the batches. If the engine or the database is away it
// leaves the rest to the later rounds.
func (a *App) rehydrateAll(ctx context.Context) {
	a.rehydrateCAs(ctx)
	cursor, well := a.rehydrate(ctx, "")
	for cursor != "" && well && ctx.Err() == nil {
		a.keepPromises(ctx)
		cursor, well = a.rehydrate(ctx, cursor)
	}
}

// rehydrate restarts the stories of the next unfinished requests after
// cursor, and finishes inline requests that were left half-way. It returns the
// next cursor, empty at the end, and whether engine and database were there:
// when they are away, every single row would cost the time of a failed call.
func (a *App) rehydrate(ctx context.Context, cursor models.RequestID) (next models.RequestID, well bool) {
	unfinished, err := a.store.UnfinishedRequests(ctx, cursor, rehydrateBatch)
	if err != nil {
		a.log.Warn("unfinished requests cannot be read", "error", err)
		return cursor, false
	}
	for i := range unfinished {
		req := &unfinished[i]
		cursor = req.ID
		if err := a.rehydrateOne(ctx, req); err != nil {
			a.log.Warn("an unfinished request goes on later", "request", req.ID, "error", err)
			if req.WorkflowID != "" && models.KindOf(err) == models.KindUnavailable {
				return cursor, false // after this one, which may be the reason
			}
		}
	}
	if len(unfinished) < rehydrateBatch {
		return "", true
	}
	return cursor, true
}

func (a *App) rehydrateOne(ctx context.Context, req *models.Request) error {
	if req.WorkflowID != "" {
		return a.stories.Restart(ctx, req)
	}
	if time.Since(req.UpdatedAt) < inlineGrace {
		return nil // a process may be at it
	}
	_, err := a.acts.Issuance.Finish(ctx, req)
	switch models.KindOf(err) {
	case models.KindInvalid, models.KindDenied, models.KindNotFound: // never passes: the key is gone, for example
		a.log.Error("an unfinished request fails for good", "request", req.ID, "error", err)
		_, err = a.acts.Requests.AbandonRequest(ctx, activities.AbandonInput{
			RequestID: req.ID, State: models.RequestFailed, Kind: models.KindOf(err).String(), Text: models.PublicText(err),
		})
	}
	return err
}

// rehydrateCAs sees to it that every CA is being made, or its CRL published.
func (a *App) rehydrateCAs(ctx context.Context) {
	page := store.Page{Limit: rehydrateBatch}
	for {
		cas, next, err := a.store.ListCAs(ctx, page)
		if err != nil {
			a.log.Warn("the CAs cannot be read", "error", err)
			return
		}
		for i := range cas {
			if err := a.ensureCA(ctx, &cas[i]); err != nil {
				a.log.Warn("a CA is looked after later", "ca", cas[i].Name, "error", err)
			}
		}
		if next == "" {
			return
		}
		page.Cursor = next
	}
}

func (a *App) ensureCA(ctx context.Context, ca *models.CA) error {
	switch {
	case ca.Keyless(), ca.State == models.CAPending && ca.Origin == models.CAImported:
		return nil // there is no key; or the operator who has it sends it again
	case ca.State == models.CAPending && ca.Origin == models.CARequested:
		return a.stories.StartExternalAuthority(ctx, ca.ID)
	case ca.State == models.CAPending:
		return a.stories.StartAuthority(ctx, ca.ID)
	case ca.State == models.CAActive, ca.State == models.CARetiring:
		return a.stories.EnsurePublication(ctx, ca.ID)
	}
	return nil
}
