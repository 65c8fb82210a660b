// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// claim is what an IDevID says, after its chain was verified.
type claim struct {
	method       models.OnboardingMethod
	registration *models.Registration
	chain        []*x509.Certificate
	fingerprint  string
	key          string // SHA-256 of its public key
	identity     string // issuing key and the name that matched
	name         string // what matched
	serial       string // serialNumber of the subject, if it has one
	address      string
}

// idevid authenticates a device by its manufacturer's certificate (IEEE
// 802.1AR): it must chain to the truststore of a registration of the domain,
// and the part of it that the registration looks at must match its pattern.
func (d *Door) idevid(ctx context.Context, domain *models.Domain, method models.OnboardingMethod, presented []*x509.Certificate, address string) (Identity, error) {
	if err := policy.Admits(domain, method); err != nil {
		return Identity{}, err
	}
	if d.cfg.People(presented) {
		return Identity{}, models.Errorf(models.KindDenied, "the client certificate is one of a person; people do not enroll as devices")
	}
	registrations, err := d.cfg.Store.RegistrationsOfDomain(ctx, domain.ID)
	if err != nil {
		return Identity{}, err
	}
	refusal := models.Errorf(models.KindUnauthenticated, "the client certificate was neither issued here nor by a manufacturer that domain %s trusts", domain.Name)
	for i := range registrations {
		r := &registrations[i]
		chain, err := d.manufacturer(ctx, r, presented)
		if models.KindOf(err) == models.KindUnauthenticated {
			continue
		}
		if err != nil {
			return Identity{}, err
		}
		name, err := matching(r, chain[0])
		if err != nil {
			return Identity{}, err
		}
		if name != "" {
			if err := d.unrevoked(ctx, r.TruststoreName, chain); err != nil {
				return Identity{}, err
			}
			c := newClaim(r, chain, name, address)
			c.method = method
			return d.bind(ctx, domain, c)
		}
		refusal = models.Errorf(models.KindDenied, "the IDevID is trusted, but no registration of domain %s admits %s", domain.Name, saidBy(r, chain[0]))
	}
	return Identity{}, refusal
}

// manufacturer verifies the presented chain against a registration's
// truststore.
func (d *Door) manufacturer(ctx context.Context, r *models.Registration, presented []*x509.Certificate) ([]*x509.Certificate, error) {
	truststore, err := d.cfg.Store.FindTruststore(ctx, r.TruststoreName)
	if err != nil {
		return nil, err
	}
	anchors := make([]*x509.Certificate, 0, len(truststore.Certificates))
	for _, der := range truststore.Certificates {
		anchor, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, models.Errorf(models.KindInternal, "truststore %s holds a broken certificate", truststore.Name).Because(err)
		}
		anchors = append(anchors, anchor)
	}
	return pki.VerifyClient(presented[0], presented[1:], anchors, d.cfg.Now())
}

// namesIn returns the names in an IDevID that a registration looks at.
func namesIn(r *models.Registration, leaf *x509.Certificate) (names []string) {
	switch r.Match {
	case models.MatchURI:
		for _, uri := range leaf.URIs {
			names = append(names, uri.String())
		}
	case models.MatchHardwareModule:
		names = pki.HardwareModules(leaf)
	default:
		names = []string{pki.SubjectSerialNumber(leaf)}
	}
	return names
}

// saidBy is what a refused IDevID says, as far as a registration looks.
func saidBy(r *models.Registration, leaf *x509.Certificate) string {
	what := map[models.RegistrationMatch]string{models.MatchURI: "the URIs", models.MatchHardwareModule: "the hardware modules"}[r.Match]
	if what == "" {
		return "serial number \"" + pki.SubjectSerialNumber(leaf) + "\""
	}
	said := strings.Join(namesIn(r, leaf), ", ")
	return what + " \"" + strings.ToValidUTF8(said[:min(len(said), 200)], "") + "\""
}

// matching returns the one name in an IDevID that matches a registration, and
// the empty string if none does. Several would leave open which device it is.
func matching(r *models.Registration, leaf *x509.Certificate) (string, error) {
	var found []string
	for _, name := range namesIn(r, leaf) {
		matches, err := policy.MatchRegistration(r.SerialPattern, name)
		if err != nil {
			return "", err
		}
		if matches && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", models.Errorf(models.KindDenied, "the IDevID has %d names that match registration %s, and it must be one: make its pattern narrower", len(found), r.Name)
}

// newClaim says who an IDevID says to be. The identity is the issuing key
// together with the name: equal serial numbers of two manufacturers are two
// devices. A serialNumber cannot hold the # that marks the other kinds.
func newClaim(r *models.Registration, chain []*x509.Certificate, name, address string) *claim {
	issuer := sha256.Sum256(chain[min(1, len(chain)-1)].RawSubjectPublicKeyInfo)
	key := sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
	kind := map[models.RegistrationMatch]string{models.MatchURI: "#uri:", models.MatchHardwareModule: "#hardware:"}[r.Match]
	return &claim{
		registration: r, chain: chain, fingerprint: fingerprint(chain[0]), key: hex.EncodeToString(key[:]),
		identity: hex.EncodeToString(issuer[:]) + ":" + kind + name, name: name, serial: pki.SubjectSerialNumber(chain[0]), address: address,
	}
}

// bind finds the device that an IDevID belongs to: the one that is bound to
// it, the one that an operator registered for it, or a new one, which its
// first request will create. An IDevID that says to be a device which is bound,
// or pinned, to another one is refused and quarantined.
func (d *Door) bind(ctx context.Context, domain *models.Domain, c *claim) (Identity, error) {
	device, err := d.cfg.Store.FindDeviceBoundTo(ctx, c.fingerprint)
	if models.KindOf(err) == models.KindNotFound {
		device, err = d.cfg.Store.FindDeviceByIDevID(ctx, c.identity)
	}
	switch {
	case err == nil && device.IDevIDSHA256 != c.fingerprint:
		return Identity{}, d.suspect(ctx, domain, device, c)
	case err == nil:
		return d.bound(ctx, domain, device, c)
	case models.KindOf(err) != models.KindNotFound:
		return Identity{}, err
	}
	device, err = d.registered(ctx, domain, c)
	if err != nil {
		return Identity{}, err
	}
	if device != nil {
		if err := c.armed(device); err != nil {
			return Identity{}, err
		}
	}
	who := c.identify(device)
	if device == nil {
		if who.Device, err = d.newDevice(ctx, domain, c); err != nil {
			return Identity{}, err
		}
		who.New = true
	}
	return who, nil
}

func (c *claim) identify(device *models.Device) Identity {
	return Identity{Method: models.AuthIDevID, Subject: c.fingerprint, Key: c.identity, IDevIDKey: c.key, Device: device}
}

// armed refuses a device that is to be onboarded in another way.
func (c *claim) armed(device *models.Device) error {
	if device.Method == c.method {
		return nil
	}
	return models.Errorf(models.KindDenied, "device %s is armed for onboarding by %s, not by IDevID (%s)", device.Name, device.Method, c.method)
}

// bound is the answer for a device that is bound to the very IDevID.
// Where that is at home elsewhere, it is the record that an operator gave it in
// this domain, and nothing without one: a registration makes no gateways.
func (d *Door) bound(ctx context.Context, domain *models.Domain, device *models.Device, c *claim) (Identity, error) {
	identity := *device.IDevIDIdentity // another registration may look at another part of the same IDevID
	if device.DomainID != domain.ID {
		member, err := d.cfg.Store.FindMember(ctx, device.ID, domain.ID)
		if models.KindOf(err) == models.KindNotFound {
			return Identity{}, models.Errorf(models.KindDenied, "the device of this IDevID does not belong to domain %s: an operator has to give it a record there", domain.Name)
		}
		if err != nil {
			return Identity{}, err
		}
		if closed := policy.Closed(device); closed != "" {
			return Identity{}, models.Errorf(models.KindDenied, "device %s is suspended or decommissioned at home", member.Name)
		}
		device = member
	}
	if err := c.armed(device); err != nil {
		return Identity{}, err
	}
	who := c.identify(device)
	who.Key = identity
	return who, nil
}

// registered finds the device of the domain that an operator registered for an
// IDevID: by its fingerprint, or else by its serial number; nil if there is
// none. One that is pinned to another IDevID keeps this one out, and of two it
// must not be chance which one it becomes.
func (d *Door) registered(ctx context.Context, domain *models.Domain, c *claim) (*models.Device, error) {
	device, err := d.cfg.Store.FindPinnedDevice(ctx, domain.ID, c.fingerprint)
	if models.KindOf(err) != models.KindNotFound {
		return device, err
	}
	waiting, err := d.cfg.Store.UnboundDevices(ctx, domain.ID, c.serial)
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	for i := range waiting {
		if waiting[i].IDevIDSHA256 != "" {
			return nil, d.suspect(ctx, domain, &waiting[i], c)
		}
	}
	if len(waiting) > 1 {
		return nil, models.Errorf(models.KindDenied, "devices %s and %s are registered with the serial number %q: pin one of them to its IDevID ('trustloom devices unbind NAME --idevid-sha256 ...')",
			waiting[0].Name, waiting[1].Name, c.serial)
	}
	return &waiting[0], nil
}

// newDevice is the device that a registration makes.
func (d *Door) newDevice(ctx context.Context, domain *models.Domain, c *claim) (*models.Device, error) {
	serial := c.serial
	if serial == "" && c.registration.Match == models.MatchHardwareModule {
		_, serial, _ = strings.Cut(c.name, "/")
	}
	name, err := d.deviceName(ctx, c.registration.Name, orElse(serial, c.name), c.identity)
	if err != nil {
		return nil, err
	}
	return &models.Device{
		ID: models.NewID[models.DeviceID](), Name: name, SerialNumber: serial, DomainID: domain.ID, State: models.DeviceRegistered,
		Method: c.method, IDevIDSHA256: c.fingerprint, IDevIDIdentity: &c.identity, IDevIDKeySHA256: c.key, RegistrationID: c.registration.ID,
	}, nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// suspect refuses an IDevID that says to be a device which is bound to another
// one. With the same key it is a new certificate of the same device; with
// another key it is a clone until somebody has looked, and kept as such.
func (d *Door) suspect(ctx context.Context, domain *models.Domain, device *models.Device, c *claim) error {
	name := "a device"
	if device.DomainID == domain.ID {
		name = "device " + device.Name
	}
	if device.IDevIDKeySHA256 == c.key {
		return models.Errorf(models.KindDenied, "%s is bound to an earlier certificate of this IDevID: an operator has to unbind it", name)
	}
	err := d.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		first, err := tx.QuarantineIDevID(&models.QuarantinedIDevID{
			Fingerprint: c.fingerprint, DeviceID: device.ID, DomainID: domain.ID, KeySHA256: c.key, Subject: c.chain[0].Subject.String(), Address: c.address,
		})
		if err != nil || !first {
			return err
		}
		return tx.Audit(models.Event{
			Actor: "system", Address: c.address, Action: "idevid.quarantined", Noun: "device", SubjectID: string(device.ID), DomainID: device.DomainID, DeviceID: device.ID,
			Details: map[string]string{"name": device.Name, "idevid_sha256": c.fingerprint, "bound_to": device.IDevIDSHA256, "subject": c.chain[0].Subject.String(), "domain": domain.Name},
		})
	})
	if err != nil {
		return err
	}
	d.cfg.Logger.Warn("an IDevID says to be a device that is bound to another one; it is quarantined", "device", device.Name, "idevid_sha256", c.fingerprint, "address", c.address)
	return models.Errorf(models.KindDenied, "%s is bound to another IDevID with the same name: this one is quarantined, and an operator has to look at it", name)
}

var notInNames = regexp.MustCompile(`[^a-z0-9.-]+`)

// deviceName makes a name out of the registration's and the serial number; if
// it is taken, a piece of the identity's hash makes it different.
func (d *Door) deviceName(ctx context.Context, registration, serial, identity string) (string, error) {
	slug := notInNames.ReplaceAllString(strings.ToLower(serial), "-")
	if len(slug) > 20 { // of a URI the end tells devices apart
		slug = slug[len(slug)-20:]
	}
	name := strings.Trim(registration[:min(len(registration), 30)]+"-"+strings.Trim(slug, "-."), "-._")
	_, err := d.cfg.Store.FindDeviceByName(ctx, name)
	if models.KindOf(err) == models.KindNotFound {
		return name, nil
	}
	if err != nil {
		return "", err
	}
	return distinct(name, identity), nil
}

// distinct adds a piece of the identity's hash to a name that is taken.
func distinct(name, identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return name + "-" + hex.EncodeToString(sum[:4])
}
