// SPDX-License-Identifier: MIT

package bench

import "syscall"

// childAttributes makes the server end with us, however we end, and leaves
// Ctrl-C in a terminal to us.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
