// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"errors"
	"sync"

	"github.com/trustloom/trustloom/models"
)

// flights let the first of those who send the same request at the same moment
// work for all of them, in its own goroutine: a new one for each request has to
// grow its stack each time. The zero value is ready.
type flights struct {
	mu     sync.Mutex
	flying map[string]*flight
}

// flight is one piece of work and what came of it.
type flight struct {
	landed chan struct{}
	answer Answer
	err    error
}

// errLost is what the others are told if the work did not return.
var errLost = errors.New("enroll: the work for a request did not return")

// do returns what work returned to the first who came with the key. Whose ctx
// ends does not wait for others; the first goes on for them.
func (f *flights) do(ctx context.Context, key string, work func() (Answer, error)) (Answer, error) {
	f.mu.Lock()
	if first := f.flying[key]; first != nil {
		f.mu.Unlock()
		select {
		case <-first.landed:
			return first.answer, first.err
		case <-ctx.Done():
			return Answer{}, models.Errorf(models.KindUnavailable, "the request was given up before it was answered").Because(ctx.Err())
		}
	}
	own := &flight{landed: make(chan struct{}), err: errLost}
	if f.flying == nil {
		f.flying = map[string]*flight{}
	}
	f.flying[key] = own
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.flying, key)
		f.mu.Unlock()
		close(own.landed)
	}()
	own.answer, own.err = work()
	return own.answer, own.err
}
