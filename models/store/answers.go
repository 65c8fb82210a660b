// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
)

// AnswerLifetime is how long an Idempotency-Key is remembered.
const AnswerLifetime = 24 * time.Hour

// answersPerSweep is how many expired answers SaveAnswer removes on the way.
const answersPerSweep = 20

// Answer is what a POST with an Idempotency-Key was answered, so that the same
// POST is answered the same (draft-ietf-httpapi-idempotency-key-header).
type Answer struct {
	Principal  string `gorm:"primaryKey"` // who asked
	Key        string `gorm:"primaryKey"`
	Route      string
	BodySHA256 string // of the request: another body under the same key is a mistake
	Status     int
	Body       []byte // of the answer
	CreatedAt  time.Time
	ExpiresAt  time.Time // CreatedAt + AnswerLifetime
}

// SaveAnswer adds an answer and sets its times. It is KindConflict if the
// principal has used the key and that answer has not expired.
func (tx *Tx) SaveAnswer(a Answer) error {
	if a.Principal == "" || a.Key == "" {
		return models.Errorf(models.KindInvalid, "an answer belongs to a principal and a key")
	}
	a.CreatedAt = tx.clock()
	a.ExpiresAt = a.CreatedAt.Add(AnswerLifetime)
	old := tx.session().Where("principal = ? AND key = ? AND expires_at <= ?", a.Principal, a.Key, a.CreatedAt).Delete(&Answer{})
	if old.Error != nil {
		return tx.check(old.Error, "answer")
	}
	if err := tx.sweepAnswers(a.CreatedAt); err != nil {
		return err
	}
	return tx.add(&a, quoted("answer for idempotency key", a.Key))
}

// sweepAnswers removes some expired answers, none that another transaction
// removes at the same time.
func (tx *Tx) sweepAnswers(now time.Time) error {
	skip := " FOR UPDATE SKIP LOCKED"
	if tx.db.Name() == sqliteDriver {
		skip = ""
	}
	err := tx.session().Exec("DELETE FROM answers WHERE (principal, key) IN (SELECT principal, key FROM answers "+
		"WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"+skip+")", now, answersPerSweep).Error
	return tx.check(err, "answers")
}

// FindAnswer returns the answer that the principal got under this key, unless
// it has expired.
func (q *Queries) FindAnswer(ctx context.Context, principal, key string) (*Answer, error) {
	return find[Answer](ctx, q, quoted("answer for idempotency key", key),
		"principal = ? AND key = ? AND expires_at > ?", principal, key, q.clock())
}
