// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"sync"
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

// rates bounds how many different requests each device begins: one that has
// gone mad, or was taken over, must not fill the database or use up the
// signatures of all. As in auth.Guard, counts are of this process only.
type rates struct {
	mu sync.Mutex
	// used is, for each device, until when what it has begun counts: each
	// request for its share of a minute.
	used map[string]time.Time
}

// ratesKept is beyond how many devices those are forgotten that have nothing
// left to count.
const ratesKept = 10_000

// limit counts a new request of the device. It is KindLimited if the device has
// begun as many within a minute as it may. Repetitions are not counted.
func (d *Door) limit(s *Submission) error {
	if d.cfg.DeviceRate == 0 {
		return nil
	}
	share := time.Minute / time.Duration(d.cfg.DeviceRate)
	if wait := d.rates.take(s.Who.Key, d.cfg.Now(), share); wait > 0 {
		return models.Errorf(models.KindLimited, "this device begins more than %d different requests a minute; repeat one of them, or wait", d.cfg.DeviceRate).
			After(max(wait, time.Second))
	}
	return nil
}

// unlimit takes a request back that was counted and is a repetition.
func (d *Door) unlimit(s *Submission) {
	if d.cfg.DeviceRate > 0 {
		d.rates.give(s.Who.Key, time.Minute/time.Duration(d.cfg.DeviceRate))
	}
}

// take counts a request, or returns how long the device has to wait.
func (r *rates) take(device string, now time.Time, share time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := r.used[device]
	if used.Before(now) || used.Sub(now) > time.Minute { // later than that only if the clock was set back
		used = now
	}
	if wait := used.Add(share).Sub(now) - time.Minute; wait > 0 {
		return wait
	}
	if r.used == nil {
		r.used = map[string]time.Time{}
	}
	if len(r.used) >= ratesKept {
		for other, until := range r.used {
			if until.Before(now) {
				delete(r.used, other)
			}
		}
	}
	r.used[device] = used.Add(share)
	return 0
}

func (r *rates) give(device string, share time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if used, known := r.used[device]; known {
		r.used[device] = used.Add(-share)
	}
}
