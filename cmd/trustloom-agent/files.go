// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	filePerm = 0o600
	dirPerm  = 0o700
)

// writeFile writes a new file and brings it to the disk.
func writeFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// replaceFile puts a file in the place of what is there: whoever reads sees
// the old content or the new one, also after a power cut.
func replaceFile(path string, content []byte, perm os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(perm), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// tempPrefix marks what was not finished; it is swept at the next start.
const tempPrefix = ".tmp-"

// writeFolder makes the folder path with these files, or nothing.
func writeFolder(path string, content map[string][]byte) error {
	parent := filepath.Dir(path)
	temp, err := os.MkdirTemp(parent, tempPrefix+"*") // 0700
	if err != nil {
		return err
	}
	for name, data := range content {
		if err := writeFile(filepath.Join(temp, name), data); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := syncDir(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(parent)
}

// sweep removes what earlier runs did not finish.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// exists reports whether there is something at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
