// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
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
	if err := policy.Admits(domain, method); err != nil {
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
func (d *Door) certificate(ctx context.Context, domain *models.Domain, presented []*x509.Certificate, address string) (Identity, error) {
	held, err := d.cfg.Store.FindHolding(ctx, fingerprint(presented[0]))
	if models.KindOf(err) == models.KindNotFound {
		return d.idevid(ctx, domain, models.ESTIDevID, presented, address)
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
	return Identity{Method: method, Subject: row.Fingerprint, Device: device, Key: string(device.ID), Certificate: row, Leaf: leaf, Issuer: issuer}, nil
}

// predecessor authenticates a renewal: by the certificate that is renewed, and
// by nothing else (RFC 7030 §4.2.2). held is what is known of it, if anything.
func (d *Door) predecessor(ctx context.Context, domain *models.Domain, presented []*x509.Certificate, held *store.Holding) (Identity, error) {
	if len(presented) == 0 {
		return Identity{}, models.Errorf(models.KindUnauthenticated, "re-enrollment needs the certificate to be renewed as TLS client certificate")
	}
	var err error
	if held == nil {
		held, err = d.cfg.Store.FindHolding(ctx, fingerprint(presented[0]))
	}
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

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// byPassword authenticates the sender of a request by HTTP Basic, guarded. The
// secret is one for method.
func (d *Door) byPassword(ctx context.Context, domain *models.Domain, method models.OnboardingMethod, peer est.Peer) (Identity, error) {
	return d.guarded(ctx, domain, claimed{auth.MethodPassword, peer.Username, peer.Address}, func() (Identity, error) {
		return d.password(ctx, domain, method, peer.Username, peer.Password)
	})
}

// byCertificate authenticates it by its domain credential or IDevID, guarded.
func (d *Door) byCertificate(ctx context.Context, domain *models.Domain, peer est.Peer) (Identity, error) {
	return d.guarded(ctx, domain, claimed{auth.MethodCertificate, fingerprint(peer.Certificates[0]), peer.Address}, func() (Identity, error) {
		return d.certificate(ctx, domain, peer.Certificates, peer.Address)
	})
}

// byPredecessor authenticates it by a certificate of ours, whatever it is for,
// guarded. held is what is known of it, nil if that is still to be looked up.
func (d *Door) byPredecessor(ctx context.Context, domain *models.Domain, peer est.Peer, held *store.Holding) (Identity, error) {
	if len(peer.Certificates) == 0 {
		return d.predecessor(ctx, domain, nil, nil)
	}
	return d.guarded(ctx, domain, claimed{auth.MethodCertificate, fingerprint(peer.Certificates[0]), peer.Address}, func() (Identity, error) {
		return d.predecessor(ctx, domain, peer.Certificates, held)
	})
}
