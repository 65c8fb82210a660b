// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"slices"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

// CSRAttrs returns what a request for the profile of the label should contain
// (RFC 7030 §4.5, RFC 9908), and whether it must be bound to its connection.
// Everybody may ask; a device that shows a certificate of ours is also told
// what is about itself.
func (e *EST) CSRAttrs(ctx context.Context, label est.Label, peer est.Peer) (pki.CSRAttrs, error) {
	domain, err := e.door.domain(ctx, label.Domain)
	if err != nil {
		return pki.CSRAttrs{}, err
	}
	if err := domain.Offers(models.OpCSRAttrs); err != nil {
		return pki.CSRAttrs{}, err
	}
	name := label.Profile
	if name == "" {
		name = defaultProfile
	}
	name = domain.ProfileNamed(name)
	if !slices.Contains(domain.Profiles, name) {
		return pki.CSRAttrs{}, models.Errorf(models.KindNotFound, "profile %s is not one of domain %s", name, domain.Name)
	}
	row, err := e.door.cfg.Store.FindProfile(ctx, name)
	if err != nil {
		return pki.CSRAttrs{}, err
	}
	profile, err := e.door.profiles.Parse(row)
	if err != nil {
		return pki.CSRAttrs{}, err
	}
	who := policy.Subject{Domain: *domain}
	// A certificate that is no proof is none: this is not the place to refuse it.
	if known, err := e.door.predecessor(ctx, domain, peer.Certificates, nil); err == nil {
		who.Device = *known.Device
	}
	wanted := profile.Wanted(who)
	wanted.ChallengePassword = policy.DemandsBinding(domain)
	return wanted, nil
}
