// SPDX-License-Identifier: MIT

package temporald_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	before := processorTime(engine.Pid())
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
	b.ReportMetric((processorTime(engine.Pid())-before).Seconds()*1000/float64(b.N), "engine-ms/op")
}

// processorTime is what a process used so far, in user and system mode, in ticks of 10 ms; 0 where there is no /proc.
func processorTime(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
