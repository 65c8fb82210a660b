// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"net/http"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
)

type blockedKeysOf struct {
	byName
	api.BlockedKeyFilter
}

// declareBlocklists declares the routes of the lists of keys that nobody may use.
func declareBlocklists(s *surface) {
	route(s, operation{id: "ListBlocklists", method: http.MethodGet, path: "/blocklists", permission: auth.ReadBlocklists, status: 200,
		summary: "List the lists of keys for which nothing is issued, by name."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.Blocklist], error) {
			return s.ops.ListBlocklists(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "ListBlockedKeys", method: http.MethodGet, path: "/blocklists/{name}/keys", permission: auth.ReadBlocklists, status: 200,
		summary: "List the keys on a list."},
		func(ctx context.Context, who operations.Caller, r *blockedKeysOf) (*api.Page[api.BlockedKey], error) {
			return s.ops.ListBlockedKeys(ctx, who, r.Name, r.BlockedKeyFilter)
		})
	route(s, operation{id: "ChangeBlocklist", method: http.MethodPatch, path: "/blocklists/{name}", permission: auth.WriteBlocklists, status: 200,
		summary: "Put keys on a list and take keys off it; a list that does not exist is made. It holds from the next issuance on."},
		func(ctx context.Context, who operations.Caller, r *named[api.BlocklistChange]) (*api.BlocklistChanged, error) {
			return s.ops.ChangeBlocklist(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "DeleteBlocklist", method: http.MethodDelete, path: "/blocklists/{name}", permission: auth.WriteBlocklists, status: 204,
		summary: "Remove a list with its keys."},
		func(ctx context.Context, who operations.Caller, r *byName) (*none, error) {
			return nil, s.ops.DeleteBlocklist(ctx, who, r.Name)
		})
}
