// SPDX-License-Identifier: MIT

package api

import (
	"context"
	"iter"
	"net/http"
)

// ListRegistrations returns one page of the registrations, by name.
func (c *Client) ListRegistrations(ctx context.Context, q PageQuery) (*Page[Registration], error) {
	return get[Page[Registration]](ctx, c, path("registrations"), EncodeQuery(q))
}

// AllRegistrations follows the pages of ListRegistrations.
func (c *Client) AllRegistrations(ctx context.Context) iter.Seq2[Registration, error] {
	return Collect(func(cursor string) (*Page[Registration], error) {
		return c.ListRegistrations(ctx, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// FindRegistration returns a registration.
func (c *Client) FindRegistration(ctx context.Context, name string) (*Registration, error) {
	return get[Registration](ctx, c, path("registrations", name), nil)
}

// CreateRegistration adds a registration.
func (c *Client) CreateRegistration(ctx context.Context, body RegistrationCreation) (*Registration, error) {
	return post[Registration](ctx, c, path("registrations"), body)
}

// DeleteRegistration removes a registration; devices that it created stay.
func (c *Client) DeleteRegistration(ctx context.Context, name string) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: path("registrations", name)}, nil)
	return err
}

// ListDevices returns one page of the devices, by name.
func (c *Client) ListDevices(ctx context.Context, f DeviceFilter) (*Page[Device], error) {
	return get[Page[Device]](ctx, c, path("devices"), EncodeQuery(f))
}

// AllDevices follows the pages of ListDevices.
func (c *Client) AllDevices(ctx context.Context, f DeviceFilter) iter.Seq2[Device, error] {
	return Collect(func(cursor string) (*Page[Device], error) {
		f.PageQuery = PageQuery{Limit: pageLimit, Cursor: cursor}
		return c.ListDevices(ctx, f)
	})
}

// CreateDevice registers a device. With est-password the answer holds the
// one-time secret.
func (c *Client) CreateDevice(ctx context.Context, body DeviceCreation) (*Device, error) {
	return post[Device](ctx, c, path("devices"), body)
}

// FindDevice returns a device.
func (c *Client) FindDevice(ctx context.Context, name string) (*Device, error) {
	return get[Device](ctx, c, path("devices", name), nil)
}

// ChangeDevice changes groups and metadata of a device.
func (c *Client) ChangeDevice(ctx context.Context, name string, body DeviceChange) (*Device, error) {
	return change[Device](ctx, c, http.MethodPatch, path("devices", name), body)
}

// AnnotateCertificate changes what is noted about a certificate.
func (c *Client) AnnotateCertificate(ctx context.Context, id string, body Annotating) (*Certificate, error) {
	return change[Certificate](ctx, c, http.MethodPatch, path("certificates", id), body)
}

// AnnotateCA changes what is noted about a CA.
func (c *Client) AnnotateCA(ctx context.Context, name string, body Annotating) (*CA, error) {
	return change[CA](ctx, c, http.MethodPatch, path("cas", name), body)
}

// ArmDevice lets a device be onboarded (again), with a new secret.
func (c *Client) ArmDevice(ctx context.Context, name string, body OnboardingArming) (*Device, error) {
	return post[Device](ctx, c, path("devices", name, "onboarding"), body)
}

// SuspendDevice refuses a device everything until it is resumed.
func (c *Client) SuspendDevice(ctx context.Context, name string) (*Device, error) {
	return post[Device](ctx, c, path("devices", name, "suspension"), nil)
}

// ResumeDevice ends the suspension of a device.
func (c *Client) ResumeDevice(ctx context.Context, name string) (*Device, error) {
	return change[Device](ctx, c, http.MethodDelete, path("devices", name, "suspension"), nil)
}

// UnbindDevice separates a device from its IDevID.
func (c *Client) UnbindDevice(ctx context.Context, name string, body DeviceUnbinding) (*Device, error) {
	return post[Device](ctx, c, path("devices", name, "unbinding"), body)
}

// DecommissionDevice ends the life of a device: it is refused everything, and
// its certificates are revoked.
func (c *Client) DecommissionDevice(ctx context.Context, name string) (*Device, error) {
	return post[Device](ctx, c, path("devices", name, "decommission"), nil)
}

// ListRequests returns one page of the requests, oldest first.
func (c *Client) ListRequests(ctx context.Context, f RequestFilter) (*Page[Request], error) {
	return get[Page[Request]](ctx, c, path("requests"), EncodeQuery(f))
}

// AllRequests follows the pages of ListRequests.
func (c *Client) AllRequests(ctx context.Context, f RequestFilter) iter.Seq2[Request, error] {
	return Collect(func(cursor string) (*Page[Request], error) {
		f.PageQuery = PageQuery{Limit: pageLimit, Cursor: cursor}
		return c.ListRequests(ctx, f)
	})
}

// FindRequest returns a request.
func (c *Client) FindRequest(ctx context.Context, id string) (*Request, error) {
	return get[Request](ctx, c, path("requests", id), nil)
}

// WithdrawRequest asks for the end of a request. The request that is returned
// may still be on its way to the state withdrawn.
func (c *Client) WithdrawRequest(ctx context.Context, id string, body Withdrawal) (*Request, error) {
	return post[Request](ctx, c, path("requests", id, "withdrawal"), body)
}

// ListApprovals returns one page of the approvals, oldest first.
func (c *Client) ListApprovals(ctx context.Context, f ApprovalFilter) (*Page[Approval], error) {
	return get[Page[Approval]](ctx, c, path("approvals"), EncodeQuery(f))
}

// AllApprovals follows the pages of ListApprovals.
func (c *Client) AllApprovals(ctx context.Context, f ApprovalFilter) iter.Seq2[Approval, error] {
	return Collect(func(cursor string) (*Page[Approval], error) {
		f.PageQuery = PageQuery{Limit: pageLimit, Cursor: cursor}
		return c.ListApprovals(ctx, f)
	})
}

// FindApproval returns an approval with the decisions given so far.
func (c *Client) FindApproval(ctx context.Context, id string) (*Approval, error) {
	return get[Approval](ctx, c, path("approvals", id), nil)
}

// DecideApproval gives this operator's word on an approval.
func (c *Client) DecideApproval(ctx context.Context, id string, body DecisionCreation) (*Approval, error) {
	return post[Approval](ctx, c, path("approvals", id, "decision"), body)
}
