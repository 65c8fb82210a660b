// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"net/http"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
)

// declareOperators declares the routes of operators, tokens and the audit log.
func declareOperators(s *surface) {
	route(s, operation{id: "ListOperators", method: http.MethodGet, path: "/operators", permission: auth.ReadOperators, status: 200, summary: "List the operators, by name."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.Operator], error) {
			return s.ops.ListOperators(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "ListTokens", method: http.MethodGet, path: "/tokens", permission: auth.ReadTokens, status: 200,
		summary: "List the tokens, by name, without the tokens themselves."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.Token], error) {
			return s.ops.ListTokens(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "CreateToken", method: http.MethodPost, path: "/tokens", permission: auth.WriteTokens, status: 201,
		summary: "Create a token, and its operator if there is none of that name. The answer, and no later one, holds the token."},
		func(ctx context.Context, who operations.Caller, r *sent[api.TokenCreation]) (*api.Token, error) {
			return s.ops.CreateToken(ctx, who, r.Body)
		})
	route(s, operation{id: "RevokeToken", method: http.MethodDelete, path: "/tokens/{name}", permission: auth.WriteTokens, status: 204, summary: "End a token at once."},
		func(ctx context.Context, who operations.Caller, r *byName) (*none, error) {
			return nil, s.ops.RevokeToken(ctx, who, r.Name)
		})
	route(s, operation{id: "ListEvents", method: http.MethodGet, path: "/audit", permission: auth.ReadAudit, status: 200, summary: "List the audit events, oldest first."},
		func(ctx context.Context, who operations.Caller, r *api.EventFilter) (*api.Page[api.Event], error) {
			return s.ops.ListEvents(ctx, who, *r)
		})
}
