// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"sync"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// Protectors makes and renews what the answers of CMP are signed with: for each
// issuing CA a key beside its own and a certificate that it issues itself (RFC
// 9483 §1.5). It is no activity: it has no story.
type Protectors struct {
	cfg      Config
	issuance *Issuance

	mu    sync.Mutex
	known map[models.CAID]*Protector
}

// Protector is a key that signs the messages of a CA, and its certificate.
type Protector struct {
	Signer      crypto.Signer
	Certificate *x509.Certificate

	id       models.CertificateID
	number   int
	renewAt  time.Time
	lookedAt time.Time
}

// How long a protection certificate lasts, and how often one that is in use is
// looked at, should an operator have revoked it.
const (
	protectorValidity = 90 * 24 * time.Hour
	protectorLook     = 10 * time.Second
	maxProtectors     = 10000
)

// The purposes of a protection certificate (RFC 6402 §2.10, RFC 9810 §4.5).
var protectorPurposes = []asn1.ObjectIdentifier{
	{1, 3, 6, 1, 5, 5, 7, 3, 27}, // id-kp-cmcCA
	{1, 3, 6, 1, 5, 5, 7, 3, 32}, // id-kp-cmKGA
}

// Find returns the present protector of a CA, and makes one if there is none,
// or if it is due for renewal.
func (p *Protectors) Find(ctx context.Context, ca *models.CA) (*Protector, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, number := p.cfg.Now(), 1
	if known := p.known[ca.ID]; known != nil {
		if number = known.number; now.Before(known.renewAt) && now.Sub(known.lookedAt) < protectorLook {
			return known, nil
		}
	}
	ctx = store.WithOrigin(ctx, store.Origin{Actor: system})
	for ; number <= maxProtectors; number++ {
		made, err := p.numbered(ctx, ca, number)
		if err != nil {
			return nil, err
		}
		if made != nil {
			if p.known == nil {
				p.known = map[models.CAID]*Protector{}
			}
			p.known[ca.ID] = made
			return made, nil
		}
	}
	return nil, models.Errorf(models.KindInternal, "CA %s has had too many protection certificates", ca.Name)
}

// numbered returns the protector with a number, which it makes if there is
// none; nil if it is revoked or due for renewal.
func (p *Protectors) numbered(ctx context.Context, ca *models.CA, number int) (*Protector, error) {
	key := fmt.Sprintf("cmp-protection/%s/%d", ca.ID, number)
	row, err := p.cfg.Store.FindCertificateByRequestKey(ctx, key)
	if models.KindOf(err) == models.KindNotFound {
		row, err = p.reserve(ctx, ca, key)
	}
	if err != nil {
		return nil, err
	}
	if len(row.DER) == 0 {
		if _, err := p.issuance.SignCertificate(ctx, CertificateInput{CertificateID: row.ID}); err != nil {
			return nil, err
		}
		if row, err = p.cfg.Store.FindCertificate(ctx, row.ID); err != nil {
			return nil, err
		}
	}
	now := p.cfg.Now()
	renewAt := row.NotBefore.Add(row.NotAfter.Sub(row.NotBefore) * 2 / 3)
	if row.State != models.CertificateIssued || !now.Before(row.NotAfter) || !now.Before(renewAt) && row.NotAfter.Before(ca.NotAfter) {
		return nil, nil
	}
	signer, err := p.cfg.Issuer.Signer(ctx, besides(ca))
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate %s: %w", row.ID, err)
	}
	return &Protector{Signer: signer, Certificate: leaf, id: row.ID, number: number, renewAt: renewAt, lookedAt: now}, nil
}

// besides stands for the key that signs messages, in the key store of the CA.
func besides(ca *models.CA) *models.CA {
	return &models.CA{Name: ca.Name, Key: models.KeyRef{Store: ca.Key.Store, ID: "cmp-" + string(ca.ID), Algorithm: models.ECP256}}
}

// reserve stores the to-be-signed bytes of a protection certificate, linted,
// with the audit event, as is done for every other certificate.
func (p *Protectors) reserve(ctx context.Context, ca *models.CA, key string) (*models.Certificate, error) {
	if ca.State != models.CAActive {
		return nil, models.Errorf(models.KindDenied, "issuing CA %s is %s and does not issue", ca.Name, ca.State)
	}
	public, err := p.cfg.Issuer.GenerateKey(ctx, besides(ca))
	if err != nil {
		return nil, err
	}
	issuer, err := x509.ParseCertificate(ca.CertificateDER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of CA %s: %w", ca.Name, err)
	}
	template, err := p.template(ca, issuer)
	if err != nil {
		return nil, err
	}
	tbs, err := p.cfg.Builder.BuildTBS(template, public, pki.Issuer{Certificate: issuer, Algorithm: ca.Key.Algorithm})
	if err != nil {
		return nil, err
	}
	spki, err := spkiSHA256(public)
	if err != nil {
		return nil, err
	}
	cert := &models.Certificate{
		ID: models.NewID[models.CertificateID](), RequestKey: key, State: models.CertificateReserved, Kind: models.CertificateProtector,
		IssuerCAID: ca.ID, IssuerKeyID: ca.KeyID, Serial: pki.SerialHex(template.SerialNumber), TBS: tbs.DER, TBSSHA256: tbs.SHA256,
		SPKISHA256: spki, Subject: subjectOf(template), NotBefore: template.NotBefore, NotAfter: template.NotAfter,
	}
	return cert, p.cfg.write(ctx, func(tx *store.Tx) error {
		reserved, err := tx.ReserveCertificate(cert) // or reads back what is there
		if err != nil || !reserved {
			return err
		}
		event := authorityEvent(ca, "certificate.reserved", map[string]string{"serial": cert.Serial, "tbs_sha256": cert.TBSSHA256, "purpose": "CMP protection"})
		event.Noun, event.SubjectID = "certificate", string(cert.ID)
		return tx.Audit(event)
	})
}

func (p *Protectors) template(ca *models.CA, issuer *x509.Certificate) (*x509.Certificate, error) {
	name := []rune(ca.Subject.CommonName)
	subject, err := pki.MarshalName(models.Name{CommonName: string(name[:min(len(name), 60)]) + " CMP"})
	if err != nil {
		return nil, err
	}
	now := p.cfg.Now()
	template := &x509.Certificate{
		RawSubject: subject, SerialNumber: pki.NewSerial(), BasicConstraintsValid: true,
		NotBefore: models.UTC(now.Add(-backdate)), NotAfter: models.UTC(now.Add(protectorValidity)),
		KeyUsage: x509.KeyUsageDigitalSignature, UnknownExtKeyUsage: protectorPurposes,
	}
	return template, p.cfg.below(template, ca, issuer)
}
