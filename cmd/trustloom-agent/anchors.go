// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// What is in the folder of a truststore:
//
//	new.pem, present.pem, previous.pem   contents; present is what the file shows
//	change.json                          the journal of a change that is not confirmed
//	state.json                           version, and what happened last
const (
	fileAnchorNew     = "new.pem"
	fileAnchorPresent = "present.pem"
	fileAnchorState   = "state.json"
)

// anchors is one truststore on the device.
type anchors struct {
	disk
	*anchorWish
	dir   string
	now   func() time.Time
	state anchorState
}

type anchorState struct {
	Version     int       `json:"version"`
	SHA256      string    `json:"sha256"`
	InstalledAt time.Time `json:"installed_at,omitzero"`
	Failures    int       `json:"failures,omitempty"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
}

// anchorChange is the journal: the version whose content is new.pem.
type anchorChange struct {
	Version int    `json:"version"`
	SHA256  string `json:"sha256"`
	Return  string `json:"return,omitempty"` // why the way back is taken
}

func (t *anchors) path(name string) string { return filepath.Join(t.dir, name) }

func (t *anchors) save() error { return t.writeJSON(t.path(fileAnchorState), t.state) }

// well forgets earlier failures.
func (t *anchors) well() error {
	if t.state.LastError == "" && t.state.Failures == 0 {
		return nil
	}
	t.state.Failures, t.state.LastError, t.state.LastErrorAt, t.state.NextAttempt = 0, "", time.Time{}, time.Time{}
	return t.save()
}

// shown reports whether the file holds the version that was installed last.
func (t *anchors) shown() bool {
	content, err := os.ReadFile(t.File)
	return err == nil && t.state.SHA256 != "" && digestOf(content) == t.state.SHA256
}

// open reads the state and finishes an interrupted change.
func (t *anchors) open(ctx context.Context) error {
	if err := os.MkdirAll(t.dir, dirPerm); err != nil {
		return err
	}
	if err := sweep(t.dir); err != nil {
		return err
	}
	if err := readJSON(t.path(fileAnchorState), &t.state); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.state = anchorState{} // fetched again
	}
	if !exists(t.path(fileChange)) {
		return nil
	}
	c := anchorChange{}
	if err := readJSON(t.path(fileChange), &c); err != nil {
		return err
	}
	return t.finish(ctx, c)
}

// install changes the file to a new version, in these steps: keep the content,
// announce the change in the journal, replace the file, run the hook, confirm.
// If the hook fails, the content before is put back, and the error is
// errRefused; the first one stays.
func (t *anchors) install(ctx context.Context, item listed, content []byte) error {
	if err := t.replaceFile(t.path(fileAnchorNew), content, filePerm); err != nil {
		return err
	}
	c := anchorChange{Version: item.Version, SHA256: item.SHA256}
	if err := t.writeJSON(t.path(fileChange), c); err != nil {
		return err
	}
	t.fault(faultJournal)
	return t.finish(ctx, c)
}

// finish brings a change from wherever it is to its end.
func (t *anchors) finish(ctx context.Context, c anchorChange) error {
	if c.Return != "" {
		return t.goBack(ctx, c)
	}
	content, err := os.ReadFile(t.path(fileAnchorNew))
	if errors.Is(err, os.ErrNotExist) && t.state.SHA256 == c.SHA256 {
		return t.removeFile(t.path(fileChange)) // everything was done but this
	}
	if err != nil {
		return err
	}
	if err := t.replaceFile(t.File, content, truststorePerm); err != nil {
		return err
	}
	t.fault(faultSwitched)
	if err := t.tell(ctx, "installed"); err != nil {
		c.Return = err.Error()
		if err := t.writeJSON(t.path(fileChange), c); err != nil {
			return err
		}
		t.fault(faultRefused)
		return t.goBack(ctx, c)
	}
	t.fault(faultHooked)
	t.state = anchorState{Version: c.Version, SHA256: c.SHA256, InstalledAt: t.now().UTC().Truncate(time.Second)}
	if err := t.save(); err != nil {
		return err
	}
	if err := os.Rename(t.path(fileAnchorNew), t.path(fileAnchorPresent)); err != nil {
		return err
	}
	t.fault("rename " + fileAnchorPresent)
	return t.removeFile(t.path(fileChange))
}

// goBack puts the content before back, if there is one, and tells the hook.
func (t *anchors) goBack(ctx context.Context, c anchorChange) error {
	refused := fmt.Errorf("%w: %s; it stays, because there is none before", errRefused, c.Return)
	before, err := os.ReadFile(t.path(fileAnchorPresent))
	switch {
	case err == nil:
		if err := t.replaceFile(t.File, before, truststorePerm); err != nil {
			return err
		}
		t.fault(faultReturned)
		refused = fmt.Errorf("%w: %s; the truststore before is in use again", errRefused, c.Return)
		if err := t.tell(ctx, "returned"); err != nil {
			refused = fmt.Errorf("%w, but the hook refuses that too: %s", refused, err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	return errors.Join(refused, t.removeFile(t.path(fileChange)))
}

func (t *anchors) tell(ctx context.Context, event string) error {
	return t.Hook.start(ctx, t.dir, "TRUSTLOOM_TRUSTSTORE="+t.Name, "TRUSTLOOM_EVENT="+event, "TRUSTLOOM_TRUSTSTORE_FILE="+t.File)
}
