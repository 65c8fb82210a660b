// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// caFiles are the files that a CA comes in.
type caFiles struct {
	pkcs12, key, certificate, chain, password string
}

func (c *cli) caImport() *cobra.Command {
	var files caFiles
	var in api.CAImport
	cmd := &cobra.Command{
		Use: "import NAME (--pkcs12 FILE | --key FILE --certificate FILE)", Short: "Bring a CA with its key",
		Long: `Bring a CA whose key and certificate were made elsewhere, into the software key store or
onto the token. It comes as one PKCS #12 file, or as key and certificate: the key in
PKCS #8 (also encrypted), PKCS #1 or SEC 1, certificates in PEM, DER or PKCS #7.

The chain up to a root is verified. CAs above it that are not known yet are added without
a key (type external); those that are neither known nor in the files go in --chain. The
key is proved to fit by a signature before anything is kept.

A password is asked for on the terminal unless --password-file names a file with it (- is
standard input). What is there already is never replaced; the same command again, after
one that was cut off, goes on where that one ended.`,
		Example: `  trustloom cas import plant-issuing --pkcs12 issuing.p12
  trustloom cas import plant-issuing --pkcs12 issuing.p12 --password-file pass.txt --store pkcs11
  trustloom cas import plant-issuing --key issuing.key --certificate issuing.pem --chain root.pem`,
		Args: named("CA"),
	}
	flags := cmd.Flags()
	flags.StringVar(&files.pkcs12, "pkcs12", "", "PKCS #12 file with key and certificates")
	flags.StringVar(&files.key, "key", "", "file with the private key, PEM or DER")
	flags.StringVar(&files.certificate, "certificate", "", "file with its certificate, and maybe those above it")
	flags.StringVar(&files.chain, "chain", "", "file with the certificates above it")
	flags.StringVar(&files.password, "password-file", "", "file with the password of the PKCS #12 file or key; - reads standard input")
	flags.StringVar(&in.Store, "store", models.StoreSoftware, "where the key is to live: software, or pkcs11 if the server has a token")
	flags.BoolVar(&in.Demo, "demo", false, "mark it as made for trying things out")
	cmd.MarkFlagsOneRequired("pkcs12", "key")
	cmd.MarkFlagsMutuallyExclusive("pkcs12", "key")
	cmd.MarkFlagsRequiredTogether("key", "certificate")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		in.Name = args[0]
		if err := c.readCA(&in, files); err != nil {
			return err
		}
		ca, err := client.ImportCA(ctx, in)
		if err != nil {
			return err
		}
		return c.tell(ca, "%s CA %s is %s, %s, valid until %s", ca.Type, ca.Name, ca.State, keyPlace(ca), when(ca.NotAfter))
	})
	return cmd
}

// readCA fills an import with files and, where one is needed, the password.
func (c *cli) readCA(in *api.CAImport, files caFiles) (err error) {
	for _, f := range []struct {
		path string
		into *[]byte
	}{{files.pkcs12, &in.PKCS12}, {files.key, &in.Key}, {files.certificate, &in.Certificate}, {files.chain, &in.Chain}} {
		if f.path == "" {
			continue
		}
		if *f.into, err = readFile(f.path, maxInput/2); err != nil {
			return err
		}
	}
	encrypted := files.pkcs12 != "" || strings.Contains(string(in.Key), "ENCRYPTED")
	in.Password, err = c.password(files.password, encrypted, "password of "+files.pkcs12+files.key)
	return err
}

// maxPassword bounds a file with a password, in bytes.
const maxPassword = 1024

// password reads a password from a file, or else asks for it on the terminal if
// there is need of one. Where nobody can be asked, it is an empty one.
func (c *cli) password(file string, needed bool, prompt string) (string, error) {
	if file != "" {
		read := func() ([]byte, error) { return readFile(file, maxPassword) }
		if file == "-" {
			read = func() ([]byte, error) { return readBounded(c.in, "standard input", maxPassword) }
		}
		text, err := read()
		return strings.TrimRight(string(text), "\r\n"), err
	}
	terminal, ok := c.in.(*os.File)
	if !needed || !ok || !term.IsTerminal(int(terminal.Fd())) {
		return "", nil
	}
	fmt.Fprintf(c.errs, "%s: ", prompt)
	text, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(c.errs)
	return string(text), err
}

func (c *cli) caRequest() *cobra.Command {
	return &cobra.Command{
		Use: "csr NAME", Short: "Print the request that an external CA is to sign",
		Long: `Print the certificate request of a CA that was created with --external, as PEM. It asks
for CA:TRUE, keyCertSign and cRLSign, which the certificate has to have.`,
		Example: `  trustloom cas csr plant-issuing > plant-issuing.csr
  openssl x509 -req -in plant-issuing.csr -CA root.pem -CAkey root.key -days 1825 -copy_extensions copy -out plant-issuing.pem`,
		Args: named("CA"), ValidArgsFunction: c.caNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			request, err := client.CARequest(ctx, args[0])
			if err != nil {
				return err
			}
			_, err = c.out.Write(request)
			return err
		}),
	}
}

func (c *cli) caInstall() *cobra.Command {
	var certificate, chain string
	cmd := &cobra.Command{
		Use: "install NAME --certificate FILE", Short: "Install the certificate that an external CA signed",
		Long: `Install the certificate of a CA that was created with --external. It is verified first:
the key and the subject of the request, CA:TRUE, keyCertSign and cRLSign, in its time, and
a path to a root that is known or given in --chain. CAs above it that are not known yet
are added without a key (type external). From then on the CA issues.`,
		Example: `  trustloom cas install plant-issuing --certificate plant-issuing.pem --chain root.pem`,
		Args:    named("CA"), ValidArgsFunction: c.caNames(),
	}
	cmd.Flags().StringVar(&certificate, "certificate", "", "file with the certificate: PEM, DER or PKCS #7 (required)")
	cmd.Flags().StringVar(&chain, "chain", "", "file with the certificates above it")
	_ = cmd.MarkFlagRequired("certificate")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) (err error) {
		var in api.CACertificate
		if in.Certificate, err = c.readInput(certificate); err != nil {
			return err
		}
		if chain != "" {
			if in.Chain, err = c.readInput(chain); err != nil {
				return err
			}
		}
		ca, err := client.InstallCA(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.tell(ca, "%s CA %s is %s, valid until %s", ca.Type, ca.Name, ca.State, when(ca.NotAfter))
	})
	return cmd
}

func (c *cli) caAdd() *cobra.Command {
	var certificate, chain string
	cmd := &cobra.Command{
		Use: "add NAME --certificate FILE", Short: "Add the certificate of a CA whose key is elsewhere",
		Long: `Add the certificate of a root or intermediate CA whose key is elsewhere (type external),
so that CAs below it have a chain. It signs nothing here. Files are in PEM.`,
		Example: `  trustloom cas add company-root --certificate root.pem
  trustloom cas add company-policy --certificate policy.pem --chain root.pem`,
		Args: named("CA"),
	}
	cmd.Flags().StringVar(&certificate, "certificate", "", "PEM file with the certificate; - reads standard input (required)")
	cmd.Flags().StringVar(&chain, "chain", "", "PEM file with the certificates above it that are not known yet")
	_ = cmd.MarkFlagRequired("certificate")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		pem, err := c.readInput(certificate)
		if err != nil {
			return err
		}
		in := api.CACreation{Name: args[0], Type: models.CAExternal, Certificate: string(pem)}
		if chain != "" {
			more, err := c.readInput(chain)
			if err != nil {
				return err
			}
			in.Chain = string(more)
		}
		ca, err := client.CreateCA(ctx, in)
		if err != nil {
			return err
		}
		return c.tell(ca, "CA %s is added without a key, valid until %s", ca.Name, when(ca.NotAfter))
	})
	return cmd
}

func (c *cli) caDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Remove a CA that nothing stands on",
		Long: `Remove a CA of which only the certificate is here, or one that never came to have a
certificate: the wait of a CA that was created with --external ends, and its key is
destroyed. A CA that stands above others, or may have issued, is not removed.`,
		Example: "  trustloom cas delete company-root",
		Args:    named("CA"), ValidArgsFunction: c.caNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			if err := client.DeleteCA(ctx, args[0]); err != nil || c.output == outputJSON {
				return err
			}
			fmt.Fprintf(c.out, "CA %s is removed\n", args[0])
			return nil
		}),
	}
}
