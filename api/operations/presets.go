// SPDX-License-Identifier: MIT

package operations

import (
	"cmp"
	"context"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// ListPresets lists the presets, the most permissive first. There is one page.
func (o *Operations) ListPresets(_ context.Context, who Caller) (*api.Page[api.Preset], error) {
	if err := auth.Authorize(who.Principal, auth.ReadPresets); err != nil {
		return nil, err
	}
	all, err := policy.Presets()
	if err != nil {
		return nil, err
	}
	return wirePage(all, "", func(p **policy.Preset) (api.Preset, error) { return wirePreset(*p), nil })
}

// FindPreset returns a preset with its document and what it demands.
func (o *Operations) FindPreset(_ context.Context, who Caller, name string) (*api.Preset, error) {
	if err := auth.Authorize(who.Principal, auth.ReadPresets); err != nil {
		return nil, err
	}
	p, err := policy.FindPreset(name)
	if models.KindOf(err) == models.KindInvalid {
		return nil, absent("preset", name)
	}
	if err != nil {
		return nil, err
	}
	out := wirePreset(p)
	out.Explanation, out.Document = p.Explain(), p.Document()
	return &out, nil
}

func wirePreset(p *policy.Preset) api.Preset {
	return api.Preset{Name: p.Name, DisplayName: p.DisplayName, Description: p.Description, Default: p.Name == policy.PresetIndustrial}
}

// checkIssuers refuses a CA that the preset of a domain does not let issue for
// it, or one below CAs that it does not permit.
func checkIssuers(ctx context.Context, q reader, row *models.Domain) error {
	preset, err := policy.PresetOf(row)
	if err != nil {
		return err
	}
	chain, err := q.CAChain(ctx, row.IssuingCAID)
	if err != nil {
		return err
	}
	for _, f := range issuerFindings(preset, chain) {
		return models.Errorf(models.KindConflict, "%s", models.PublicText(preset.Denied(row, f.Finding)))
	}
	return nil
}

// aboutCA is a finding about a CA.
type aboutCA struct {
	ca *models.CA
	*policy.Finding
}

// issuerFindings judges an issuing CA and those above it.
func issuerFindings(preset *policy.Preset, chain []*models.CA) (found []aboutCA) {
	for i, ca := range chain {
		f := preset.CheckAncestor(ca)
		if i == 0 {
			f = preset.CheckIssuer(ca)
		}
		if f != nil {
			found = append(found, aboutCA{ca, f})
		}
	}
	return found
}

// presetChanged notes old and new preset in the event of a change, and
// promises a CRL that lasts as long as the preset says.
func presetChanged(tx *store.Tx, before, after *models.Domain, event *models.Event) error {
	if before.Preset == after.Preset && before.IssuingCAID == after.IssuingCAID {
		return nil
	}
	preset, err := policy.PresetOf(after)
	if err != nil {
		return err
	}
	if before.Preset != after.Preset {
		event.Details["preset_before"], event.Details["preset"] = cmp.Or(before.Preset, policy.PresetBrownfield), after.Preset
	}
	if preset.CRLLongest == 0 {
		return nil
	}
	return tx.Promise(models.OutboxItem{Action: models.OutboxPublish, SubjectID: string(after.IssuingCAID)})
}
