// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func (c *cli) domains() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "domains",
		Aliases: []string{"domain"},
		Short:   "Domains: one issuing CA, profiles and approval rules each",
		Long:    "Create, look at and change domains: areas of trust with one issuing CA, their profiles, and what waits for people.",
		Example: `  trustloom domains create press-shop --issuing-ca plant-issuing
  trustloom domains set press-shop --approval-onboarding operator:1,security:2 --deadline 72h
  trustloom domains set press-shop --no-approval`,
	}, c.domainList(), c.domainShow(), c.domainCreate(), c.domainSet(), c.domainCheck())
}

func (c *cli) domainNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Domain, error] {
		return client.AllDomains(ctx)
	},
		func(d api.Domain) string { return d.Name })
}

func (c *cli) domainList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the domains", Long: "List the domains, by name.",
		Example: "  trustloom domains list",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllDomains(ctx), table[api.Domain]{
				none:    "There are no domains. 'trustloom domains create' makes one.",
				columns: "NAME,ISSUING CA,STATE,PRESET,WAITS FOR PEOPLE,NOTE",
				row: func(d api.Domain) []string {
					return []string{d.Name, d.IssuingCA, domainState(&d), d.Preset, waits(d.Approval), mark(d.Demo, "demo")}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func domainState(d *api.Domain) string {
	if d.Suspended {
		return "suspended"
	}
	return "open"
}

// waits names the stories that wait for people.
func waits(p api.ApprovalPolicy) string {
	var names []string
	for _, s := range stories(p) {
		if s.rule != nil {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, ", ")
}

type story struct {
	name string
	rule *api.ApprovalRule
}

func stories(p api.ApprovalPolicy) []story {
	return []story{{"onboarding", p.Onboarding}, {"enrollment", p.Enrollment}, {"renewal", p.Renewal}}
}

func (c *cli) domainShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a domain", Long: "Show a domain, with its profiles and approval rules.",
		Example: "  trustloom domains show press-shop",
		Args:    named("domain"), ValidArgsFunction: c.domainNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			domain, err := client.FindDomain(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(domain, func(w io.Writer) { showDomain(w, domain) })
		}),
	}
}

func showDomain(w io.Writer, d *api.Domain) {
	pairs := []string{"Name", d.Name, "Issuing CA", d.IssuingCA, "State", domainState(d), "Preset", d.Preset, "Profiles", strings.Join(d.Profiles, ", "), "Aliases", aliases(d.Aliases), "Truststores", strings.Join(d.Truststores, ", ")}
	for _, s := range stories(d.Approval) {
		pairs = append(pairs, strings.ToUpper(s.name[:1])+s.name[1:], describeRule(s.rule))
	}
	pairs = append(pairs, "Operations", words(d.Operations), "Onboarding methods", words(d.OnboardingMethods), "Channel binding", demanded(d.ChannelBinding), "CMP", describeCMP(d.CMP))
	pairs = append(pairs, "Expired certificates", retention(d.Retention))
	details(w, append(pairs, "Note", mark(d.Demo, "for trying things out, not for production"))...)
}

// aliases prints further names of profiles, as they are given.
func aliases(m map[string]string) string {
	var pairs []string
	for _, alias := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, alias+"="+m[alias])
	}
	return strings.Join(pairs, ", ")
}

func describeRule(r *api.ApprovalRule) string {
	if r == nil {
		return "at once"
	}
	return fmt.Sprintf("waits for %s within %s; reminder after %s, escalation after %s", writeSteps(r.Steps), r.Deadline, r.RemindAfter, r.EscalateAfter)
}

// writeSteps is the inverse of parseSteps.
func writeSteps(steps []api.ApprovalStep) string {
	parts := make([]string, len(steps))
	for i, s := range steps {
		parts[i] = fmt.Sprintf("%s:%d", s.Name, s.Quorum)
	}
	return strings.Join(parts, ",")
}

// parseSteps reads the steps of an approval in order, each a name and how many
// different people must approve it: "operator:1,security:2"; 1 may be left out.
func parseSteps(s string) ([]api.ApprovalStep, error) {
	var steps []api.ApprovalStep
	for part := range strings.SplitSeq(s, ",") {
		name, count, given := strings.Cut(strings.TrimSpace(part), ":")
		quorum := 1
		if given {
			var err error
			if quorum, err = strconv.Atoi(count); err != nil || quorum < 1 {
				return nil, usagef("approval step %q: how many people must approve is a number, as in security:2", part)
			}
		}
		if name == "" {
			return nil, usagef("approval %q: write each step as NAME:PEOPLE, as in operator:1,security:2", s)
		}
		steps = append(steps, api.ApprovalStep{Name: name, Quorum: quorum})
	}
	return steps, nil
}

func (c *cli) domainCreate() *cobra.Command {
	var in api.DomainCreation
	var rules ruleFlags
	var doors doorFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a domain",
		Long: `Create a domain below an issuing CA. Without --profiles its devices may ask for every
shipped profile; without an --approval flag nothing waits for people; without --operations
everything is open but serverkeygen, which makes keys on the server.`,
		Example: `  trustloom domains create press-shop --issuing-ca plant-issuing
  trustloom domains create paint-shop --issuing-ca plant-issuing --profiles domain_credential,tls_server
  trustloom domains create vault --issuing-ca plant-issuing --approval-onboarding operator:1,security:2 --deadline 72h`,
		Args: named("domain"),
	}
	cmd.Flags().StringVar(&in.IssuingCA, "issuing-ca", "", "name of the issuing CA (required)")
	cmd.Flags().StringSliceVar(&in.Profiles, "profiles", nil, "what its devices may ask for (default every shipped profile)")
	cmd.Flags().StringToStringVar(&in.Aliases, "alias", nil, "a further name for one of them, ALIAS=PROFILE")
	presetFlag(cmd, &in.Preset, "what limits it (default industrial)")
	retentionFlag(cmd, &in.Retention)
	cmd.Flags().BoolVar(&in.Demo, "demo", false, "mark it as made for trying things out")
	rules.bind(cmd)
	doors.bind(cmd)
	_ = cmd.MarkFlagRequired("issuing-ca")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		change, err := rules.change()
		if err != nil {
			return err
		}
		in.Name = args[0]
		in.Operations, in.OnboardingMethods, in.ChannelBinding = doors.change(cmd)
		in.CMP = doors.changeCMP(cmd)
		in.Approval = api.ApprovalPolicy{Onboarding: change.Onboarding.Rule, Enrollment: change.Enrollment.Rule, Renewal: change.Renewal.Rule}
		domain, err := client.CreateDomain(ctx, in)
		if err != nil {
			return err
		}
		return c.tell(domain, "domain %s is created, certificates from %s", domain.Name, domain.IssuingCA)
	})
	return cmd
}

// domainFlags are what 'domains set' may change.
type domainFlags struct {
	aliases                     map[string]string
	noAlias                     bool
	rules                       ruleFlags
	issuingCA                   string
	profiles, truststores       []string
	noApproval, suspend, resume bool
	doors                       doorFlags
	preset, retention           string
}

func (c *cli) domainSet() *cobra.Command {
	var f domainFlags
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Change a domain",
		Long: `Change what is named and leave the rest. Requests that wait already keep the rule that
they were received under. An approval has steps, in order; each needs so many different
people. Nobody counts twice for one request.`,
		Example: `  trustloom domains set press-shop --approval-onboarding operator:1,security:2 --deadline 72h
  trustloom domains set press-shop --no-approval
  trustloom domains set press-shop --suspend
  trustloom domains set press-shop --truststores plant-servers,acme-devices
  trustloom domains set press-shop --profiles domain_credential,tls_server,opc_ua
  trustloom domains set press-shop --operations simpleenroll,simplereenroll,csrattrs --onboarding-methods est-idevid
  trustloom domains set press-shop --channel-binding
  trustloom domains set press-shop --cmp-explicit-confirm --cmp-confirm-wait 2m
  trustloom domains set press-shop --preset hardened
  trustloom domains set press-shop --retention 1y`,
		Args: named("domain"), ValidArgsFunction: c.domainNames(),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.issuingCA, "issuing-ca", "", "issue from this CA from now on")
	flags.StringSliceVar(&f.profiles, "profiles", nil, "what its devices may ask for, all of it")
	flags.StringSliceVar(&f.truststores, "truststores", nil, "truststores that its devices should have, all of them; '' for none")
	flags.StringToStringVar(&f.aliases, "alias", nil, "a further name for one of them, ALIAS=PROFILE; give all of them")
	flags.BoolVar(&f.noAlias, "no-alias", false, "profiles have their own names only")
	cmd.MarkFlagsMutuallyExclusive("alias", "no-alias")
	flags.BoolVar(&f.noApproval, "no-approval", false, "nothing waits for people any more")
	flags.BoolVar(&f.suspend, "suspend", false, "refuse every issuance")
	flags.BoolVar(&f.resume, "resume", false, "issue again")
	presetFlag(cmd, &f.preset, "limit it by this preset from now on")
	retentionFlag(cmd, &f.retention)
	f.rules.bind(cmd)
	f.doors.bind(cmd)
	cmd.MarkFlagsMutuallyExclusive("suspend", "resume")
	for _, rule := range []string{"approval-onboarding", "approval-enrollment", "approval-renewal"} {
		cmd.MarkFlagsMutuallyExclusive("no-approval", rule)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := f.change(cmd)
		if err != nil {
			return err
		}
		return c.on(func(ctx context.Context, client *api.Client, args []string) error {
			domain, err := client.ChangeDomain(ctx, args[0], change)
			if err != nil {
				return err
			}
			return c.print(domain, func(w io.Writer) {
				showDomain(w, domain)
				if domain.Report != nil {
					fmt.Fprintln(w)
					showReport(w, domain.Name, domain.Report)
				}
			})
		})(cmd, args)
	}
	return cmd
}

func (f *domainFlags) change(cmd *cobra.Command) (change api.DomainChange, err error) {
	if change.Approval, err = f.rules.change(); err != nil {
		return change, err
	}
	if f.noApproval {
		none := api.SetRule(nil)
		change.Approval = api.PolicyChange{Onboarding: none, Enrollment: none, Renewal: none}
	}
	if cmd.Flags().Changed("issuing-ca") {
		change.IssuingCA = &f.issuingCA
	}
	if cmd.Flags().Changed("profiles") {
		change.Profiles = &f.profiles
	}
	if cmd.Flags().Changed("alias") || f.noAlias {
		change.Aliases = &f.aliases
	}
	if cmd.Flags().Changed("truststores") {
		change.Truststores = &f.truststores
	}
	if cmd.Flags().Changed("preset") {
		change.Preset = &f.preset
	}
	if cmd.Flags().Changed("retention") {
		change.Retention = &f.retention
	}
	if f.suspend || f.resume {
		change.Suspended = &f.suspend
	}
	change.Operations, change.OnboardingMethods, change.ChannelBinding = f.doors.change(cmd)
	change.CMP = f.doors.changeCMP(cmd)
	if change == (api.DomainChange{}) {
		return change, usagef("nothing to change is given")
	}
	return change, nil
}

// ruleFlags are the flags that make approval rules.
type ruleFlags struct {
	onboarding, enrollment, renewal      string
	deadline, remindAfter, escalateAfter models.Duration
}

func (f *ruleFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.onboarding, "approval-onboarding", "", "who must approve a first identity, as in operator:1,security:2")
	flags.StringVar(&f.enrollment, "approval-enrollment", "", "who must approve an application certificate")
	flags.StringVar(&f.renewal, "approval-renewal", "", "who must approve a renewal")
	flags.Var(duration{&f.deadline}, "deadline", "when such a request expires (default 14d)")
	flags.Var(duration{&f.remindAfter}, "remind-after", "when people are reminded (default half the deadline)")
	flags.Var(duration{&f.escalateAfter}, "escalate-after", "when it is escalated (default three quarters of the deadline)")
}

// change returns the rules that are given; the others stay.
func (f *ruleFlags) change() (change api.PolicyChange, err error) {
	if change.Onboarding, err = f.rule(f.onboarding); err != nil {
		return change, err
	}
	if change.Enrollment, err = f.rule(f.enrollment); err != nil {
		return change, err
	}
	if change.Renewal, err = f.rule(f.renewal); err != nil {
		return change, err
	}
	if change == (api.PolicyChange{}) && (f.deadline != 0 || f.remindAfter != 0 || f.escalateAfter != 0) {
		return change, usagef("--deadline, --remind-after and --escalate-after belong to an --approval flag, such as --approval-onboarding operator:1")
	}
	return change, nil
}

func (f *ruleFlags) rule(steps string) (api.RuleChange, error) {
	if steps == "" {
		return api.RuleChange{}, nil
	}
	parsed, err := parseSteps(steps)
	if err != nil {
		return api.RuleChange{}, err
	}
	return api.SetRule(&api.ApprovalRule{Steps: parsed, Deadline: f.deadline, RemindAfter: f.remindAfter, EscalateAfter: f.escalateAfter}), nil
}
