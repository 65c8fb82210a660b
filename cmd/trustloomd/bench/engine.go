// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/integrations/temporald"
)

// taskQueue keeps our workflows apart from those of the server.
const taskQueue = "trustloom-bench"

// engine runs workflows that do nothing on the server's own Temporal: what a
// story costs before it does anything.
type engine struct {
	temporal *temporald.Engine
	worker   worker.Worker
	run      string
	started  atomic.Int64
}

func nothing(workflow.Context) error { return nil }

func openEngine(ctx context.Context, dataDir string) (*engine, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make a payload key: %w", err)
	}
	temporal, err := temporald.Attach(ctx, temporald.Config{
		DataDir: dataDir, PayloadKey: key, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	e := &engine{temporal: temporal, run: rand.Text()}
	// As the server's own worker for stories is set up.
	e.worker = worker.New(temporal.Client(), taskQueue, worker.Options{LocalActivityWorkerOnly: true, MaxConcurrentWorkflowTaskPollers: 4})
	e.worker.RegisterWorkflow(nothing)
	if err := e.worker.Start(); err != nil {
		_ = temporal.Close()
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	return e, nil
}

// workflows starts empty workflows as the server starts its stories, and
// waits for them as it does.
func (e *engine) workflows(_ context.Context, clients, each int) (operation, error) {
	var left atomic.Int64
	left.Store(int64(clients * each))
	return func(ctx context.Context, _ int) error {
		if left.Add(-1) < 0 {
			return errExhausted
		}
		id := fmt.Sprintf("bench/%s/%d", e.run, e.started.Add(1))
		_, err := e.temporal.Client().ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: id, TaskQueue: taskQueue, EnableEagerStart: true,
			WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
			WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		}, nothing)
		if err != nil {
			return fmt.Errorf("start a workflow: %w", err)
		}
		return e.temporal.Client().GetWorkflow(ctx, id, "").Get(ctx, nil)
	}, nil
}

func (e *engine) close() error {
	e.worker.Stop()
	return e.temporal.Close()
}
