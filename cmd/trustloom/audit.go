// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func (c *cli) audit() *cobra.Command {
	return noun(&cobra.Command{
		Use:   "audit",
		Short: "Who did what, and when",
		Long: `Look at the audit events, which are written together with each change; check that nobody changed
them afterwards; take them away.

Every event has a place in a chain of hashes, and the server signs the head of the chain every
hour. 'audit verify' finds what was edited, deleted, inserted, moved or cut off. Keep heads where
the server cannot reach them ('audit head'): they also prove a log whose server was taken over.`,
		Example: `  trustloom audit list --device press-01
  trustloom audit verify
  trustloom audit export -o audit.ndjson
  trustloom audit head -o json > head-2026-11-21.json`,
	}, c.auditList(), c.auditVerify(), c.auditExport(), c.auditHead())
}

func (c *cli) auditList() *cobra.Command {
	var filter api.EventFilter
	var limit int
	var since, until string
	cmd := &cobra.Command{
		Use: "list", Short: "List the audit events", Long: "List the audit events, oldest first. 'trustloom devices timeline' tells those of a device in words.",
		Example: `  trustloom audit list --device press-01
  trustloom audit list --action certificate.issued --limit 20
  trustloom audit list --noun domain -o json
  trustloom audit list --actor operator:alice --since 7d
  trustloom audit list --since 2026-11-01 --until 2026-12-01`,
		Args: cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			var err error
			if filter.Since, err = parsePast(since, time.Now()); err != nil {
				return err
			}
			if filter.Until, err = parsePast(until, time.Now()); err != nil {
				return err
			}
			return list(c, limit, client.AllEvents(ctx, filter), table[api.Event]{
				none:    "No audit events.",
				columns: "AT,ACTOR,ACTION,DOMAIN,DEVICE,DETAILS",
				row: func(e api.Event) []string {
					return []string{when(e.At), e.Actor, e.Action, e.Domain, e.Device, describeEvent(e.Details)}
				},
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.Action, "action", "", "only this action, such as certificate.issued")
	flags.StringVar(&filter.Noun, "noun", "", "only those about this kind of thing, such as device")
	flags.StringVar(&filter.Subject, "subject", "", "only those about the thing with this ID")
	flags.StringVar(&filter.Device, "device", "", "only those about this device")
	flags.StringVar(&filter.Request, "request", "", "only those about the enrollment request with this ID")
	flags.StringVar(&filter.Actor, "actor", "", "only what this person, device or Trustloom did: operator:alice, device:press-01, system")
	flags.StringVar(&since, "since", "", "only those from this time or day on, or of the last so long (7d)")
	flags.StringVar(&until, "until", "", "only those before this time or day, or before so long ago")
	limitFlag(cmd, &limit)
	return cmd
}

// parsePast is parseInstant where a duration counts back from now.
func parsePast(text string, now time.Time) (time.Time, error) {
	if d, err := models.ParseDuration(text); err == nil {
		return now.Add(-d.Std()), nil
	}
	return parseInstant(text, now)
}

// describeEvent writes the details of an event, by name, leaving out what is
// empty and digests that nobody reads in a table.
func describeEvent(details map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(details)) {
		if details[key] != "" && !strings.HasSuffix(key, "_sha256") {
			parts = append(parts, key+"="+details[key])
		}
	}
	return strings.Join(parts, " ")
}
