// SPDX-License-Identifier: MIT

package policy

import (
	"embed"
	"encoding/json/v2"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/trustloom/trustloom/models"
)

// The names of the presets, the most permissive first.
const (
	PresetLab        = "lab"
	PresetBrownfield = "brownfield" // of domains that were made before there were presets
	PresetIndustrial = "industrial" // of new domains
	PresetHardened   = "hardened"
	PresetCritical   = "critical"
)

// PresetNames lists the presets, the most permissive first.
var PresetNames = []string{PresetLab, PresetBrownfield, PresetIndustrial, PresetHardened, PresetCritical}

// Preset is a document that limits what a domain does, whatever its profiles
// and switches say. It is shared: callers do not change it.
type Preset struct {
	Type        string `json:"type"` // "preset"
	Version     int    `json:"version"`
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	Description string `json:"description"`

	DeviceKeys  KeyLimits `json:"device_keys"`
	CAKeys      KeyLimits `json:"ca_keys"`       // of the issuing CA, and where it is put in place of those above it
	CAKeyStores []string  `json:"ca_key_stores"` // where the issuing CA's key may be

	CertificateLongest models.Duration `json:"certificate_longest,omitzero"` // zero: no bound
	CALongest          models.Duration `json:"ca_longest,omitzero"`          // of the issuing CA; zero: no bound
	CRLLongest         models.Duration `json:"crl_longest,omitzero"`         // of the issuing CA; zero: no bound

	OnboardingMethods []models.OnboardingMethod `json:"onboarding_methods"`
	// OnboardingPeople is how many people must approve an onboarding, unless
	// the device proves itself with its IDevID.
	OnboardingPeople int  `json:"onboarding_people"`
	ServerMadeKeys   bool `json:"server_made_keys"` // Trustloom may make keys for devices
	ChannelBinding   bool `json:"channel_binding"`  // requests must be bound to their connection

	document []byte
}

// KeyLimits are permitted keys.
type KeyLimits struct {
	RSAFrom    int                   `json:"rsa_from,omitzero"` // bits; zero: no RSA
	Algorithms []models.KeyAlgorithm `json:"algorithms"`        // all others
}

// String lists the permitted keys for people.
func (k KeyLimits) String() string {
	var choices []string
	if k.RSAFrom > 0 {
		choices = append(choices, fmt.Sprintf("RSA from %d bits", k.RSAFrom))
	}
	for _, a := range k.Algorithms {
		choices = append(choices, string(a))
	}
	return strings.Join(choices, ", ")
}

// Permit reports whether a key of the algorithm is permitted.
func (k KeyLimits) Permit(a models.KeyAlgorithm) bool {
	if size, isRSA := strings.CutPrefix(string(a), "RSA-"); isRSA {
		bits, err := strconv.Atoi(size)
		return err == nil && k.RSAFrom > 0 && bits >= k.RSAFrom
	}
	return slices.Contains(k.Algorithms, a)
}

// Document returns the JSON of the preset.
func (p *Preset) Document() []byte { return slices.Clone(p.document) }

//go:embed presets/*.json
var presetFiles embed.FS

// presets reads the shipped documents, once.
var presets = sync.OnceValues(func() (map[string]*Preset, error) {
	read := map[string]*Preset{}
	for _, name := range PresetNames {
		document, err := presetFiles.ReadFile("presets/" + name + ".json")
		if err != nil {
			return nil, fmt.Errorf("read preset %s: %w", name, err)
		}
		p := &Preset{document: document}
		if err := json.Unmarshal(document, p, json.RejectUnknownMembers(true)); err != nil {
			return nil, fmt.Errorf("read preset %s: %w", name, err)
		}
		read[name] = p
	}
	return read, nil
})

// Presets returns the shipped presets, the most permissive first.
func Presets() ([]*Preset, error) {
	read, err := presets()
	if err != nil {
		return nil, err
	}
	all := make([]*Preset, len(PresetNames))
	for i, name := range PresetNames {
		all[i] = read[name]
	}
	return all, nil
}

// FindPreset returns the preset of that name. It is KindInvalid, naming the
// choices, for any other.
func FindPreset(name string) (*Preset, error) {
	read, err := presets()
	if err != nil {
		return nil, err
	}
	if p := read[name]; p != nil {
		return p, nil
	}
	return nil, models.Errorf(models.KindInvalid, "preset %q is not one of %s", name, strings.Join(PresetNames, ", "))
}

// PresetOf returns the preset of a domain; one that has none has brownfield.
// A preset that this version does not know is an error: it may have been
// stricter than any other.
func PresetOf(d *models.Domain) (*Preset, error) {
	name := d.Preset
	if name == "" {
		name = PresetBrownfield
	}
	p, err := FindPreset(name)
	if err != nil {
		return nil, models.Errorf(models.KindConflict, "domain %s has the preset %q, which this version of Trustloom does not know; "+
			"run the version that set it, or choose another with 'trustloom domains set %s --preset ...'", d.Name, name, d.Name).Because(err)
	}
	return p, nil
}

// Explain says in sentences what the preset demands.
func (p *Preset) Explain() []string {
	bound := func(what string, d models.Duration) string {
		if d == 0 {
			return what + " may last as long as profile and issuer say."
		}
		return fmt.Sprintf("%s last %s at most.", what, d)
	}
	people := "An onboarding waits for people only where the domain says so."
	if p.OnboardingPeople > 0 {
		people = fmt.Sprintf("An onboarding needs the approval of %d or more people, unless the device proves itself with its IDevID.", p.OnboardingPeople)
	}
	made := "Trustloom makes no keys for devices: neither manual, nor otp-download, nor EST serverkeygen."
	if p.ServerMadeKeys {
		made = "Trustloom may make keys for devices that cannot."
	}
	binding := "Requests are bound to their connection only where the domain demands it."
	if p.ChannelBinding {
		binding = "Requests must be bound to their TLS connection (RFC 7030 section 3.5, RFC 9266)."
	}
	methods := make([]string, len(p.OnboardingMethods))
	for i, m := range p.OnboardingMethods {
		methods[i] = string(m)
	}
	return []string{
		p.Description,
		"Devices have keys of these kinds: " + p.DeviceKeys.String() + ".",
		"The issuing CA and those above it have keys of these kinds: " + p.CAKeys.String() + ".",
		"The issuing CA's key is in " + strings.Join(p.CAKeyStores, " or ") + ".",
		bound("Certificates of devices", p.CertificateLongest), bound("Certificates of the issuing CA", p.CALongest), bound("CRLs of the issuing CA", p.CRLLongest),
		"Devices are onboarded by " + strings.Join(methods, ", ") + ".", people, made, binding,
	}
}
