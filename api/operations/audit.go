// SPDX-License-Identifier: MIT

package operations

import (
	"context"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// ListEvents lists the audit events that the caller sees, oldest first.
func (o *Operations) ListEvents(ctx context.Context, who Caller, f api.EventFilter) (*api.Page[api.Event], error) {
	if err := auth.Authorize(who.Principal, auth.ReadAudit); err != nil {
		return nil, err
	}
	filter := store.EventFilter{Page: pageOf(f.PageQuery), Action: f.Action, Noun: f.Noun, SubjectID: f.Subject, RequestID: models.RequestID(f.Request),
		Actor: f.Actor, Since: f.Since, Until: f.Until}
	for field, text := range map[string]string{"action": f.Action, "noun": f.Noun, "subject": f.Subject, "request": f.Request, "actor": f.Actor} {
		if err := checkText(field, text, maxComment); err != nil {
			return nil, err
		}
	}
	var err error
	if filter.Domains, _, filter.DeviceID, err = o.selected(ctx, who, "", f.Device); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListEvents(ctx, filter)
	if err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	return wirePage(rows, next, func(e *models.Event) (api.Event, error) { return wireEvent(ctx, names, e) })
}

func wireEvent(ctx context.Context, names *names, e *models.Event) (api.Event, error) {
	domain, err := names.domain(ctx, e.DomainID)
	if err != nil {
		return api.Event{}, err
	}
	device, err := names.device(ctx, e.DeviceID)
	return api.Event{
		ID: string(e.ID), At: e.At, Actor: e.Actor, Address: e.Address, Action: e.Action, Noun: e.Noun, Subject: e.SubjectID,
		Domain: domain, Device: device, Request: string(e.RequestID), WorkflowID: e.WorkflowID, RunID: e.RunID, Details: e.Details,
	}, err
}
