// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func (c *cli) certificates() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "certificates",
		Aliases: []string{"certificate", "certs"},
		Short:   "Certificates: find, fetch, revoke",
		Long:    "Find certificates, fetch them, revoke them, and release those that are on hold.",
		Example: `  trustloom certificates list --device press-01
  trustloom certificates list --expires-before 30d --status valid
  trustloom certificates revoke 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a --reason keyCompromise`,
	}, c.certificateList(), c.certificateShow(), c.certificatePEM(), c.certificateRevoke(), c.certificateRelease(), c.certificateImport(), c.certificateNote(), c.certificatePurge())
}

func (c *cli) certificateList() *cobra.Command {
	var filter api.CertificateFilter
	var limit int
	var before string
	cmd := &cobra.Command{
		Use: "list", Short: "List the certificates", Long: "List the certificates, the soonest to expire first.",
		Example: `  trustloom certificates list --domain press-shop --status valid
  trustloom certificates list --expires-before 30d
  trustloom certificates list --serial 4C:0B:7E`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.Domain, "domain", "", "only those of this domain")
	flags.StringVar(&filter.Device, "device", "", "only those of this device")
	flags.StringVar(&filter.Status, "status", "", "only those with this status: reserved, valid, expired, revoked")
	flags.StringVar(&before, "expires-before", "", "only those that end before this time, day, or duration from now")
	flags.StringVar(&filter.Origin, "origin", "", "only those that were issued here, or imported: issued, imported")
	flags.StringVar(&filter.Serial, "serial", "", "only those with this serial number, hex, with or without colons")
	limitFlag(cmd, &limit)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, _ []string) (err error) {
		if filter.ExpiresBefore, err = parseInstant(before, time.Now()); err != nil {
			return err
		}
		return list(c, limit, client.AllCertificates(ctx, filter), table[api.Certificate]{
			none:    "No certificates.",
			columns: "ID,DEVICE,PROFILE,STATUS,SUBJECT,NOT AFTER,SERIAL",
			row: func(x api.Certificate) []string {
				profile := x.Profile
				if profile == "" {
					profile = string(x.Kind)
				}
				return []string{x.ID, x.Device, profile, x.Status, x.Subject, when(x.NotAfter), x.Serial}
			},
		})
	})
	return cmd
}

func (c *cli) certificateShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a certificate", Long: "Show a certificate.",
		Example: "  trustloom certificates show 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a",
		Args:    identified("a certificate", "certificates"),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			certificate, err := client.FindCertificate(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(certificate, func(w io.Writer) { showCertificate(w, certificate) })
		}),
	}
}

func showCertificate(w io.Writer, x *api.Certificate) {
	profile := x.Profile
	if x.ProfileVersion > 0 {
		profile += " version " + strconv.Itoa(x.ProfileVersion)
	}
	details(w, "ID", x.ID, "Kind", string(x.Kind), "Origin", string(x.Origin), "Status", x.Status, "Revoked", whenever(x.RevokedAt), "Reason", string(x.RevocationReason),
		"Subject", x.Subject, "Names", strings.Join(x.SANs, ", "), "Issuer", x.Issuer, "Issuer key ID", x.IssuerKeyID, "Serial", x.Serial,
		"SHA-256", x.Fingerprint, "Not before", when(x.NotBefore), "Not after", when(x.NotAfter), "Device", x.Device, "Domain", x.Domain,
		"Profile", profile, "Request", x.Request, "Replaced", x.Predecessor)
}

func (c *cli) certificatePEM() *cobra.Command {
	var chain bool
	cmd := &cobra.Command{
		Use: "pem ID", Short: "Print a certificate as PEM", Long: "Print a certificate as PEM; with --chain those above it, up to the root, follow.",
		Example: `  trustloom certificates pem 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a | openssl x509 -noout -text
  trustloom certificates pem 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a --chain > chain.pem`,
		Args: identified("a certificate", "certificates"),
	}
	cmd.Flags().BoolVar(&chain, "chain", false, "with the certificates above it")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		pem, err := client.CertificatePEM(ctx, args[0])
		if err == nil && chain {
			var full *api.Certificate
			if full, err = client.FindCertificate(ctx, args[0]); err == nil {
				pem = []byte(full.Chain)
			}
		}
		if err != nil {
			return err
		}
		_, err = c.out.Write(pem)
		return err
	})
	return cmd
}

// reasons lists the revocation reasons in the order of their codes, in two lines.
func reasons() string {
	names := slices.SortedFunc(maps.Keys(models.RevocationReasons), func(a, b models.RevocationReason) int {
		return models.RevocationReasons[a] - models.RevocationReasons[b]
	})
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	half := (len(texts) + 1) / 2
	return strings.Join(texts[:half], ", ") + ",\n" + strings.Join(texts[half:], ", ")
}

func (c *cli) certificateRevoke() *cobra.Command {
	var in api.Revocation
	cmd := &cobra.Command{
		Use: "revoke ID --reason REASON", Short: "Revoke a certificate",
		Long: `Revoke a certificate. It is refused as a credential at once; the CRL follows. Only
certificateHold can be taken back. The reasons are those of RFC 5280 §5.3.1:
` + reasons() + ".",
		Example: `  trustloom certificates revoke 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a --reason keyCompromise --comment "device was stolen"
  trustloom certificates revoke 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a --reason certificateHold`,
		Args: identified("a certificate", "certificates"),
	}
	cmd.Flags().StringVar((*string)(&in.Reason), "reason", "", "why, as in RFC 5280 (required)")
	cmd.Flags().StringVar(&in.Comment, "comment", "", "kept in the audit log")
	_ = cmd.MarkFlagRequired("reason")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		certificate, err := client.RevokeCertificate(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.tell(certificate, "certificate %s is revoked (%s)", certificate.ID, certificate.RevocationReason)
	})
	return cmd
}

func (c *cli) certificateRelease() *cobra.Command {
	return &cobra.Command{
		Use: "release ID", Short: "Release a certificate that is on hold",
		Long:    "Release a certificate that is on hold (certificateHold). Any other revocation is for good.",
		Example: "  trustloom certificates release 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a",
		Args:    identified("a certificate", "certificates"),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			certificate, err := client.ReleaseCertificate(ctx, args[0])
			if err != nil {
				return err
			}
			return c.tell(certificate, "certificate %s is released and %s again", certificate.ID, certificate.Status)
		}),
	}
}
