// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"net/http"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
)

// declareAudit declares the routes of the audit log.
func declareAudit(s *surface) {
	route(s, operation{id: "ListEvents", method: http.MethodGet, path: "/audit", permission: auth.ReadAudit, status: 200, summary: "List the audit events, oldest first."},
		func(ctx context.Context, who operations.Caller, r *api.EventFilter) (*api.Page[api.Event], error) {
			return s.ops.ListEvents(ctx, who, *r)
		})
	route(s, operation{id: "VerifyAudit", method: http.MethodGet, path: "/audit/verification", permission: auth.VerifyAudit, status: 200,
		summary: "Check the audit log for some seconds: events, hash chain, signed heads. Go on with the cursor until done."},
		func(ctx context.Context, who operations.Caller, r *api.AuditVerificationQuery) (*api.AuditVerification, error) {
			return s.ops.VerifyAudit(ctx, who, *r)
		})
	route(s, operation{id: "ReadAuditChain", method: http.MethodGet, path: "/audit/chain", permission: auth.VerifyAudit, status: 200,
		summary: "Return part of the audit log as it is chained, for an export."},
		func(ctx context.Context, who operations.Caller, r *api.AuditPartQuery) (*api.AuditPart, error) {
			return s.ops.ReadAuditChain(ctx, who, *r)
		})
	route(s, operation{id: "ListAuditHeads", method: http.MethodGet, path: "/audit/heads", permission: auth.VerifyAudit, status: 200,
		summary: "List the signed heads of the audit log, by place."},
		func(ctx context.Context, who operations.Caller, r *api.AuditHeadQuery) (*api.AuditHeads, error) {
			return s.ops.ListAuditHeads(ctx, who, *r)
		})
	route(s, operation{id: "SignAuditHead", method: http.MethodPost, path: "/audit/heads", permission: auth.VerifyAudit, status: 201,
		summary: "Sign the head of the audit log now. Keep the answer where the server cannot reach it."},
		func(ctx context.Context, who operations.Caller, _ *none) (*api.AuditHead, error) {
			return s.ops.SignAuditHead(ctx, who)
		})
}
