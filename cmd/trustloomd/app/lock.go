// SPDX-License-Identifier: MIT

package app

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// lock claims a data directory for this process. The kernel gives the lock
// back when the process ends, however it ends.
func lock(path string) (release func() error, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		_ = file.Close()
		return nil, fmt.Errorf("%s is held by another trustloomd (process %s): stop it, or use another --data-dir", path, strings.TrimSpace(string(holder)))
	}
	if err := file.Truncate(0); err == nil {
		_, _ = fmt.Fprintln(file, os.Getpid()) // a help for people only
	}
	return file.Close, nil
}
