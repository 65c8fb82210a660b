// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
)

// change is the journal of a switch from one version to another. It is
// written before the switch and removed when the hook has agreed, or when the
// way back is complete: whoever finds it finishes what it says.
type change struct {
	To     string `json:"to"`
	From   string `json:"from,omitempty"` // empty for a first certificate
	Return bool   `json:"return,omitempty"`
	Reason string `json:"reason,omitempty"` // why it returns
}

// errRefused says that the hook did not accept the new pair.
var errRefused = errors.New("the hook refused the new pair")

// install makes a version the current one:
//
//  1. announce the switch in the journal
//  2. switch, in one step for key and chain
//  3. forget the pending request, show the files, run the hook
//  4. confirm by removing the journal
//
// If showing or the hook fails, the previous version is current again when
// install returns, and the error is errRefused. A first certificate stays, and
// one whose predecessor has expired: there is nothing to go back to.
func (s *store) install(ctx context.Context, w *wish, name string) error {
	from, err := pointed(s.path(linkCurrent))
	if err != nil {
		return err
	}
	c := &change{To: name}
	if from != name {
		c.From = from
	}
	if err := s.writeJSON(s.path(fileChange), c); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	s.fault(faultJournal)
	return s.finish(ctx, w, c)
}

// recover finishes a change that was interrupted, if there is one, and removes
// keys that nothing refers to.
func (s *store) recover(ctx context.Context, w *wish) error {
	if err := sweep(s.dir); err != nil {
		return err
	}
	if !exists(s.path(fileChange)) {
		return s.tidy(ctx)
	}
	c := &change{}
	if err := readJSON(s.path(fileChange), c); err != nil {
		return err
	}
	return s.finish(ctx, w, c)
}

// finish brings a change from wherever it is to its end.
func (s *store) finish(ctx context.Context, w *wish, c *change) error {
	if c.Return {
		return s.goBack(ctx, w, c)
	}
	if err := s.point(s.path(linkCurrent), c.To); err != nil {
		return fmt.Errorf("switch to %s: %w", c.To, err)
	}
	s.fault(faultSwitched)
	if err := s.forget(); err != nil {
		return err
	}
	if err := s.apply(ctx, w, c.To, "installed"); err != nil {
		c.Reason = err.Error()
		if !s.valid(c.From) {
			return errors.Join(s.refuse(ctx, c), fmt.Errorf("%w: %s; it stays, because no previous one is valid", errRefused, c.Reason))
		}
		c.Return = true
		if err := s.writeJSON(s.path(fileChange), c); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
		s.fault(faultRefused)
		return s.goBack(ctx, w, c)
	}
	s.fault(faultHooked)
	if err := errors.Join(s.removeFile(s.path(fileRefused)), s.removeFile(s.path(fileChange))); err != nil {
		return err
	}
	s.fault(faultConfirmed)
	return s.tidy(ctx)
}

// valid reports whether a version is there to go back to, and not expired.
func (s *store) valid(name string) bool {
	if name == "" {
		return false
	}
	v, err := s.version(name)
	return err == nil && s.now().Before(v.leaf().NotAfter)
}

// goBack makes the previous version the current one and tells the hook, whose
// programs may have stopped with the new one.
func (s *store) goBack(ctx context.Context, w *wish, c *change) error {
	if err := s.point(s.path(linkCurrent), c.From); err != nil {
		return fmt.Errorf("switch back to %s: %w", c.From, err)
	}
	s.fault(faultReturned)
	refused := fmt.Errorf("%w: %s; the previous pair is in use again", errRefused, c.Reason)
	if err := s.apply(ctx, w, c.From, "returned"); err != nil {
		refused = fmt.Errorf("%w, but the hook refuses that too: %s", refused, err)
	}
	return errors.Join(refused, s.refuse(ctx, c))
}

// refuse ends a change that did not succeed. The version is kept: its hook is
// tried again later, without asking the server for another certificate.
func (s *store) refuse(ctx context.Context, c *change) error {
	err := errors.Join(s.replaceFile(s.path(fileRefused), []byte(c.To), filePerm), s.removeFile(s.path(fileChange)))
	return errors.Join(err, s.tidy(ctx))
}

// apply shows the files of the current version and runs the hook.
func (s *store) apply(ctx context.Context, w *wish, name, event string) error {
	if err := s.show(w, name); err != nil {
		return err
	}
	s.fault(faultPublished)
	key, err := readKey(s.path(name))
	if err != nil {
		return err
	}
	return w.Hook.run(ctx, w.Name, event, s.dir, key.URI)
}

// show puts the files of the current version where the wish wants them.
func (s *store) show(w *wish, name string) error {
	for file, path := range w.Files.byContent() {
		if path == "" || !exists(s.path(name, file)) { // a version from before its key was moved has other files
			continue
		}
		if err := s.publish(s.dir, name, file, path); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}
