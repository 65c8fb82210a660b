// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
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
	}, c.truststoreList(), c.truststoreShow(), c.truststoreVersions(), c.truststoreExport(), c.truststoreRevocation(), c.truststoreCRL(), c.truststoreCreate(), c.truststoreUpdate())
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
	var version int
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show the certificates of a truststore",
		Long:    "Show the certificates of a truststore and what changed with this version; with --pem the\ncertificates as PEM and nothing else.",
		Example: "  trustloom truststores show acme-devices\n  trustloom truststores show acme-devices --pem > acme.pem",
		Args:    named("truststore"), ValidArgsFunction: c.truststoreNames(),
	}
	cmd.Flags().BoolVar(&pem, "pem", false, "print the certificates as PEM")
	cmd.Flags().IntVar(&version, "version", 0, "an earlier version (default the current one)")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		truststore, err := client.FindTruststore(ctx, args[0], version)
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
			if truststore.Version > 1 {
				fmt.Fprintln(w)
				details(w, "Added", anchorNames(truststore.Added), "Removed", anchorNames(truststore.Removed))
			}
		})
	})
	return cmd
}

// anchorNames writes certificates by subject and the beginning of the digest.
func anchorNames(anchors []api.TrustAnchor) string {
	names := make([]string, len(anchors))
	for i, a := range anchors {
		names[i] = a.Subject + " (" + a.Fingerprint[:min(12, len(a.Fingerprint))] + ")"
	}
	return strings.Join(names, "; ")
}

func (c *cli) truststoreVersions() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "versions NAME", Short: "List the versions of a truststore and what changed",
		Long:    "List the versions of a truststore, oldest first, each with the certificates that were added\nand removed.",
		Example: "  trustloom truststores versions acme-devices\n  trustloom truststores show acme-devices --version 1",
		Args:    named("truststore"), ValidArgsFunction: c.truststoreNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			return list(c, limit, client.AllTruststoreVersions(ctx, args[0]), table[api.Truststore]{
				columns: "VERSION,CREATED,CERTIFICATES,ADDED,REMOVED",
				row: func(t api.Truststore) []string {
					return []string{strconv.Itoa(t.Version), when(t.CreatedAt), strconv.Itoa(len(t.Certificates)), anchorNames(t.Added), anchorNames(t.Removed)}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) truststoreExport() *cobra.Command {
	var q api.TruststoreContentQuery
	cmd := &cobra.Command{
		Use: "export NAME", Short: "Print the certificates of a truststore as a file",
		Long:    "Print the certificates of a truststore: as PEM, as PKCS #7 (certs-only, in PEM or DER), or, if it\nis a single one, as DER.",
		Example: "  trustloom truststores export acme-devices --format pkcs7 > acme.p7b\n  trustloom truststores export acme-devices --format der > acme.cer",
		Args:    named("truststore"), ValidArgsFunction: c.truststoreNames(),
	}
	cmd.Flags().StringVar(&q.Format, "format", "pem", "pem, der, pkcs7 or pkcs7-der")
	cmd.Flags().IntVar(&q.Version, "version", 0, "an earlier version (default the current one)")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		content, err := client.TruststoreContent(ctx, args[0], q)
		if err != nil {
			return err
		}
		_, err = c.out.Write(content)
		return err
	})
	return cmd
}

// certificateFile tells DER, which begins with a SEQUENCE, from text.
func certificateFile(data []byte) api.TruststoreVersion {
	if len(data) > 0 && data[0] == 0x30 {
		return api.TruststoreVersion{DER: base64.StdEncoding.EncodeToString(data)}
	}
	return api.TruststoreVersion{PEM: string(data)}
}

func (c *cli) truststoreCreate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "create NAME --file FILE", Short: "Add a truststore",
		Long:    "Add a truststore from a file with 1 to 64 CA certificates: PEM, DER or PKCS #7.",
		Example: "  trustloom truststores create acme-devices --file acme-root.pem\n  cat root-1.pem root-2.pem | trustloom truststores create acme-devices --file -",
		Args:    named("truststore"),
	}
	anchorsFlag(cmd, &file)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		pem, err := c.readInput(file)
		if err != nil {
			return err
		}
		in := certificateFile(pem)
		truststore, err := client.CreateTruststore(ctx, api.TruststoreCreation{Name: args[0], PEM: in.PEM, DER: in.DER})
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
		Long:    "Replace all certificates of a truststore by those of a file (PEM, DER or PKCS #7), as a new version.",
		Example: "  trustloom truststores update acme-devices --file acme-roots.pem",
		Args:    named("truststore"), ValidArgsFunction: c.truststoreNames(),
	}
	anchorsFlag(cmd, &file)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		pem, err := c.readInput(file)
		if err != nil {
			return err
		}
		truststore, err := client.PutTruststore(ctx, args[0], certificateFile(pem))
		if err != nil {
			return err
		}
		return c.tell(truststore, "truststore %s has version %d now, certificates: %d", truststore.Name, truststore.Version, len(truststore.Certificates))
	})
	return cmd
}

func anchorsFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "file", "", "CA certificates as PEM, DER or PKCS #7; - reads standard input (required)")
	_ = cmd.MarkFlagRequired("file")
}
