// SPDX-License-Identifier: MIT

package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Blocklist is a list of keys for which no certificate is issued.
type Blocklist struct {
	Name      string    `json:"name" example:"leaked-2026"`
	Keys      int       `json:"keys" doc:"how many keys are on it"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// BlockedKey is a key on a list.
type BlockedKey struct {
	Fingerprint string `json:"fingerprint" doc:"SHA-256 digest of the SubjectPublicKeyInfo, in hex"`
}

// BlockedKeyFilter selects keys of a list.
type BlockedKeyFilter struct {
	Fingerprint string `query:"fingerprint" doc:"only the key with this SHA-256 digest of its SubjectPublicKeyInfo"`
	PageQuery
}

// BlocklistChange puts keys on a list and takes keys off it.
type BlocklistChange struct {
	Add    []string `json:"add,omitempty" doc:"SHA-256 digests of SubjectPublicKeyInfos, in hex; at most 10000 of both"`
	Remove []string `json:"remove,omitempty" doc:"digests of keys that may be used again"`
}

// BlocklistChanged says what a change of a list did.
type BlocklistChanged struct {
	Blocklist Blocklist `json:"blocklist"`
	Added     int       `json:"added" doc:"keys that were not on the list"`
	Removed   int       `json:"removed" doc:"keys that were on it"`
	// InUse are certificates that are still good and have one of the keys.
	InUse []BlockedCertificate `json:"in_use" doc:"certificates, CAs' included, that are valid and have one of the keys that were sent; at most 100. They stay valid until somebody revokes them"`
}

// BlockedCertificate is a valid certificate with a key that is on a list.
type BlockedCertificate struct {
	ID      string `json:"id"`
	Kind    string `json:"kind" example:"application"`
	Serial  string `json:"serial"`
	Subject string `json:"subject"`
}

// ListBlocklists returns one page of the lists of keys, by name.
func (c *Client) ListBlocklists(ctx context.Context, q PageQuery) (*Page[Blocklist], error) {
	return get[Page[Blocklist]](ctx, c, path("blocklists"), EncodeQuery(q))
}

// AllBlocklists follows the pages of ListBlocklists.
func (c *Client) AllBlocklists(ctx context.Context) iter.Seq2[Blocklist, error] {
	return Collect(func(cursor string) (*Page[Blocklist], error) {
		return c.ListBlocklists(ctx, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// ListBlockedKeys returns one page of the keys of a list.
func (c *Client) ListBlockedKeys(ctx context.Context, name string, q BlockedKeyFilter) (*Page[BlockedKey], error) {
	return get[Page[BlockedKey]](ctx, c, path("blocklists", name, "keys"), EncodeQuery(q))
}

// AllBlockedKeys follows the pages of ListBlockedKeys.
func (c *Client) AllBlockedKeys(ctx context.Context, name string, q BlockedKeyFilter) iter.Seq2[BlockedKey, error] {
	return Collect(func(cursor string) (*Page[BlockedKey], error) {
		q.Limit, q.Cursor = pageLimit, cursor
		return c.ListBlockedKeys(ctx, name, q)
	})
}

// ChangeBlocklist puts keys on a list, which need not exist, and takes keys off it.
func (c *Client) ChangeBlocklist(ctx context.Context, name string, body BlocklistChange) (*BlocklistChanged, error) {
	return change[BlocklistChanged](ctx, c, http.MethodPatch, path("blocklists", name), body)
}

// DeleteBlocklist removes a list with its keys.
func (c *Client) DeleteBlocklist(ctx context.Context, name string) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: path("blocklists", name)}, nil)
	return err
}
