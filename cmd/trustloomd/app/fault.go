// SPDX-License-Identifier: MIT

package app

import (
	"os"
	"syscall"

	"github.com/trustloom/trustloom/activities"
)

// fault returns the hook that kills this process at the point named in the
// environment variable TRUSTLOOM_FAULT, for the tests that prove that nothing
// is lost there. Without the variable it is nil. Whoever sets a process's
// environment can kill it anyway.
func (a *App) fault() activities.Fault {
	if a.cfg.Fault == "" {
		return nil
	}
	a.log.Warn("this process kills itself at a fault point", "point", a.cfg.Fault)
	return func(point string) {
		if point == a.cfg.Fault {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way: nothing after the point may run
		}
	}
}
