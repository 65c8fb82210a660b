// SPDX-License-Identifier: MIT

package api

import (
	"context"
	"iter"
	"net/http"
)

// pageLimit is the page size of the methods that follow pages.
const pageLimit = 200

// ListOperators returns one page of the operators, by name.
func (c *Client) ListOperators(ctx context.Context, q PageQuery) (*Page[Operator], error) {
	return get[Page[Operator]](ctx, c, path("operators"), EncodeQuery(q))
}

// AllOperators follows the pages of ListOperators.
func (c *Client) AllOperators(ctx context.Context) iter.Seq2[Operator, error] {
	return Collect(func(cursor string) (*Page[Operator], error) {
		return c.ListOperators(ctx, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// FindOperator returns an operator with the certificates that are theirs.
func (c *Client) FindOperator(ctx context.Context, name string) (*Operator, error) {
	return get[Operator](ctx, c, path("operators", name), nil)
}

// CreateOperator creates an operator, without any way in.
func (c *Client) CreateOperator(ctx context.Context, body OperatorCreation) (*Operator, error) {
	return post[Operator](ctx, c, path("operators"), body)
}

// ChangeOperator changes role, domains or login of an operator.
func (c *Client) ChangeOperator(ctx context.Context, name string, body OperatorChange) (*Operator, error) {
	return change[Operator](ctx, c, http.MethodPatch, path("operators", name), body)
}

// DisableOperator shuts an operator out at once.
func (c *Client) DisableOperator(ctx context.Context, name string) (*Operator, error) {
	return post[Operator](ctx, c, path("operators", name, "suspension"), nil)
}

// EnableOperator lets an operator in again.
func (c *Client) EnableOperator(ctx context.Context, name string) (*Operator, error) {
	return change[Operator](ctx, c, http.MethodDelete, path("operators", name, "suspension"), nil)
}

// AddOperatorCertificate registers a certificate of an operator.
func (c *Client) AddOperatorCertificate(ctx context.Context, name string, body OperatorCertificateCreation) (*Operator, error) {
	return post[Operator](ctx, c, path("operators", name, "certificates"), body)
}

// RemoveOperatorCertificate makes a certificate nobody's.
func (c *Client) RemoveOperatorCertificate(ctx context.Context, name, id string) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: path("operators", name, "certificates", id)}, nil)
	return err
}

// FindSession returns who the caller is.
func (c *Client) FindSession(ctx context.Context) (*Session, error) {
	return get[Session](ctx, c, path("session"), nil)
}

// EndSession ends the session that a login made.
func (c *Client) EndSession(ctx context.Context) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: path("session")}, nil)
	return err
}

// CollectSession returns the session of a login that a browser finished, for
// the code that it brought and the verifier of the challenge that it took along
// (RFC 7636). It needs no token.
func (c *Client) CollectSession(ctx context.Context, body SessionCollection) (*Token, error) {
	return change[Token](ctx, c, http.MethodPost, path("login", "session"), body)
}

// ChangeToken changes a token at once.
func (c *Client) ChangeToken(ctx context.Context, name string, body TokenChange) (*Token, error) {
	return change[Token](ctx, c, http.MethodPatch, path("tokens", name), body)
}

// ListTokens returns one page of the tokens, by name.
func (c *Client) ListTokens(ctx context.Context, q PageQuery) (*Page[Token], error) {
	return get[Page[Token]](ctx, c, path("tokens"), EncodeQuery(q))
}

// AllTokens follows the pages of ListTokens.
func (c *Client) AllTokens(ctx context.Context) iter.Seq2[Token, error] {
	return Collect(func(cursor string) (*Page[Token], error) {
		return c.ListTokens(ctx, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// CreateToken creates a token; the answer holds it.
func (c *Client) CreateToken(ctx context.Context, body TokenCreation) (*Token, error) {
	return post[Token](ctx, c, path("tokens"), body)
}

// RevokeToken ends a token at once.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: path("tokens", name)}, nil)
	return err
}

// ListEvents returns one page of the audit events, oldest first.
func (c *Client) ListEvents(ctx context.Context, f EventFilter) (*Page[Event], error) {
	return get[Page[Event]](ctx, c, path("audit"), EncodeQuery(f))
}

// AllEvents follows the pages of ListEvents.
func (c *Client) AllEvents(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return Collect(func(cursor string) (*Page[Event], error) {
		f.PageQuery = PageQuery{Limit: pageLimit, Cursor: cursor}
		return c.ListEvents(ctx, f)
	})
}

// VerifyAudit goes on with a check of the audit log; the zero query begins one.
func (c *Client) VerifyAudit(ctx context.Context, q AuditVerificationQuery) (*AuditVerification, error) {
	return get[AuditVerification](ctx, c, path("audit", "verification"), EncodeQuery(q))
}

// ReadAuditChain returns a part of the chain of audit events.
func (c *Client) ReadAuditChain(ctx context.Context, q AuditPartQuery) (*AuditPart, error) {
	return get[AuditPart](ctx, c, path("audit", "chain"), EncodeQuery(q))
}

// ListAuditHeads returns signed heads of the audit log, by place.
func (c *Client) ListAuditHeads(ctx context.Context, q AuditHeadQuery) (*AuditHeads, error) {
	return get[AuditHeads](ctx, c, path("audit", "heads"), EncodeQuery(q))
}

// SignAuditHead has the head of the audit log signed now. If nothing happened
// since the last one, that is returned.
func (c *Client) SignAuditHead(ctx context.Context) (*AuditHead, error) {
	return post[AuditHead](ctx, c, path("audit", "heads"), nil)
}

// DeviceTimeline returns one page of what happened to a device, oldest first.
func (c *Client) DeviceTimeline(ctx context.Context, name string, q PageQuery) (*Page[TimelineEntry], error) {
	return get[Page[TimelineEntry]](ctx, c, path("devices", name, "timeline"), EncodeQuery(q))
}

// WholeTimeline follows the pages of DeviceTimeline.
func (c *Client) WholeTimeline(ctx context.Context, name string) iter.Seq2[TimelineEntry, error] {
	return Collect(func(cursor string) (*Page[TimelineEntry], error) {
		return c.DeviceTimeline(ctx, name, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}
