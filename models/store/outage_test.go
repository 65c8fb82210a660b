// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestDatabaseStopsAnywhere stops PostgreSQL under a store that is at work:
// wherever that hits, the caller is told to come back, and then all goes on.
func TestDatabaseStopsAnywhere(t *testing.T) {
	db := fixture.PostgresCluster(t)
	s := must[*store.Store](t)(store.Open(t.Context(), store.Config{URL: db.URL}))
	defer s.Close()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var broken atomic.Int64
	for range 48 {
		all.Go(func() {
			for ctx.Err() == nil {
				err := s.Write(context.Background(), func(tx *store.Tx) error {
					if err := tx.Promise(models.OutboxItem{Action: models.OutboxPublish, SubjectID: "x"}); err != nil {
						return err
					}
					return tx.Audit(models.Event{Actor: "system", Action: "x", Noun: "x"})
				})
				_, _, listErr := s.ListOperators(context.Background(), store.Page{})
				for what, err := range map[string]error{"write": err, "read": listErr} {
					if err != nil && models.KindOf(err) != models.KindUnavailable {
						t.Errorf("%s: %v (%T), want %s", what, err, err, models.KindUnavailable)
						stop()
					}
					if err != nil {
						broken.Add(1)
					}
				}
			}
		})
	}
	for range 3 {
		db.Stop(t)
		db.Start(t)
	}
	stop()
	all.Wait()
	if broken.Load() == 0 {
		t.Error("no call was hit")
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
