// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func (c *cli) deliveries() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "deliveries",
		Aliases: []string{"delivery"},
		Short:   "Keys that Trustloom made for devices: what is open, what became of it",
		Long: `Look at the deliveries of keys that Trustloom made for devices that cannot make their own,
and withdraw them. They are ordered with 'trustloom devices deliver' and 'trustloom devices otp'.`,
		Example: "  trustloom deliveries list --state ready\n  trustloom deliveries withdraw 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a",
	}, c.deliveryList(), c.deliveryShow(), c.deliveryWithdraw())
}

func (c *cli) deliveryList() *cobra.Command {
	var filter api.DeliveryFilter
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the deliveries", Long: "List the deliveries, oldest first. Codes and keys are not shown.",
		Example: "  trustloom deliveries list --device press-01\n  trustloom deliveries list --state waiting",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllDeliveries(ctx, filter), table[api.Delivery]{
				none:    "No deliveries. 'trustloom devices deliver' and 'trustloom devices otp' order them.",
				columns: "ID,DEVICE,PROFILE,CHANNEL,STATE,UNTIL,ORDERED BY",
				row: func(d api.Delivery) []string {
					until := when(d.ExpiresAt)
					if d.EndedAt != nil {
						until = when(*d.EndedAt)
					}
					return []string{d.ID, d.Device, d.Profile, string(d.Channel), string(d.State), until, d.OrderedBy}
				},
			})
		}),
	}
	cmd.Flags().StringVar(&filter.Domain, "domain", "", "only those of this domain")
	cmd.Flags().StringVar(&filter.Device, "device", "", "only those of this device")
	cmd.Flags().StringVar((*string)(&filter.State), "state", "", "only those in this state: waiting, ready, delivered, expired, withdrawn, locked")
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) deliveryShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a delivery", Long: "Show a delivery. Its code and its key are not shown.",
		Example: "  trustloom deliveries show 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a",
		Args:    identified("a delivery", "deliveries"),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			d, err := client.FindDelivery(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(d, func(w io.Writer) { showDelivery(w, d) })
		}),
	}
}

func showDelivery(w io.Writer, d *api.Delivery) {
	tries := ""
	if d.TriesLeft > 0 {
		tries = fmt.Sprint(d.TriesLeft)
	}
	details(w, "ID", d.ID, "Device", d.Device, "Domain", d.Domain, "Profile", d.Profile, "Key", string(d.KeyAlgorithm), "Channel", string(d.Channel),
		"State", string(d.State), "Reason", d.Reason, "Tries left", tries, "Ordered by", d.OrderedBy, "Ordered", when(d.CreatedAt),
		"Until", when(d.ExpiresAt), "Ended", whenever(d.EndedAt), "Request", d.Request, "Certificate", d.Certificate)
}

func (c *cli) deliveryWithdraw() *cobra.Command {
	return &cobra.Command{
		Use: "withdraw ID", Short: "End a delivery before it is fetched",
		Long: `End a delivery before it is fetched. Its key is destroyed; its certificate, if it is issued,
is revoked; a device that was onboarded with it is registered again.`,
		Example: "  trustloom deliveries withdraw 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a",
		Args:    identified("a delivery", "deliveries"),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			d, err := client.WithdrawDelivery(ctx, args[0])
			if err != nil {
				return err
			}
			return c.tell(d, "delivery %s to device %s is %s", d.ID, d.Device, d.State)
		}),
	}
}

// orderFlags are what deliver and otp ask of a certificate.
func orderFlags(flags *pflag.FlagSet, in *api.DeliveryCreation) {
	flags.StringVar(&in.Profile, "profile", "", "profile of the certificate (default domain_credential for a device that is not onboarded)")
	flags.StringVar((*string)(&in.KeyAlgorithm), "key", string(models.DeliveryKeys[0]), "algorithm of the key: "+keysOf(models.DeliveryKeys))
	flags.StringVar(&in.CommonName, "common-name", "", "common name, where the profile lets it be chosen")
	flags.StringSliceVar(&in.SANs, "san", nil, "alternative name with its type in front, such as dns:press-01.example or ip:192.0.2.10")
	flags.Var(duration{&in.Life}, "life", "how long it can be fetched once the certificate is there, 5m to 7d (default: the server's)")
}

func keysOf(algorithms []models.KeyAlgorithm) string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}

func (c *cli) deviceDeliver() *cobra.Command {
	in := api.DeliveryCreation{Channel: models.DeliverToOperator}
	var format, passwordFile, out string
	cmd := &cobra.Command{
		Use: "deliver NAME --format FORMAT --password-file FILE --out FILE", Short: "Fetch a key and a certificate for a device that cannot make its own",
		Long: `Have Trustloom make a key for a device, get its certificate, and write both into one file,
the key encrypted under a password. The key comes out once, here: the server destroys its
copy before it answers, and there is no second time.

The first certificate of a device of the method manual is its domain credential. An
onboarded device, whatever its method, gets application certificates this way, too. Where
the domain asks people, the command says so; run it again when they have approved.

Formats: pkcs12 (AES-256, PBKDF2), pem-zip and tar.gz (PEM files, the key as encrypted
PKCS #8). FILE of --out must not exist.`,
		Example: `  trustloom devices register drive-07 --domain press-shop --method manual
  trustloom devices deliver drive-07 --format pkcs12 --password-file pw.txt --out drive-07.p12
  trustloom devices deliver drive-07 --profile tls_server --san dns:drive-07.example --format tar.gz --password-file - --out drive-07.tar.gz`,
		Args: named("device"), ValidArgsFunction: c.deviceNames(),
	}
	flags := cmd.Flags()
	orderFlags(flags, &in)
	flags.StringVar(&format, "format", "", "pkcs12, pem-zip or tar.gz (required)")
	flags.StringVar(&passwordFile, "password-file", "", "file with the password in its first line, 12 characters or more; - is standard input (required)")
	flags.StringVar(&out, "out", "", "file to write (required)")
	for _, name := range []string{"format", "password-file", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		password, err := c.readPassword(passwordFile)
		if err != nil {
			return err
		}
		return c.deliver(ctx, client, args[0], in, api.DeliveryCollection{Format: models.DeliveryFormat(format), Password: password}, out)
	})
	return cmd
}

// readPassword reads the first line of a file.
func (c *cli) readPassword(path string) (string, error) {
	text, err := c.readInput(path)
	if err != nil {
		return "", err
	}
	password, _, _ := strings.Cut(string(text), "\n")
	password = strings.TrimSuffix(password, "\r")
	if n := len([]rune(password)); n < models.MinDeliveryPassword {
		return "", fmt.Errorf("the password has %d characters, at least %d are needed", n, models.MinDeliveryPassword)
	}
	return password, nil
}

// deliver orders a delivery and writes it to a file, which is made before
// anything is asked for: a key that cannot be written would be lost.
func (c *cli) deliver(ctx context.Context, client *api.Client, device string, order api.DeliveryCreation, how api.DeliveryCollection, path string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	written := false
	defer func() {
		err = errors.Join(err, file.Close())
		if !written {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	d, err := client.CreateDelivery(ctx, device, order)
	if err != nil {
		return err
	}
	if d.Pending() {
		return c.tell(d, "The request %s is not decided yet: it waits for approval, or is being worked on. The key is kept\nuntil %s; run the same command again later. 'trustloom requests show %s' says how far it is.",
			d.Request, when(d.ExpiresAt), d.Request)
	}
	got, err := client.CollectDelivery(ctx, d.ID, how)
	if err != nil {
		return err
	}
	content, err := base64.StdEncoding.DecodeString(got.Content)
	if err != nil {
		return fmt.Errorf("read the file in the answer: %w", err)
	}
	written = true // what is there of it stays, whatever comes
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return c.tell(got.Delivery, "%s holds the key and the certificate of device %s (profile %s).\nThe server has destroyed its copy of the key: this file is the only one.", path, device, got.Delivery.Profile)
}

func (c *cli) deviceOTP() *cobra.Command {
	in := api.DeliveryCreation{Channel: models.DeliverByDownload}
	cmd := &cobra.Command{
		Use: "otp NAME", Short: "Print a one-time code with which a key and a certificate can be downloaded at the device",
		Long: `Have Trustloom make a key for a device and get its certificate, and print a one-time code
for the person at the device, who opens the page that is named, types the device's name
and the code, chooses a password, and downloads both as one file, once. Three wrong codes
lock the download and destroy the key; so does the end of its time.

The first certificate of a device of the method otp-download is its domain credential. An
onboarded device, whatever its method, gets application certificates this way, too.`,
		Example: `  trustloom devices register drive-08 --domain press-shop --method otp-download
  trustloom devices otp drive-08
  trustloom devices otp drive-08 --profile tls_server --san dns:drive-08.example --life 30m`,
		Args: named("device"), ValidArgsFunction: c.deviceNames(),
	}
	orderFlags(cmd.Flags(), &in)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		d, err := client.CreateDelivery(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.print(d, func(w io.Writer) {
			details(w, "Page", c.serverURL()+"/download", "Device", d.Device, "Code", d.Code)
			fmt.Fprint(w, "\nThe code is shown now and never again. It is good for one download.\n")
			if d.Pending() {
				fmt.Fprintf(w, "The certificate is not issued yet ('trustloom requests show %s'); the time begins when it is.\n", d.Request)
				return
			}
			fmt.Fprintf(w, "It can be used until %s.\n", when(d.ExpiresAt))
		})
	})
	return cmd
}
