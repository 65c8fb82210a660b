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
	declarePeople(s)
	declareOperatorCertificates(s)
	declareSession(s)
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
	route(s, operation{id: "ChangeToken", method: http.MethodPatch, path: "/tokens/{name}", permission: auth.WriteTokens, status: 200,
		summary: "Change what a token may do, or when it ends, at once."},
		func(ctx context.Context, who operations.Caller, r *named[api.TokenChange]) (*api.Token, error) {
			return s.ops.ChangeToken(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "RevokeToken", method: http.MethodDelete, path: "/tokens/{name}", permission: auth.WriteTokens, status: 204, summary: "End a token at once."},
		func(ctx context.Context, who operations.Caller, r *byName) (*none, error) {
			return nil, s.ops.RevokeToken(ctx, who, r.Name)
		})
	declareAudit(s)
}

func declarePeople(s *surface) {
	route(s, operation{id: "ListOperators", method: http.MethodGet, path: "/operators", permission: auth.ReadOperators, status: 200, summary: "List the operators, by name."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.Operator], error) {
			return s.ops.ListOperators(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "CreateOperator", method: http.MethodPost, path: "/operators", permission: auth.WriteOperators, status: 201,
		summary: "Create an operator. Tokens, certificates and logins are ways in; this is none."},
		func(ctx context.Context, who operations.Caller, r *sent[api.OperatorCreation]) (*api.Operator, error) {
			return s.ops.CreateOperator(ctx, who, r.Body)
		})
	route(s, operation{id: "FindOperator", method: http.MethodGet, path: "/operators/{name}", permission: auth.ReadOperators, status: 200,
		summary: "Return an operator with the certificates that are theirs."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Operator, error) {
			return s.ops.FindOperator(ctx, who, r.Name)
		})
	route(s, operation{id: "ChangeOperator", method: http.MethodPatch, path: "/operators/{name}", permission: auth.WriteOperators, status: 200,
		summary: "Change what logins and certificates of an operator may do, at once."},
		func(ctx context.Context, who operations.Caller, r *named[api.OperatorChange]) (*api.Operator, error) {
			return s.ops.ChangeOperator(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "DisableOperator", method: http.MethodPost, path: "/operators/{name}/suspension", permission: auth.WriteOperators, status: 200,
		summary: "Shut an operator out at once, and take back what they said on approvals that wait."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Operator, error) {
			return s.ops.DisableOperator(ctx, who, r.Name)
		})
	route(s, operation{id: "EnableOperator", method: http.MethodDelete, path: "/operators/{name}/suspension", permission: auth.WriteOperators, status: 200,
		summary: "Let an operator in again."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Operator, error) {
			return s.ops.EnableOperator(ctx, who, r.Name)
		})
}

// byNameAndID is a part of something that has a name.
type byNameAndID struct {
	byName
	byID
}

func declareOperatorCertificates(s *surface) {
	route(s, operation{id: "AddOperatorCertificate", method: http.MethodPost, path: "/operators/{name}/certificates", permission: auth.WriteOperators, status: 201,
		summary: "Register a certificate of an operator, such as that of a smart card."},
		func(ctx context.Context, who operations.Caller, r *named[api.OperatorCertificateCreation]) (*api.Operator, error) {
			return s.ops.AddOperatorCertificate(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "RemoveOperatorCertificate", method: http.MethodDelete, path: "/operators/{name}/certificates/{id}", permission: auth.WriteOperators, status: 204,
		summary: "Make a certificate nobody's, at once."},
		func(ctx context.Context, who operations.Caller, r *byNameAndID) (*none, error) {
			return nil, s.ops.RemoveOperatorCertificate(ctx, who, r.Name, r.ID)
		})
}

func declareSession(s *surface) {
	route(s, operation{id: "FindSession", method: http.MethodGet, path: "/session", permission: auth.OwnSession, status: 200, summary: "Return who the caller is."},
		func(ctx context.Context, who operations.Caller, _ *none) (*api.Session, error) {
			return s.ops.FindSession(ctx, who)
		})
	route(s, operation{id: "EndSession", method: http.MethodDelete, path: "/session", permission: auth.OwnSession, status: 204, summary: "End the session that a login made."},
		func(ctx context.Context, who operations.Caller, _ *none) (*none, error) {
			return nil, s.ops.EndSession(ctx, who)
		})
}
