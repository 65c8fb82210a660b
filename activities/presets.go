// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"slices"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
)

// stillAdmitted repeats, at the moment of issuing, what the domain's preset
// demands of how the request came about: it may have become stricter since. The
// people are those of the rule that the request was decided under.
func stillAdmitted(req *models.Request, facts *Facts) error {
	preset, err := policy.PresetOf(facts.Domain)
	if err != nil {
		return err
	}
	return preset.Denied(facts.Domain, preset.CheckStory(policy.Story{
		Kind: req.Kind, Auth: req.AuthMethod, Device: facts.Device, People: policy.PeopleOf(req.Decision.Approval),
		ServerMade: req.Protocol == models.ProtocolDelivery || req.Protocol == models.ProtocolServerKeyGen || req.Protocol == models.ProtocolCMPKeyGen,
	}))
}

// noteShortened adds to the reasons of a decision that the preset ends the
// certificate early.
func noteShortened(req *models.Request, draft *policy.Draft) {
	if draft.Shortened != "" && !slices.Contains(req.Decision.Reasons, draft.Shortened) {
		req.Decision.Reasons = append(slices.Clip(req.Decision.Reasons), draft.Shortened)
	}
}

// validity is how long a CRL of ca lasts: as configured, or as short as the
// presets of the domains demand that the CA issues for.
func (p *Publication) validity(ctx context.Context, ca *models.CA) (time.Duration, error) {
	presets, err := p.cfg.Store.PresetsOfIssuer(ctx, ca.ID)
	if err != nil {
		return 0, err
	}
	return policy.CRLLimit(presets, p.cfg.CRLValidity)
}
