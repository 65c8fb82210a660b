// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"net/http"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
)

// declareDeliveries declares the routes of keys that Trustloom makes.
func declareDeliveries(s *surface) {
	route(s, operation{id: "CreateDelivery", method: http.MethodPost, path: "/devices/{name}/deliveries", permission: auth.DeliverKeys, status: 201,
		summary: "Make a key for a device and ask for its certificate. For a download the answer, and no later one, holds the one-time code."},
		func(ctx context.Context, who operations.Caller, r *named[api.DeliveryCreation]) (*api.Delivery, error) {
			return s.ops.CreateDelivery(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "ListDeliveries", method: http.MethodGet, path: "/deliveries", permission: auth.ReadDevices, status: 200, summary: "List the deliveries, oldest first."},
		func(ctx context.Context, who operations.Caller, r *api.DeliveryFilter) (*api.Page[api.Delivery], error) {
			return s.ops.ListDeliveries(ctx, who, *r)
		})
	route(s, operation{id: "FindDelivery", method: http.MethodGet, path: "/deliveries/{id}", permission: auth.ReadDevices, status: 200, summary: "Return a delivery, without its key."},
		func(ctx context.Context, who operations.Caller, r *byID) (*api.Delivery, error) {
			return s.ops.FindDelivery(ctx, who, r.ID)
		})
	route(s, operation{id: "CollectDelivery", method: http.MethodPost, path: "/deliveries/{id}/collection", permission: auth.DeliverKeys, status: 200, once: true,
		summary: "Fetch key and certificate as one file, once: the key is destroyed before the answer leaves. An Idempotency-Key has no effect."},
		func(ctx context.Context, who operations.Caller, r *identified[api.DeliveryCollection]) (*api.DeliveryFile, error) {
			return s.ops.CollectDelivery(ctx, who, r.ID, r.Body)
		})
	route(s, operation{id: "WithdrawDelivery", method: http.MethodDelete, path: "/deliveries/{id}", permission: auth.DeliverKeys, status: 200,
		summary: "End a delivery before it is fetched. Its key is destroyed, and its certificate revoked if there is one."},
		func(ctx context.Context, who operations.Caller, r *byID) (*api.Delivery, error) {
			return s.ops.WithdrawDelivery(ctx, who, r.ID)
		})
}
