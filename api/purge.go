// SPDX-License-Identifier: MIT

package api

import (
	"context"
	"time"
)

// PurgeQuery asks what would be purged.
type PurgeQuery struct {
	Retention string `query:"retention" doc:"as if the domain had this rule, at least 30d" example:"90d"`
	PageQuery
}

// PurgePreview is what a purge would remove at this moment.
type PurgePreview struct {
	Retention  string        `json:"retention" example:"90d"`
	Before     time.Time     `json:"expired_before" doc:"certificates that expired earlier are not kept, with the exceptions that the documentation names"`
	Count      int           `json:"count" doc:"how many would be removed"`
	Items      []Certificate `json:"items" doc:"those, oldest first"`
	NextCursor string        `json:"next_cursor" doc:"cursor of the next page; empty at the end"`
}

// Purge is what a purge did.
type Purge struct {
	Purged int  `json:"purged" doc:"how many certificates were removed"`
	More   bool `json:"more" doc:"there may be more: ask again"`
}

// PreviewPurge returns what a purge of a domain would remove.
func (c *Client) PreviewPurge(ctx context.Context, domain string, q PurgeQuery) (*PurgePreview, error) {
	return get[PurgePreview](ctx, c, path("domains", domain, "purge"), EncodeQuery(q))
}

// PurgeDomain removes what the retention rule of a domain does not keep, up to
// a bound.
func (c *Client) PurgeDomain(ctx context.Context, domain string) (*Purge, error) {
	return post[Purge](ctx, c, path("domains", domain, "purge"), nil)
}
