// SPDX-License-Identifier: MIT

package enroll

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"slices"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// party is a sender as it was authenticated, by one method.
type party struct {
	domain      *models.Domain
	mac         bool
	identity    Identity            // of the device; of an RA only when it is known for whom it asks
	held        *models.Certificate // what signed, if it is one of ours
	authorities []*models.CA        // above held
	seen        *store.Renewal      // what was read with held
	leaf        *x509.Certificate   // what signed
	ra          *x509.Certificate   // of a registration authority
	revoking    string              // the transaction in which held was revoked, which this message repeats
}

// subject is what requests of the party are known by.
func (p *party) subject() string {
	if p.ra != nil {
		return fingerprint(p.ra)
	}
	return p.identity.Subject
}

// actor is the party in the audit log.
func (p *party) actor() string {
	if p.ra != nil {
		return "ra:" + p.ra.Subject.String()
	}
	return "device:" + p.identity.Device.Name
}

// sent reports whether a request was sent by the party.
func (p *party) sent(req *models.Request) bool {
	return p.mac == (req.AuthMethod == models.AuthPassword) && p.subject() == req.AuthSubject
}

// sender returns the domain of a label and the party that was authenticated for
// it. One whose certificate is revoked is refused: all that it may do is to
// repeat the revocation.
func (c *CMP) sender(label cmp.Label, sender cmp.Sender) (*models.Domain, *party, error) {
	domain, who, err := c.revoker(label, sender)
	if err == nil && who.revoking != "" {
		err = cmp.WithFailInfo(models.Errorf(models.KindUnauthenticated, "the client certificate is revoked"), cmp.FailCertRevoked)
	}
	return domain, who, err
}

// revoker is sender for rr, whose answer may have been lost.
func (c *CMP) revoker(label cmp.Label, sender cmp.Sender) (*models.Domain, *party, error) {
	who, ok := sender.Value.(*party)
	if !ok || who.domain.Name != label.Domain {
		return nil, nil, models.Errorf(models.KindUnauthenticated, "the sender is not authenticated for domain %q", label.Domain)
	}
	return who.domain, who, nil
}

func (c *CMP) domain(ctx context.Context, label cmp.Label) (*models.Domain, error) {
	if label.Domain == "" {
		return nil, cmp.WithFailInfo(models.Errorf(models.KindNotFound, "name the domain in the path: /.well-known/cmp/p/DOMAIN"), cmp.FailBadRequest)
	}
	domain, err := c.door.domain(ctx, label.Domain)
	if models.KindOf(err) == models.KindNotFound {
		err = cmp.WithFailInfo(err, cmp.FailBadRequest)
	}
	return domain, err
}

// Secret authenticates a device by a MAC with its one-time secret.
func (c *CMP) Secret(ctx context.Context, label cmp.Label, transaction []byte, reference string, peer cmp.Peer, prove func([]byte) bool) (cmp.Sender, error) {
	domain, err := c.domain(ctx, label)
	if err != nil {
		return cmp.Sender{}, err
	}
	who, err := c.door.guarded(ctx, domain, claimed{auth.MethodPassword, reference, peer.Address}, func() (Identity, error) {
		return c.secret(ctx, domain, transaction, reference, prove)
	})
	if err != nil {
		return cmp.Sender{}, err
	}
	return cmp.Sender{ID: "secret:" + string(who.Device.ID), Value: &party{domain: domain, mac: true, identity: who}}, nil
}

// noDevice is looked up where there is no device, so that it takes as long.
const noDevice models.DeviceID = "none"

// errMAC is the one answer to every wrong name, wrong secret and spent secret.
var errMAC = models.Errorf(models.KindUnauthenticated,
	"the MAC does not verify for this reference (the device's name), or its one-time secret was used before; ask an operator to arm the device again")

func (c *CMP) secret(ctx context.Context, domain *models.Domain, transaction []byte, reference string, prove func([]byte) bool) (Identity, error) {
	if err := policy.Admits(domain, models.CMPSecret); err != nil {
		return Identity{}, err
	}
	device, err := c.door.cfg.Store.FindDeviceByName(ctx, reference)
	if err != nil && models.KindOf(err) != models.KindNotFound {
		return Identity{}, err
	}
	id := noDevice
	if err == nil && device.DomainID == domain.ID && device.Method == models.CMPSecret {
		id = device.ID
	}
	sealed, err := c.door.cfg.Store.FindDeviceSecret(ctx, id)
	if err != nil && models.KindOf(err) != models.KindNotFound {
		return Identity{}, err
	}
	// Nobody may know what is tried for a device that is not there: a MAC that
	// verifies takes longer to refuse.
	secret := make([]byte, 32)
	rand.Read(secret)
	there := err == nil && id != noDevice
	if there {
		if secret, err = c.cfg.Sealer.Unseal(models.SecretSeal(id), sealed); err != nil {
			return Identity{}, models.Errorf(models.KindInternal, "the secret of device %s cannot be unsealed", device.Name).Because(err)
		}
		defer clear(secret)
	}
	if !prove(secret) || !there {
		return Identity{}, errMAC
	}
	good, err := c.stillGood(ctx, domain, device, transaction)
	if err != nil {
		return Identity{}, err
	}
	if !good {
		return Identity{}, errMAC
	}
	return Identity{
		Method: models.AuthPassword, Subject: device.Name, Device: device, Key: string(device.ID), SecretUsed: device.SecretUsedBy != "",
	}, nil
}

// stillGood reports whether the secret of a device is good for a transaction:
// any as long as it is unused, and then only the one that used it, until some
// time after that has ended.
func (c *CMP) stillGood(ctx context.Context, domain *models.Domain, device *models.Device, transaction []byte) (bool, error) {
	if device.SecretUsedBy == "" {
		return true, nil
	}
	if device.SecretUsedBy != models.TransactionKey(domain.ID, transactionText(transaction)) {
		return false, nil
	}
	req, err := c.door.cfg.Store.FindRequestByKey(ctx, device.SecretUsedBy)
	if err != nil || !req.Finished() || c.door.cfg.Now().Sub(req.UpdatedAt) < secretReplay {
		return err == nil, err
	}
	t, err := c.door.cfg.Store.FindCMPTransaction(ctx, device.SecretUsedBy)
	if models.KindOf(err) == models.KindNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return t.EndedAt == nil || c.door.cfg.Now().Sub(*t.EndedAt) < secretReplay, nil
}

// Signer authenticates the sender of a signed message. What its certificate is
// decides the method: one of ours is a device's credential, one of a
// registration authority that the domain trusts says so itself, any other is an
// IDevID or nothing.
func (c *CMP) Signer(ctx context.Context, label cmp.Label, transaction []byte, chain []*x509.Certificate, peer cmp.Peer) (cmp.Sender, error) {
	if len(chain) == 0 {
		return cmp.Sender{}, models.Errorf(models.KindUnauthenticated, "the certificate of the signer is not among the extraCerts")
	}
	domain, seen, err := c.foresee(ctx, label, chain[0])
	if err != nil {
		return cmp.Sender{}, err
	}
	who := &party{domain: domain, leaf: chain[0], seen: seen}
	who.identity, err = c.door.guarded(ctx, domain, claimed{auth.MethodCertificate, fingerprint(chain[0]), peer.Address}, func() (Identity, error) {
		return c.signer(ctx, domain, transaction, chain, peer, who)
	})
	if models.KindOf(err) == models.KindUnauthenticated {
		info := cmp.FailSignerNotTrusted
		if who.held != nil && who.held.State == models.CertificateRevoked { // its holder signed, and may know
			info = cmp.FailCertRevoked
		}
		err = cmp.WithFailInfo(err, info)
	}
	if err != nil {
		return cmp.Sender{}, err
	}
	return cmp.Sender{ID: "certificate:" + fingerprint(chain[0]), RA: who.ra != nil, Value: who}, nil
}

// noKey stands for the key of a request that is not known yet.
const noKey = "none"

// foresee reads with one statement what the messages of a device rest on that
// signs with a certificate of ours, and else the domain alone.
func (c *CMP) foresee(ctx context.Context, label cmp.Label, leaf *x509.Certificate) (*models.Domain, *store.Renewal, error) {
	seen, err := c.door.cfg.Store.FindRenewal(ctx, label.Domain, fingerprint(leaf), noKey)
	if models.KindOf(err) == models.KindNotFound {
		domain, err := c.domain(ctx, label)
		return domain, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	seen.KeyFree = false // that was not asked
	return seen.Domain, seen, nil
}

// holding returns what signed, if it is a certificate of ours.
func (c *CMP) holding(ctx context.Context, leaf *x509.Certificate, who *party) (*store.Holding, error) {
	if who.seen != nil {
		return &who.seen.Holding, nil
	}
	return c.door.cfg.Store.FindHolding(ctx, fingerprint(leaf))
}

func (c *CMP) signer(ctx context.Context, domain *models.Domain, transaction []byte, chain []*x509.Certificate, peer cmp.Peer, who *party) (Identity, error) {
	held, err := c.holding(ctx, chain[0], who)
	if err != nil && models.KindOf(err) != models.KindNotFound {
		return Identity{}, err
	}
	known := err == nil
	if slices.ContainsFunc(chain[0].UnknownExtKeyUsage, oidRA.Equal) && domain.CMP().RATruststore != "" {
		if known && held.Certificate.State != models.CertificateIssued {
			return Identity{}, models.Errorf(models.KindUnauthenticated, "the certificate of the registration authority is revoked")
		}
		if known && held.Device != nil && policy.Closed(held.Device) != "" {
			return Identity{}, models.Errorf(models.KindDenied, "the registration authority is closed: %s", policy.Closed(held.Device))
		}
		who.ra = chain[0]
		return Identity{Method: models.AuthRA, Subject: fingerprint(chain[0])}, c.authority(ctx, domain, chain)
	}
	if !known {
		return c.door.idevid(ctx, domain, models.CMPIDevID, chain, peer.Address)
	}
	if held.Device == nil || held.Certificate.Kind == models.CertificateCA || held.Certificate.Kind == models.CertificateProtector {
		return Identity{}, models.Errorf(models.KindDenied, "the certificate of the signer belongs to no device")
	}
	who.held, who.authorities = held.Certificate, held.Chain
	if who.revoking, err = c.revokedIn(ctx, domain, transaction, held); err != nil {
		return Identity{}, err
	}
	if who.revoking != "" {
		return Identity{Method: models.AuthDomainCredential, Subject: held.Certificate.Fingerprint, Device: held.Device, Key: string(held.Device.ID)}, nil
	}
	return c.door.own(domain, held, chain[0], models.AuthDomainCredential)
}

// revokedIn returns the key of the transaction if it is the one in which the
// signer's certificate was revoked: its answer may have been lost.
func (c *CMP) revokedIn(ctx context.Context, domain *models.Domain, transaction []byte, held *store.Holding) (string, error) {
	if held.Certificate.State != models.CertificateRevoked || held.Certificate.DomainID != domain.ID {
		return "", nil
	}
	t, err := c.door.cfg.Store.FindCMPTransaction(ctx, models.TransactionKey(domain.ID, transactionText(transaction)))
	if models.KindOf(err) == models.KindNotFound {
		return "", nil
	}
	if err != nil || t.State != models.CMPRevoked || t.CertificateID != held.Certificate.ID {
		return "", err
	}
	return t.ID, nil
}

// oidRA is the purpose of registration authorities, id-kp-cmcRA (RFC 6402
// §2.10, RFC 9483 §1.5).
var oidRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// authority verifies that the certificate of a registration authority chains to
// the truststore that the domain names for them, and is not revoked as far as
// is known.
func (c *CMP) authority(ctx context.Context, domain *models.Domain, presented []*x509.Certificate) error {
	name := domain.CMP().RATruststore
	truststore, err := c.door.cfg.Store.FindTruststore(ctx, name)
	if err != nil {
		return err
	}
	var anchors []*x509.Certificate
	for _, der := range truststore.Certificates {
		anchor, err := x509.ParseCertificate(der)
		if err != nil {
			return models.Errorf(models.KindInternal, "truststore %s holds a broken certificate", name).Because(err)
		}
		anchors = append(anchors, anchor)
	}
	chain, err := pki.VerifySigner(presented[0], presented[1:], anchors, c.door.cfg.Now())
	if err != nil {
		return err
	}
	return c.door.unrevoked(ctx, name, chain)
}

// vouched makes s the request of the device for which a registration authority
// asks: the one that the subject of the request names.
func (c *CMP) vouched(ctx context.Context, s *Submission, op cmp.Operation, who *party) error {
	name := s.CSR.Request.Subject.CommonName
	device, err := c.door.cfg.Store.FindDeviceByName(ctx, name)
	if err != nil && models.KindOf(err) != models.KindNotFound {
		return err
	}
	if err != nil || device.DomainID != s.Domain.ID {
		return models.Errorf(models.KindNotFound, "domain %s has no device %q: the subject of what a registration authority asks for has the name of the device as its common name", s.Domain.Name, name)
	}
	s.Who = Identity{Method: models.AuthRA, Subject: who.subject(), Device: device, Key: string(device.ID)}
	s.Actor = who.actor()
	if s.Kind = models.KindEnrollment; op == cmp.OpInit || op == cmp.OpPKCS10 && device.State != models.DeviceOnboarded {
		s.Kind = models.KindOnboarding
		if err := policy.Admits(s.Domain, models.CMPRA); err != nil {
			return err
		}
		if device.Method != models.CMPRA {
			return models.Errorf(models.KindDenied, "device %s is armed for onboarding by %s, not by a registration authority (%s)", device.Name, device.Method, models.CMPRA)
		}
	}
	return c.chooseProfile(s)
}

// renews makes s the renewal of the certificate that signed it. oldCertId, if
// it is there, has to name the same.
func (p *party) renews(s *Submission, old *cmp.CertID) error {
	if p.held == nil {
		return models.Errorf(models.KindDenied, "a kur is signed with the certificate that it renews")
	}
	if old != nil && (!bytes.Equal(old.Issuer, p.leaf.RawIssuer) || serialText(old.Serial) != p.held.Serial) {
		return cmp.WithFailInfo(models.Errorf(models.KindDenied, "oldCertId names another certificate than the one that signed the request"), cmp.FailBadCertID)
	}
	s.Kind, s.Predecessor, s.Who.Method = models.KindRenewal, p.held, models.AuthPredecessor
	if s.Profile == "" {
		s.Profile = p.held.ProfileName
	}
	return pki.SameSubjectAndSAN(s.CSR, p.leaf)
}

// serialText is how a serial number is written in the database.
func serialText(content []byte) string { return hex.EncodeToString(bytes.TrimLeft(content, "\x00")) }
