// SPDX-License-Identifier: MIT

package app

import (
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/trustloom/trustloom/activities"
)

// freeze before the name of a fault point stops the process there once instead
// of killing it; whoever continues it sees what a zombie does.
const freeze = "freeze:"

// fault returns the hook that kills or freezes this process at the point named
// in the environment variable TRUSTLOOM_FAULT, for the tests that prove that
// nothing is lost there. Without the variable it is nil. Whoever sets a
// process's environment can kill it anyway.
func (a *App) fault() activities.Fault {
	if a.cfg.Fault == "" {
		return nil
	}
	a.log.Warn("this process kills or freezes itself at a fault point", "point", a.cfg.Fault)
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
