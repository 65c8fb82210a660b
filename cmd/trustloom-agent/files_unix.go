// SPDX-License-Identifier: MIT

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// syncDir brings the names in a folder to the disk.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// point makes the link at path lead to target, in one step.
func (d disk) point(path, target string) error {
	temp, err := vacant(path)
	if err != nil {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	d.fault("stage " + filepath.Base(path))
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	d.fault("rename " + filepath.Base(path))
	return syncDir(filepath.Dir(path))
}

// pointed returns where the link leads, "" if there is none.
func pointed(path string) (string, error) {
	target, err := os.Readlink(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return target, err
}

// publish makes path show a file of the current version, now and after every
// switch: a link that passes through the link "current".
func (d disk) publish(credential, _, file, path string) error {
	target := filepath.Join(credential, linkCurrent, file)
	if there, err := os.Readlink(path); err == nil && there == target {
		return nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("%s exists and is not a link of the agent: move it away", path)
	}
	return d.point(path, target)
}

// lock takes the state folder for this process; the system gives it back when
// the process ends, however it ends.
func lock(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errLocked, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
