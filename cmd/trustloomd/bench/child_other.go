// SPDX-License-Identifier: MIT

//go:build !linux

package bench

import "syscall"

// childAttributes leaves Ctrl-C in a terminal to us.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
