// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/base64"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
)

// checked is what 'profiles check -o json' prints.
type checked struct {
	Valid       bool     `json:"valid"`
	Name        string   `json:"name,omitempty"`
	DisplayName string   `json:"display_name,omitempty"`
	Type        string   `json:"type"`
	Summary     []string `json:"summary"`
	Fixed       []string `json:"fixed"`
	Open        []string `json:"open"`
	Closed      []string `json:"closed"`
}

func (c *cli) profileCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Check and explain a profile document without a server",
		Long: `Check a profile document, by the same code that the server has, and say in sentences what
is fixed, what a device may choose, and what is left out or refused. No server is asked. The
exit code is 1 if the document is wrong; what it says names the place in the document.`,
		Example: "  trustloom profiles check my_server.json\n  trustloom profiles show tls_server --document | trustloom profiles check -",
		Args: func(cmd *cobra.Command, args []string) error {
			return one(cmd, args, "one file (- is standard input)")
		},
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := c.readInput(args[0])
			if err != nil {
				return err
			}
			profile, err := policy.ParseProfile(data)
			if err != nil {
				return fmt.Errorf("%s: %s", args[0], plain(err))
			}
			x := profile.Explain()
			out := checked{
				Valid: true, Name: profile.Name(), DisplayName: profile.DisplayName(), Type: profile.Type(),
				Summary: x.Summary, Fixed: x.Fixed, Open: x.Open, Closed: x.Closed,
			}
			return c.print(out, func(w io.Writer) {
				fmt.Fprintf(w, "%s is a valid profile of type %s\n", args[0], profile.Type())
				for _, line := range x.Summary {
					fmt.Fprintln(w, line)
				}
				bullets(w, "Fixed, whatever is asked for:", x.Fixed)
				bullets(w, "For the request to choose:", x.Open)
				bullets(w, "Left out or refused:", x.Closed)
			})
		},
	}
}

// bullets prints a list under a title, if there is anything in it.
func bullets(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, line := range lines {
		fmt.Fprintf(w, "  - %s\n", line)
	}
}

func (c *cli) profileTry() *cobra.Command {
	var in api.ProfileTrial
	var csr, notBefore, notAfter string
	cmd := &cobra.Command{
		Use: "try FILE|NAME --csr CSR", Short: "Show what would be issued for a request, and why",
		Long: `Show what would be issued for a certificate request under a profile: a document in a file
(FILE, - is standard input) or a stored profile (NAME, or its alias in the domain; --stored says
so where there is a file of that name). The server answers with the code that issues, preset of
the domain included, and changes nothing. The exit code is 1 if the request is refused. Without
--device an example device of the domain is taken.`,
		Example: `  trustloom profiles try my_server.json --csr press-01.csr --device press-01
  trustloom profiles try tls_server --csr press-01.csr --domain press-shop
  trustloom profiles try my_server.json --csr press-01.csr --domain press-shop --not-after 2027-01-31T00:00:00Z`,
		Args: func(cmd *cobra.Command, args []string) error {
			return one(cmd, args, "one file (- is standard input), or the name of a profile")
		},
	}
	flags := cmd.Flags()
	stored := flags.Bool("stored", false, "the argument is the name of a stored profile, also if there is such a file")
	flags.StringVar(&csr, "csr", "", "certificate request, PEM, base64 or DER (required)")
	flags.StringVar(&in.Device, "device", "", "for which device")
	flags.StringVar(&in.Domain, "domain", "", "in which domain (default the device's)")
	flags.StringVar(&in.Renews, "renews", "", "id of the certificate that would be renewed")
	flags.StringVar(&notBefore, "not-before", "", "ask for this beginning, as in 2027-01-31T00:00:00Z")
	flags.StringVar(&notAfter, "not-after", "", "ask for this end")
	_ = cmd.MarkFlagRequired("csr")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		if err := c.fillTrial(&in, args[0], *stored, csr, notBefore, notAfter); err != nil {
			return err
		}
		verdict, err := client.TryProfile(ctx, in)
		if err != nil {
			return err
		}
		if err := c.print(verdict, func(w io.Writer) { showVerdict(w, verdict) }); err != nil || verdict.Issued {
			return err
		}
		return fmt.Errorf("nothing would be issued")
	})
	return cmd
}

func (c *cli) fillTrial(in *api.ProfileTrial, argument string, stored bool, csr, notBefore, notAfter string) error {
	for into, text := range map[*time.Time]string{&in.NotBefore: notBefore, &in.NotAfter: notAfter} {
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return usagef("%q is not a time such as 2027-01-31T00:00:00Z", text)
		}
		*into = at
	}
	request, err := c.readInput(csr)
	if err != nil {
		return err
	}
	in.CSR = textOfCSR(request)
	if stored || namesProfile(argument) {
		in.Profile = argument
		return nil
	}
	in.Document, err = c.readProfile(argument)
	return err
}

// namesProfile reports whether an argument can only be the name of a stored
// profile: there is no such file.
func namesProfile(argument string) bool {
	_, err := os.Stat(argument)
	return errors.Is(err, os.ErrNotExist) && models.CheckName("profile", argument) == nil && filepath.Ext(argument) != ".json"
}

func showVerdict(w io.Writer, v *api.ProfileVerdict) {
	if v.Issued {
		details(w, "Subject", v.Subject, "Valid from", when(v.NotBefore), "Valid to", when(v.NotAfter))
		var lines []string
		for _, e := range v.Extensions {
			name, value := e.Name, e.Text
			if name == "" {
				name = e.OID
			}
			if value == "" {
				value = e.Value
			}
			lines = append(lines, name+mark(e.Critical, " (critical)")+": "+value)
		}
		bullets(w, "Extensions:", lines)
	} else {
		fmt.Fprintf(w, "Refused: %s\n", v.Refusal)
	}
	bullets(w, "What differs from the request, and why:", v.Reasons)
	if v.Door != "" {
		fmt.Fprintf(w, "\nAt the moment the device would not be let in: %s\n", v.Door)
	}
}

func (c *cli) profileSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of profile documents",
		Long:    "Print the JSON Schema (draft 2020-12) of profile documents, for editors. No server is asked;\none has the same at /api/v1/schemas/profile.json.",
		Example: "  trustloom profiles schema > profile.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema := jsontext.Value(policy.Schema())
			if err := schema.Indent(jsontext.WithIndent("  ")); err != nil {
				return fmt.Errorf("print the schema: %w", err)
			}
			_, err := fmt.Fprintf(c.out, "%s\n", schema)
			return err
		},
	}
}

func (c *cli) profileImport() *cobra.Command {
	var name string
	var accept, show bool
	cmd := &cobra.Command{
		Use: "import FILE --name NAME", Short: "Take over a profile document of Trustpoint",
		Long: `Convert a certificate profile of Trustpoint and add it under a name. What the document says
and ours cannot is listed, and then nothing is added unless --accept-losses says so. With
--show the converted document is printed and nothing is added.`,
		Example: `  trustloom profiles import opc_ua.trustpoint.json --show
  trustloom profiles import opc_ua.trustpoint.json --name plant_opc_ua --accept-losses`,
		Args: func(cmd *cobra.Command, args []string) error {
			return one(cmd, args, "one file (- is standard input)")
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "name of the new profile")
	flags.BoolVar(&accept, "accept-losses", false, "add it although something is lost")
	flags.BoolVar(&show, "show", false, "print the converted document only")
	cmd.MarkFlagsMutuallyExclusive("name", "show")
	cmd.MarkFlagsOneRequired("name", "show")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		document, err := c.readProfile(args[0])
		if err != nil {
			return err
		}
		converted, err := client.ConvertProfile(ctx, api.ProfileConversion{Format: "trustpoint", Document: document})
		if err != nil {
			return err
		}
		return c.takeOver(ctx, client, converted, name, accept, show)
	})
	return cmd
}

func (c *cli) takeOver(ctx context.Context, client *api.Client, converted *api.ConvertedProfile, name string, accept, show bool) error {
	bullets(c.errs, "Said differently, or true here in any case:", converted.Notes)
	bullets(c.errs, "Lost:", converted.Lost)
	if show {
		text := converted.Document.Clone()
		if err := text.Indent(jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("print the document: %w", err)
		}
		_, err := fmt.Fprintf(c.out, "%s\n", text)
		return err
	}
	if len(converted.Lost) > 0 && !accept {
		return fmt.Errorf("the profile is not added, because something would be lost; --accept-losses adds it")
	}
	profile, err := client.CreateProfile(ctx, api.ProfileCreation{Name: name, Document: converted.Document})
	if err != nil {
		return err
	}
	return c.tell(profile, "profile %s is created, version %d", profile.Name, profile.Version)
}

// textOfCSR returns a request as text: DER becomes base64.
func textOfCSR(request []byte) string {
	if len(request) > 0 && request[0] == 0x30 { // the SEQUENCE that DER begins with
		return base64.StdEncoding.EncodeToString(request)
	}
	return string(request)
}
