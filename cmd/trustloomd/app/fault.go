// SPDX-License-Identifier: MIT

package app

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/activities"
)

// freeze before the name of a fault point stops the process there once instead
// of killing it; whoever continues it sees what a zombie does.
const freeze = "freeze:"

// The faults that are no points: the process's clock is wrong by a duration, or
// every workflow task of a story panics, as after the release of a bad version.
const (
	wrongClock = "clock:"
	poison     = "poison"
)

// now is the process's clock.
func (a *App) now() time.Time { return time.Now().Add(a.clockError) }

// setClock makes the clock wrong if the tests say so.
func (a *App) setClock() (err error) {
	if wrong, found := strings.CutPrefix(a.cfg.Fault, wrongClock); found {
		a.clockError, err = time.ParseDuration(wrong)
	}
	return err
}

// interceptors are those of the worker for stories.
func (a *App) interceptors() []interceptor.WorkerInterceptor {
	list := []interceptor.WorkerInterceptor{&activities.Interceptor{}}
	if a.cfg.Fault == poison {
		list = append(list, &poisoned{})
	}
	return list
}

// poisoned makes stories panic.
type poisoned struct {
	interceptor.WorkerInterceptorBase
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (*poisoned) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &poisonedStory{interceptor.WorkflowInboundInterceptorBase{Next: next}}
}

type poisonedStory struct {
	interceptor.WorkflowInboundInterceptorBase
}

// antidote is what no story has.
type antidote interface{ antidote() }

// ExecuteWorkflow implements interceptor.WorkflowInboundInterceptor.
func (*poisonedStory) ExecuteWorkflow(_ workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	return any(in).(antidote), nil
}

// fault returns the hook that kills or freezes this process at the point named
// in the environment variable TRUSTLOOM_FAULT, for the tests that prove that
// nothing is lost there. Without the variable it is nil. Whoever sets a
// process's environment can kill it anyway.
func (a *App) fault() activities.Fault {
	if a.cfg.Fault == "" {
		return nil
	}
	a.log.Warn("this process has a fault for tests: it kills or freezes itself at a point, or is wrong", "point", a.cfg.Fault)
	where, frozen := strings.CutPrefix(a.cfg.Fault, freeze)
	var once sync.Once
	return func(point string) {
		switch {
		case point != where:
		case frozen:
			once.Do(func() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) })
		default:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way: nothing after the point may run
		}
	}
}
