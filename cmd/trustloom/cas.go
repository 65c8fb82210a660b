// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// How long a command waits for the key and certificate of a CA, and how often
// it looks: a long RSA key in a small token takes minutes.
const (
	caPatience = 5 * time.Minute
	caInterval = 300 * time.Millisecond
)

func (c *cli) cas() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "cas",
		Aliases: []string{"ca"},
		Short:   "Root and issuing CAs",
		Long:    "Create certification authorities, bring them from elsewhere, and look at them.",
		Example: `  trustloom cas create plant-root --type root
  trustloom cas create plant-issuing --issuer plant-root
  trustloom cas import old-issuing --pkcs12 old-issuing.p12
  trustloom cas chain plant-issuing > chain.pem`,
	}, c.caList(), c.caShow(), c.caCreate(), c.caImport(), c.caRequest(), c.caInstall(), c.caAdd(), c.caDelete(), c.caChain(), c.caBundle(), c.caNote())
}

func (c *cli) caNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.CA, error] { return client.AllCAs(ctx) },
		func(ca api.CA) string { return ca.Name })
}

func (c *cli) caList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the CAs", Long: "List the CAs, by name.",
		Example: "  trustloom cas list\n  trustloom cas list -o json",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllCAs(ctx), table[api.CA]{
				none:    "There are no CAs. 'trustloom pki init' makes a first PKI.",
				columns: "NAME,TYPE,STATE,ISSUER,KEY,STORE,NOT AFTER,NOTE",
				row: func(ca api.CA) []string {
					return []string{ca.Name, string(ca.Type), string(ca.State), ca.Issuer, string(ca.Key.Algorithm), ca.Key.Store,
						when(ca.NotAfter), mark(ca.Demo, "demo")}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) caShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a CA", Long: "Show a CA, with the addresses of its CRL and certificate.",
		Example: "  trustloom cas show plant-issuing",
		Args:    named("CA"), ValidArgsFunction: c.caNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			ca, err := client.FindCA(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(ca, func(w io.Writer) { showCA(w, ca) })
		}),
	}
}

func showCA(w io.Writer, ca *api.CA) {
	details(w, "Name", ca.Name, "Type", string(ca.Type), "Origin", string(ca.Origin), "State", string(ca.State), "Failure", ca.Failure, "Deadline", whenever(ca.Deadline), "Issuer", ca.Issuer,
		"Profile", caProfile(ca), "Subject", distinguishedName(ca.Subject), "Key", keyPlace(ca), "Key ID", ca.KeyID,
		"Serial", ca.Serial, "Not before", when(ca.NotBefore), "Not after", when(ca.NotAfter), "CRL", ca.CRLURL, "AIA", ca.AIAURL,
		"Note", mark(ca.Demo, "for trying things out, not for production"))
}

func caProfile(ca *api.CA) string {
	if ca.Profile == "" {
		return ""
	}
	return fmt.Sprintf("%s, version %d", ca.Profile, ca.Version)
}

func keyPlace(ca *api.CA) string {
	if ca.Key.Store == "" {
		return string(ca.Key.Algorithm) + ", elsewhere"
	}
	return fmt.Sprintf("%s in key store %s", ca.Key.Algorithm, ca.Key.Store)
}

// distinguishedName writes a name for people, most special attribute first.
func distinguishedName(n api.Name) string {
	var parts []string
	for _, a := range [][2]string{
		{"CN", n.CommonName}, {"serialNumber", n.SerialNumber}, {"OU", n.OrganizationalUnit}, {"O", n.Organization},
		{"L", n.Locality}, {"ST", n.State}, {"C", n.Country},
	} {
		if a[1] != "" {
			parts = append(parts, a[0]+"="+a[1])
		}
	}
	return strings.Join(parts, ", ")
}

func (c *cli) caChain() *cobra.Command {
	return &cobra.Command{
		Use: "chain NAME", Short: "Print the chain of a CA as PEM",
		Long:    "Print the certificate of a CA and of those above it, up to the root, as PEM.",
		Example: "  trustloom cas chain plant-issuing > chain.pem\n  openssl verify -CAfile chain.pem press-01.pem",
		Args:    named("CA"), ValidArgsFunction: c.caNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			chain, err := client.CAChain(ctx, args[0])
			if err != nil {
				return err
			}
			_, err = c.out.Write(chain)
			return err
		}),
	}
}

func (c *cli) caBundle() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "bundle NAME --file FILE", Short: "Save the chain of a CA and its CRLs as a ZIP file",
		Long:    "Save a ZIP file for relying parties: the certificates from the root to the CA, each as PEM and\nDER, all of them as chain.pem, and the current CRL of each.",
		Example: "  trustloom cas bundle plant-issuing --file plant-issuing.zip",
		Args:    named("CA"), ValidArgsFunction: c.caNames(),
	}
	cmd.Flags().StringVar(&file, "file", "", "where to save it; - writes to standard output (required)")
	_ = cmd.MarkFlagRequired("file")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		content, err := client.CABundle(ctx, args[0])
		if err != nil {
			return err
		}
		if file == "-" {
			_, err = c.out.Write(content)
			return err
		}
		return os.WriteFile(file, content, 0o644)
	})
	return cmd
}

// keyFlags adds the flags that say what the key of a CA is and where it lives.
func keyFlags(cmd *cobra.Command, key *api.Key) {
	cmd.Flags().StringVar((*string)(&key.Algorithm), "algorithm", string(models.ECP256), "of the key: "+algorithms())
	cmd.Flags().StringVar(&key.Store, "store", models.StoreSoftware, "where the key lives: software, or pkcs11 if the server has a token")
}

func algorithms() string {
	names := make([]string, len(models.KeyAlgorithms))
	for i, a := range models.KeyAlgorithms {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}

func (c *cli) caCreate() *cobra.Command {
	var in api.CACreation
	var kind string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a CA",
		Long: `Create a CA and wait until its key and certificate are there. With --issuer it is an
issuing CA below that one, at any depth; without, it is a root. With --external its key
is made here and a CA elsewhere signs its certificate: it stays pending, with a request
('trustloom cas csr'), until that certificate is installed ('trustloom cas install').
The name of the CA is the common name of its subject unless --common-name is given.

With --profile its certificate says what that profile says (of the credential_type ca:
path length, name constraints, policies, validity, permitted keys); with --external the
request asks for it, and only a certificate that has it can be installed.`,
		Example: `  trustloom cas create plant-root --common-name "Plant Root" --organization "Example Works"
  trustloom cas create plant-issuing --issuer plant-root --validity 1825d
  trustloom cas create plant-issuing --external --deadline 14d
  trustloom cas create hall-3 --issuer plant-root --profile hall_ca
  trustloom cas create token-root --algorithm RSA-4096 --store pkcs11`,
		Args: named("CA"),
	}
	flags := cmd.Flags()
	flags.StringVar(&kind, "type", "", "root or issuing (default root, with --issuer issuing)")
	flags.StringVar(&in.Issuer, "issuer", "", "name of the CA that signs it")
	flags.Var(duration{&in.Validity}, "validity", "how long its certificate is valid (default the profile's, or 10y for a root, 5y for an issuing CA)")
	flags.StringVar(&in.Profile, "profile", "", "profile of the credential_type ca that it is made under")
	flags.BoolVar(&in.External, "external", false, "a CA elsewhere signs it, such as an offline root")
	flags.Var(duration{&in.Deadline}, "deadline", "how long its certificate is waited for, with --external (default 30d)")
	cmd.MarkFlagsMutuallyExclusive("external", "issuer")
	flags.BoolVar(&in.Demo, "demo", false, "mark it as made for trying things out")
	keyFlags(cmd, &in.Key)
	subjectFlags(cmd, &in.Subject)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		in.Name, in.Type = args[0], models.CAType(kind)
		if in.Type == "" && in.Issuer == "" && !in.External {
			in.Type = models.CARoot
		} else if in.Type == "" {
			in.Type = models.CAIssuing
		}
		return c.createCA(ctx, client, in)
	})
	return cmd
}

func subjectFlags(cmd *cobra.Command, name *api.Name) {
	flags := cmd.Flags()
	flags.StringVar(&name.CommonName, "common-name", "", "common name (default the name of the CA)")
	flags.StringVar(&name.Organization, "organization", "", "organization")
	flags.StringVar(&name.OrganizationalUnit, "organizational-unit", "", "organizational unit")
	flags.StringVar(&name.Country, "country", "", "country, two letters")
	flags.StringVar(&name.State, "state", "", "state or province")
	flags.StringVar(&name.Locality, "locality", "", "locality")
}

func (c *cli) createCA(ctx context.Context, client *api.Client, in api.CACreation) error {
	if in.Subject != (api.Name{}) && in.Subject.CommonName == "" {
		in.Subject.CommonName = in.Name
	}
	ca, err := client.CreateCA(ctx, in)
	if err != nil {
		return err
	}
	if ca.Pending() {
		fmt.Fprintf(c.errs, "CA %s is being made ...\n", ca.Name)
	}
	if ca, err = awaitCA(ctx, client, ca, caPatience); err != nil {
		return err
	}
	if ca.Awaits() {
		return c.tell(ca, "CA %[1]s waits until %[2]s for its certificate. Have its request signed, then install what comes back:\n"+
			"  trustloom cas csr %[1]s > %[1]s.csr\n  trustloom cas install %[1]s --certificate %[1]s.pem --chain root.pem", ca.Name, whenever(ca.Deadline))
	}
	return c.tell(ca, "%s CA %s is %s, valid until %s", ca.Type, ca.Name, ca.State, when(ca.NotAfter))
}

// awaitCA asks for a CA until it is not pending any more, or waits for somebody
// to sign its request. A CA that failed is
// an error.
func awaitCA(ctx context.Context, client *api.Client, ca *api.CA, patience time.Duration) (*api.CA, error) {
	for deadline := time.Now().Add(patience); ca.Pending() && !ca.Awaits(); {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("CA %s is still pending; see 'trustloom cas show %s'", ca.Name, ca.Name)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(caInterval):
		}
		var err error
		if ca, err = client.FindCA(ctx, ca.Name); err != nil {
			return nil, err
		}
	}
	if ca.State == models.CAFailed {
		return nil, fmt.Errorf("CA %s could not be made: %s", ca.Name, printable(ca.Failure))
	}
	return ca, nil
}
