// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func (c *cli) operators() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "operators",
		Aliases: []string{"operator"},
		Short:   "The people: roles, certificates, shutting out",
		Long: `Create, change, disable and enable operators. A token has a role of its own; the role of
the operator is that of logins (OpenID Connect) and of client certificates (smart cards).
Approvals count operators, not tokens.`,
		Example: `  trustloom operators create alice --role approver --domains press-shop
  trustloom operators add-certificate alice --file alice.pem
  trustloom operators disable alice`,
	}, c.operatorList(), c.operatorShow(), c.operatorCreate(), c.operatorChange(),
		c.operatorSwitch("disable", "Shut an operator out, at once", `Shut an operator out at once: tokens, logins and certificates are refused, and what the
person said on approvals that still wait counts no more. The last one who can create
tokens is kept.`, "disabled", (*api.Client).DisableOperator),
		c.operatorSwitch("enable", "Let an operator in again", `Let an operator in again. What the person had said on approvals stays void.`, "enabled", (*api.Client).EnableOperator),
		c.operatorAddCertificate(), c.operatorRemoveCertificate())
}

func (c *cli) operatorNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Operator, error] {
		return client.AllOperators(ctx)
	},
		func(o api.Operator) string { return o.Name })
}

func (c *cli) operatorList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the operators", Long: "List the operators, by name.",
		Example: "  trustloom operators list", Args: cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllOperators(ctx), table[api.Operator]{
				none:    "No operators.",
				columns: "NAME,STATE,ROLE,DOMAINS,LOGIN",
				row: func(o api.Operator) []string {
					return []string{o.Name, operatorState(&o), string(o.Role), scopeOf(&o), o.OIDCSubject}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func operatorState(o *api.Operator) string {
	if o.Disabled {
		return "disabled"
	}
	return "enabled"
}

// scopeOf is the scope of logins and certificates; without a role there are none.
func scopeOf(o *api.Operator) string {
	if o.Role == "" {
		return ""
	}
	return scope(o.Domains)
}

func (c *cli) operatorShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show an operator", Long: "Show an operator, with the certificates that are theirs.",
		Example: "  trustloom operators show alice",
		Args:    named("operator"), ValidArgsFunction: c.operatorNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			o, err := client.FindOperator(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(o, func(w io.Writer) { showOperator(w, o) })
		}),
	}
}

func showOperator(w io.Writer, o *api.Operator) {
	details(w, "Name", o.Name, "State", operatorState(o), "Role", string(o.Role), "Domains", scopeOf(o), "Login", o.OIDCSubject, "Created", when(o.CreatedAt))
	for _, cert := range o.Certificates {
		fmt.Fprintln(w)
		details(w, "Certificate", cert.ID, "Subject", cert.Subject, "Match", string(cert.Match), "Value", cert.Value, "Issuing key", cert.IssuerSHA256)
	}
}

func (c *cli) operatorCreate() *cobra.Command {
	var in api.OperatorCreation
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create an operator",
		Long: `Create an operator. That alone lets nobody in: a token ('trustloom tokens create'), a
certificate, or a login does. Role and domains are those of logins and certificates.`,
		Example: `  trustloom operators create alice --role approver
  trustloom operators create bob --role operator --domains press-shop --oidc-subject 248289761001`,
		Args: named("operator"),
	}
	flags := cmd.Flags()
	flags.StringVar((*string)(&in.Role), "role", "", "of logins and certificates: "+roles()+" (default neither is let in)")
	flags.StringSliceVar(&in.Domains, "domains", nil, "the domains that logins and certificates see (default all)")
	flags.StringVar(&in.OIDCSubject, "oidc-subject", "", "the claim sub of the person at the OpenID provider")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		in.Name = args[0]
		o, err := client.CreateOperator(ctx, in)
		if err != nil {
			return err
		}
		return c.tell(o, "operator %s is created", o.Name)
	})
	return cmd
}

func (c *cli) operatorChange() *cobra.Command {
	var in api.OperatorChange
	cmd := &cobra.Command{
		Use: "change NAME", Short: "Change what logins and certificates of an operator may do",
		Long: `Change what logins and certificates of an operator may do, at their next request.
Tokens have a role of their own: 'trustloom tokens change'.`,
		Example: "  trustloom operators change alice --role admin --all-domains",
		Args:    named("operator"), ValidArgsFunction: c.operatorNames(),
	}
	rightsFlags(cmd, &in.Role, &in.Domains, &in.AllDomains)
	cmd.Flags().StringVar(&in.OIDCSubject, "oidc-subject", "", "the claim sub of the person at the OpenID provider")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		o, err := client.ChangeOperator(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.tell(o, "operator %s is %s, domains: %s", o.Name, o.Role, scopeOf(o))
	})
	return cmd
}

// rightsFlags adds the flags that change role and domains.
func rightsFlags(cmd *cobra.Command, role *models.Role, domains *[]string, all *bool) {
	flags := cmd.Flags()
	flags.StringVar((*string)(role), "role", "", "another role: "+roles())
	flags.StringSliceVar(domains, "domains", nil, "other domains")
	flags.BoolVar(all, "all-domains", false, "all domains")
	cmd.MarkFlagsMutuallyExclusive("domains", "all-domains")
}

func (c *cli) operatorSwitch(verb, short, long, done string, do func(*api.Client, context.Context, string) (*api.Operator, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Long: long, Example: "  trustloom operators " + verb + " alice",
		Args: named("operator"), ValidArgsFunction: c.operatorNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			o, err := do(client, ctx, args[0])
			if err != nil {
				return err
			}
			return c.tell(o, "operator %s is %s", o.Name, done)
		}),
	}
}

func (c *cli) operatorAddCertificate() *cobra.Command {
	var in api.OperatorCertificateCreation
	var file string
	cmd := &cobra.Command{
		Use: "add-certificate NAME --file FILE", Short: "Register a person's certificate",
		Long: `Register a certificate of a person, such as that of a smart card. It has to come from a CA
of the server's --operator-ca. By default exactly this certificate counts; with --match
subject, email or upn later ones of the same issuing CA with the same name do, too.`,
		Example: "  trustloom operators add-certificate alice --file alice.pem\n  trustloom operators add-certificate alice --file alice.pem --match upn",
		Args:    named("operator"), ValidArgsFunction: c.operatorNames(),
	}
	cmd.Flags().StringVar(&file, "file", "", "PEM file with the certificate; intermediate CAs may follow; - reads standard input (required)")
	cmd.Flags().StringVar((*string)(&in.Match), "match", "", "what is compared: fingerprint, subject, email, upn (default fingerprint)")
	_ = cmd.MarkFlagRequired("file")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		data, err := c.readInput(file)
		if err != nil {
			return err
		}
		in.PEM = string(data)
		o, err := client.AddOperatorCertificate(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.print(o, func(w io.Writer) { showOperator(w, o) })
	})
	return cmd
}

func (c *cli) operatorRemoveCertificate() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "remove-certificate NAME --id ID", Short: "Make a certificate nobody's, at once",
		Long:    "Make a certificate nobody's, at once. 'trustloom operators show' has the IDs.",
		Example: "  trustloom operators remove-certificate alice --id 01999999-0000-7000-8000-000000000001",
		Args:    named("operator"), ValidArgsFunction: c.operatorNames(),
	}
	cmd.Flags().StringVar(&id, "id", "", "ID of the certificate's registration (required)")
	_ = cmd.MarkFlagRequired("id")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.RemoveOperatorCertificate(ctx, args[0], id); err != nil || c.output == outputJSON {
			return err
		}
		_, err := fmt.Fprintf(c.out, "the certificate of operator %s is removed\n", args[0])
		return err
	})
	return cmd
}

func (c *cli) whoami() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show who you are to the server", Long: "Show which operator the token belongs to, and what it may do.",
		Example: "  trustloom whoami", Args: cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			s, err := client.FindSession(ctx)
			if err != nil {
				return err
			}
			return c.print(s, func(w io.Writer) {
				details(w, "Operator", s.Operator, "Token", s.Token, "Role", string(s.Role), "Domains", scope(s.Domains), "Expires", whenever(s.ExpiresAt))
			})
		}),
	}
}
