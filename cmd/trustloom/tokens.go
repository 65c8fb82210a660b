// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
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

func (c *cli) tokens() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "tokens",
		Aliases: []string{"token"},
		Short:   "Bearer tokens of people and programs",
		Long:    "Create, list and revoke bearer tokens. A token belongs to an operator; approvals count operators, not tokens.",
		Example: `  trustloom tokens create alice --role approver --out alice.token
  trustloom --token-file alice.token approvals list
  trustloom tokens revoke alice`,
	}, c.tokenList(), c.tokenCreate(), c.tokenChange(), c.tokenRevoke())
}

func (c *cli) tokenNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Token, error] {
		return client.AllTokens(ctx)
	},
		func(t api.Token) string { return t.Name })
}

func (c *cli) tokenList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the tokens", Long: "List the tokens, by name, without the tokens themselves: they are shown once.",
		Example: "  trustloom tokens list",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllTokens(ctx), table[api.Token]{
				none:    "No tokens.",
				columns: "NAME,OPERATOR,ROLE,DOMAINS,STATE,EXPIRES",
				row: func(t api.Token) []string {
					return []string{t.Name, t.Operator, string(t.Role), scope(t.Domains), tokenState(&t, time.Now()), whenever(t.ExpiresAt)}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func scope(domains []string) string {
	if len(domains) == 0 {
		return "all"
	}
	return strings.Join(domains, ", ")
}

func tokenState(t *api.Token, now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		return "expired"
	}
	return "good"
}

func roles() string {
	names := make([]string, len(models.Roles))
	for i, r := range models.Roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

func (c *cli) tokenCreate() *cobra.Command {
	var in api.TokenCreation
	var out string
	cmd := &cobra.Command{
		Use: "create NAME --role ROLE", Short: "Create a token",
		Long: `Create a token. It is shown now and never again; with --out it is written to a new file,
readable for you only, that --token-file takes. An operator of the token's name, or of
the name that --operator gives, is created if there is none.`,
		Example: `  trustloom tokens create alice --role approver --out alice.token
  trustloom tokens create line-3 --role viewer --domains press-shop,paint-shop --expires-in 30d`,
		Args: named("token"),
	}
	flags := cmd.Flags()
	flags.StringVar((*string)(&in.Role), "role", "", "what it may do: "+roles()+" (required)")
	flags.StringVar(&in.Operator, "operator", "", "whose token it is (default the name of the token)")
	flags.StringSliceVar(&in.Domains, "domains", nil, "the domains that it sees (default all)")
	flags.Var(duration{&in.ExpiresIn}, "expires-in", "when it ends (default never)")
	flags.StringVar(&out, "out", "", "write the token to this file, which must not exist")
	_ = cmd.MarkFlagRequired("role")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		in.Name = args[0]
		if out == "" {
			return c.createToken(ctx, client, in)
		}
		return c.createTokenFile(ctx, client, in, out)
	})
	return cmd
}

func (c *cli) createToken(ctx context.Context, client *api.Client, in api.TokenCreation) error {
	token, err := client.CreateToken(ctx, in)
	if err != nil {
		return err
	}
	return c.print(token, func(w io.Writer) {
		fmt.Fprintf(w, "token %s of operator %s is created: %s, domains: %s\n\n", token.Name, token.Operator, token.Role, scope(token.Domains))
		details(w, "Token", token.Token, "Expires", whenever(token.ExpiresAt))
		fmt.Fprintln(w, "\nThe token is shown now and never again.")
	})
}

// createTokenFile makes the file before the token, so that no token is lost
// to a file that cannot be written.
func (c *cli) createTokenFile(ctx context.Context, client *api.Client, in api.TokenCreation, path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	token, err := client.CreateToken(ctx, in)
	if err != nil {
		return errors.Join(err, file.Close(), os.Remove(path))
	}
	_, err = fmt.Fprintln(file, token.Token)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("token %s exists, but %s could not be written; revoke it: %w", token.Name, path, err)
	}
	token.Token = ""
	return c.tell(token, "token %s of operator %s is created and in %s: %s, domains: %s", token.Name, token.Operator, path, token.Role, scope(token.Domains))
}

func (c *cli) tokenChange() *cobra.Command {
	var in api.TokenChange
	cmd := &cobra.Command{
		Use: "change NAME", Short: "Change what a token may do, or when it ends",
		Long:    "Change what a token may do, or when it ends, at once. Sessions have the role of their operator: 'trustloom operators change'.",
		Example: "  trustloom tokens change line-3 --role operator --expires-in 7d",
		Args:    named("token"), ValidArgsFunction: c.tokenNames(),
	}
	rightsFlags(cmd, &in.Role, &in.Domains, &in.AllDomains)
	cmd.Flags().Var(duration{&in.ExpiresIn}, "expires-in", "when it ends, from now")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		t, err := client.ChangeToken(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.tell(t, "token %s is %s, domains: %s", t.Name, t.Role, scope(t.Domains))
	})
	return cmd
}

func (c *cli) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a token at once",
		Long:    "End a token at once. The last token that may create others is kept.",
		Example: "  trustloom tokens revoke line-3",
		Args:    named("token"), ValidArgsFunction: c.tokenNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			if err := client.RevokeToken(ctx, args[0]); err != nil || c.output == outputJSON {
				return err
			}
			_, err := fmt.Fprintf(c.out, "token %s is revoked\n", args[0])
			return err
		}),
	}
}
