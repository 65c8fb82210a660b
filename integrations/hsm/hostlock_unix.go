// SPDX-License-Identifier: MIT

//go:build unix

package hsm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// hostLockPoll is how often a process looks whether it is its turn.
const hostLockPoll = 20 * time.Millisecond

// hostLock keeps the processes of this host that use the file at path from
// making and destroying keys at the same time. The file is not changed. Where
// the file system has no locks, nobody is kept out.
func hostLock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	for {
		// The lock belongs to f: closing it, or dying, releases it.
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return func() { _ = f.Close() }, nil
		}
		select {
		case <-time.After(hostLockPoll):
		case <-ctx.Done():
			_ = f.Close()
			return nil, checkContext(ctx)
		}
	}
}
