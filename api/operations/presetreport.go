// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// What one report looks at and names at most.
const (
	maxReported = 10_000 // certificates, and devices
	maxNamed    = 20     // of each
	maxBackdate = 7 * 24 * time.Hour
)

// report collects what a preset does not permit.
type report struct {
	o      *Operations
	preset *policy.Preset
	domain *models.Domain
	out    *api.PresetReport
}

// presetReport says what of a domain its preset does not permit. A cursor goes
// on with the certificates only.
func (o *Operations) presetReport(ctx context.Context, domain *models.Domain, cursor string) (*api.PresetReport, error) {
	preset, err := policy.PresetOf(domain)
	if err != nil {
		return nil, err
	}
	r := &report{o, preset, domain, &api.PresetReport{Preset: preset.Name, Violations: []api.PresetViolation{}}}
	if cursor == "" {
		r.settings()
		for _, step := range []func(context.Context) error{r.profiles, r.issuers, r.devices} {
			if err := step(ctx); err != nil {
				return nil, err
			}
		}
	}
	return r.out, r.certificates(ctx, cursor)
}

func (r *report) add(noun, subject string, f *policy.Finding) {
	if f != nil {
		r.out.Violations = append(r.out.Violations, api.PresetViolation{Noun: noun, Subject: subject, Member: f.Member, Text: f.Text, Remedy: f.Remedy})
	}
}

// settings judges the switches and the approval rule of the domain.
func (r *report) settings() {
	d, name := r.domain, r.domain.Name
	people := policy.PeopleOf(d.Approval.Onboarding)
	for _, m := range admitted(d) {
		if f := r.preset.CheckMethod(m); f != nil {
			f.Remedy = "leave it out of the domain's methods ('trustloom domains set " + name + " --onboarding-methods ...'); until then it is refused all the same"
			r.add("domain", name, f)
		} else {
			r.add("domain", name, r.preset.CheckPeople(m, people))
		}
	}
	if f := r.preset.CheckServerMade(); f != nil && d.Offers(models.OpServerKeyGen) == nil {
		f.Remedy = "switch serverkeygen off ('trustloom domains set " + name + " --operations ...'); until then it is refused all the same"
		r.add("domain", name, f)
	}
	if r.preset.ChannelBinding && !d.Doors().ChannelBinding {
		r.add("domain", name, &policy.Finding{Member: "channel_binding", Text: "the domain does not demand that requests are bound to their connection",
			Remedy: "see that devices bind their requests ('trustloom domains set " + name + " --channel-binding'); others are refused all the same"})
	}
}

// profiles judges the current versions of the domain's profiles.
func (r *report) profiles(ctx context.Context) error {
	for _, name := range r.domain.Profiles {
		row, err := r.o.store.FindProfile(ctx, name)
		if models.KindOf(err) == models.KindNotFound {
			continue
		}
		if err != nil {
			return err
		}
		profile, err := policy.ParseProfile(row.Document)
		if err != nil {
			return err
		}
		for _, f := range r.preset.CheckProfile(profile, r.o.now()) {
			r.add("profile", name, f)
		}
	}
	return nil
}

// issuers judges the issuing CA, those above it, and its CRL.
func (r *report) issuers(ctx context.Context) error {
	chain, err := r.o.store.CAChain(ctx, r.domain.IssuingCAID)
	if err != nil || len(chain) == 0 {
		return err
	}
	for _, f := range issuerFindings(r.preset, chain) {
		r.add("ca", f.ca.Name, f.Finding)
	}
	crl, err := r.o.store.LatestCRL(ctx, chain[0].KeyID)
	if models.KindOf(err) == models.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	r.add("ca", chain[0].Name, r.preset.CheckCRL(crl))
	return nil
}

// count notes what was found about one of many.
func (r *report) count(c *api.PresetCount, noun, subject string, found []*policy.Finding) {
	c.Checked++
	found = slices.DeleteFunc(found, func(f *policy.Finding) bool { return f == nil })
	if len(found) == 0 {
		return
	}
	if c.Members == nil {
		c.Members = map[string]int{}
	}
	for _, f := range found {
		c.Members[f.Member]++
		if c.Violating < maxNamed {
			r.add(noun, subject, f)
		}
	}
	c.Violating++
}

// devices judges those that are armed and not onboarded.
func (r *report) devices(ctx context.Context) error {
	filter := store.DeviceFilter{Page: store.Page{Limit: store.MaxLimit}, DomainID: r.domain.ID, State: models.DeviceRegistered}
	people := policy.PeopleOf(r.domain.Approval.Onboarding)
	for {
		rows, next, err := r.o.store.ListDevices(ctx, filter)
		if err != nil {
			return err
		}
		for i := range rows {
			f := r.preset.CheckStory(policy.Story{Kind: models.KindOnboarding, Device: &rows[i], People: people})
			if f != nil && f.Member == "onboarding_methods" {
				f.Remedy = "arm it for another method ('trustloom devices arm " + rows[i].Name + " --method ...')"
			}
			r.count(&r.out.Devices, "device", rows[i].Name, []*policy.Finding{f})
		}
		if filter.Cursor = next; next == "" || r.out.Devices.Checked >= maxReported {
			return nil
		}
	}
}

// certificates judges the valid ones, from a cursor on.
func (r *report) certificates(ctx context.Context, cursor string) error {
	filter := store.CertificateFilter{
		Page: store.Page{Limit: store.MaxLimit, Cursor: cursor}, DomainID: r.domain.ID, Status: store.StatusValid, Now: r.o.now(),
	}
	for {
		rows, next, err := r.o.store.ListCertificates(ctx, filter)
		if err != nil {
			return err
		}
		for i := range rows {
			found, err := r.certificate(&rows[i])
			if err != nil {
				return err
			}
			r.count(&r.out.Certificates, "certificate", string(rows[i].ID), found)
		}
		if filter.Cursor = next; next == "" || r.out.Certificates.Checked >= maxReported {
			r.out.Certificates.NextCursor = next
			return nil
		}
	}
}

func (r *report) certificate(row *models.Certificate) ([]*policy.Finding, error) {
	certificate, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, models.Errorf(models.KindInternal, "certificate %s cannot be read", row.ID).Because(err)
	}
	algorithm, err := pki.KeyAlgorithmOf(certificate.PublicKey)
	if err != nil {
		algorithm = models.KeyAlgorithm(certificate.PublicKeyAlgorithm.String()) // of an import: no preset permits it
	}
	from := row.NotBefore // or when it was made, if that is a little later: profiles date back
	if made := row.CreatedAt; made.After(from) && made.Sub(from) <= maxBackdate {
		from = made
	}
	found := []*policy.Finding{r.preset.CheckDeviceKey(algorithm), r.preset.CheckLife(row.NotAfter.Sub(from))}
	for _, f := range found {
		if f != nil {
			f.Text = strings.TrimSpace("certificate " + row.Serial + " of " + row.Subject + ": " + f.Text)
			f.Remedy = "it stays valid until " + row.NotAfter.UTC().Format(time.DateOnly) + "; its renewal has to obey"
		}
	}
	return found, nil
}
