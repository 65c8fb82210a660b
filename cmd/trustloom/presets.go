// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"context"
	"encoding/json/jsontext"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models/policy"
)

func (c *cli) presets() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "presets",
		Aliases: []string{"preset"},
		Short:   "Security presets: named limits to what a domain does",
		Long: `Look at the security presets: five documents that limit keys, validity, CAs and onboarding.
Each domain has one. It holds at every issuance, whatever profiles and switches say.`,
		Example: `  trustloom presets list
  trustloom presets show hardened
  trustloom domains check press-shop --preset hardened
  trustloom domains set press-shop --preset hardened`,
	}, c.presetList(), c.presetShow())
}

func (c *cli) presetList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the presets", Long: "List the presets, the most permissive first.",
		Example: "  trustloom presets list",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			page, err := client.ListPresets(ctx)
			if err != nil {
				return err
			}
			return c.print(page, func(w io.Writer) {
				for _, p := range page.Items {
					details(w, p.Name, p.Description)
				}
			})
		}),
	}
}

func (c *cli) presetShow() *cobra.Command {
	var document bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show what a preset demands",
		Long: "Show what a preset demands, in sentences; with --document the JSON that says so.",
		Example: `  trustloom presets show critical
  trustloom presets show critical --document`,
		Args: named("preset"), ValidArgs: policy.PresetNames,
	}
	cmd.Flags().BoolVar(&document, "document", false, "print the document only")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		preset, err := client.FindPreset(ctx, args[0])
		if err != nil {
			return err
		}
		if document {
			text := preset.Document.Clone()
			if err := text.Indent(jsontext.WithIndent("  ")); err != nil {
				return fmt.Errorf("read the document of preset %s: %w", preset.Name, err)
			}
			_, err := fmt.Fprintf(c.out, "%s\n", text)
			return err
		}
		return c.print(preset, func(w io.Writer) {
			fmt.Fprintln(w, preset.DisplayName+mark(preset.Default, " (new domains have it)"))
			for _, sentence := range preset.Explanation {
				fmt.Fprintln(w, "- "+printable(sentence))
			}
		})
	})
	return cmd
}

func (c *cli) domainCheck() *cobra.Command {
	var preset string
	cmd := &cobra.Command{
		Use: "check NAME", Short: "Say what of a domain a preset does not permit",
		Long: `Look at a domain's settings, profiles, issuing CA, devices that wait for their onboarding
and valid certificates, and say what a preset does not permit: its own, or another that it might
get. Nothing is changed. The exit code is 1 if there is something.`,
		Example: `  trustloom domains check press-shop
  trustloom domains check press-shop --preset hardened`,
		Args: named("domain"), ValidArgsFunction: c.domainNames(),
	}
	presetFlag(cmd, &preset, "the preset to check against (default the domain's)")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		change := api.DomainChange{DryRun: true}
		if preset != "" {
			change.Preset = &preset
		}
		report, err := wholeReport(ctx, client, args[0], change)
		if err != nil {
			return err
		}
		if err := c.print(report, func(w io.Writer) { showReport(w, args[0], report) }); err != nil || len(report.Violations) == 0 {
			return err
		}
		return fmt.Errorf("domain %s does not meet preset %s", args[0], report.Preset)
	})
	return cmd
}

func presetFlag(cmd *cobra.Command, preset *string, usage string) {
	cmd.Flags().StringVar(preset, "preset", "", usage+": "+strings.Join(policy.PresetNames, ", "))
	_ = cmd.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions(policy.PresetNames, cobra.ShellCompDirectiveNoFileComp))
}

// wholeReport follows the cursor of a dry run through all certificates.
func wholeReport(ctx context.Context, client *api.Client, domain string, change api.DomainChange) (*api.PresetReport, error) {
	answer, err := client.ChangeDomain(ctx, domain, change)
	if err != nil {
		return nil, err
	}
	whole := answer.Report
	for whole.Certificates.NextCursor != "" {
		change.Cursor = whole.Certificates.NextCursor
		if answer, err = client.ChangeDomain(ctx, domain, change); err != nil {
			return nil, err
		}
		more := answer.Report.Certificates
		whole.Certificates.Checked += more.Checked
		whole.Certificates.NextCursor = more.NextCursor
		if whole.Certificates.Violating == 0 { // or the first ones are there already
			whole.Violations = append(whole.Violations, answer.Report.Violations...)
		}
		whole.Certificates.Violating += more.Violating
		for member, n := range more.Members {
			if whole.Certificates.Members == nil {
				whole.Certificates.Members = map[string]int{}
			}
			whole.Certificates.Members[member] += n
		}
	}
	return whole, nil
}

func showReport(w io.Writer, domain string, r *api.PresetReport) {
	if len(r.Violations) == 0 {
		fmt.Fprintf(w, "Domain %s meets preset %s: nothing speaks against it.\n", domain, r.Preset)
	} else {
		fmt.Fprintf(w, "Preset %s does not permit this of domain %s. What exists stays as it is; what is issued from now on obeys.\n", r.Preset, domain)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "- %s %s: %s (%s)\n  %s\n", v.Noun, printable(v.Subject), printable(v.Text), v.Member, printable(v.Remedy))
	}
	showCount(w, "devices that wait for their onboarding", r.Devices)
	showCount(w, "valid certificates", r.Certificates)
}

func showCount(w io.Writer, what string, n api.PresetCount) {
	var members []string
	for _, member := range slices.Sorted(maps.Keys(n.Members)) {
		members = append(members, fmt.Sprintf("%s %d", member, n.Members[member]))
	}
	rest := cmp.Or(strings.Join(members, ", "), "none")
	if n.NextCursor != "" {
		rest += "; there are more, 'trustloom domains check' looks at all"
	}
	fmt.Fprintf(w, "Of %d %s, %d do not meet it: %s.\n", n.Checked, what, n.Violating, rest)
}
