// SPDX-License-Identifier: MIT

package api

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Delivery is the one-time handing over of a private key that Trustloom made
// for a device, with its certificate. Code is in the answer that created it
// and in no other.
type Delivery struct {
	ID           string                 `json:"id"`
	State        models.DeliveryState   `json:"state"`
	Channel      models.DeliveryChannel `json:"channel"`
	Domain       string                 `json:"domain" example:"press-shop"`
	Device       string                 `json:"device" example:"press-01"`
	Profile      string                 `json:"profile" example:"tls_server"`
	KeyAlgorithm models.KeyAlgorithm    `json:"key_algorithm"`
	Request      string                 `json:"request" doc:"ID of the request for the certificate"`
	Certificate  string                 `json:"certificate,omitempty" doc:"ID of the certificate, once it is issued"`
	Code         string                 `json:"code,omitempty" secret:"true" doc:"one-time code for the page /download of this server, shown once"`
	TriesLeft    int                    `json:"tries_left,omitzero" doc:"how many wrong codes are left before the key is destroyed" example:"3"`
	OrderedBy    string                 `json:"ordered_by" example:"operator:alice"`
	Reason       string                 `json:"reason,omitempty" doc:"why it ended without being delivered"`
	ExpiresAt    time.Time              `json:"expires_at" doc:"end of the wait for the certificate, then of the time in which it can be fetched"`
	EndedAt      *time.Time             `json:"ended_at,omitzero"`
	Note         string                 `json:"note,omitempty" doc:"set when an answer is replayed without its code"`
	CreatedAt    time.Time              `json:"created_at"`
}

// Pending reports whether the certificate is still to be issued.
func (d *Delivery) Pending() bool { return d.State == models.DeliveryWaiting }

// DeliveryFilter selects deliveries.
type DeliveryFilter struct {
	Domain string               `query:"domain" doc:"name of a domain" example:"press-shop"`
	Device string               `query:"device" doc:"name of a device" example:"press-01"`
	State  models.DeliveryState `query:"state" doc:"state of the delivery"`
	PageQuery
}

// DeliveryCreation orders a delivery: a key is made and its certificate asked
// for. What it says of names are wishes to the profile.
type DeliveryCreation struct {
	Channel      models.DeliveryChannel `json:"channel" doc:"operator: the key comes out of this API; download: from the page, with a one-time code"`
	Profile      string                 `json:"profile,omitempty" doc:"domain_credential unless given, for a device that is not onboarded" example:"tls_server"`
	KeyAlgorithm models.KeyAlgorithm    `json:"key_algorithm,omitempty" doc:"EC-P256 unless given; RSA-8192 is not made"`
	CommonName   string                 `json:"common_name,omitempty" example:"press-01.example"`
	SANs         []string               `json:"sans,omitempty" doc:"each with its type in front: dns, ip, uri or email" example:"dns:press-01.example"`
	Life         models.Duration        `json:"life,omitzero" doc:"how long it can be fetched once the certificate is there, 5m to 7d; the server's default unless given" example:"1h"`
}

// DeliveryCollection fetches a delivery, once.
type DeliveryCollection struct {
	Format   models.DeliveryFormat `json:"format"`
	Password string                `json:"password" doc:"12 to 128 characters; the key in the file is encrypted under it" example:"a few words that do not belong together"`
}

// DeliveryFile is what was fetched. It is in this answer and in no other.
type DeliveryFile struct {
	Delivery  Delivery `json:"delivery"`
	FileName  string   `json:"file_name" example:"press-01-tls_server.p12"`
	MediaType string   `json:"media_type" example:"application/x-pkcs12"`
	Content   string   `json:"content" doc:"the file in base64" example:"MIIK..."`
}

// ListDeliveries returns one page of the deliveries, oldest first.
func (c *Client) ListDeliveries(ctx context.Context, f DeliveryFilter) (*Page[Delivery], error) {
	return get[Page[Delivery]](ctx, c, path("deliveries"), EncodeQuery(f))
}

// AllDeliveries follows the pages of ListDeliveries.
func (c *Client) AllDeliveries(ctx context.Context, f DeliveryFilter) iter.Seq2[Delivery, error] {
	return Collect(func(cursor string) (*Page[Delivery], error) {
		f.PageQuery = PageQuery{Limit: pageLimit, Cursor: cursor}
		return c.ListDeliveries(ctx, f)
	})
}

// FindDelivery returns a delivery.
func (c *Client) FindDelivery(ctx context.Context, id string) (*Delivery, error) {
	return get[Delivery](ctx, c, path("deliveries", id), nil)
}

// CreateDelivery orders a delivery to a device. For a download the answer
// holds the one-time code.
func (c *Client) CreateDelivery(ctx context.Context, device string, body DeliveryCreation) (*Delivery, error) {
	return post[Delivery](ctx, c, path("devices", device, "deliveries"), body)
}

// CollectDelivery fetches the file of a delivery. It is not repeated when the
// connection breaks: there is no second time.
func (c *Client) CollectDelivery(ctx context.Context, id string, body DeliveryCollection) (*DeliveryFile, error) {
	return change[DeliveryFile](ctx, c, http.MethodPost, path("deliveries", id, "collection"), body)
}

// WithdrawDelivery ends a delivery before it is fetched; its key is destroyed
// and its certificate revoked.
func (c *Client) WithdrawDelivery(ctx context.Context, id string) (*Delivery, error) {
	return change[Delivery](ctx, c, http.MethodDelete, path("deliveries", id), nil)
}
