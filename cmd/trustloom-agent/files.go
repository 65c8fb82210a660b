// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

const (
	filePerm = 0o600
	dirPerm  = 0o700
)

// disk is where files are changed, step by step. At each step fault is called
// with what has just been done: tests end the process there, as a power cut
// does.
type disk struct{ fault func(point string) }

// writeFile writes a new file and brings it to the disk.
func (d disk) writeFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	d.fault("write " + filepath.Base(path))
	return nil
}

// replaceFile puts a file in the place of what is there: whoever reads sees
// the old content or the new one, also after a power cut. Its temporary name
// is always the same, so that what a power cut leaves in a folder of others
// goes with the next attempt.
func (d disk) replaceFile(path string, content []byte, perm os.FileMode) error {
	temp, err := vacant(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(perm), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	d.fault("stage " + filepath.Base(path))
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	d.fault("rename " + filepath.Base(path))
	return syncDir(filepath.Dir(path))
}

// tempPrefix marks what was not finished; in the agent's folders it is swept
// at the next start.
const tempPrefix = ".trustloom-tmp-"

// vacant returns the temporary name for a path, after removing what an
// interrupted run left there.
func vacant(path string) (string, error) {
	temp := filepath.Join(filepath.Dir(path), tempPrefix+filepath.Base(path))
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return temp, nil
}

// writeFolder makes the folder path with these files, or nothing.
func (d disk) writeFolder(path string, content map[string][]byte) error {
	parent := filepath.Dir(path)
	temp, err := os.MkdirTemp(parent, tempPrefix+"*") // 0700
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(content)) { // in order: a step has one number
		if err := d.writeFile(filepath.Join(temp, name), content[name]); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := syncDir(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	d.fault("rename " + filepath.Base(path))
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
