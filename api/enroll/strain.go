// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/trustloom/trustloom/models"
)

// engineRest is how long the engine is left alone after it did not answer:
// meanwhile stories are left to the relay, and nobody waits for them.
const engineRest = 5 * time.Second

// backlogAdvice is when to come back while too many requests wait for the
// engine.
const backlogAdvice = 30 * time.Second

// strain remembers whether the workflow engine answers. While it does not,
// requests are accepted into the outbox up to a bound.
type strain struct {
	failed atomic.Int64 // when a story could not be started, as Unix nanoseconds; 0: the last one could
}

// note keeps how the start of a story went.
func (s *strain) note(err error, now time.Time) {
	switch {
	case err == nil:
		s.failed.Store(0)
	case models.KindOf(err) == models.KindUnavailable:
		s.failed.Store(now.UnixNano())
	}
}

// resting reports whether the engine failed a moment ago.
func (s *strain) resting(now time.Time) bool {
	failed := s.failed.Load()
	return failed != 0 && now.Sub(time.Unix(0, failed)) < engineRest
}

// roomInBacklog is KindUnavailable when the engine is away and as many
// requests as may be wait for it. While the engine answers it asks nothing.
func (d *Door) roomInBacklog(ctx context.Context) error {
	if d.strain.failed.Load() == 0 {
		return nil
	}
	waiting, err := d.cfg.Store.CountBacklog(ctx, d.cfg.Backlog)
	if err != nil {
		return err
	}
	if waiting >= d.cfg.Backlog {
		return models.Errorf(models.KindUnavailable, "the workflow engine does not answer and %d requests wait for it already; come back later", waiting).After(backlogAdvice)
	}
	return nil
}
