// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// operation does the next thing that is measured as the client of a number
// from 0. It is errExhausted if there is nothing more to be done.
type operation func(ctx context.Context, client int) error

// errExhausted ends a measurement early: what was prepared is used up.
var errExhausted = errors.New("nothing left to do")

// sample is what was seen of a number of operations.
type sample struct {
	latencies []time.Duration // sorted
	elapsed   time.Duration
}

// drive lets clients work at the same time, each without a pause, until the
// duration is over; operations that began before are waited for and count.
// The first error ends it: a server that refuses is not measured.
func drive(ctx context.Context, clients int, duration time.Duration, op operation) (sample, error) {
	var over atomic.Bool
	timer := time.AfterFunc(duration, func() { over.Store(true) })
	defer timer.Stop()
	var wg sync.WaitGroup
	seen, failures := make([][]time.Duration, clients), make([]error, clients)
	begun := time.Now()
	for i := range clients {
		wg.Go(func() {
			defer over.Store(true) // for whom it is over, it is over for all
			for !over.Load() && ctx.Err() == nil {
				start := time.Now()
				if failures[i] = op(ctx, i); failures[i] != nil {
					return
				}
				seen[i] = append(seen[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	s := sample{latencies: slices.Concat(seen...), elapsed: time.Since(begun)}
	slices.Sort(s.latencies)
	for _, err := range append(failures, ctx.Err()) {
		if err != nil && !errors.Is(err, errExhausted) {
			return s, err
		}
	}
	if len(s.latencies) == 0 {
		return s, errors.New("not one operation came to its end")
	}
	return s, nil
}

// percentile returns the latency that the given share of the operations did
// not exceed (nearest rank).
func (s sample) percentile(share float64) time.Duration {
	rank := int(share*float64(len(s.latencies))+0.999999) - 1
	return s.latencies[min(max(rank, 0), len(s.latencies)-1)]
}
