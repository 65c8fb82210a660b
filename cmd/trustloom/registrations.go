// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

func (c *cli) registrations() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "registrations",
		Aliases: []string{"registration"},
		Short:   "Which manufacturers' devices (IDevID) may register themselves",
		Long: `Look at, create and delete registrations. A device whose manufacturer's certificate
(IDevID, IEEE 802.1AR) chains to the truststore of a registration and whose serial number
matches its pattern becomes a device of the domain with its first request.`,
		Example: `  trustloom truststores create acme-devices --file acme-root.pem
  trustloom registrations create acme-presses --truststore acme-devices --domain press-shop --serial-pattern 'PR-[0-9]{6}'
  trustloom devices help --registration acme-presses`,
	}, c.registrationList(), c.registrationShow(), c.registrationCreate(), c.registrationDelete())
}

func (c *cli) registrationNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Registration, error] {
		return client.AllRegistrations(ctx)
	},
		func(r api.Registration) string { return r.Name })
}

func (c *cli) registrationList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the registrations", Long: "List the registrations, by name.",
		Example: "  trustloom registrations list",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllRegistrations(ctx), table[api.Registration]{
				none:    "There are no registrations. 'trustloom registrations create' makes one.",
				columns: "NAME,DOMAIN,TRUSTSTORE,MATCH,PATTERN",
				row: func(r api.Registration) []string {
					return []string{r.Name, r.Domain, r.Truststore, string(r.Match), r.SerialPattern}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) registrationShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a registration", Long: "Show a registration.",
		Example: "  trustloom registrations show acme-presses",
		Args:    named("registration"), ValidArgsFunction: c.registrationNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			r, err := client.FindRegistration(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(r, func(w io.Writer) {
				details(w, "Name", r.Name, "Domain", r.Domain, "Truststore", r.Truststore, "Match", string(r.Match), "Pattern", r.SerialPattern, "Created", when(r.CreatedAt))
			})
		}),
	}
}

func (c *cli) registrationCreate() *cobra.Command {
	var in api.RegistrationCreation
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Let devices with a matching IDevID register themselves",
		Long: `Let devices with a matching IDevID register themselves. The pattern is a regular
expression (RE2) that the whole serialNumber of the IDevID's subject must match, or with
--match a URI or the hardwareModuleName (RFC 4108, as OID/SERIAL) of its alternative names.`,
		Example: `  trustloom registrations create acme-presses --truststore acme-devices --domain press-shop --serial-pattern 'PR-[0-9]{6}'
  trustloom registrations create acme-all --truststore acme-devices --domain press-shop --serial-pattern '.+'
  trustloom registrations create acme-drives --truststore acme-devices --domain press-shop \
    --match san-hardware-module --serial-pattern '1\.3\.6\.1\.4\.1\.32473\.7/[0-9A-F]+'`,
		Args: named("registration"),
	}
	cmd.Flags().StringVar(&in.Truststore, "truststore", "", "truststore with the manufacturer's CA (required)")
	cmd.Flags().StringVar(&in.Domain, "domain", "", "domain that the devices become part of (required)")
	cmd.Flags().StringVar(&in.SerialPattern, "serial-pattern", "", "which serial numbers, or other names, are admitted (required)")
	cmd.Flags().StringVar((*string)(&in.Match), "match", "", "what the pattern is for: serial-number (default), san-uri or san-hardware-module")
	for _, name := range []string{"truststore", "domain", "serial-pattern"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		in.Name = args[0]
		r, err := client.CreateRegistration(ctx, in)
		if err != nil {
			return err
		}
		return c.tell(r, "registration %s is created; 'trustloom devices help --registration %s' prints what such a device runs", r.Name, r.Name)
	})
	return cmd
}

func (c *cli) registrationDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a registration", Long: "Delete a registration. The devices that it created stay.",
		Example: "  trustloom registrations delete acme-presses",
		Args:    named("registration"), ValidArgsFunction: c.registrationNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			if err := client.DeleteRegistration(ctx, args[0]); err != nil || c.output == outputJSON {
				return err
			}
			_, err := fmt.Fprintf(c.out, "registration %s is deleted\n", args[0])
			return err
		}),
	}
}
