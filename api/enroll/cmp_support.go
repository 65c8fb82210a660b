// SPDX-License-Identifier: MIT

package enroll

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
)

// supporting finds the domain of a label that answers support messages.
func (c *CMP) supporting(ctx context.Context, label cmp.Label) (*models.Domain, error) {
	domain, err := c.domain(ctx, label)
	if err != nil {
		return nil, err
	}
	return domain, cmp.WithFailInfo(domain.Offers(models.OpCMPSupport), cmp.FailNotAuthorized)
}

// authorities returns the CAs of the domain of a label that answers support
// messages, from the issuing one up to the root.
func (c *CMP) authorities(ctx context.Context, label cmp.Label) (chain, error) {
	domain, err := c.supporting(ctx, label)
	if err != nil {
		return chain{}, err
	}
	return c.door.chain(ctx, domain.IssuingCAID)
}

// CACerts returns the issuing CA of the domain and its chain up to the root
// (RFC 9483 §4.3.1).
func (c *CMP) CACerts(ctx context.Context, label cmp.Label) ([]*x509.Certificate, error) {
	above, err := c.authorities(ctx, label)
	return above.certs, err
}

// RootUpdate returns what replaces a root (RFC 9483 §4.3.2): nothing for the
// one that the domain has. Another one is answered with that.
func (c *CMP) RootUpdate(ctx context.Context, label cmp.Label, old *x509.Certificate) (*cmp.RootUpdate, error) {
	above, err := c.authorities(ctx, label)
	if err != nil {
		return nil, err
	}
	root := above.certs[len(above.certs)-1]
	if old != nil && (bytes.Equal(root.Raw, old.Raw) || !bytes.Equal(root.RawSubject, old.RawSubject)) {
		return nil, nil
	}
	return &cmp.RootUpdate{NewWithNew: root}, nil
}

// Template returns what a request for the profile of the label should contain
// (RFC 9483 §4.3.3), as EST says by csrattrs.
func (c *CMP) Template(ctx context.Context, label cmp.Label) (*cmp.CertTemplateAdvice, error) {
	domain, err := c.supporting(ctx, label)
	if err != nil {
		return nil, err
	}
	name := label.Profile
	if name == "" {
		name = defaultProfile
	}
	name = domain.ProfileNamed(name)
	if !slices.Contains(domain.Profiles, name) {
		return nil, models.Errorf(models.KindNotFound, "profile %s is not one of domain %s", name, domain.Name)
	}
	row, err := c.door.cfg.Store.FindProfile(ctx, name)
	if err != nil {
		return nil, err
	}
	profile, err := c.door.profiles.Parse(row)
	if err != nil {
		return nil, err
	}
	wanted := profile.Wanted(policy.Subject{Domain: *domain})
	if wanted.Empty() {
		return nil, nil
	}
	return &cmp.CertTemplateAdvice{Attrs: wanted}, nil
}

// CRLs returns the CRLs of the domain's chain that are newer than what the
// client has (RFC 9483 §4.3.4). Who names no issuer is asking for all.
func (c *CMP) CRLs(ctx context.Context, label cmp.Label, known []cmp.CRLStatus) ([][]byte, error) {
	above, err := c.authorities(ctx, label)
	if err != nil {
		return nil, err
	}
	var lists [][]byte
	for i, ca := range above.authorities {
		crl, err := c.door.cfg.Store.LatestCRL(ctx, ca.KeyID)
		if models.KindOf(err) == models.KindNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if asksFor(known, above.certs[i], crl) {
			lists = append(lists, crl.DER)
		}
	}
	return lists, nil
}

// asksFor reports whether a client that has known wants a CRL.
func asksFor(known []cmp.CRLStatus, issuer *x509.Certificate, crl *models.CRL) bool {
	if len(known) == 0 {
		return true
	}
	return slices.ContainsFunc(known, func(k cmp.CRLStatus) bool {
		named := bytes.Equal(k.Issuer, issuer.RawSubject) || len(k.Issuer) == 0 && len(k.Points) == 0 ||
			slices.ContainsFunc(k.Points, func(url string) bool { return strings.HasSuffix(url, "/crl/"+crl.KeyID+".crl") })
		return named && (k.ThisUpdate.IsZero() || k.ThisUpdate.Before(crl.ThisUpdate))
	})
}
