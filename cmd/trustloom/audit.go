// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

func (c *cli) audit() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "audit",
		Short:   "Who did what, and when",
		Long:    "Look at the audit events, which are written together with each change.",
		Example: "  trustloom audit list --device press-01",
	}, c.auditList())
}

func (c *cli) auditList() *cobra.Command {
	var filter api.EventFilter
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the audit events", Long: "List the audit events, oldest first.",
		Example: `  trustloom audit list --device press-01
  trustloom audit list --action certificate.issued --limit 20
  trustloom audit list --noun domain -o json`,
		Args: cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
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
	limitFlag(cmd, &limit)
	return cmd
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
