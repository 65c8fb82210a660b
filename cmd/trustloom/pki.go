// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func (c *cli) pki() *cobra.Command {
	return noun(&cobra.Command{
		Use:   "pki",
		Short: "A first PKI, to try things out",
		Long:  "Make a first PKI, to try things out.",
		Example: `  trustloom pki init
  trustloom pki init --name line --domain line-3 --algorithm EC-P384 --store pkcs11`,
	}, c.pkiInit())
}

// starter is a first PKI as it is asked for.
type starter struct {
	prefix, domain string
	key            api.Key
}

// startedPKI is what 'pki init -o json' prints.
type startedPKI struct {
	Root    *api.CA     `json:"root"`
	Issuing *api.CA     `json:"issuing"`
	Domain  *api.Domain `json:"domain"`
}

func (c *cli) pkiInit() *cobra.Command {
	var s starter
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a root CA, an issuing CA and a domain",
		Long: `Make a root CA, an issuing CA and a domain, all marked as demo: enough to onboard a
device, not meant for production. What is there already is kept, so the command can be
repeated. With -o json the progress goes to standard error.`,
		Example: `  trustloom pki init
  trustloom pki init --name line --domain line-3 --algorithm EC-P384
  trustloom pki init --store pkcs11`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&s.prefix, "name", "plant", "what the names of the CAs begin with: NAME-root, NAME-issuing")
	flags.StringVar(&s.domain, "domain", "press-shop", "name of the domain")
	keyFlags(cmd, &s.key)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(models.CheckName("CA", s.prefix+"-issuing"), models.CheckName("domain", s.domain)); err != nil {
			return usagef("%s", plain(err))
		}
		return c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return c.makePKI(ctx, client, s)
		})(cmd, args)
	}
	return cmd
}

func (c *cli) makePKI(ctx context.Context, client *api.Client, s starter) (err error) {
	var made startedPKI
	progress := c.out
	if c.output == outputJSON {
		progress = c.errs
	}
	title := strings.ToUpper(s.prefix[:1]) + s.prefix[1:]
	root := api.CACreation{Name: s.prefix + "-root", Type: models.CARoot, Key: s.key, Subject: api.Name{CommonName: title + " Root"}, Demo: true}
	if made.Root, err = ensureCA(ctx, client, root, progress); err != nil {
		return err
	}
	issuing := api.CACreation{
		Name: s.prefix + "-issuing", Type: models.CAIssuing, Issuer: root.Name, Key: s.key,
		Subject: api.Name{CommonName: title + " Issuing"}, Demo: true,
	}
	if made.Issuing, err = ensureCA(ctx, client, issuing, progress); err != nil {
		return err
	}
	domain := api.DomainCreation{Name: s.domain, IssuingCA: issuing.Name, Demo: true}
	if made.Domain, err = ensureDomain(ctx, client, domain, progress); err != nil {
		return err
	}
	return c.print(made, func(w io.Writer) {
		fmt.Fprintf(w, "Next: trustloom devices register press-01 --domain %s\n", s.domain)
	})
}

// ensureCA makes a CA unless there is one of that name, and waits until it is
// active.
func ensureCA(ctx context.Context, client *api.Client, want api.CACreation, progress io.Writer) (*api.CA, error) {
	did := "kept"
	ca, err := client.FindCA(ctx, want.Name)
	if isAbsent(err) {
		did = "created"
		fmt.Fprintf(progress, "%s CA %s: making its key ...\n", want.Type, want.Name)
		ca, err = client.CreateCA(ctx, want)
	}
	if err != nil {
		return nil, err
	}
	if ca, err = awaitCA(ctx, client, ca, caPatience); err != nil {
		return nil, err
	}
	if ca.State != models.CAActive || ca.Type != want.Type {
		return nil, fmt.Errorf("there is a %s CA %s already, and it is %s; choose another --name", ca.Type, ca.Name, ca.State)
	}
	fmt.Fprintf(progress, "%s CA %s: %s, %s in key store %s, valid until %s\n", ca.Type, ca.Name, did, ca.Key.Algorithm, ca.Key.Store, when(ca.NotAfter))
	return ca, nil
}

func ensureDomain(ctx context.Context, client *api.Client, want api.DomainCreation, progress io.Writer) (*api.Domain, error) {
	did := "kept"
	domain, err := client.FindDomain(ctx, want.Name)
	if isAbsent(err) {
		did = "created"
		domain, err = client.CreateDomain(ctx, want)
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "domain %s: %s, certificates from %s\n", domain.Name, did, domain.IssuingCA)
	return domain, nil
}

// isAbsent reports whether the server said that there is no such thing.
func isAbsent(err error) bool {
	var problem *api.Problem
	return errors.As(err, &problem) && problem.Status == http.StatusNotFound && problem.Kind == models.KindNotFound.String()
}
