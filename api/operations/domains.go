// SPDX-License-Identifier: MIT

package operations

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

const maxProfiles = 100 // of one domain

// ListDomains lists the domains that the caller sees, by name.
func (o *Operations) ListDomains(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.Domain], error) {
	if err := auth.Authorize(who.Principal, auth.ReadDomains); err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	convert := func(d *models.Domain) (api.Domain, error) { return wireDomain(ctx, names, d) }
	if !who.Limited() {
		rows, next, err := o.store.ListDomains(ctx, pageOf(q))
		if err != nil {
			return nil, err
		}
		return wirePage(rows, next, convert)
	}
	visible := map[string]*models.Domain{}
	for _, name := range who.Domains {
		domain, err := o.store.FindDomainByName(ctx, name)
		if err == nil {
			visible[name] = domain
		} else if models.KindOf(err) != models.KindNotFound {
			return nil, err
		}
	}
	some, next, err := sliceNames(slices.Collect(maps.Keys(visible)), q)
	if err != nil {
		return nil, err
	}
	return wirePage(some, next, func(name *string) (api.Domain, error) { return convert(visible[*name]) })
}

// FindDomain returns a domain.
func (o *Operations) FindDomain(ctx context.Context, who Caller, name string) (*api.Domain, error) {
	if err := auth.Authorize(who.Principal, auth.ReadDomains); err != nil {
		return nil, err
	}
	row, err := domainNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	out, err := wireDomain(ctx, newNames(o.store.Queries), row)
	return &out, err
}

// CreateDomain creates a domain; without profiles it has all shipped ones.
func (o *Operations) CreateDomain(ctx context.Context, who Caller, in api.DomainCreation) (*api.Domain, error) {
	if err := auth.Authorize(who.Principal, auth.CreateDomains); err != nil {
		return nil, err
	}
	if err := models.CheckName("domain", in.Name); err != nil {
		return nil, err
	}
	rules, err := parsePolicy(in.Approval)
	if err != nil {
		return nil, err
	}
	row := &models.Domain{
		ID: models.NewID[models.DomainID](), Name: in.Name, Profiles: in.Profiles, Aliases: in.Aliases, Approval: rules, Demo: in.Demo,
	}
	if len(row.Profiles) == 0 {
		row.Profiles = shippedProfiles()
	}
	row.Operations, row.Preset = models.NewDomainDoors(), cmp.Or(in.Preset, policy.PresetIndustrial)
	if _, err := policy.FindPreset(row.Preset); err != nil {
		return nil, err
	}
	if _, err := changeDoors(row, doorsChange{in.Operations, in.OnboardingMethods, in.ChannelBinding, in.CMP}); err != nil {
		return nil, err
	}
	if row.Retention, err = models.ParseRetention(in.Retention); err != nil {
		return nil, err
	}
	err = o.write(ctx, func(tx *store.Tx) error {
		if err := setIssuer(ctx, tx, who, row, in.IssuingCA); err != nil {
			return err
		}
		if err := checkProfiles(ctx, tx, who, row); err != nil {
			return err
		}
		if err := checkRAs(ctx, tx, who, row); err != nil {
			return err
		}
		if err := tx.InsertDomain(row); err != nil {
			return err
		}
		event := who.event("domain.created", "domain", string(row.ID), "name", row.Name, "issuing_ca", in.IssuingCA, "preset", row.Preset, "retention", models.FormatRetention(row.Retention))
		event.DomainID = row.ID
		return tx.Audit(event)
	})
	if err != nil {
		return nil, err
	}
	out, err := wireDomain(ctx, newNames(o.store.Queries), row)
	return &out, err
}

// ChangeDomain changes what is named and leaves the rest. Stories that run
// keep the decision that was taken for them.
func (o *Operations) ChangeDomain(ctx context.Context, who Caller, name string, in api.DomainChange) (*api.Domain, error) {
	if err := auth.Authorize(who.Principal, auth.ChangeDomains); err != nil {
		return nil, err
	}
	var row *models.Domain
	err := o.write(ctx, func(tx *store.Tx) (err error) {
		if row, err = domainNamed(ctx, tx.Queries, who, name); err != nil {
			return err
		}
		before := *row
		changed, err := changeDomain(ctx, tx, who, row, in)
		if err != nil || len(changed) == 0 || in.DryRun {
			return err
		}
		if err := tx.SaveDomain(row); err != nil {
			return err
		}
		event := who.event("domain.changed", "domain", string(row.ID), "name", row.Name, "changed", strings.Join(changed, ", "))
		event.DomainID = row.ID
		if err := presetChanged(tx, &before, row, &event); err != nil {
			return err
		}
		retentionChanged(&before, row, &event)
		return tx.Audit(event)
	})
	if err != nil {
		return nil, err
	}
	out, err := wireDomain(ctx, newNames(o.store.Queries), row)
	if err == nil && (in.Preset != nil || in.DryRun) {
		out.Report, err = o.presetReport(ctx, row, in.Cursor)
	}
	return &out, err
}

// changeDomain applies a change to a row and returns the names of the members
// that it has.
func changeDomain(ctx context.Context, tx *store.Tx, who Caller, row *models.Domain, in api.DomainChange) (changed []string, err error) {
	if in.Preset != nil {
		changed = append(changed, "preset")
		if _, err := policy.FindPreset(*in.Preset); err != nil {
			return nil, err
		}
		row.Preset = *in.Preset
	}
	if in.IssuingCA != nil {
		changed = append(changed, "issuing_ca")
		if err := setIssuer(ctx, tx, who, row, *in.IssuingCA); err != nil {
			return nil, err
		}
	}
	if in.Profiles != nil {
		changed = append(changed, "profiles")
		row.Profiles = *in.Profiles
	}
	if in.Aliases != nil {
		changed = append(changed, "aliases")
		row.Aliases = *in.Aliases
	}
	if in.Profiles != nil || in.Aliases != nil {
		if err := checkProfiles(ctx, tx, who, row); err != nil {
			return nil, err
		}
	}
	if in.Truststores != nil {
		changed = append(changed, "truststores")
		row.Truststores = *in.Truststores
		if err := checkTruststores(ctx, tx, who, row.Truststores); err != nil {
			return nil, err
		}
	}
	if in.Suspended != nil {
		changed = append(changed, "suspended")
		row.Suspended = *in.Suspended
	}
	if in.Retention != nil {
		changed = append(changed, "retention")
		if row.Retention, err = models.ParseRetention(*in.Retention); err != nil {
			return nil, err
		}
	}
	if in.Approval != (api.PolicyChange{}) {
		changed = append(changed, "approval")
	}
	opened, err := changeDoors(row, doorsChange{in.Operations, in.OnboardingMethods, in.ChannelBinding, in.CMP})
	if err != nil {
		return nil, err
	}
	if in.CMP.RATruststore != nil {
		if err := checkRAs(ctx, tx, who, row); err != nil {
			return nil, err
		}
	}
	return append(changed, opened...), changePolicy(&row.Approval, in.Approval)
}

// setIssuer makes an active issuing CA the issuer of a domain's certificates.
func setIssuer(ctx context.Context, tx *store.Tx, who Caller, row *models.Domain, name string) error {
	ca, err := caNamed(ctx, tx.Queries, who, name)
	if err != nil {
		return err
	}
	if ca.Keyless() {
		return models.Errorf(models.KindInvalid, "the key of CA %s is not here, so it cannot issue; a domain needs an issuing CA", ca.Name)
	}
	if ca.Type != models.CAIssuing {
		return models.Errorf(models.KindInvalid, "CA %s is a root; a domain needs an issuing CA", ca.Name)
	}
	if ca.State != models.CAActive {
		return models.Errorf(models.KindConflict, "CA %s is %s and does not issue", ca.Name, ca.State)
	}
	row.IssuingCAID = ca.ID
	return checkIssuers(ctx, tx.Queries, row)
}

func shippedProfiles() []string { return slices.Sorted(maps.Keys(policy.Shipped())) }

func checkProfiles(ctx context.Context, tx *store.Tx, who Caller, row *models.Domain) error {
	profiles := row.Profiles
	if len(profiles) < 1 || len(profiles) > maxProfiles {
		return models.Errorf(models.KindInvalid, "a domain has 1 to %d profiles", maxProfiles)
	}
	for i, name := range profiles {
		if slices.Contains(profiles[:i], name) {
			return models.Errorf(models.KindInvalid, "profile %s is named twice", name)
		}
		if _, err := profileNamed(ctx, tx.Queries, who, name, 0); err != nil {
			return err
		}
	}
	if len(row.Aliases) > maxProfiles {
		return models.Errorf(models.KindInvalid, "a domain has at most %d aliases", maxProfiles)
	}
	for alias, name := range row.Aliases {
		if err := models.CheckName("alias", alias); err != nil {
			return err
		}
		if !slices.Contains(profiles, name) {
			return models.Errorf(models.KindInvalid, "alias %s is for profile %s, which is not one of the domain", alias, name)
		}
	}
	return nil
}

const maxTruststores = 32 // that the devices of one domain should have

// checkTruststores refuses truststores that the caller does not see.
func checkTruststores(ctx context.Context, tx *store.Tx, who Caller, names []string) error {
	if len(names) > maxTruststores {
		return models.Errorf(models.KindInvalid, "a domain names at most %d truststores", maxTruststores)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return models.Errorf(models.KindInvalid, "truststore %s is named twice", name)
		}
		if _, err := truststoreNamed(ctx, tx.Queries, who, name); err != nil {
			return err
		}
	}
	return nil
}

// DomainTruststores returns the truststores that the devices of a domain
// should have, with their certificates.
func (o *Operations) DomainTruststores(ctx context.Context, who Caller, name string) (*api.Page[api.Truststore], error) {
	if err := auth.Authorize(who.Principal, auth.ReadTruststores); err != nil {
		return nil, err
	}
	domain, err := domainNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	return wirePage(domain.Truststores, "", func(name *string) (api.Truststore, error) {
		row, err := o.store.FindTruststore(ctx, *name)
		if err != nil {
			return api.Truststore{}, err
		}
		out, err := o.fullTruststore(ctx, row)
		if err != nil {
			return api.Truststore{}, err
		}
		return *out, nil
	})
}

func wireDomain(ctx context.Context, names *names, d *models.Domain) (api.Domain, error) {
	issuer, err := names.ca(ctx, d.IssuingCAID)
	return api.Domain{
		ID: string(d.ID), Name: d.Name, Preset: cmp.Or(d.Preset, policy.PresetBrownfield), IssuingCA: issuer, Profiles: d.Profiles, Aliases: d.Aliases, Truststores: d.Truststores, Suspended: d.Suspended, Demo: d.Demo,
		Approval: api.ApprovalPolicy{
			Onboarding: wireRule(d.Approval.Onboarding), Enrollment: wireRule(d.Approval.Enrollment), Renewal: wireRule(d.Approval.Renewal),
		},
		Operations: d.Doors().Open, OnboardingMethods: admitted(d), ChannelBinding: d.Doors().ChannelBinding, CMP: wireCMP(d.CMP()),
		Retention: models.FormatRetention(d.Retention),
		CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
	}, err
}
