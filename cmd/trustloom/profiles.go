// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json/jsontext"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

func (c *cli) profiles() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "profiles",
		Aliases: []string{"profile"},
		Short:   "Certificate profiles, as versioned JSON documents",
		Long:    "Look at, check, create and change certificate profiles: JSON documents that say what a certificate may look like.",
		Example: `  trustloom profiles show tls_server --document > my_server.json
  trustloom profiles check my_server.json
  trustloom profiles create my_server --file my_server.json`,
	}, c.profileList(), c.profileShow(), c.profileCreate(), c.profileUpdate(), c.profileCheck(), c.profileTry(), c.profileSchema(), c.profileImport())
}

func (c *cli) profileNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Profile, error] {
		return client.AllProfiles(ctx)
	},
		func(p api.Profile) string { return p.Name })
}

func (c *cli) profileList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the profiles", Long: "List the current versions of the profiles, by name.",
		Example: "  trustloom profiles list",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllProfiles(ctx), table[api.Profile]{
				none:    "There are no profiles.",
				columns: "NAME,VERSION,TYPE,TITLE,NOTE",
				row: func(p api.Profile) []string {
					return []string{p.Name, strconv.Itoa(p.Version), p.Type, p.DisplayName, mark(p.Shipped, "shipped")}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) profileShow() *cobra.Command {
	var number int
	var document bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show a profile with its document",
		Long: "Show a profile with its document; with --document nothing else, to be edited and given back.",
		Example: `  trustloom profiles show tls_server
  trustloom profiles show tls_server --version 1
  trustloom profiles show tls_server --document > my_server.json`,
		Args: named("profile"), ValidArgsFunction: c.profileNames(),
	}
	cmd.Flags().IntVar(&number, "version", 0, "the version to show (default the current one)")
	cmd.Flags().BoolVar(&document, "document", false, "print the document only")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		profile, err := client.FindProfile(ctx, args[0], number)
		if err != nil {
			return err
		}
		text := profile.Document.Clone()
		if err := text.Indent(jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("read the document of profile %s: %w", profile.Name, err)
		}
		if document {
			_, err := fmt.Fprintf(c.out, "%s\n", text)
			return err
		}
		return c.print(profile, func(w io.Writer) {
			details(w, "Name", profile.Name, "Title", profile.DisplayName, "Version", strconv.Itoa(profile.Version), "Type", profile.Type,
				"Created", when(profile.CreatedAt), "Note", mark(profile.Shipped, "came with the server"))
			fmt.Fprintf(w, "\n%s\n", text)
		})
	})
	return cmd
}

func (c *cli) profileCreate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "create NAME --file FILE", Short: "Add a profile",
		Long: "Add a profile. A domain gives it to its devices when its --profiles name it.",
		Example: `  trustloom profiles create my_server --file my_server.json
  trustloom domains set press-shop --profiles domain_credential,tls_server,my_server`,
		Args: named("profile"),
	}
	documentFlag(cmd, &file)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		document, err := c.readProfile(file)
		if err != nil {
			return err
		}
		profile, err := client.CreateProfile(ctx, api.ProfileCreation{Name: args[0], Document: document})
		if err != nil {
			return err
		}
		return c.tell(profile, "profile %s is created, version %d", profile.Name, profile.Version)
	})
	return cmd
}

func (c *cli) profileUpdate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "update NAME --file FILE", Short: "Add a version to a profile",
		Long:    "Add a version to a profile. Certificates keep the version that they were issued under.",
		Example: "  trustloom profiles update my_server --file my_server.json",
		Args:    named("profile"), ValidArgsFunction: c.profileNames(),
	}
	documentFlag(cmd, &file)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		document, err := c.readProfile(file)
		if err != nil {
			return err
		}
		profile, err := client.PutProfile(ctx, args[0], api.ProfileVersion{Document: document})
		if err != nil {
			return err
		}
		return c.tell(profile, "profile %s has version %d now", profile.Name, profile.Version)
	})
	return cmd
}

func documentFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "file", "", "JSON document; - reads standard input (required)")
	_ = cmd.MarkFlagRequired("file")
}

// readProfile reads a document. Whether it is a profile is the server's to
// say; that it is JSON is checked here, where the file's name is known.
func (c *cli) readProfile(file string) (jsontext.Value, error) {
	data, err := c.readInput(file)
	if err != nil {
		return nil, err
	}
	document := jsontext.Value(data)
	if err := document.Compact(); err != nil {
		return nil, fmt.Errorf("%s is not JSON: %w", file, err)
	}
	return document, nil
}
