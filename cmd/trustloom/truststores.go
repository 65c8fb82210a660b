// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

func (c *cli) truststores() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "truststores",
		Aliases: []string{"truststore"},
		Short:   "Trust anchors, such as those of manufacturers",
		Long:    "Look at, create and replace truststores: named, versioned sets of CA certificates.",
		Example: `  trustloom truststores create acme-devices --file acme-root.pem
  trustloom truststores show acme-devices`,
	}, c.truststoreList(), c.truststoreShow(), c.truststoreCreate(), c.truststoreUpdate())
}

func (c *cli) truststoreNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Truststore, error] {
		return client.AllTruststores(ctx)
	},
		func(t api.Truststore) string { return t.Name })
}

func (c *cli) truststoreList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the truststores", Long: "List the current versions of the truststores, by name.",
		Example: "  trustloom truststores list",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllTruststores(ctx), table[api.Truststore]{
				none:    "There are no truststores. 'trustloom truststores create' makes one.",
				columns: "NAME,VERSION,CERTIFICATES,FIRST TO EXPIRE",
				row: func(t api.Truststore) []string {
					return []string{t.Name, strconv.Itoa(t.Version), strconv.Itoa(len(t.Certificates)), when(firstToExpire(t.Certificates))}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func firstToExpire(anchors []api.TrustAnchor) (first time.Time) {
	for _, a := range anchors {
		if first.IsZero() || a.NotAfter.Before(first) {
			first = a.NotAfter
		}
	}
	return first
}

func (c *cli) truststoreShow() *cobra.Command {
	var pem bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show the certificates of a truststore",
		Long:    "Show the certificates of a truststore; with --pem as PEM and nothing else.",
		Example: "  trustloom truststores show acme-devices\n  trustloom truststores show acme-devices --pem > acme.pem",
		Args:    named("truststore"), ValidArgsFunction: c.truststoreNames(),
	}
	cmd.Flags().BoolVar(&pem, "pem", false, "print the certificates as PEM")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		truststore, err := client.FindTruststore(ctx, args[0])
		if err != nil {
			return err
		}
		if pem {
			_, err := io.WriteString(c.out, truststore.PEM)
			return err
		}
		return c.print(truststore, func(w io.Writer) {
			details(w, "Name", truststore.Name, "Version", strconv.Itoa(truststore.Version), "Created", when(truststore.CreatedAt))
			for _, a := range truststore.Certificates {
				fmt.Fprintln(w)
				details(w, "Subject", a.Subject, "SHA-256", a.Fingerprint, "Not after", when(a.NotAfter))
			}
		})
	})
	return cmd
}

func (c *cli) truststoreCreate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "create NAME --file FILE", Short: "Add a truststore",
		Long:    "Add a truststore from a PEM file with 1 to 64 CA certificates.",
		Example: "  trustloom truststores create acme-devices --file acme-root.pem\n  cat root-1.pem root-2.pem | trustloom truststores create acme-devices --file -",
		Args:    named("truststore"),
	}
	anchorsFlag(cmd, &file)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		pem, err := c.readInput(file)
		if err != nil {
			return err
		}
		truststore, err := client.CreateTruststore(ctx, api.TruststoreCreation{Name: args[0], PEM: string(pem)})
		if err != nil {
			return err
		}
		return c.tell(truststore, "truststore %s is created, certificates: %d", truststore.Name, len(truststore.Certificates))
	})
	return cmd
}

func (c *cli) truststoreUpdate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "update NAME --file FILE", Short: "Replace the certificates of a truststore",
		Long:    "Replace all certificates of a truststore by those of a PEM file, as a new version.",
		Example: "  trustloom truststores update acme-devices --file acme-roots.pem",
		Args:    named("truststore"), ValidArgsFunction: c.truststoreNames(),
	}
	anchorsFlag(cmd, &file)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		pem, err := c.readInput(file)
		if err != nil {
			return err
		}
		truststore, err := client.PutTruststore(ctx, args[0], api.TruststoreVersion{PEM: string(pem)})
		if err != nil {
			return err
		}
		return c.tell(truststore, "truststore %s has version %d now, certificates: %d", truststore.Name, truststore.Version, len(truststore.Certificates))
	})
	return cmd
}

func anchorsFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "file", "", "PEM file with CA certificates; - reads standard input (required)")
	_ = cmd.MarkFlagRequired("file")
}
