// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func (c *cli) devices() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "devices",
		Aliases: []string{"device"},
		Short:   "Devices: register, arm, suspend, and what to type on them",
		Long:    "Register devices, look at them, end their work, and print what has to be typed on them.",
		Example: `  trustloom devices register press-01 --domain press-shop
  trustloom devices help press-01
  trustloom devices suspend press-01`,
	}, c.deviceList(), c.deviceShow(), c.deviceTimeline(), c.deviceRegister(), c.deviceChangeNotes(), c.deviceArm(), c.deviceUnbind(),
		c.deviceChange("suspend", "Refuse a device everything until it is resumed",
			"Refuse a device every certificate until it is resumed. Those that it has stay valid.", (*api.Client).SuspendDevice),
		c.deviceChange("resume", "End the suspension of a device",
			"End the suspension of a device: it is as it was before.", (*api.Client).ResumeDevice),
		c.deviceChange("decommission", "End the life of a device, for good",
			"End the life of a device: it gets no more certificates, for good. Those that it has are\nrevoked (cessationOfOperation) and on the next CRL; what it waits for is withdrawn. The records that the same machine has in\nfurther domains end with it.", (*api.Client).DecommissionDevice),
		c.deviceHelp(), c.deviceDeliver(), c.deviceOTP())
}

func (c *cli) deviceNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Device, error] {
		return client.AllDevices(ctx, api.DeviceFilter{})
	}, func(d api.Device) string { return d.Name })
}

func (c *cli) deviceList() *cobra.Command {
	var filter api.DeviceFilter
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the devices", Long: "List the devices, by name.",
		Example: "  trustloom devices list\n  trustloom devices list --domain press-shop --state onboarded\n  trustloom devices list --group line-3 --metadata hall=3",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllDevices(ctx, filter), table[api.Device]{
				none:    "No devices. 'trustloom devices register' makes one.",
				columns: "NAME,DOMAIN,STATE,METHOD,SERIAL NUMBER,ONBOARDED",
				row: func(d api.Device) []string {
					return []string{d.Name, d.Domain, string(d.State), string(d.Onboarding.Method), d.SerialNumber, whenever(d.OnboardedAt)}
				},
			})
		}),
	}
	cmd.Flags().StringVar(&filter.Domain, "domain", "", "only those of this domain")
	cmd.Flags().StringVar((*string)(&filter.State), "state", "", "only those in this state: registered, onboarding, onboarded, suspended, decommissioned")
	cmd.Flags().StringVar(&filter.Group, "group", "", "only those in this group")
	cmd.Flags().StringVar(&filter.Metadata, "metadata", "", "only those with KEY=VALUE")
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) deviceShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a device", Long: "Show a device.",
		Example: "  trustloom devices show press-01",
		Args:    named("device"), ValidArgsFunction: c.deviceNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			device, err := client.FindDevice(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(device, func(w io.Writer) { showDevice(w, device) })
		}),
	}
}

func showDevice(w io.Writer, d *api.Device) {
	pairs := []string{"Name", d.Name, "Domain", d.Domain, "State", string(d.State), "Serial number", d.SerialNumber,
		"Method", string(d.Onboarding.Method), "User name", d.Onboarding.Username, "Secret used", whenever(d.Onboarding.SecretUsedAt),
		"Times armed", fmt.Sprint(d.Onboarding.Epoch), "IDevID SHA-256", d.IDevIDSHA256, "Registration", d.Registration,
		"Groups", strings.Join(d.Groups, ", "), "Home", d.Home, "Registered", when(d.CreatedAt), "Onboarded", whenever(d.OnboardedAt)}
	for _, key := range slices.Sorted(maps.Keys(d.Metadata)) {
		pairs = append(pairs, key, d.Metadata[key])
	}
	details(w, pairs...)
	for _, e := range d.Elsewhere {
		details(w, "Also", fmt.Sprintf("%s in domain %s, %s", e.Name, e.Domain, e.State))
	}
	for _, q := range d.Quarantined {
		fmt.Fprintln(w)
		details(w, "Quarantined", q.SHA256, "Subject", q.Subject, "From", strings.TrimSpace(q.Address+" "+q.Domain), "Times", fmt.Sprint(q.Count),
			"First seen", when(q.FirstSeenAt), "Last seen", when(q.LastSeenAt))
	}
}

func methods() string { return words(models.OnboardingMethods) }

func (c *cli) deviceRegister() *cobra.Command {
	var in api.DeviceCreation
	cmd := &cobra.Command{
		Use: "register NAME", Short: "Register a device",
		Long: `Register a device. With the methods est-password, rest-password and cmp-secret the
answer holds its one-time secret, which is shown now and never again; with est-idevid and
cmp-idevid the device shows its manufacturer's certificate, for which there must be a
registration; with cmp-ra a registration authority vouches for it. With manual and otp-download Trustloom
makes the key, for devices that cannot: see 'trustloom devices deliver' and 'otp'.`,
		Example: `  trustloom devices register press-01 --domain press-shop --serial-number 4711
  trustloom devices register press-02 --domain press-shop --metadata hall=3 --metadata line=b -o json
  trustloom devices register press-03 --domain press-shop --method est-idevid \
    --idevid-sha256 "$(openssl x509 -in idevid.pem -noout -fingerprint -sha256 | cut -d= -f2)"`,
		Args: named("device"),
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Domain, "domain", "", "domain of the device (required)")
	flags.StringVar((*string)(&in.Onboarding.Method), "method", string(models.ESTPassword), "how it gets its first identity: "+methods())
	flags.StringVar(&in.SerialNumber, "serial-number", "", "serial number, written into its certificates")
	flags.StringVar(&in.IDevIDSHA256, "idevid-sha256", "", "with est-idevid and cmp-idevid: fingerprint of the only IDevID that is accepted")
	flags.StringVar(&in.Home, "home", "", "makes it the record of an existing device, a gateway, in a further domain")
	flags.StringSliceVar(&in.Groups, "groups", nil, "groups that it is in")
	flags.StringToStringVar(&in.Metadata, "metadata", nil, "what else is known, KEY=VALUE")
	_ = cmd.MarkFlagRequired("domain")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		in.Name = args[0]
		device, err := client.CreateDevice(ctx, in)
		if err != nil {
			return err
		}
		return c.print(device, func(w io.Writer) {
			fmt.Fprintf(w, "device %s is registered in domain %s\n", device.Name, device.Domain)
			showSecret(w, device)
		})
	})
	return cmd
}

// showSecret says what the device needs for its onboarding.
func showSecret(w io.Writer, d *api.Device) {
	fmt.Fprintln(w)
	if d.Onboarding.Secret != "" {
		details(w, "User name", d.Onboarding.Username, "Secret", d.Onboarding.Secret)
		fmt.Fprint(w, "\nThe secret is shown now and never again, and dies on use.\n")
	}
	switch d.Onboarding.Method {
	case models.Manual:
		fmt.Fprintf(w, "Next, fetch its key and certificate: trustloom devices deliver %s --help\n", d.Name)
	case models.OTPDownload:
		fmt.Fprintf(w, "Next, the one-time code for the person at the device: trustloom devices otp %s\n", d.Name)
	default:
		fmt.Fprintf(w, "Next, what to type on the device: trustloom devices help %s\n", d.Name)
	}
}

func (c *cli) deviceArm() *cobra.Command {
	var in api.OnboardingArming
	cmd := &cobra.Command{
		Use: "arm NAME", Short: "Let a device be onboarded again",
		Long: `Let a device be onboarded again, with a new one-time secret or by another method. What
was armed before is void; certificates that the device has stay valid.`,
		Example: "  trustloom devices arm press-01\n  trustloom devices arm press-01 --method est-idevid",
		Args:    named("device"), ValidArgsFunction: c.deviceNames(),
	}
	cmd.Flags().StringVar((*string)(&in.Method), "method", "", "another method: "+methods())
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		device, err := client.ArmDevice(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.print(device, func(w io.Writer) {
			fmt.Fprintf(w, "device %s is armed for %s\n", device.Name, device.Onboarding.Method)
			showSecret(w, device)
		})
	})
	return cmd
}

func (c *cli) deviceUnbind() *cobra.Command {
	var in api.DeviceUnbinding
	cmd := &cobra.Command{
		Use: "unbind NAME", Short: "Separate a device from its IDevID",
		Long: `Separate a device from the manufacturer's certificate that it came with: after a repair,
or when 'trustloom devices show' lists another one in quarantine that is the right one.
The next IDevID with its serial number takes the place, or only the one that is named.
Its certificates stay valid; arm it to let it be onboarded again.`,
		Example: `  trustloom devices unbind press-03
  trustloom devices unbind press-03 --idevid-sha256 3a5c00000000000000000000000000000000000000000000000000000000c0de
  trustloom devices arm press-03`,
		Args: named("device"), ValidArgsFunction: c.deviceNames(),
	}
	cmd.Flags().StringVar(&in.IDevIDSHA256, "idevid-sha256", "", "fingerprint of the only IDevID that may take the place")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		device, err := client.UnbindDevice(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.tell(device, "device %s is unbound; to onboard it again: trustloom devices arm %s", device.Name, device.Name)
	})
	return cmd
}

// deviceChange is a command that brings a device into another state.
func (c *cli) deviceChange(verb, short, long string, do func(*api.Client, context.Context, string) (*api.Device, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Long: long,
		Example: "  trustloom devices " + verb + " press-01",
		Args:    named("device"), ValidArgsFunction: c.deviceNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			device, err := do(client, ctx, args[0])
			if err != nil {
				return err
			}
			return c.tell(device, "device %s is %s", device.Name, device.State)
		}),
	}
}
