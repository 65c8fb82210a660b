// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// errCredentials is the one answer to every wrong user name, wrong password
// and used secret, so that it tells an attacker nothing.
var errCredentials = models.Errorf(models.KindUnauthenticated,
	"the user name or the password is wrong, or this one-time password was used before; ask an operator to arm the device again")

// claimed is what a request says about its sender, before that is proven.
type claimed struct {
	method    string // of package auth
	principal string // name or fingerprint
	address   string
}

// guarded lets prove authenticate the sender of a request unless there were
// too many failures. Every authentication of the door goes through it.
func (d *Door) guarded(ctx context.Context, domain *models.Domain, c claimed, prove func() (Identity, error)) (who Identity, err error) {
	attempt := auth.Attempt{Method: c.method, Principal: c.principal, Address: c.address, Domain: domain.ID}
	err = d.cfg.Guard.Try(ctx, attempt, func() error {
		who, err = prove()
		return err
	})
	return who, err
}

// password authenticates a device by its name and one-time secret, which is
// for one method: a secret for EST is none for REST.
func (d *Door) password(ctx context.Context, domain *models.Domain, method models.OnboardingMethod, username, password string) (Identity, error) {
	if err := domain.Admits(method); err != nil {
		return Identity{}, err
	}
	device, err := d.cfg.Store.FindDeviceByName(ctx, username)
	if err != nil && models.KindOf(err) != models.KindNotFound {
		return Identity{}, err
	}
	expected := make([]byte, sha256.Size) // no secret has this hash
	if err == nil && device.DomainID == domain.ID && device.Method == method && len(device.SecretHash) == sha256.Size {
		expected = device.SecretHash
	}
	given := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(given[:], expected) != 1 {
		return Identity{}, errCredentials
	}
	return Identity{
		Method: models.AuthPassword, Subject: device.Name, Device: device, Key: string(device.ID), SecretUsed: device.SecretUsedBy != "",
	}, nil
}

// certificate authenticates a device by the certificate of its TLS
// connection. What the certificate is decides the method: one of ours is a
// domain credential or nothing, any other an IDevID or nothing.
func (d *Door) certificate(ctx context.Context, domain *models.Domain, presented []*x509.Certificate) (Identity, error) {
	held, err := d.cfg.Store.FindHolding(ctx, fingerprint(presented[0]))
	if models.KindOf(err) == models.KindNotFound {
		return d.idevid(ctx, domain, presented)
	}
	if err != nil {
		return Identity{}, err
	}
	if held.Certificate.Kind != models.CertificateDomainCredential {
		return Identity{}, models.Errorf(models.KindDenied, "an application certificate does not enroll others: use the domain credential")
	}
	return d.own(domain, held, presented[0], models.AuthDomainCredential)
}

// own authenticates a device by a certificate that we issued to it.
func (d *Door) own(domain *models.Domain, held *store.Holding, leaf *x509.Certificate, method models.AuthMethod) (Identity, error) {
	now, row, device := d.cfg.Now(), held.Certificate, held.Device
	switch {
	case row.State == models.CertificateRevoked:
		return Identity{}, models.Errorf(models.KindUnauthenticated, "the client certificate is revoked")
	case row.State != models.CertificateIssued:
		return Identity{}, models.Errorf(models.KindUnauthenticated, "the client certificate is not in force")
	case now.Before(row.NotBefore) || !now.Before(row.NotAfter):
		return Identity{}, models.Errorf(models.KindUnauthenticated, "the client certificate is outside its validity period (until %s)", row.NotAfter.UTC().Format("2006-01-02 15:04 MST"))
	case row.DomainID != domain.ID:
		return Identity{}, models.Errorf(models.KindDenied, "the client certificate belongs to another domain")
	}
	issuer, err := d.verifyOwn(held.Chain, leaf, now)
	if err != nil {
		return Identity{}, err
	}
	if device == nil {
		return Identity{}, models.Errorf(models.KindNotFound, "the device of the client certificate does not exist")
	}
	return Identity{Method: method, Subject: row.Fingerprint, Device: device, Key: string(device.ID), Certificate: row, Issuer: issuer}, nil
}

// predecessor authenticates a renewal: by the certificate that is renewed, and
// by nothing else (RFC 7030 §4.2.2).
func (d *Door) predecessor(ctx context.Context, domain *models.Domain, presented []*x509.Certificate) (Identity, error) {
	if len(presented) == 0 {
		return Identity{}, models.Errorf(models.KindUnauthenticated, "re-enrollment needs the certificate to be renewed as TLS client certificate")
	}
	held, err := d.cfg.Store.FindHolding(ctx, fingerprint(presented[0]))
	if models.KindOf(err) == models.KindNotFound {
		return Identity{}, models.Errorf(models.KindUnauthenticated, "the client certificate was not issued here")
	}
	if err != nil {
		return Identity{}, err
	}
	if held.Certificate.Kind == models.CertificateCA {
		return Identity{}, models.Errorf(models.KindDenied, "a CA certificate is not renewed by a device")
	}
	return d.own(domain, held, presented[0], models.AuthPredecessor)
}

// idevid authenticates a device by its manufacturer's certificate (IEEE
// 802.1AR): it must chain to the truststore of a registration of the domain,
// and its subject serialNumber must match that registration's pattern.
func (d *Door) idevid(ctx context.Context, domain *models.Domain, presented []*x509.Certificate) (Identity, error) {
	if err := domain.Admits(models.ESTIDevID); err != nil {
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
	serial := pki.SubjectSerialNumber(presented[0])
	for i := range registrations {
		chain, err := d.manufacturer(ctx, &registrations[i], presented)
		if models.KindOf(err) == models.KindUnauthenticated {
			continue
		}
		if err != nil {
			return Identity{}, err
		}
		matches, err := policy.MatchRegistration(registrations[i].SerialPattern, serial)
		if err != nil {
			return Identity{}, err
		}
		if matches {
			return d.bind(ctx, domain, &registrations[i], chain, serial)
		}
		refusal = models.Errorf(models.KindDenied, "the IDevID is trusted, but no registration of domain %s admits serial number %q", domain.Name, serial)
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

// bind finds the device that an IDevID belongs to: the one that is bound to
// it, the one that an operator registered for it, or a new one, which its
// first request will create. The identity is the issuing key together with the
// serial number: equal serial numbers of two manufacturers are two devices.
func (d *Door) bind(ctx context.Context, domain *models.Domain, r *models.Registration, chain []*x509.Certificate, serial string) (Identity, error) {
	issuer := sha256.Sum256(chain[min(1, len(chain)-1)].RawSubjectPublicKeyInfo)
	identity := hex.EncodeToString(issuer[:]) + ":" + serial
	who := Identity{Method: models.AuthIDevID, Subject: fingerprint(chain[0]), Key: identity}
	device, err := d.cfg.Store.FindDeviceByIDevID(ctx, identity)
	switch {
	case err == nil && device.IDevIDSHA256 != who.Subject:
		return Identity{}, models.Errorf(models.KindDenied, "device %s is bound to another IDevID with the same serial number: an operator has to look at it", device.Name)
	case err == nil && device.Method != models.ESTIDevID:
		return Identity{}, models.Errorf(models.KindDenied, "device %s is armed for onboarding by %s, not by IDevID", device.Name, device.Method)
	case err == nil:
		who.Device = device
		return who, nil
	case models.KindOf(err) != models.KindNotFound:
		return Identity{}, err
	}
	who.Device, err = d.cfg.Store.FindUnboundDevice(ctx, domain.ID, who.Subject, serial)
	if models.KindOf(err) != models.KindNotFound || err == nil {
		return who, err
	}
	name, err := d.deviceName(ctx, r.Name, serial, identity)
	if err != nil {
		return Identity{}, err
	}
	who.New = true
	who.Device = &models.Device{
		ID: models.NewID[models.DeviceID](), Name: name, SerialNumber: serial, DomainID: domain.ID, State: models.DeviceRegistered,
		Method: models.ESTIDevID, IDevIDSHA256: who.Subject, IDevIDIdentity: &identity, RegistrationID: r.ID,
	}
	return who, nil
}

var notInNames = regexp.MustCompile(`[^a-z0-9.-]+`)

// deviceName makes a name out of the registration's and the serial number; if
// it is taken, a piece of the identity's hash makes it different.
func (d *Door) deviceName(ctx context.Context, registration, serial, identity string) (string, error) {
	slug := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(serial), "-"), "-.")
	name := strings.Trim(registration[:min(len(registration), 30)]+"-"+slug[:min(len(slug), 20)], "-._")
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

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
