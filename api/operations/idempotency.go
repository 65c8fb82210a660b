// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Repeat identifies a request that its sender may send again.
type Repeat struct {
	Key   string // Idempotency-Key, unique per token
	Route string // method and path, with the names in it
	Body  []byte
}

// Answer is what a request was answered with. It never holds a secret.
type Answer struct {
	Status int
	Body   []byte
}

// FindAnswer returns what an earlier copy of the request was answered with,
// nil if there was none. It is KindConflict if the same token used the key for
// another request.
func (o *Operations) FindAnswer(ctx context.Context, who Caller, r Repeat) (*Answer, error) {
	row, err := o.store.FindAnswer(ctx, who.Key(), r.Key)
	if err != nil {
		return nil, ifAbsent(err)
	}
	if row.Route != r.Route || row.BodySHA256 != bodyDigest(r.Body) {
		return nil, models.Errorf(models.KindConflict, "the Idempotency-Key was used for another request; take a new one")
	}
	return &Answer{Status: row.Status, Body: row.Body}, nil
}

// SaveAnswer keeps an answer for copies of the request that come later.
func (o *Operations) SaveAnswer(ctx context.Context, who Caller, r Repeat, a Answer) error {
	return o.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return tx.SaveAnswer(store.Answer{
			Principal: who.Key(), Key: r.Key, Route: r.Route, BodySHA256: bodyDigest(r.Body), Status: a.Status, Body: a.Body,
		})
	})
}

func bodyDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
