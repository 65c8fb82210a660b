// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"net/http"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
)

// declareDevices declares the routes of devices, requests and approvals.
func declareDevices(s *surface) {
	declareDeviceRecords(s)
	declareDeviceStates(s)
	declareRequests(s)
	declareApprovals(s)
}

func declareDeviceRecords(s *surface) {
	route(s, operation{id: "ListDevices", method: http.MethodGet, path: "/devices", permission: auth.ReadDevices, status: 200, summary: "List the devices, by name."},
		func(ctx context.Context, who operations.Caller, r *api.DeviceFilter) (*api.Page[api.Device], error) {
			return s.ops.ListDevices(ctx, who, *r)
		})
	route(s, operation{id: "CreateDevice", method: http.MethodPost, path: "/devices", permission: auth.WriteDevices, status: 201,
		summary: "Register a device. With est-password the answer, and no later one, holds the one-time secret."},
		func(ctx context.Context, who operations.Caller, r *sent[api.DeviceCreation]) (*api.Device, error) {
			return s.ops.CreateDevice(ctx, who, r.Body)
		})
	route(s, operation{id: "FindDevice", method: http.MethodGet, path: "/devices/{name}", permission: auth.ReadDevices, status: 200, summary: "Return a device."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Device, error) {
			return s.ops.FindDevice(ctx, who, r.Name)
		})
	route(s, operation{id: "DeviceTimeline", method: http.MethodGet, path: "/devices/{name}/timeline", permission: auth.ReadDevices, status: 200,
		summary: "Tell what happened to a device: requests, approvals, certificates, failures; oldest first."},
		func(ctx context.Context, who operations.Caller, r *api.Timeline) (*api.Page[api.TimelineEntry], error) {
			return s.ops.DeviceTimeline(ctx, who, r.Name, r.PageQuery)
		})
	route(s, operation{id: "ChangeDevice", method: http.MethodPatch, path: "/devices/{name}", permission: auth.WriteDevices, status: 200,
		summary: "Change groups and metadata: what the body names, the rest stays; null removes a key."},
		func(ctx context.Context, who operations.Caller, r *named[api.DeviceChange]) (*api.Device, error) {
			return s.ops.ChangeDevice(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "ArmDevice", method: http.MethodPost, path: "/devices/{name}/onboarding", permission: auth.WriteDevices, status: 201,
		summary: "Let a device be onboarded again. The answer, and no later one, holds the new secret; the old one is void."},
		func(ctx context.Context, who operations.Caller, r *named[api.OnboardingArming]) (*api.Device, error) {
			return s.ops.ArmDevice(ctx, who, r.Name, r.Body)
		})
}

func declareDeviceStates(s *surface) {
	route(s, operation{id: "UnbindDevice", method: http.MethodPost, path: "/devices/{name}/unbinding", permission: auth.WriteDevices, status: 200,
		summary: "Separate a device from its IDevID, so that another one may take its place; what was quarantined for it is forgotten."},
		func(ctx context.Context, who operations.Caller, r *named[api.DeviceUnbinding]) (*api.Device, error) {
			return s.ops.UnbindDevice(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "SuspendDevice", method: http.MethodPost, path: "/devices/{name}/suspension", permission: auth.WriteDevices, status: 200,
		summary: "Refuse a device everything until it is resumed."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Device, error) {
			return s.ops.SuspendDevice(ctx, who, r.Name)
		})
	route(s, operation{id: "ResumeDevice", method: http.MethodDelete, path: "/devices/{name}/suspension", permission: auth.WriteDevices, status: 200,
		summary: "End the suspension of a device."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Device, error) {
			return s.ops.ResumeDevice(ctx, who, r.Name)
		})
	route(s, operation{id: "DecommissionDevice", method: http.MethodPost, path: "/devices/{name}/decommission", permission: auth.WriteDevices, status: 200,
		summary: "End the life of a device: it gets no more certificates, those that it has are revoked (cessationOfOperation), what it waits for is withdrawn."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Device, error) {
			return s.ops.DecommissionDevice(ctx, who, r.Name)
		})
}

func declareRequests(s *surface) {
	route(s, operation{id: "ListRequests", method: http.MethodGet, path: "/requests", permission: auth.ReadRequests, status: 200, summary: "List the enrollment requests, oldest first."},
		func(ctx context.Context, who operations.Caller, r *api.RequestFilter) (*api.Page[api.Request], error) {
			return s.ops.ListRequests(ctx, who, *r)
		})
	route(s, operation{id: "FindRequest", method: http.MethodGet, path: "/requests/{id}", permission: auth.ReadRequests, status: 200, summary: "Return a request with its CSR."},
		func(ctx context.Context, who operations.Caller, r *byID) (*api.Request, error) {
			return s.ops.FindRequest(ctx, who, r.ID)
		})
	route(s, operation{id: "WithdrawRequest", method: http.MethodPost, path: "/requests/{id}/withdrawal", permission: auth.WithdrawRequests, status: 202,
		summary: "Ask for the end of a request. Its state follows when its story has heard of it."},
		func(ctx context.Context, who operations.Caller, r *identified[api.Withdrawal]) (*api.Request, error) {
			return s.ops.WithdrawRequest(ctx, who, r.ID, r.Body)
		})
}

func declareApprovals(s *surface) {
	route(s, operation{id: "ListApprovals", method: http.MethodGet, path: "/approvals", permission: auth.ReadApprovals, status: 200, summary: "List the approvals, oldest first."},
		func(ctx context.Context, who operations.Caller, r *api.ApprovalFilter) (*api.Page[api.Approval], error) {
			return s.ops.ListApprovals(ctx, who, *r)
		})
	route(s, operation{id: "FindApproval", method: http.MethodGet, path: "/approvals/{id}", permission: auth.ReadApprovals, status: 200,
		summary: "Return an approval with the decisions given so far."},
		func(ctx context.Context, who operations.Caller, r *byID) (*api.Approval, error) {
			return s.ops.FindApproval(ctx, who, r.ID)
		})
	route(s, operation{id: "DecideApproval", method: http.MethodPost, path: "/approvals/{id}/decision", permission: auth.DecideApprovals, status: 200,
		summary: "Approve or reject. A person gives one word per approval, whatever the step."},
		func(ctx context.Context, who operations.Caller, r *identified[api.DecisionCreation]) (*api.Approval, error) {
			return s.ops.DecideApproval(ctx, who, r.ID, r.Body)
		})
}
