// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// Sealer seals keys at rest, bound to an identifier; *hsm.Sealer is the one
// there is.
type Sealer interface {
	Seal(id string, plain []byte) []byte
	Unseal(id string, sealed []byte) ([]byte, error)
}

// DeliveryConfig is what Deliveries are made of.
type DeliveryConfig struct {
	Door   *Door
	Sealer Sealer
	Signer KeySigner     // signs what is encrypted for EST clients
	Life   time.Duration // models.DeliveryLife unless set
}

// Deliveries makes keys for devices that cannot make their own, has them
// certified like any other key, and hands each over once: to an operator, by
// download with a one-time code, or by EST serverkeygen.
type Deliveries struct {
	door   *Door
	sealer Sealer
	signer KeySigner
	life   time.Duration
	making chan struct{} // bounds the keys that are made at the same time
	wake   chan struct{} // tells the sweeper that a key was destroyed
	ghosts ghosts
}

// maxMaking bounds the keys that are made at the same time: an RSA key takes
// a processor for seconds.
const maxMaking = 2

// NewDeliveries returns the deliveries behind a door.
func NewDeliveries(cfg DeliveryConfig) *Deliveries {
	if cfg.Life == 0 {
		cfg.Life = models.DeliveryLife
	}
	if cfg.Signer == nil {
		cfg.Signer = func() (crypto.Signer, *x509.Certificate, error) {
			return nil, nil, models.Errorf(models.KindInvalid, "this server does not encrypt keys; leave the wish for it out")
		}
	}
	return &Deliveries{
		door: cfg.Door, sealer: cfg.Sealer, signer: cfg.Signer, life: cfg.Life, making: make(chan struct{}, maxMaking), wake: make(chan struct{}, 1),
	}
}

// sealedUnder is the identifier that a key is sealed under.
func sealedUnder(id models.DeliveryID) string { return "delivery/" + string(id) }

// methodOf says which onboarding method goes with a channel.
var methodOf = map[models.DeliveryChannel]models.OnboardingMethod{
	models.DeliverToOperator: models.Manual, models.DeliverByDownload: models.OTPDownload,
}

// Order makes a key for a device and asks for its certificate. The request is
// decided like the device's own would be, and waits for people where theirs
// would; the operator's action is what authenticates it. The answer is the
// delivery, ready or waiting, and for a download its one-time code, which is
// kept as a hash only.
//
// Ordering again what an operator can fetch returns the open delivery.
func (d *Deliveries) Order(ctx context.Context, o models.DeliveryOrder) (*models.Delivery, string, error) {
	if o.Channel == models.DeliverToOperator {
		open, err := d.door.cfg.Store.FindOpenDelivery(ctx, o.Device.ID, o.Profile)
		if err == nil {
			open, err = d.Look(ctx, open.ID)
			if err == nil && !open.Ended() {
				return open, "", nil
			}
		}
		if err != nil && models.KindOf(err) != models.KindNotFound {
			return nil, "", err
		}
	}
	kind, err := d.kindFor(ctx, o)
	if err != nil {
		return nil, "", err
	}
	key, err := d.make(ctx, o.Algorithm)
	if err != nil {
		return nil, "", err
	}
	csr, err := requestFor(key, o.CommonName, o.SANs)
	if err != nil {
		return nil, "", err
	}
	row := &models.Delivery{
		ID: models.NewID[models.DeliveryID](), Channel: o.Channel, KeyAlgorithm: o.Algorithm, Life: models.Duration(o.Life), Actor: "operator:" + o.Operator,
	}
	code := ""
	if o.Channel == models.DeliverByDownload {
		code = newCode()
		row.CodeHash, row.TriesLeft = hashCode(row.ID, code), models.DeliveryTries
	}
	s := &Submission{
		Protocol: models.ProtocolDelivery, Transaction: string(row.ID), Kind: kind, Domain: o.Domain, Profile: o.Profile, CSR: csr, Address: o.Address, Actor: row.Actor,
		Who: Identity{Method: models.AuthOperator, Subject: o.Operator, Device: o.Device, Key: string(o.Device.ID)},
	}
	if err := d.prepare(s, row, key); err != nil {
		return nil, "", err
	}
	if _, err := d.door.Submit(ctx, s); err != nil {
		return nil, "", err
	}
	row, err = d.Look(ctx, row.ID)
	return row, code, err
}

// kindFor says which story an order belongs to. Where it is the onboarding,
// the channel has to be the one that the device is armed for.
func (d *Deliveries) kindFor(ctx context.Context, o models.DeliveryOrder) (models.RequestKind, error) {
	if err := policy.MakesKeys(o.Domain); err != nil {
		return "", err
	}
	row, err := d.door.cfg.Store.FindProfile(ctx, o.Profile)
	if err != nil {
		return "", err
	}
	profile, err := d.door.profiles.Parse(row)
	if err != nil {
		return "", err
	}
	if profile.Type() != policy.TypeDomain {
		return models.KindEnrollment, nil
	}
	method := methodOf[o.Channel]
	if o.Device.Method != method {
		return "", models.Errorf(models.KindDenied, "device %s is armed for onboarding by %s, not by %s", o.Device.Name, o.Device.Method, method)
	}
	return models.KindOnboarding, policy.Arms(o.Domain, method)
}

// prepare has the delivery stored, with its sealed key, together with the
// request for its certificate.
func (d *Deliveries) prepare(s *Submission, row *models.Delivery, key crypto.Signer) error {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key of a delivery: %w", err)
	}
	sealed := d.sealer.Seal(sealedUnder(row.ID), plain)
	clear(plain)
	if row.Life == 0 {
		row.Life = models.Duration(d.life)
	}
	s.Alongside = func(tx *store.Tx, req *models.Request) error {
		fresh := *row // a transaction may be tried again
		fresh.State, fresh.RequestID, fresh.DomainID, fresh.DeviceID = models.DeliveryWaiting, req.ID, req.DomainID, req.DeviceID
		fresh.ProfileName, fresh.ExpiresAt = req.ProfileName, d.door.cfg.Now().Add(models.DeliveryPatience)
		if err := tx.InsertDelivery(&fresh, sealed); err != nil {
			return err
		}
		return tx.Audit(deliveryEvent(&fresh, fresh.Actor, s.Address, "delivery.ordered", map[string]string{
			"channel": string(fresh.Channel), "key_algorithm": string(fresh.KeyAlgorithm), "profile": fresh.ProfileName}))
	}
	return nil
}

// make makes a key when its turn comes.
func (d *Deliveries) make(ctx context.Context, algorithm models.KeyAlgorithm) (crypto.Signer, error) {
	select {
	case d.making <- struct{}{}:
		defer func() { <-d.making }()
	case <-ctx.Done():
		return nil, models.Errorf(models.KindLimited, "too many keys are being made; try again").After(10 * time.Second)
	}
	return pki.GenerateKey(algorithm)
}

// requestFor makes the CSR of a key that Trustloom holds, so that it passes
// the same checks as any other. What is in it are wishes to the profile.
func requestFor(key crypto.Signer, commonName string, sans []string) (*pki.CSR, error) {
	template := &x509.CertificateRequest{}
	if commonName != "" {
		subject, err := pki.MarshalAttributes([]pki.Attribute{{OID: "2.5.4.3", Value: commonName}})
		if err != nil {
			return nil, err
		}
		template.RawSubject = subject
	}
	for _, san := range sans {
		name, err := pki.CanonicalSAN(san)
		if err != nil {
			return nil, err
		}
		if err := addSAN(template, name); err != nil {
			return nil, err
		}
	}
	return signRequest(key, template)
}

func addSAN(template *x509.CertificateRequest, name string) error {
	kind, value, _ := strings.Cut(name, ":")
	switch kind {
	case "dns":
		template.DNSNames = append(template.DNSNames, value)
	case "email":
		template.EmailAddresses = append(template.EmailAddresses, value)
	case "ip":
		addr, err := netip.ParseAddr(value)
		if err != nil {
			return models.Errorf(models.KindInvalid, "%q is not an IP address", value).Because(err)
		}
		template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
	case "uri":
		u, err := url.Parse(value)
		if err != nil {
			return models.Errorf(models.KindInvalid, "%q is not a URI", value).Because(err)
		}
		template.URIs = append(template.URIs, u)
	}
	return nil
}

// signRequest makes and checks a CSR.
func signRequest(key crypto.Signer, template *x509.CertificateRequest) (*pki.CSR, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, models.Errorf(models.KindInvalid, "the request cannot be made of these names").Because(err)
	}
	return pki.ParseCSR(der)
}

func deliveryEvent(row *models.Delivery, actor, address, action string, details map[string]string) models.Event {
	return models.Event{
		Actor: actor, Address: address, Action: action, Noun: "delivery", SubjectID: string(row.ID),
		DomainID: row.DomainID, DeviceID: row.DeviceID, RequestID: row.RequestID, Details: details,
	}
}
