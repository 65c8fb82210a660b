// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func retentionFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "retention", "", "how long certificates are kept after they expired, at least 30d; none: for ever, the default")
}

// retention says what becomes of expired certificates.
func retention(rule string) string {
	switch rule {
	case "": // an older server
		return ""
	case models.KeepForever:
		return "kept for ever"
	}
	return "kept for " + rule
}

func (c *cli) certificatePurge() *cobra.Command {
	var domain string
	var q api.PurgeQuery
	var dry, now bool
	cmd := &cobra.Command{
		Use: "purge --domain DOMAIN --dry-run|--now", Short: "Remove expired certificates that need not be kept any longer",
		Long: `Remove the certificates of a domain that its retention rule does not keep any longer. The
server does so every hour by itself; --now does it at once, --dry-run says what would go.

Only certificates that expired longer ago than the rule says are removed. Kept are those of
CAs, those whose key was compromised or which are on hold, revoked ones until a CRL has
listed them after their end, and those that a request or a delivery still needs. What is
left: the audit log, and a note that the certificate was there, so that nothing is given
twice. What was removed cannot be brought back but from a backup.`,
		Example: `  trustloom certificates purge --domain press-shop --dry-run --retention 90d
  trustloom domains set press-shop --retention 90d
  trustloom certificates purge --domain press-shop --now`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&domain, "domain", "", "name of the domain (required)")
	flags.BoolVar(&dry, "dry-run", false, "remove nothing; say what would be")
	flags.BoolVar(&now, "now", false, "remove it now")
	flags.StringVar(&q.Retention, "retention", "", "with --dry-run: as if the domain had this rule")
	flags.IntVar(&q.Limit, "limit", 20, "with --dry-run: how many are shown")
	_ = cmd.MarkFlagRequired("domain")
	_ = cmd.RegisterFlagCompletionFunc("domain", c.domainNames())
	cmd.MarkFlagsOneRequired("dry-run", "now")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "now")
	cmd.MarkFlagsMutuallyExclusive("retention", "now")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, _ []string) error {
		if now {
			return c.purgeNow(ctx, client, domain)
		}
		preview, err := client.PreviewPurge(ctx, domain, q)
		if err != nil {
			return err
		}
		return c.print(preview, func(w io.Writer) { showPurge(w, domain, preview) })
	})
	return cmd
}

// purgeNow asks until nothing is left.
func (c *cli) purgeNow(ctx context.Context, client *api.Client, domain string) error {
	var all api.Purge
	for all.More = true; all.More; {
		done, err := client.PurgeDomain(ctx, domain)
		if err != nil {
			if all.Purged > 0 {
				fmt.Fprintf(c.errs, "%d certificates were removed before this; what is left goes later\n", all.Purged)
			}
			return err
		}
		all.Purged, all.More = all.Purged+done.Purged, done.More
	}
	return c.tell(all, "%d expired certificates of domain %s are removed", all.Purged, domain)
}

func showPurge(w io.Writer, domain string, p *api.PurgePreview) {
	if p.Retention == models.KeepForever {
		fmt.Fprintf(w, "Domain %s keeps its certificates for ever. See what a rule would remove with --retention 90d.\n", domain)
		return
	}
	fmt.Fprintf(w, "%d certificates that expired before %s would be removed.\n", p.Count, when(p.Before))
	if len(p.Items) == 0 {
		return
	}
	rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "ID\tDEVICE\tPROFILE\tSTATUS\tNOT AFTER\tSERIAL")
	for _, x := range p.Items {
		line := cells([]string{x.ID, x.Device, x.Profile, x.Status, when(x.NotAfter), x.Serial})
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\t%s\t%s\n", line[0], line[1], line[2], line[3], line[4], line[5])
	}
	rows.Flush()
	if p.Count > len(p.Items) {
		fmt.Fprintf(w, "and %d more\n", p.Count-len(p.Items))
	}
}
