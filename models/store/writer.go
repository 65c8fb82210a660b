// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trustloom/trustloom/models"
)

// maxBatch is how many callers share one COMMIT at most.
const maxBatch = 64

// errDiscard makes database/sql drop a connection.
var errDiscard = driver.ErrBadConn

// errUnwound stands for a function that did not return: a panic, or the end
// of its goroutine. The caller's stack goes on unwinding by itself.
var errUnwound = errors.New("the function of Write did not return")

// writer is the group commit of SQLite. One goroutine takes the queued calls
// and opens the transaction; then it gives the turn to one caller after the
// other, each in its own savepoint and on the caller's own goroutine (so that
// a panic or t.FailNow ends the caller and nothing else); then it commits and
// tells all of them at once.
type writer struct {
	open  func(context.Context) (*session, error)
	now   func() time.Time
	queue chan *call
	ended chan error // what the function of the caller whose turn it is said
	done  chan struct{}

	mu     sync.RWMutex // held for reading while a call is put into the queue
	closed bool
}

// call is one Write that waits.
type call struct {
	ctx     context.Context
	taken   atomic.Bool // by the writer, or by its caller who gave up
	turn    chan *Tx    // nil: the transaction could not be opened
	verdict chan error
}

func startWriter(open func(context.Context) (*session, error), now func() time.Time) *writer {
	w := &writer{open: open, now: now, queue: make(chan *call, maxBatch), ended: make(chan error), done: make(chan struct{})}
	go w.loop()
	return w
}

// stop lets the queue run empty and waits for it.
func (w *writer) stop() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
	return nil
}

// write is Store.Write.
func (w *writer) write(ctx context.Context, fn func(*Tx) error) error {
	c := &call{ctx: ctx, turn: make(chan *Tx, 1), verdict: make(chan error, 1)}
	if err := w.enqueue(c); err != nil {
		return err
	}
	var tx *Tx
	select {
	case tx = <-c.turn:
	case <-ctx.Done():
		if c.taken.CompareAndSwap(false, true) {
			return translate(ctx.Err(), "transaction")
		}
		tx = <-c.turn
	}
	if tx != nil {
		w.perform(tx, fn)
	}
	return <-c.verdict
}

func (w *writer) enqueue(c *call) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return models.Errorf(models.KindUnavailable, "the database is closed")
	}
	select {
	case w.queue <- c:
		return nil
	case <-c.ctx.Done():
		return translate(c.ctx.Err(), "transaction")
	}
}

// perform runs fn in the caller's goroutine and hands the turn back.
func (w *writer) perform(tx *Tx, fn func(*Tx) error) {
	result := errUnwound
	defer func() {
		tx.end()
		w.ended <- result
	}()
	result = tx.run(fn)
}

func (w *writer) loop() {
	defer close(w.done)
	var s *session
	for first := range w.queue {
		batch := w.collect(first)
		for len(batch) > 0 {
			var err error
			if s == nil {
				if s, err = w.open(context.Background()); err != nil {
					refuse(batch, err)
					break
				}
			}
			var healthy bool
			if batch, healthy = w.commit(s, batch); !healthy {
				s.close()
				s = nil
			}
		}
	}
	if s != nil {
		s.close()
	}
}

// collect takes what else waits, without waiting for more.
func (w *writer) collect(first *call) []*call {
	batch := append(make([]*call, 0, maxBatch), first)
	for len(batch) < maxBatch {
		select {
		case c, open := <-w.queue:
			if !open {
				return batch
			}
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// refuse answers calls that were not run.
func refuse(batch []*call, err error) {
	for _, c := range batch {
		if c.taken.CompareAndSwap(false, true) {
			c.turn <- nil
			c.verdict <- translate(err, "transaction")
		}
	}
}

// commit runs a batch in one transaction. It returns the calls that it did
// not come to, and whether the connection can be used again: after any error
// of the bracketing statements nobody knows what SQLite rolled back by itself.
func (w *writer) commit(s *session, batch []*call) (rest []*call, healthy bool) {
	if err := s.exec(sqlBegin); err != nil {
		refuse(batch, err)
		return nil, false
	}
	verdicts := make([]error, len(batch))
	var broken error
	ran, kept := 0, 0
	for _, c := range batch {
		if ran++; !c.taken.CompareAndSwap(false, true) {
			continue // its caller gave up
		}
		if verdicts[ran-1], broken = w.turn(s, c, len(batch) > 1); broken != nil {
			break
		}
		if verdicts[ran-1] == nil {
			kept++
		}
	}
	if broken == nil {
		broken = w.finish(s, kept)
	}
	for i, c := range batch[:ran] {
		if broken != nil && models.KindOf(verdicts[i]) != models.KindUnavailable {
			// Also to those that failed: what they saw may have been undone.
			verdicts[i] = models.Errorf(models.KindUnavailable, "the database could not commit").Because(broken).After(retryAfter)
		}
		c.verdict <- verdicts[i] // of room for one; a caller that gave up never reads it
	}
	return batch[ran:], broken == nil
}

// turn lets one caller run. verdict is what the caller is told if the COMMIT
// succeeds; broken means that the whole transaction is lost.
func (w *writer) turn(s *session, c *call, shared bool) (verdict, broken error) {
	if shared {
		if err := s.exec(sqlSavepoint); err != nil {
			c.turn <- nil
			return nil, err
		}
	}
	c.turn <- newTx(c.ctx, s.db, w.now, true)
	verdict = <-w.ended
	switch {
	case !shared:
		return verdict, nil // finish rolls everything back if it failed
	case verdict == nil:
		return nil, s.exec(sqlRelease)
	default:
		return verdict, errors.Join(s.exec(sqlRollbackTo), s.exec(sqlRelease))
	}
}

// finish commits, or rolls back if nothing succeeded.
func (w *writer) finish(s *session, kept int) error {
	if kept == 0 {
		return s.exec(sqlRollback)
	}
	return s.exec(sqlCommit)
}
