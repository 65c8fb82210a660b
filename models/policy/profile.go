// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Profile is a validated profile document: the rules for one kind of
// end-entity certificate. It is immutable and safe for concurrent use.
type Profile struct {
	name           string
	displayName    string
	credentialType string
	subject        subjectRules
	extensions     extensionRules
	validity       validity
	algorithms     []models.KeyAlgorithm // nil: every permitted key
}

// Subject is who a certificate is for: the authenticated device and the
// domain. Template variables are resolved from it, and from nothing else.
type Subject struct {
	Device models.Device
	Domain models.Domain
}

type validity struct {
	duration, backdate, min, max time.Duration // max 0: no bound
}

// Type returns what the profile's certificates are to Trustloom: TypeDomain
// or TypeApplication.
func (p *Profile) Type() string { return p.credentialType }

// Name returns the name that the document gives itself; it may be empty.
func (p *Profile) Name() string { return p.name }

// DisplayName returns the name for people, or else Name.
func (p *Profile) DisplayName() string {
	if p.displayName == "" {
		return p.name
	}
	return p.displayName
}

// Validity returns the validity period of a certificate that is issued at
// now, in UTC and whole seconds. The caller clamps it to the issuer's and then
// asks CheckValidity.
func (p *Profile) Validity(now time.Time) (notBefore, notAfter time.Time) {
	now = models.UTC(now)
	return now.Add(-p.validity.backdate), now.Add(p.validity.duration)
}

// CheckValidity returns KindDenied if a certificate that is issued at now and
// ends at notAfter would be shorter than the profile's minimum, as it happens
// when its issuer ends soon, or longer than its maximum. The minimum has a
// minute's grace: now may be read again after Validity was asked.
func (p *Profile) CheckValidity(now, notAfter time.Time) error {
	lasts := notAfter.Sub(models.UTC(now))
	switch {
	case lasts < p.validity.min-time.Minute:
		return models.Errorf(models.KindDenied, "the certificate would end at %s, sooner than the %s that %s asks for",
			notAfter.Format(time.RFC3339), models.Duration(p.validity.min), p.title())
	case p.validity.max > 0 && lasts > p.validity.max:
		return models.Errorf(models.KindDenied, "the certificate would end at %s, later than the %s that %s permits",
			notAfter.Format(time.RFC3339), models.Duration(p.validity.max), p.title())
	}
	return nil
}

// CheckKey returns KindDenied unless the profile permits the request's key.
func (p *Profile) CheckKey(csr *pki.CSR) error {
	if p.algorithms == nil || slices.Contains(p.algorithms, csr.KeyAlgorithm) {
		return nil
	}
	algorithm, err := pki.KeyAlgorithmOf(csr.Request.PublicKey)
	if err != nil {
		return err
	}
	permitted := make([]string, len(p.algorithms))
	for i, a := range p.algorithms {
		permitted[i] = string(a)
	}
	return models.Errorf(models.KindDenied, "the key is %s; %s permits %s", algorithm, p.title(), strings.Join(permitted, ", "))
}

func (p *Profile) title() string {
	if name := p.DisplayName(); name != "" {
		return "profile " + name
	}
	return "the profile"
}

// Template applies the profile to a request and returns what the certificate
// is to say, with a sentence for everything that differs from the request. It
// sets the subject (RawSubject and Subject), the alternative names, key usages,
// basic constraints and validity; Extensions carries the criticality of
// extensions where it is not the usual one. Serial number, identifiers and
// URLs are the issuer's work.
//
// It is KindDenied if the profile refuses the request, and KindInvalid if
// something that the profile requires is missing.
func (p *Profile) Template(csr *pki.CSR, who Subject, now time.Time) (*x509.Certificate, []string, error) {
	if err := p.CheckKey(csr); err != nil {
		return nil, nil, err
	}
	e := &evaluation{who: who}
	template := &x509.Certificate{}
	template.NotBefore, template.NotAfter = p.Validity(now)
	if err := p.subject.apply(e, csr, template); err != nil {
		return nil, nil, err
	}
	if err := p.extensions.applyNames(e, csr, template); err != nil {
		return nil, nil, err
	}
	wish, err := wishOf(csr)
	if err != nil {
		return nil, nil, err
	}
	if err := p.extensions.applyUsages(e, wish, csr, template); err != nil {
		return nil, nil, err
	}
	if len(template.Subject.Names) == 0 && len(pki.SANs(template)) == 0 {
		return nil, nil, models.Errorf(models.KindInvalid, "the certificate would name nobody: ask for a subject or an alternative name that %s allows", p.title())
	}
	return template, e.reasons, nil
}

// Renew returns what the successor of old is to say: the subject and the
// alternative names of old, the extensions and the validity of the profile.
// Key usages that the request does not ask for are those of old, as far as
// the profile still allows them. Reasons and errors are as for Template.
func (p *Profile) Renew(csr *pki.CSR, old *x509.Certificate, who Subject, now time.Time) (*x509.Certificate, []string, error) {
	if err := p.CheckKey(csr); err != nil {
		return nil, nil, err
	}
	e := &evaluation{who: who}
	template := &x509.Certificate{
		RawSubject: slices.Clone(old.RawSubject), Subject: old.Subject,
		DNSNames: slices.Clone(old.DNSNames), IPAddresses: slices.Clone(old.IPAddresses),
		URIs: slices.Clone(old.URIs), EmailAddresses: slices.Clone(old.EmailAddresses),
	}
	template.NotBefore, template.NotAfter = p.Validity(now)
	wish, err := wishOf(csr)
	if err != nil {
		return nil, nil, err
	}
	wish.fill(old)
	if err := p.extensions.applyUsages(e, wish, csr, template); err != nil {
		return nil, nil, err
	}
	if pki.SameSubjectAndSAN(csr, old) != nil {
		e.note("subject and alternative names kept as they are in the certificate that is renewed")
	}
	return template, e.reasons, nil
}
