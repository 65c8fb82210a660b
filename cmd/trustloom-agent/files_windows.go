// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// syncDir does nothing: Windows has no such call, NTFS journals its names.
func syncDir(string) error { return nil }

// point writes target into the file at path, in one step. Links need
// privileges on Windows; a file that names the version does the same.
func (d disk) point(path, target string) error {
	return d.replaceFile(path, []byte(target+"\n"), filePerm)
}

// pointed returns what the file names, "" if there is none.
func pointed(path string) (string, error) {
	target, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(target)), err
}

// publish copies a file of the version to path. A power cut between two files
// is repaired at the next start, because the journal of the change is still
// there.
func (d disk) publish(credential, version, file, path string) error {
	content, err := os.ReadFile(filepath.Join(credential, version, file))
	if err != nil {
		return err
	}
	return d.replaceFile(path, content, filePerm)
}

// lock takes the state folder for this process; the system gives it back when
// the process ends, however it ends.
func lock(path string) (release func(), err error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, errors.Join(errLocked, err)
	}
	return func() { _ = syscall.CloseHandle(handle) }, nil
}
