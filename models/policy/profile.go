// SPDX-License-Identifier: MIT

package policy

import (
	"crypto"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Profile is a validated profile document: the rules for one kind of
// certificate. It is immutable and safe for concurrent use.
type Profile struct {
	name           string
	displayName    string
	credentialType string
	subject        subjectRules
	extensions     extensionRules
	validity       validity
	keys           keyRules
	hash           crypto.Hash // 0: the issuer's custom
	renewal        renewalWindow
	binding        binding
	uniqueness     []string // fields, as claims are made of them
	maximumActive  int      // 0: no bound
}

// Subject is who a certificate is for: the authenticated device and the
// domain, and by which key it is issued. Template variables are resolved from
// it, and from nothing else.
type Subject struct {
	Device      models.Device
	Domain      models.Domain
	IssuerKeyID string // for URLs; lower-case hex
}

// Application is what somebody asks for, and for whom.
type Application struct {
	CSR         *pki.CSR
	Who         Subject
	Predecessor *x509.Certificate // the certificate that is renewed, or nil
	NotBefore   time.Time         // as asked for; zero: not asked for
	NotAfter    time.Time         // as asked for; zero: not asked for
	Now         time.Time
}

// Type returns what the profile's certificates are to Trustloom: TypeDomain,
// TypeApplication or TypeAuthority.
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

// Hash returns the digest that the profile's certificates are signed with, or
// zero where it leaves that to the issuer's key.
func (p *Profile) Hash() crypto.Hash { return p.hash }

func (p *Profile) title() string {
	if name := p.DisplayName(); name != "" {
		return "profile " + name
	}
	return "the profile"
}

// Apply applies the profile to an application and returns what the certificate
// is to say, with a sentence for everything that differs from the request. It
// sets the subject (RawSubject and Subject), the alternative names, key usages,
// basic constraints, validity and the extensions of the profile; Extensions
// carries the criticality of extensions where it is not the usual one. Serial
// number, identifiers and what the profile says nothing about in URLs are the
// issuer's work.
//
// A renewal keeps the subject and the alternative names of its predecessor;
// key usages that the request does not ask for are the predecessor's, as far
// as the profile still allows them.
//
// It is KindDenied if the profile refuses the request, and KindInvalid if
// something that the profile requires is missing.
func (p *Profile) Apply(a Application) (*x509.Certificate, []string, error) {
	if err := p.CheckKey(a.CSR); err != nil {
		return nil, nil, err
	}
	return p.compose(a)
}

// compose is Apply for a key that was checked.
func (p *Profile) compose(a Application) (*x509.Certificate, []string, error) {
	e := &evaluation{who: a.Who}
	template := &x509.Certificate{}
	wish, err := wishOf(a.CSR)
	if err != nil {
		return nil, nil, err
	}
	for _, step := range []func() error{
		func() error { return p.validity.apply(e, a, template) },
		func() error { return p.renewal.check(p, a) },
		func() error { return p.applyNames(e, a, wish, template) },
		func() error { return p.extensions.applyUsages(e, wish, a.CSR, template) },
		func() error { return p.extensions.applyExtras(e, wish, template) },
		func() error { return p.extensions.applyRest(e, wish, template) },
		func() error { return p.binding.check(e, template) },
	} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	if len(template.Subject.Names) == 0 && len(pki.SANs(template)) == 0 {
		return nil, nil, models.Errorf(models.KindInvalid, "the certificate would name nobody: ask for a subject or an alternative name that %s allows", p.title())
	}
	return template, e.reasons, nil
}

// Template is Apply without a predecessor and without a wish for a validity.
func (p *Profile) Template(csr *pki.CSR, who Subject, now time.Time) (*x509.Certificate, []string, error) {
	return p.Apply(Application{CSR: csr, Who: who, Now: now})
}

// Renew is Apply for the successor of old.
func (p *Profile) Renew(csr *pki.CSR, old *x509.Certificate, who Subject, now time.Time) (*x509.Certificate, []string, error) {
	return p.Apply(Application{CSR: csr, Who: who, Predecessor: old, Now: now})
}

// applyNames writes subject and alternative names.
func (p *Profile) applyNames(e *evaluation, a Application, w *wish, template *x509.Certificate) error {
	old := a.Predecessor
	if old == nil {
		if err := p.subject.apply(e, a.CSR, template); err != nil {
			return err
		}
		return p.extensions.applyNames(e, a.CSR, template)
	}
	template.RawSubject, template.Subject = slices.Clone(old.RawSubject), old.Subject
	w.fill(old)
	if err := p.extensions.setNames(template, pki.SANs(old)); err != nil {
		return err
	}
	if pki.SameSubjectAndSAN(a.CSR, old) != nil {
		e.note("subject and alternative names kept as they are in the certificate that is renewed")
	}
	return nil
}

// keyRules say which keys are certified.
type keyRules struct {
	algorithms []models.KeyAlgorithm // nil: every permitted one
	families   []string              // "RSA", "EC": any size of these
	minRSA     int                   // bits; 0: no bound beyond the server's
	maxRSA     int
}

// CheckKey returns KindDenied unless the profile permits the request's key.
func (p *Profile) CheckKey(csr *pki.CSR) error {
	k := p.keys
	if k.minRSA == 0 && k.maxRSA == 0 && k.algorithms == nil && k.families == nil || slices.Contains(k.algorithms, csr.KeyAlgorithm) {
		return nil
	}
	algorithm, err := pki.KeyAlgorithmOf(csr.Request.PublicKey)
	if err != nil {
		return err
	}
	bits := rsaBits(csr.Request.PublicKey)
	switch {
	case bits > 0 && (bits < k.minRSA || k.maxRSA > 0 && bits > k.maxRSA):
		return models.Errorf(models.KindDenied, "the key is %s; %s permits %s", algorithm, p.title(), k)
	case k.algorithms == nil && k.families == nil, slices.Contains(k.families, familyOf(algorithm)):
		return nil
	}
	return models.Errorf(models.KindDenied, "the key is %s; %s permits %s", algorithm, p.title(), k)
}

func familyOf(algorithm models.KeyAlgorithm) string {
	family, _, _ := strings.Cut(string(algorithm), "-")
	return family
}
