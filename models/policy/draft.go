// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Draft is what would be issued, and why.
type Draft struct {
	Template *x509.Certificate
	TBS      *pki.TBS
	Reasons  []string // sentences about what differs from the request
	Limits   Limits   // what the database has to be asked
}

// Case is everything that a draft rests on.
type Case struct {
	Application
	Profile   *Profile
	CA        *models.CA
	Issuer    *x509.Certificate // of CA
	PublicURL string            // base of the issuer's URLs, without a slash at the end
}

// NewDraft applies the profile, adds what the issuer decides (a serial number,
// the URLs of its CRL, certificate and OCSP responder, a validity inside its
// own), and builds and lints the bytes that would be signed. It is the one way
// to a certificate of a device: to issue it and to try it out.
//
// It is KindDenied or KindInvalid, with the sentence to show, for what the
// profile, the issuer or the lints refuse.
func NewDraft(builder *pki.Builder, c Case) (*Draft, error) {
	c.Who.IssuerKeyID = c.CA.KeyID
	template, reasons, err := c.Profile.Apply(c.Application)
	if err != nil {
		return nil, err
	}
	template.SerialNumber = pki.NewSerial()
	if err := c.Profile.Locate(template, c.PublicURL, c.Who); err != nil {
		return nil, err
	}
	d := &Draft{Template: template, Reasons: reasons, Limits: c.Profile.Limits(template)}
	d.within(c.Issuer)
	if err := c.Profile.CheckValidity(c.Now, template.NotBefore, template.NotAfter); err != nil {
		return nil, err
	}
	d.TBS, err = builder.BuildTBS(template, c.CSR.Request.PublicKey,
		pki.Issuer{Certificate: c.Issuer, Algorithm: c.CA.Key.Algorithm, Hash: c.Profile.Hash()})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// within cuts the validity to the issuer's.
func (d *Draft) within(issuer *x509.Certificate) {
	t := d.Template
	t.NotBefore, t.NotAfter = models.UTC(t.NotBefore), models.UTC(t.NotAfter)
	if t.NotBefore.Before(issuer.NotBefore) {
		t.NotBefore = issuer.NotBefore
	}
	if t.NotAfter.After(issuer.NotAfter) {
		t.NotAfter = issuer.NotAfter
		d.Reasons = append(d.Reasons, "the certificate ends with its issuer, at "+t.NotAfter.UTC().Format(time.RFC3339))
	}
}
