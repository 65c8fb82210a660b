// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/workflows"
)

// stopTimeout is how long running activities may take to end at a stop; what
// does not end is repeated elsewhere.
const stopTimeout = 10 * time.Second

// openWorkers starts the process's workers: one for the stories with their
// local activities, one for everything that uses a key.
func (a *App) openWorkers(context.Context) error {
	if a.cfg.Role == RoleAPI {
		return nil
	}
	stories := worker.New(a.engine.Client(), workflows.TaskQueue, worker.Options{
		Interceptors: a.interceptors(), WorkerStopTimeout: stopTimeout,
		OnFatalError: a.workerEnded, LocalActivityWorkerOnly: true, MaxConcurrentWorkflowTaskPollers: 4,
	})
	workflows.Register(stories)
	keys := worker.New(a.engine.Client(), workflows.KeyTaskQueue, worker.Options{
		Interceptors: []interceptor.WorkerInterceptor{&activities.Interceptor{}}, WorkerStopTimeout: stopTimeout,
		OnFatalError: a.workerEnded, DisableWorkflowWorker: true, MaxConcurrentActivityExecutionSize: max(a.cfg.PKCS11Sessions, 2),
	})
	for _, set := range a.acts.All() {
		stories.RegisterActivity(set)
		keys.RegisterActivity(set)
	}
	for _, w := range []worker.Worker{stories, keys} {
		if err := w.Start(); err != nil {
			return fmt.Errorf("start worker: %w", err)
		}
		a.onClose(func() error { w.Stop(); return nil })
	}
	return nil
}

// workerEnded stops the process when a worker cannot go on, for example
// because its namespace was deleted: a server that looks well and does nothing
// is worse than one that is started again.
func (a *App) workerEnded(err error) {
	a.fatal(fmt.Errorf("a worker cannot go on: %w", err))
}
