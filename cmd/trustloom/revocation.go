// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

func (c *cli) truststoreRevocation() *cobra.Command {
	var rules api.RevocationRules
	cmd := &cobra.Command{
		Use: "revocation NAME", Short: "Show or change how IDevIDs are checked for revocation",
		Long: `Show how devices with a manufacturer's certificate are checked for revocation, or change
it. Known are the CRLs that were uploaded with 'trustloom truststores crl', and what the
named OCSP responder says; URLs in certificates are never followed. With if-known a revoked
one is refused; with require one whose status is not known, too.`,
		Example: `  trustloom truststores revocation acme-devices
  trustloom truststores revocation acme-devices --policy require
  trustloom truststores revocation acme-devices --policy if-known --ocsp-url http://ocsp.acme.example/`,
		Args: named("truststore"), ValidArgsFunction: c.truststoreNames(),
	}
	cmd.Flags().StringVar((*string)(&rules.Policy), "policy", "", "if-known, require or off")
	cmd.Flags().StringVar(&rules.OCSPURL, "ocsp-url", "", "the manufacturer's responder; goes with --policy")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		if rules.Policy == "" {
			if rules.OCSPURL != "" {
				return usagef("--ocsp-url goes with --policy")
			}
			r, err := client.FindTruststoreRevocation(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(r, func(w io.Writer) { showRevocation(w, r) })
		}
		r, err := client.PutTruststoreRevocation(ctx, args[0], rules)
		if err != nil {
			return err
		}
		return c.print(r, func(w io.Writer) { showRevocation(w, r) })
	})
	return cmd
}

func showRevocation(w io.Writer, r *api.TruststoreRevocation) {
	details(w, "Policy", string(r.Policy), "OCSP", r.OCSPURL)
	for _, crl := range r.CRLs {
		fmt.Fprintln(w)
		details(w, "CRL of", crl.Issuer, "Number", crl.Number, "Revoked", fmt.Sprint(crl.Entries), "This update", when(crl.ThisUpdate),
			"Next update", when(crl.NextUpdate), "Note", mark(!crl.Current, "out of date"))
	}
}

func (c *cli) truststoreCRL() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "crl NAME --file FILE", Short: "Upload the CRL of a CA of a truststore",
		Long: `Upload the CRL of a CA of a truststore, PEM or DER, up to 700 KiB. It must be signed by
that CA, current, complete, and have a higher number than the one before, which otherwise
stays.`,
		Example: "  trustloom truststores crl acme-devices --file acme.crl",
		Args:    named("truststore"), ValidArgsFunction: c.truststoreNames(),
	}
	cmd.Flags().StringVar(&file, "file", "", "the CRL as PEM or DER; - reads standard input (required)")
	_ = cmd.MarkFlagRequired("file")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		data, err := c.readInput(file)
		if err != nil {
			return err
		}
		in := certificateFile(data)
		r, err := client.PutForeignCRL(ctx, args[0], api.CRLUpload(in))
		if err != nil {
			return err
		}
		return c.print(r, func(w io.Writer) { showRevocation(w, r) })
	})
	return cmd
}
