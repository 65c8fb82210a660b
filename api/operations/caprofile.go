// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// underProfile gives a new CA the current version of the profile that is asked
// for, and tries it out with a key that stands in for the CA's, so that what
// the profile or the issuer refuses leaves nothing behind. The row gets the
// subject that the certificate will have. It returns what the profile changed.
func (o *Operations) underProfile(ctx context.Context, who Caller, row *models.CA, in api.CACreation) (changed []string, err error) {
	if in.Profile == "" {
		return nil, nil
	}
	stored, err := profileNamed(ctx, o.store.Queries, who, in.Profile, 0)
	if err != nil {
		return nil, err
	}
	row.ProfileName, row.ProfileVersion = stored.Name, stored.Version
	c := policy.AuthorityCase{CA: row, PublicURL: o.publicURL, Now: o.now()}
	if c.Profile, err = policy.ParseProfile(stored.Document); err != nil {
		return nil, fmt.Errorf("parse stored profile %s version %d: %w", stored.Name, stored.Version, err)
	}
	if err := c.Profile.CheckAuthority(row.Key.Algorithm); err != nil {
		return nil, err
	}
	if in.Issuer != "" {
		if c.Above, err = caNamed(ctx, o.store.Queries, who, in.Issuer); err != nil {
			return nil, err
		}
		if c.Above.State != models.CAActive || c.Above.Keyless() {
			return nil, nil // refused when the CA is placed
		}
		if c.Issuer, err = x509.ParseCertificate(c.Above.CertificateDER); err != nil {
			return nil, fmt.Errorf("parse certificate of CA %s: %w", c.Above.Name, err)
		}
		if c.Path, err = o.pathAbove(ctx, c.Above); err != nil {
			return nil, err
		}
	}
	if c.Public, err = policy.StandIn(row.Key.Algorithm); err != nil {
		return nil, err
	}
	draft, err := policy.NewAuthorityDraft(o.builder, c)
	if err != nil {
		return nil, err
	}
	row.Subject = nameOf(draft.Template.Subject)
	return draft.Reasons, nil
}

// pathAbove returns the certificates of the CAs above one, the nearest first.
func (o *Operations) pathAbove(ctx context.Context, ca *models.CA) ([]*x509.Certificate, error) {
	chain, err := o.store.CAChain(ctx, ca.ID)
	if err != nil {
		return nil, err
	}
	return policy.PathAbove(chain)
}

// noteProfile adds to an event under which profile a CA is made.
func noteProfile(e *models.Event, row *models.CA, changed []string) {
	if row.ProfileName == "" {
		return
	}
	e.Details["profile"], e.Details["profile_version"] = row.ProfileName, fmt.Sprint(row.ProfileVersion)
	if len(changed) > 0 {
		e.Details["changed"] = strings.Join(changed, "; ")
	}
}

// answersProfile refuses a certificate for an external CA that does not say
// what its request asked for, or lasts longer or shorter than its profile
// permits.
func (o *Operations) answersProfile(ctx context.Context, tx *store.Tx, ca *models.CA, certificate *x509.Certificate) error {
	if ca.ProfileName == "" {
		return nil
	}
	if err := pki.CheckAsked(ca.CSR, certificate); err != nil {
		return err
	}
	stored, err := tx.FindProfileVersion(ctx, ca.ProfileName, ca.ProfileVersion)
	if err != nil {
		return err
	}
	profile, err := policy.ParseProfile(stored.Document)
	if err != nil {
		return fmt.Errorf("parse stored profile %s version %d: %w", stored.Name, stored.Version, err)
	}
	return profile.CheckValidity(o.now(), certificate.NotBefore, certificate.NotAfter)
}
