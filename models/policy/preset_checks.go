// SPDX-License-Identifier: MIT

package policy

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Finding is something that a preset does not permit.
type Finding struct {
	Member string // of the preset
	Text   string // what is not permitted
	Remedy string // what to do, other than to choose another preset
}

func finding(member, remedy, format string, args ...any) *Finding {
	return &Finding{Member: member, Text: fmt.Sprintf(format, args...), Remedy: remedy}
}

// Denied returns nil if f is nil, and else KindDenied with a sentence that
// names the preset, its member, and what to do.
func (p *Preset) Denied(d *models.Domain, f *Finding) error {
	if f == nil {
		return nil
	}
	return models.Errorf(models.KindDenied, "%s", p.sentence(d, f))
}

func (p *Preset) sentence(d *models.Domain, f *Finding) string {
	return fmt.Sprintf("preset %s of domain %s does not permit this (%s): %s; %s, or have an operator choose another preset with 'trustloom domains set %s --preset ...'",
		p.Name, d.Name, f.Member, f.Text, f.Remedy, d.Name)
}

// CheckDeviceKey judges the key of a device.
func (p *Preset) CheckDeviceKey(a models.KeyAlgorithm) *Finding {
	if p.DeviceKeys.Permit(a) {
		return nil
	}
	return finding("device_keys", "make a key that is one of "+p.DeviceKeys.String(), "the key is %s", a)
}

// CheckAncestor judges a CA above the issuing one, of which only the kind of
// the key matters.
func (p *Preset) CheckAncestor(ca *models.CA) *Finding {
	algorithm := ca.Key.Algorithm
	if algorithm == "" { // we do not have the key
		if certificate, err := x509.ParseCertificate(ca.CertificateDER); err == nil {
			algorithm, _ = pki.KeyAlgorithmOf(certificate.PublicKey) // what cannot be named is not permitted
		}
	}
	if p.CAKeys.Permit(algorithm) {
		return nil
	}
	return finding("ca_keys", "use a CA whose key is one of "+p.CAKeys.String(), "the key of CA %s is %s", ca.Name, cmp.Or(algorithm, "of another kind"))
}

// caGrace is for the beginning of a CA certificate, which is before its making.
const caGrace = 7 * 24 * time.Hour

// CheckIssuer judges the issuing CA of a domain.
func (p *Preset) CheckIssuer(ca *models.CA) *Finding {
	if f := p.CheckAncestor(ca); f != nil {
		return f
	}
	if !slices.Contains(p.CAKeyStores, ca.Key.Store) {
		return finding("ca_key_stores", "make an issuing CA with its key in "+strings.Join(p.CAKeyStores, " or ")+" ('trustloom cas create --key-store') and give it to the domain",
			"the key of CA %s is in the key store %s", ca.Name, ca.Key.Store)
	}
	if lasts := ca.NotAfter.Sub(ca.NotBefore); p.CALongest > 0 && lasts > p.CALongest.Std()+caGrace {
		return finding("ca_longest", "make an issuing CA that lasts "+p.CALongest.String()+" or less and give it to the domain",
			"the certificate of CA %s lasts %s, longer than %s", ca.Name, days(lasts), p.CALongest)
	}
	return nil
}

func days(d time.Duration) string {
	return models.Duration(d.Truncate(24 * time.Hour)).String()
}

// CheckMethod judges a way of onboarding.
func (p *Preset) CheckMethod(m models.OnboardingMethod) *Finding {
	if slices.Contains(p.OnboardingMethods, m) {
		return nil
	}
	return finding("onboarding_methods", "arm the device for another method", "onboarding by %s is not one of its methods", m)
}

// CheckPeople judges how many people have to approve an onboarding by a
// method.
func (p *Preset) CheckPeople(m models.OnboardingMethod, people int) *Finding {
	if m.HasIDevID() || people >= p.OnboardingPeople {
		return nil
	}
	return finding("onboarding_people", fmt.Sprintf("let it wait for people ('trustloom domains set ... --approval-onboarding operator:%d')", p.OnboardingPeople),
		"onboarding by %s needs the approval of %d or more people, and has %d", m, p.OnboardingPeople, people)
}

// CheckServerMade judges keys that Trustloom makes.
func (p *Preset) CheckServerMade() *Finding {
	if p.ServerMadeKeys {
		return nil
	}
	return finding("server_made_keys", "let the device make its own key", "Trustloom may not make keys for devices")
}

// CheckLife judges how long a certificate lasts from its making; a minute is
// nothing.
func (p *Preset) CheckLife(lasts time.Duration) *Finding {
	if p.CertificateLongest == 0 || lasts <= p.CertificateLongest.Std()+time.Minute {
		return nil
	}
	return finding("certificate_longest", "ask for less", "it lasts %s, longer than %s", days(lasts), p.CertificateLongest)
}

// CheckCRL judges the CRL of an issuing CA.
func (p *Preset) CheckCRL(crl *models.CRL) *Finding {
	if p.CRLLongest == 0 || crl.NextUpdate.Sub(crl.ThisUpdate) <= p.CRLLongest.Std() {
		return nil
	}
	return finding("crl_longest", "nothing has to be done: a shorter one is published when the preset holds",
		"CRL %d lasts until %s, longer than %s", crl.Number, crl.NextUpdate.UTC().Format(time.RFC3339), p.CRLLongest)
}

// CheckProfile judges what a profile asks for; issuance obeys the preset
// whatever the profile says.
func (p *Preset) CheckProfile(profile *Profile, now time.Time) (found []*Finding) {
	notBefore, notAfter := profile.Validity(now)
	longest, v := p.CertificateLongest.Std(), profile.validity
	switch {
	case longest == 0:
	case v.min > longest:
		found = append(found, finding("certificate_longest", "give the profile a shorter validity",
			"the validity is %s at least, longer than %s: nothing is issued under it", models.Duration(v.min), p.CertificateLongest))
	case notAfter.Sub(later(models.UTC(now), notBefore)) > longest, v.max > longest:
		found = append(found, finding("certificate_longest", "nothing has to be done, or give the profile a shorter validity",
			"the validity is longer than %s: certificates are cut to it", p.CertificateLongest))
	}
	if refused := p.refusedKeys(profile); len(refused) > 0 {
		found = append(found, finding("device_keys", "let the profile name "+p.DeviceKeys.String(),
			"it names keys that are refused: %s", strings.Join(refused, ", ")))
	}
	return found
}

// refusedKeys lists the keys that a profile names and the preset refuses. A
// profile that names none is content with any.
func (p *Preset) refusedKeys(profile *Profile) (refused []string) {
	for _, a := range profile.keys.algorithms {
		if !p.DeviceKeys.Permit(a) {
			refused = append(refused, string(a))
		}
	}
	if k := profile.keys; k.maxRSA > 0 && k.maxRSA < p.DeviceKeys.RSAFrom {
		refused = append(refused, fmt.Sprintf("RSA up to %d bits", k.maxRSA))
	}
	return refused
}

// PeopleOf returns how many different people a rule asks for; nil asks nobody.
func PeopleOf(rule *models.ApprovalRule) int {
	people := 0
	if rule != nil {
		for _, step := range rule.Steps {
			people += step.Quorum
		}
	}
	return people
}

// Story is how a request came about, as far as presets care.
type Story struct {
	Kind       models.RequestKind
	Auth       models.AuthMethod
	Device     *models.Device
	People     int  // who have approved, or will
	ServerMade bool // Trustloom made the key
}

// CheckStory judges how a request came about. Only onboardings depend on more
// than on who made the key.
func (p *Preset) CheckStory(s Story) *Finding {
	if s.ServerMade {
		if f := p.CheckServerMade(); f != nil {
			return f
		}
	}
	if s.Kind != models.KindOnboarding {
		return nil
	}
	method := s.Device.Method
	if s.Auth == models.AuthIDevID && !method.HasIDevID() {
		method = models.ESTIDevID
	}
	if method == "" {
		method = models.ESTPassword // of devices that were made before there was a choice
	}
	if f := p.CheckMethod(method); f != nil {
		return f
	}
	return p.CheckPeople(method, s.People)
}

// Admits returns KindDenied unless both the switches and the preset of a
// domain let devices be onboarded by method.
func Admits(d *models.Domain, method models.OnboardingMethod) error {
	if err := d.Admits(method); err != nil {
		return err
	}
	p, err := PresetOf(d)
	if err != nil {
		return err
	}
	return p.Denied(d, p.CheckMethod(method))
}

// Arms is Admits for a device that is to be armed: it also asks whether its
// onboarding could ever be approved, and who would make the key.
func Arms(d *models.Domain, method models.OnboardingMethod) error {
	if err := Admits(d, method); err != nil {
		return err
	}
	p, err := PresetOf(d)
	if err != nil {
		return err
	}
	return p.Denied(d, p.CheckStory(Story{
		Kind: models.KindOnboarding, Device: &models.Device{Method: method}, People: PeopleOf(d.Approval.Onboarding),
		ServerMade: method == models.Manual || method == models.OTPDownload,
	}))
}

// MakesKeys returns KindDenied unless Trustloom may make keys for the devices
// of a domain.
func MakesKeys(d *models.Domain) error {
	p, err := PresetOf(d)
	if err != nil {
		return err
	}
	return p.Denied(d, p.CheckServerMade())
}

// DemandsBinding reports whether requests to a domain must be bound to their
// connection, because of its switches or its preset. It does so, too, if the
// preset is unknown.
func DemandsBinding(d *models.Domain) bool {
	p, err := PresetOf(d)
	return err != nil || p.ChannelBinding || d.Doors().ChannelBinding
}

// CRLLimit returns the longest time that a CRL may last of a CA that issues
// for domains with these presets: wanted, or what the strictest permits.
func CRLLimit(names []string, wanted time.Duration) (time.Duration, error) {
	for _, name := range names {
		p, err := FindPreset(name)
		if err != nil {
			return 0, err
		}
		if limit := p.CRLLongest.Std(); limit > 0 {
			wanted = min(wanted, limit)
		}
	}
	return wanted, nil
}

// presetAdmits is the condition of admission that presets are.
func presetAdmits(a Admission) string {
	p, err := PresetOf(a.Domain)
	if err != nil {
		return models.PublicText(err)
	}
	f := p.CheckStory(Story{Kind: a.Kind, Auth: a.Method, Device: a.Device, People: PeopleOf(a.Domain.Approval.For(a.Kind))})
	if f == nil {
		return ""
	}
	return p.sentence(a.Domain, f)
}

// permits judges what a draft is to be made of: the keys of device and issuer.
func (p *Preset) permits(c *Case) error {
	if err := p.Denied(&c.Who.Domain, p.CheckDeviceKey(c.CSR.KeyAlgorithm)); err != nil {
		return err
	}
	ca := *c.CA
	if ca.Key == (models.KeyRef{}) { // of a trial without a CA of the server
		ca.CertificateDER, ca.Key.Store = c.Issuer.Raw, p.CAKeyStores[0]
	}
	return p.Denied(&c.Who.Domain, p.CheckIssuer(&ca))
}

// shorten cuts the validity of a draft to what the preset permits. It is
// KindDenied where the profile does not let it.
func (p *Preset) shorten(d *Draft, c *Case) error {
	longest := p.CertificateLongest.Std()
	from := later(models.UTC(c.Now), d.Template.NotBefore)
	if longest == 0 || d.Template.NotAfter.Sub(from) <= longest {
		return nil
	}
	v := c.Profile.validity
	if v.min > longest || v.rejectMods && !c.NotAfter.IsZero() {
		return p.Denied(&c.Who.Domain, finding("certificate_longest", "ask for less, or give the profile a shorter validity",
			"under %s the certificate would end at %s, more than %s from its beginning, and the profile does not let it be cut",
			c.Profile.title(), d.Template.NotAfter.UTC().Format(time.RFC3339), p.CertificateLongest))
	}
	d.Template.NotAfter = from.Add(longest)
	d.Shortened = fmt.Sprintf("the certificate ends at %s: preset %s permits %s (certificate_longest)",
		d.Template.NotAfter.UTC().Format(time.RFC3339), p.Name, p.CertificateLongest)
	d.Reasons = append(d.Reasons, d.Shortened)
	return nil
}
