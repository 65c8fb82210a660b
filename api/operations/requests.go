// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// ListRequests lists the requests that the caller sees, oldest first.
func (o *Operations) ListRequests(ctx context.Context, who Caller, f api.RequestFilter) (*api.Page[api.Request], error) {
	if err := auth.Authorize(who.Principal, auth.ReadRequests); err != nil {
		return nil, err
	}
	if err := checkState("request", models.RequestTransitions, f.State); err != nil {
		return nil, err
	}
	filter := store.RequestFilter{Page: pageOf(f.PageQuery), State: f.State}
	var err error
	if filter.Domains, filter.DomainID, filter.DeviceID, err = o.selected(ctx, who, f.Domain, f.Device); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListRequests(ctx, filter)
	if err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	return wirePage(rows, next, func(r *models.Request) (api.Request, error) { return wireRequest(ctx, names, r) })
}

// requestWith finds a request that the caller sees.
func requestWith(ctx context.Context, q reader, who Caller, id string) (*models.Request, error) {
	if !models.IsID(id) {
		return nil, absent("request", id)
	}
	row, err := q.FindRequest(ctx, models.RequestID(id))
	if err != nil {
		return nil, found(err, "request", id)
	}
	_, err = inScope(ctx, q, who, row.DomainID, "request", id)
	return row, err
}

// FindRequest returns a request with its CSR.
func (o *Operations) FindRequest(ctx context.Context, who Caller, id string) (*api.Request, error) {
	if err := auth.Authorize(who.Principal, auth.ReadRequests); err != nil {
		return nil, err
	}
	row, err := requestWith(ctx, o.store.Queries, who, id)
	if err != nil {
		return nil, err
	}
	return o.fullRequest(ctx, row)
}

func (o *Operations) fullRequest(ctx context.Context, row *models.Request) (*api.Request, error) {
	out, err := wireRequest(ctx, newNames(o.store.Queries), row)
	if err != nil {
		return nil, err
	}
	form := "CERTIFICATE REQUEST"
	if pki.IsTemplate(row.CSR) {
		form = "CERTIFICATE TEMPLATE" // of CMP, RFC 4211
	}
	out.CSR = string(pem.EncodeToMemory(&pem.Block{Type: form, Bytes: row.CSR}))
	approval, err := o.store.FindApprovalByRequest(ctx, row.ID)
	if err == nil {
		out.Approval = string(approval.ID)
		return &out, nil
	}
	return &out, ifAbsent(err)
}

// WithdrawRequest asks the story of a request to end it. It is KindConflict
// once the request is finished or its certificate is being made.
func (o *Operations) WithdrawRequest(ctx context.Context, who Caller, id string, in api.Withdrawal) (*api.Request, error) {
	if err := auth.Authorize(who.Principal, auth.WithdrawRequests); err != nil {
		return nil, err
	}
	if in.Reason == "" {
		return nil, models.Errorf(models.KindInvalid, "reason is missing; it goes to the audit log")
	}
	if err := checkText("reason", in.Reason, maxComment); err != nil {
		return nil, err
	}
	var row *models.Request
	err := o.write(ctx, func(tx *store.Tx) (err error) {
		if row, err = requestWith(ctx, tx.Queries, who, id); err != nil {
			return err
		}
		if row.Finished() || !models.RequestTransitions.Allowed(row.State, models.RequestWithdrawn) || row.WorkflowID == "" {
			return models.Errorf(models.KindConflict, "request %s is %s and can no longer be withdrawn", id, row.State)
		}
		promise := models.OutboxItem{Action: models.OutboxWithdraw, WorkflowID: row.WorkflowID, SubjectID: string(row.ID)}
		if err := tx.Promise(promise); err != nil {
			return err
		}
		event := who.event("request.withdrawal-asked", "request", id, "reason", in.Reason)
		event.DomainID, event.DeviceID, event.RequestID, event.WorkflowID = row.DomainID, row.DeviceID, row.ID, row.WorkflowID
		return tx.Audit(event)
	})
	if err != nil {
		return nil, err
	}
	o.tell(ctx, who, "withdraw request", func(ctx context.Context) error { return o.stories.Withdraw(ctx, row.WorkflowID) })
	if row, err = o.store.FindRequest(ctx, row.ID); err != nil {
		return nil, err
	}
	return o.fullRequest(ctx, row)
}

func wireRequest(ctx context.Context, names *names, r *models.Request) (api.Request, error) {
	domain, err := names.domain(ctx, r.DomainID)
	if err != nil {
		return api.Request{}, err
	}
	device, err := names.device(ctx, r.DeviceID)
	if err != nil {
		return api.Request{}, err
	}
	digest := sha256.Sum256(r.CSR)
	out := api.Request{
		ID: string(r.ID), Kind: r.Kind, State: r.State, Protocol: r.Protocol, Domain: domain, Device: device,
		Profile: r.ProfileName, ProfileVersion: r.ProfileVersion, AuthMethod: r.AuthMethod, AuthSubject: r.AuthSubject,
		Predecessor: string(r.PredecessorID), Certificate: string(r.CertificateID), WorkflowID: r.WorkflowID,
		Decision:  api.Decision{Outcome: r.Decision.Outcome, Reasons: r.Decision.Reasons},
		CSRSHA256: hex.EncodeToString(digest[:]), Deadline: r.Deadline, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if r.FailureKind != "" {
		out.Failure = &api.Failure{Kind: r.FailureKind, Text: r.FailureText}
	}
	return out, nil
}
