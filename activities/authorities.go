// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// Authorities brings CAs into being: key, certificate, activation.
type Authorities struct {
	cfg Config
}

// AuthorityInput names a CA.
type AuthorityInput struct {
	CAID models.CAID
}

// AuthorityResult is how far a CA has come.
type AuthorityResult struct {
	State     models.CAState
	InProcess bool // signing for its issuer stays in this process
}

// GenerateAuthorityKey makes the CA's key in its key store, or finds the one
// that an earlier attempt made, and notes its identifier.
func (a *Authorities) GenerateAuthorityKey(ctx context.Context, in AuthorityInput) (AuthorityResult, error) {
	ca, err := a.cfg.Store.FindCA(ctx, in.CAID)
	if err != nil {
		return AuthorityResult{}, err
	}
	public, err := a.cfg.Issuer.GenerateKey(ctx, ca)
	if err != nil {
		return AuthorityResult{}, err
	}
	keyID, err := pki.KeyID(public)
	if err != nil {
		return AuthorityResult{}, err
	}
	err = a.change(ctx, in.CAID, "ca.key-generated", func(_ *store.Tx, ca *models.CA) (bool, error) {
		changed := ca.KeyID != keyID
		ca.KeyID = keyID
		return changed, nil
	})
	return AuthorityResult{State: ca.State, InProcess: a.cfg.Issuer.InProcess(ca)}, err
}

// ReserveAuthorityCertificate stores the to-be-signed bytes of the CA's
// certificate, as is done for every other certificate.
func (a *Authorities) ReserveAuthorityCertificate(ctx context.Context, in AuthorityInput) (AuthorityResult, error) {
	ca, err := a.cfg.Store.FindCA(ctx, in.CAID)
	if err != nil {
		return AuthorityResult{}, err
	}
	issuer, err := a.issuerOf(ctx, ca)
	if err != nil {
		return AuthorityResult{}, err
	}
	result := AuthorityResult{State: ca.State, InProcess: a.cfg.Issuer.InProcess(issuer)}
	if ca.CertificateID != "" {
		return result, nil
	}
	cert, err := a.prepare(ctx, ca, issuer)
	if err != nil {
		return AuthorityResult{}, err
	}
	err = a.change(ctx, in.CAID, "ca.certificate-reserved", func(tx *store.Tx, ca *models.CA) (bool, error) {
		if _, err := tx.ReserveCertificate(cert); err != nil { // reads back what is there
			return false, err
		}
		changed := ca.CertificateID != cert.ID
		ca.CertificateID = cert.ID
		if ca.Validity == 0 { // left to the profile
			ca.Validity = models.Duration(cert.NotAfter.Sub(cert.NotBefore))
		}
		return changed, nil
	})
	return result, err
}

// SignAuthorityCertificate signs the reserved bytes with the issuer's key (a
// root's with its own) and records the certificate.
func (a *Authorities) SignAuthorityCertificate(ctx context.Context, in AuthorityInput) (AuthorityResult, error) {
	ca, err := a.cfg.Store.FindCA(ctx, in.CAID)
	if err != nil {
		return AuthorityResult{}, err
	}
	cert, err := a.cfg.Store.FindCertificate(ctx, ca.CertificateID)
	if err != nil {
		return AuthorityResult{}, err
	}
	if len(cert.DER) > 0 {
		return AuthorityResult{State: ca.State}, nil
	}
	issuer, err := a.issuerOf(ctx, ca)
	if err != nil {
		return AuthorityResult{}, err
	}
	der, err := a.cfg.Issuer.Issue(ctx, issuer, cert.TBS)
	if err != nil {
		return AuthorityResult{}, err
	}
	fingerprint := sha256.Sum256(der)
	err = a.cfg.write(ctx, func(tx *store.Tx) error {
		won, err := tx.RecordCertificate(cert.ID, der, hex.EncodeToString(fingerprint[:]))
		if err != nil || !won {
			return err
		}
		return auditAsked(ctx, tx, authorityEvent(ca, "certificate.issued", map[string]string{"serial": cert.Serial, "tbs_sha256": cert.TBSSHA256}))
	})
	return AuthorityResult{State: ca.State}, err
}

// ActivateAuthority lets the CA issue and promises its first CRL.
func (a *Authorities) ActivateAuthority(ctx context.Context, in AuthorityInput) (AuthorityResult, error) {
	err := a.change(ctx, in.CAID, "ca.activated", func(tx *store.Tx, ca *models.CA) (bool, error) {
		if ca.State != models.CAPending {
			return false, nil
		}
		cert, err := tx.FindCertificate(ctx, ca.CertificateID)
		if err != nil {
			return false, err
		}
		ca.State, ca.CertificateDER = models.CAActive, cert.DER
		ca.NotBefore, ca.NotAfter = cert.NotBefore, cert.NotAfter
		return true, tx.Promise(models.OutboxItem{Action: models.OutboxPublish, SubjectID: string(ca.ID)})
	})
	return AuthorityResult{State: models.CAActive}, err
}

// FailAuthorityInput ends a CA that cannot be made.
type FailAuthorityInput struct {
	CAID models.CAID
	Text string // public
}

// FailAuthority notes why a CA cannot be made.
func (a *Authorities) FailAuthority(ctx context.Context, in FailAuthorityInput) (AuthorityResult, error) {
	err := a.change(ctx, in.CAID, "ca.failed", func(_ *store.Tx, ca *models.CA) (bool, error) {
		if ca.State != models.CAPending {
			return false, nil
		}
		ca.State, ca.Failure = models.CAFailed, in.Text
		return true, nil
	})
	return AuthorityResult{State: models.CAFailed}, err
}

// change applies do to the CA's row and audits it if do says that it changed.
func (a *Authorities) change(ctx context.Context, id models.CAID, action string, do func(*store.Tx, *models.CA) (bool, error)) error {
	return a.cfg.write(ctx, func(tx *store.Tx) error {
		ca, err := tx.FindCA(ctx, id)
		if err != nil {
			return err
		}
		changed, err := do(tx, ca)
		if err != nil || !changed {
			return err
		}
		if err := tx.SaveCA(ca); err != nil {
			return err
		}
		return auditAsked(ctx, tx, authorityEvent(ca, action, map[string]string{"key_id": ca.KeyID}))
	})
}

// issuerOf returns the CA that signs ca's certificate: itself for a root.
func (a *Authorities) issuerOf(ctx context.Context, ca *models.CA) (*models.CA, error) {
	if ca.IssuerID == "" {
		return ca, nil
	}
	issuer, err := a.cfg.Store.FindCA(ctx, ca.IssuerID)
	if err != nil {
		return nil, err
	}
	if issuer.State != models.CAActive {
		return nil, models.Errorf(models.KindDenied, "CA %s is %s and does not issue", issuer.Name, issuer.State)
	}
	return issuer, nil
}

// prepare builds the reservation of the CA's own certificate.
func (a *Authorities) prepare(ctx context.Context, ca, issuer *models.CA) (*models.Certificate, error) {
	signer, err := a.cfg.Issuer.Signer(ctx, ca)
	if err != nil {
		return nil, err
	}
	var issuerCert *x509.Certificate
	if issuer != ca {
		if issuerCert, err = x509.ParseCertificate(issuer.CertificateDER); err != nil {
			return nil, fmt.Errorf("parse certificate of CA %s: %w", issuer.Name, err)
		}
	}
	template, tbs, err := a.draft(ctx, ca, issuer, issuerCert, signer.Public())
	if err != nil {
		return nil, err
	}
	spki, err := spkiSHA256(signer.Public())
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Store.CheckBlocklists(ctx, spki); err != nil { // tokens have made weak keys before
		return nil, err
	}
	return &models.Certificate{
		ID: models.NewID[models.CertificateID](), RequestKey: fmt.Sprintf("ca/%s/%d", ca.ID, ca.Generation), State: models.CertificateReserved,
		Kind: models.CertificateCA, IssuerCAID: issuer.ID, IssuerKeyID: issuer.KeyID, Serial: pki.SerialHex(template.SerialNumber),
		TBS: tbs.DER, TBSSHA256: tbs.SHA256, SPKISHA256: spki, Subject: subjectOf(template),
		ProfileName: ca.ProfileName, ProfileVersion: ca.ProfileVersion,
		NotBefore: template.NotBefore, NotAfter: template.NotAfter,
	}, nil
}

// draft makes what would be signed, under the profile of the CA if it has one.
func (a *Authorities) draft(ctx context.Context, ca, issuer *models.CA, issuerCert *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, *pki.TBS, error) {
	var path []*x509.Certificate
	if issuerCert != nil {
		var err error
		if path, err = pathAbove(ctx, a.cfg.Store, issuer); err != nil {
			return nil, nil, err
		}
	}
	if ca.ProfileName != "" {
		d, err := a.cfg.authorityDraft(ctx, policy.AuthorityCase{CA: ca, Public: public, Above: issuer, Issuer: issuerCert, Path: path})
		if err != nil {
			return nil, nil, err
		}
		return d.Template, d.TBS, nil
	}
	template, err := a.template(ca, issuer, issuerCert)
	if err != nil {
		return nil, nil, err
	}
	tbs, err := a.cfg.Builder.BuildTBS(template, public, pki.Issuer{Certificate: issuerCert, Algorithm: issuer.Key.Algorithm, Above: path})
	return template, tbs, err
}

// authorityDraft applies the version of a profile that a CA is made under.
func (c Config) authorityDraft(ctx context.Context, in policy.AuthorityCase) (*policy.Draft, error) {
	row, err := c.Store.FindProfileVersion(ctx, in.CA.ProfileName, in.CA.ProfileVersion)
	if err != nil {
		return nil, err
	}
	if in.Profile, err = policy.ParseProfile(row.Document); err != nil {
		return nil, fmt.Errorf("parse stored profile %s version %d: %w", row.Name, row.Version, err)
	}
	in.PublicURL, in.Now = c.PublicURL, c.Now()
	return policy.NewAuthorityDraft(c.Builder, in)
}

// backdate is how far before now a certificate starts, for clocks that lag.
const backdate = time.Hour

func (a *Authorities) template(ca, issuer *models.CA, issuerCert *x509.Certificate) (*x509.Certificate, error) {
	subject, err := pki.MarshalName(ca.Subject)
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now()
	template := &x509.Certificate{
		RawSubject: subject, SerialNumber: pki.NewSerial(), BasicConstraintsValid: true, IsCA: true,
		NotBefore: models.UTC(now.Add(-backdate)), NotAfter: models.UTC(now.Add(ca.Validity.Std())),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if issuerCert == nil {
		return template, nil
	}
	if err := a.cfg.below(template, issuer, issuerCert); err != nil {
		return nil, err
	}
	_, err = pki.Inherit(template, issuerCert)
	return template, err
}

// below writes into the template of a certificate without a profile what its
// issuer decides: where relying parties find what is published, and when it
// ends at the latest.
func (c Config) below(template *x509.Certificate, issuer *models.CA, issuerCert *x509.Certificate) error {
	if template.NotBefore.Before(issuerCert.NotBefore) {
		template.NotBefore = issuerCert.NotBefore
	}
	if template.NotAfter.After(issuerCert.NotAfter) {
		template.NotAfter = issuerCert.NotAfter
	}
	var none *policy.Profile
	return none.Locate(template, c.PublicURL, policy.Subject{IssuerKeyID: issuer.KeyID})
}

func spkiSHA256(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("marshal public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

func authorityEvent(ca *models.CA, action string, details map[string]string) models.Event {
	details["name"] = ca.Name
	return models.Event{Actor: system, Action: action, Noun: "ca", SubjectID: string(ca.ID), Details: details}
}

// auditAsked writes an event about a CA in the name of whoever had it made.
func auditAsked(ctx context.Context, tx *store.Tx, e models.Event) (err error) {
	if e.Actor, err = asker(ctx, tx, store.EventFilter{SubjectID: e.SubjectID, Action: "ca.created"}); err != nil {
		return err
	}
	return tx.Audit(e)
}
