// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

func (c *cli) enroll() *cobra.Command {
	cmd := &cobra.Command{
		Use: "enroll", Short: "Onboard the device and get all certificates of the file", Long: enrollHelp, Example: enrollExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.work(cmd, func(ctx context.Context, a *agent) error { return a.settle(ctx, a.held, false, c.wait) })
		},
	}
	f := cmd.Flags()
	f.DurationVar(&c.wait, "wait", time.Hour, "how long to wait for a server that has not decided (202)")
	f.StringVar(&c.flags.SecretFile, "secret-file", "", "the `FILE` with the one-time secret; without it the secret is "+secretVariable)
	f.StringVar(&c.flags.SecretAfter, "secret-file-after", "", "what becomes of that file after success: keep, truncate or remove (default keep)")
	return cmd
}

func (c *cli) renew() *cobra.Command {
	cmd := &cobra.Command{
		Use: "renew [NAME...]", Short: "Renew what is due, once", Long: renewHelp, Example: renewExample,
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.work(cmd, func(ctx context.Context, a *agent) error {
				held, err := a.named(names)
				if err != nil {
					return err
				}
				return a.settle(ctx, held, c.forced, c.wait)
			})
		},
	}
	cmd.Flags().BoolVar(&c.forced, "now", false, "renew also what is not due yet")
	cmd.Flags().DurationVar(&c.wait, "wait", time.Minute, "how long to wait for a server that has not decided (202)")
	return cmd
}

func (c *cli) run() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Onboard if need be, then renew for ever", Long: runHelp, Example: runExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.work(cmd, func(ctx context.Context, a *agent) error { return a.run(ctx) })
		},
	}
}

// work opens the state folder for one command.
func (c *cli) work(cmd *cobra.Command, do func(context.Context, *agent) error) error {
	a, err := c.agent(cmd)
	if err != nil {
		return err
	}
	release, err := a.open(cmd.Context())
	if err != nil {
		return err
	}
	defer release()
	return do(cmd.Context(), a)
}

// named returns the holdings of these names, all of them for none.
func (a *agent) named(names []string) ([]*holding, error) {
	if len(names) == 0 {
		return a.held, nil
	}
	var held []*holding
	for _, name := range names {
		i := slices.IndexFunc(a.held, func(h *holding) bool { return h.Name == name })
		if i < 0 {
			return nil, usagef("there is no certificate %q in the file", name)
		}
		held = append(held, a.held[i])
	}
	return held, nil
}

// settle brings each credential to its end, one after the other. A refusal
// does not keep the others from theirs, except that nothing works without a
// domain credential.
func (a *agent) settle(ctx context.Context, held []*holding, force bool, wait time.Duration) error {
	deadline := a.now().Add(wait)
	var all, waiting error
	for _, h := range held {
		err := a.settleOne(ctx, h, force, deadline)
		switch {
		case errors.Is(err, errWaiting):
			waiting = fmt.Errorf("%s: %w", h.Name, err)
		case err != nil:
			all = errors.Join(all, fmt.Errorf("%s: %w", h.Name, err))
		}
		if ctx.Err() != nil || !a.onboarded() {
			break
		}
	}
	if a.onboarded() && ctx.Err() == nil {
		all = errors.Join(all, a.trusts.look(ctx))
	}
	if all == nil {
		return waiting
	}
	return all
}

// settleOne asks for one credential until there is an answer.
func (a *agent) settleOne(ctx context.Context, h *holding, force bool, deadline time.Time) error {
	for {
		if err := a.advance(ctx, h, force); err != nil || !h.Waiting {
			return err
		}
		if h.NextAttempt.After(deadline) {
			return errWaiting
		}
		if err := a.sleep(ctx, h.NextAttempt); err != nil {
			return err
		}
	}
}

// run keeps all credentials until ctx ends, which is no error.
func (a *agent) run(ctx context.Context) error {
	a.log.Info("the agent runs", "state_dir", a.cfg.StateDir, "certificates", len(a.held))
	for ctx.Err() == nil {
		var first time.Time
		for _, h := range a.held {
			if h != a.domain() && !a.onboarded() {
				break
			}
			if ctx.Err() == nil && !a.next(h).After(a.now()) {
				_ = a.advance(ctx, h, false) // noted in its status, and in the log
			}
			if next := a.next(h); first.IsZero() || next.Before(first) {
				first = next
			}
		}
		if a.onboarded() && ctx.Err() == nil {
			if !a.trusts.next().After(a.now()) {
				_ = a.trusts.look(ctx) // noted in its state, and in the log
			}
			if next := a.trusts.next(); next.Before(first) {
				first = next
			}
		}
		_ = a.sleep(ctx, a.earliest(first))
	}
	a.log.Info("the agent ends")
	return nil
}

// onboarded reports whether there is a domain credential, without which there
// is nothing else.
func (a *agent) onboarded() bool {
	current, err := pointed(a.domain().store.path(linkCurrent))
	return err == nil && current != ""
}

// The loop looks at least so often, for clocks that are set, and at most.
const (
	longestSleep  = time.Minute
	shortestSleep = 100 * time.Millisecond
)

// earliest bounds a sleep that is to end at next.
func (a *agent) earliest(next time.Time) time.Time {
	now := a.now()
	return now.Add(min(max(next.Sub(now), shortestSleep), longestSleep))
}

// sleep waits until an instant, or until ctx ends.
func (a *agent) sleep(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(until.Sub(a.now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
