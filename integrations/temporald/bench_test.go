// SPDX-License-Identifier: MIT

package temporald_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/trustloom/trustloom/test/fixture"
)

// BenchmarkWorkflowWithOneLocalActivity runs 16 clients on two cores: go test -bench . -cpu 2.
func BenchmarkWorkflowWithOneLocalActivity(b *testing.B) {
	engine := fixture.Temporal(b)
	w := worker.New(engine.Client(), "bench", worker.Options{MaxConcurrentWorkflowTaskPollers: 2})
	w.RegisterWorkflow(greet)
	if err := w.Start(); err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	var number atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			run, err := engine.Client().ExecuteWorkflow(b.Context(), client.StartWorkflowOptions{
				ID: fmt.Sprintf("bench-%d", number.Add(1)), TaskQueue: "bench", EnableEagerStart: true,
			}, greet, "hello")
			if err != nil {
				b.Error(err)
				return
			}
			if err := run.Get(b.Context(), nil); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "workflows/s")
}
