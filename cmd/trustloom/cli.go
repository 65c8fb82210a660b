// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// cli is one run of the program: what the flags that every command has say,
// and where its words go.
type cli struct {
	out, errs io.Writer
	in        io.Reader
	getenv    func(string) string

	url, ca, tokenFile string
	output             string
	started            bool // the command line was understood; what fails from here on is no usage error
}

// The ways to print, as --output names them.
const (
	outputTable = "table"
	outputJSON  = "json"
)

func (c *cli) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trustloom",
		Short: "Operate a Trustloom server: CAs, domains, devices, approvals, certificates",
		Long: `trustloom operates a Trustloom server over its REST API.

It finds the server by --url, --ca and --token-file; or by the environment variables
TRUSTLOOM_URL, TRUSTLOOM_CA and TRUSTLOOM_TOKEN_FILE; or in the folder ./data that
'trustloomd serve' keeps in the folder it runs in, at https://127.0.0.1:8443.

Tables are for people; -o json prints what the API answers, for scripts. The exit code
is 0 if all went well, 1 if something did not, 2 if the command line is wrong.`,
		Example: `  trustloom pki init                                       # a root, an issuing CA and a domain to try things out
  trustloom devices register press-01 --domain press-shop  # a device, and its one-time secret
  trustloom devices help press-01                          # what to type on the device
  trustloom approvals list --state pending                 # what waits for people`,
		Version: version, SilenceUsage: true, SilenceErrors: true, SuggestionsMinimumDistance: 2,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.start(cmd) },
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&c.url, "url", "", "the server (TRUSTLOOM_URL; default "+defaultURL+")")
	flags.StringVar(&c.ca, "ca", "", "PEM file of the CA of the server's TLS certificate (TRUSTLOOM_CA; default "+defaultCA+" if it is there)")
	flags.StringVar(&c.tokenFile, "token-file", "", "file with the bearer token (TRUSTLOOM_TOKEN_FILE; default "+defaultTokenFile+")")
	flags.StringVarP(&c.output, "output", "o", outputTable, "table, or json")
	cmd.SetOut(c.out)
	cmd.SetErr(c.errs)
	cmd.AddGroup(&cobra.Group{ID: "trust", Title: "Trust:"}, &cobra.Group{ID: "devices", Title: "Devices:"}, &cobra.Group{ID: "access", Title: "People:"})
	cmd.AddCommand(grouped("trust", c.pki(), c.cas(), c.domains(), c.presets(), c.profiles(), c.truststores(), c.blocklists())...)
	cmd.AddCommand(grouped("devices", c.registrations(), c.devices(), c.deliveries(), c.requests(), c.certificates(), c.cmp())...)
	cmd.AddCommand(grouped("access", c.approvals(), c.operators(), c.tokens(), c.login(), c.logout(), c.whoami(), c.audit())...)
	cmd.AddCommand(c.version())
	return cmd
}

func grouped(group string, commands ...*cobra.Command) []*cobra.Command {
	for _, cmd := range commands {
		cmd.GroupID = group
	}
	return commands
}

// start ends the reading of the command line.
func (c *cli) start(cmd *cobra.Command) error {
	if c.output != outputTable && c.output != outputJSON {
		return fmt.Errorf("--output %q is neither table nor json", c.output)
	}
	if err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
		return err
	}
	c.started = true
	return nil
}

// call is what a command does with the server.
type call func(ctx context.Context, client *api.Client, args []string) error

// on makes a command out of a call.
func (c *cli) on(do call) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := c.connect()
		if err != nil {
			return err
		}
		return do(cmd.Context(), client, args)
	}
}

// noun is a command that only has others below it.
func noun(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.DisableFlagsInUseLine = true
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("%s", text)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(commands...)
	return cmd
}

// named demands one argument, the name of something.
func named(noun string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := one(cmd, args, "the name of a "+noun); err != nil {
			return err
		}
		return models.CheckName(noun, args[0])
	}
}

// identified demands one argument, the ID of something.
func identified(noun, plural string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := one(cmd, args, "the ID of "+noun); err != nil {
			return err
		}
		if !models.IsID(args[0]) {
			return fmt.Errorf("%q is not the ID of %s; 'trustloom %s list' shows them", args[0], noun, plural)
		}
		return nil
	}
}

func one(cmd *cobra.Command, args []string, what string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("%s needs %s, and nothing else: %s", cmd.CommandPath(), what, cmd.UseLine())
}
