// SPDX-License-Identifier: MIT

package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// Issuance is the issuing function of both lanes. Intent comes first: the
// serial number and the linted to-be-signed bytes are stored under the unique
// request key before anything is signed; exactly those bytes are signed; the
// first signature recorded wins and only it is ever released.
type Issuance struct {
	cfg      Config
	profiles policy.Cache
	certs    pki.Cache // of CAs
	paths    paths     // above CAs
}

// ReserveResult says what to sign, and whether signing stays in this process.
type ReserveResult struct {
	CertificateID models.CertificateID
	InProcess     bool
}

// ReserveCertificate stores the intent of an approved request: serial number,
// to-be-signed bytes and audit event in one transaction. Called again it
// returns the reservation that is there.
func (i *Issuance) ReserveCertificate(ctx context.Context, in RequestInput) (ReserveResult, error) {
	i.cfg.Fault(FaultBeforeReserve)
	req, err := i.cfg.Store.FindRequest(ctx, in.RequestID)
	if err != nil {
		return ReserveResult{}, err
	}
	facts, err := i.Facts(ctx, req)
	if err != nil {
		return ReserveResult{}, err
	}
	cert, err := i.cfg.Store.FindCertificateByRequestKey(ctx, req.Key)
	if err == nil {
		return ReserveResult{CertificateID: cert.ID, InProcess: i.cfg.Issuer.InProcess(facts.CA)}, nil
	}
	if models.KindOf(err) != models.KindNotFound {
		return ReserveResult{}, err
	}
	if err := i.stillTheirs(ctx, req, facts.Device); err != nil {
		return ReserveResult{}, err
	}
	cert, limits, err := i.prepare(ctx, req, facts)
	if err != nil {
		return ReserveResult{}, err
	}
	err = i.cfg.write(ctx, func(tx *store.Tx) error { return i.reserve(ctx, tx, req.ID, cert, limits) })
	if err != nil {
		return ReserveResult{}, err
	}
	i.cfg.Fault(FaultAfterReserve)
	return ReserveResult{CertificateID: cert.ID, InProcess: i.cfg.Issuer.InProcess(facts.CA)}, nil
}

// reserve stores cert as the reservation of a request that is approved at
// this moment, or reads back the reservation that another attempt stored.
func (i *Issuance) reserve(ctx context.Context, tx *store.Tx, id models.RequestID, cert *models.Certificate, limits policy.Limits) error {
	req, err := tx.FindRequest(ctx, id)
	if err != nil {
		return err
	}
	reserved, err := tx.ReserveCertificate(cert)
	if err != nil || !reserved {
		return err
	}
	if err := hold(tx, cert, limits); err != nil {
		return err
	}
	if err := models.RequestTransitions.Check("request", req.State, models.RequestReserved); err != nil {
		return err
	}
	req.State = models.RequestReserved
	if err := tx.SaveRequest(req); err != nil {
		return err
	}
	return tx.Audit(certificateEvent(req, cert, "certificate.reserved"))
}

// CertificateInput names a reserved certificate.
type CertificateInput struct {
	CertificateID models.CertificateID
}

// CertificateResult names a recorded certificate.
type CertificateResult struct {
	CertificateID models.CertificateID
	Serial        string
}

// SignCertificate signs the reserved bytes and records the certificate, first
// writer wins. Called again it returns the recorded certificate; killed
// between signing and recording it signs the same bytes once more and nobody
// has seen the first signature.
func (i *Issuance) SignCertificate(ctx context.Context, in CertificateInput) (CertificateResult, error) {
	cert, err := i.cfg.Store.FindCertificate(ctx, in.CertificateID)
	if err != nil {
		return CertificateResult{}, err
	}
	if len(cert.DER) == 0 {
		if cert, err = i.signAgain(ctx, cert.ID); err != nil {
			return CertificateResult{}, err
		}
	}
	return CertificateResult{CertificateID: cert.ID, Serial: cert.Serial}, nil
}

// signAgain notes the attempt, then signs and records.
func (i *Issuance) signAgain(ctx context.Context, id models.CertificateID) (*models.Certificate, error) {
	var cert *models.Certificate
	err := i.cfg.write(ctx, func(tx *store.Tx) (err error) {
		cert, err = tx.BeginSigning(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	ca, err := i.cfg.Store.FindCA(ctx, cert.IssuerCAID)
	if err != nil {
		return nil, err
	}
	return i.signAndRecord(ctx, cert, ca, nil)
}

// Issue is the inline lane: req, which must be new, is issued at once in this
// process. received says in the audit log where it came from; alongside, if
// there is anything, is stored in the transaction of the reservation. If a
// request with the same key is there already, that one is finished and its
// certificate returned.
//
// req is changed into the row as it is stored.
func (i *Issuance) Issue(ctx context.Context, req *models.Request, facts *Facts, received models.Event, alongside func(*store.Tx) error) (*models.Certificate, error) {
	cert, inserted, err := i.reserveNew(ctx, req, facts, received, alongside)
	if err != nil {
		return nil, err
	}
	if !inserted {
		return i.Finish(ctx, req)
	}
	return i.signAndRecord(ctx, cert, facts.CA, req)
}

// IssueFirst is Issue, but returns nil if a request with the same key is there
// already, and leaves that as it is.
func (i *Issuance) IssueFirst(ctx context.Context, req *models.Request, facts *Facts, received models.Event) (*models.Certificate, error) {
	cert, inserted, err := i.reserveNew(ctx, req, facts, received, nil)
	if err != nil || !inserted {
		return nil, err
	}
	return i.signAndRecord(ctx, cert, facts.CA, req)
}

// reserveNew stores the reservation of a request, and reports false if there
// is one with the same key.
func (i *Issuance) reserveNew(ctx context.Context, req *models.Request, facts *Facts, received models.Event, alongside func(*store.Tx) error) (*models.Certificate, bool, error) {
	cert, limits, err := i.prepare(ctx, req, facts)
	if err != nil {
		return nil, false, err
	}
	cert.Attempts, req.State = 1, models.RequestReserved // the signature follows at once
	i.cfg.Fault(FaultBeforeReserve)
	reservation := store.Reservation{
		Request: req, Certificate: cert,
		Events: []models.Event{received, certificateEvent(req, cert, "certificate.reserved")},
	}
	if !limits.None() || alongside != nil {
		reservation.Then = func(tx *store.Tx) error {
			if err := hold(tx, cert, limits); err != nil || alongside == nil {
				return err
			}
			return alongside(tx)
		}
	}
	inserted, err := i.cfg.Store.Reserve(ctx, reservation)
	if err != nil {
		return nil, false, err
	}
	i.cfg.Fault(FaultAfterReserve)
	return cert, inserted, nil
}

// Check does everything that comes before the reservation of req, lint
// included, and stores nothing: what cannot be issued is refused before it
// becomes a row. What it has made ready serves a story that begins at once.
func (i *Issuance) Check(ctx context.Context, req *models.Request, facts *Facts) (*Prepared, error) {
	cert, limits, err := i.prepare(ctx, req, facts)
	if err != nil {
		return nil, err
	}
	if err := within(ctx, i.cfg.Store.Queries, cert, limits); err != nil {
		return nil, err
	}
	return &Prepared{Request: req, cert: cert, limits: limits, facts: facts, at: i.cfg.Now()}, nil
}

// Finish completes an inline request that an earlier attempt left reserved,
// or returns its certificate. It is KindConflict for requests that have ended
// without one.
func (i *Issuance) Finish(ctx context.Context, req *models.Request) (*models.Certificate, error) {
	cert, err := i.cfg.Store.FindCertificateByRequestKey(ctx, req.Key)
	if err != nil {
		return nil, err
	}
	if len(cert.DER) == 0 {
		if _, err := i.SignCertificate(ctx, CertificateInput{CertificateID: cert.ID}); err != nil {
			return nil, err
		}
	}
	err = i.cfg.write(ctx, func(tx *store.Tx) error {
		current, err := tx.FindRequest(ctx, req.ID)
		if err != nil {
			return err
		}
		*req = *current
		if req.State != models.RequestReserved {
			return nil
		}
		return deliver(ctx, tx, req, i.cfg)
	})
	if err != nil {
		return nil, err
	}
	return i.cfg.Store.FindCertificate(ctx, cert.ID)
}

// signAndRecord signs cert's stored bytes with the key of its CA and records
// the result. If req is given it is ended as issued in the same transaction.
func (i *Issuance) signAndRecord(ctx context.Context, cert *models.Certificate, ca *models.CA, req *models.Request) (*models.Certificate, error) {
	der, err := i.cfg.Issuer.Issue(ctx, ca, cert.TBS)
	if err != nil {
		return nil, err
	}
	i.cfg.Fault(FaultAfterSign)
	won, err := i.record(ctx, cert, der, req)
	if err != nil {
		return nil, err
	}
	i.cfg.Fault(FaultAfterRecord)
	if !won { // what another attempt recorded is the certificate
		return i.cfg.Store.FindCertificate(ctx, cert.ID)
	}
	return cert, nil
}

// record stores der unless a signature is recorded already, and reports
// whether it did. Then cert has it, too.
func (i *Issuance) record(ctx context.Context, cert *models.Certificate, der []byte, req *models.Request) (won bool, err error) {
	sum := sha256.Sum256(der)
	fingerprint := hex.EncodeToString(sum[:])
	event := models.Event{
		Action: "certificate.issued", Noun: "certificate", SubjectID: string(cert.ID),
		DomainID: cert.DomainID, DeviceID: cert.DeviceID, RequestID: cert.RequestID, Details: map[string]string{"serial": cert.Serial},
	}
	if req != nil {
		event = certificateEvent(req, cert, "certificate.issued")
	}
	return i.cfg.Store.Record(ctx, store.Recording{Certificate: cert, DER: der, Fingerprint: fingerprint, Request: req, Event: event})
}

// prepare builds the reservation for req, what would be signed, linted, and
// says what the database has to be asked when it is stored.
func (i *Issuance) prepare(ctx context.Context, req *models.Request, facts *Facts) (*models.Certificate, policy.Limits, error) {
	if err := stillOpen(facts, i.cfg.Now()); err != nil {
		return nil, policy.Limits{}, err
	}
	if err := stillAdmitted(req, facts); err != nil {
		return nil, policy.Limits{}, err
	}
	csr, err := facts.request(req)
	if err != nil {
		return nil, policy.Limits{}, err
	}
	if err := i.keyIsFree(ctx, csr, facts); err != nil {
		return nil, policy.Limits{}, err
	}
	draft, err := i.draft(ctx, req, facts, csr)
	if err != nil {
		return nil, policy.Limits{}, err
	}
	noteShortened(req, draft)
	template, tbs := draft.Template, draft.TBS
	kind := models.CertificateApplication
	if facts.Profile.Type() == policy.TypeDomain {
		kind = models.CertificateDomainCredential
	}
	return &models.Certificate{
		ID: models.NewID[models.CertificateID](), RequestKey: req.Key, RequestID: req.ID, State: models.CertificateReserved,
		Kind: kind, IssuerCAID: facts.CA.ID, IssuerKeyID: facts.CA.KeyID, Serial: pki.SerialHex(template.SerialNumber),
		TBS: tbs.DER, TBSSHA256: tbs.SHA256, SPKISHA256: csr.SPKISHA256, DomainID: facts.Domain.ID, DeviceID: facts.Device.ID,
		ProfileName: req.ProfileName, ProfileVersion: facts.Version, Subject: policy.SubjectText(template.RawSubject), SANs: pki.SANs(template),
		NotBefore: template.NotBefore, NotAfter: template.NotAfter, PredecessorID: req.PredecessorID,
	}, draft.Limits, nil
}

// draft makes what would be signed.
func (i *Issuance) draft(ctx context.Context, req *models.Request, facts *Facts, csr *pki.CSR) (*policy.Draft, error) {
	issuerCert, err := i.certs.Parse(facts.CA.CertificateDER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of CA %s: %w", facts.CA.Name, err)
	}
	old, err := i.renewed(ctx, req, facts)
	if err != nil {
		return nil, err
	}
	path, err := i.paths.above(ctx, i.cfg.Store, facts.CA, i.cfg.Now())
	if err != nil {
		return nil, err
	}
	return policy.NewDraft(i.cfg.Builder, policy.Case{
		Application: policy.Application{
			CSR: csr, Who: policy.Subject{Device: *facts.Device, Domain: *facts.Domain}, Predecessor: old, Now: i.cfg.Now(),
		},
		Profile: facts.Profile, CA: facts.CA, Issuer: issuerCert, Path: path, PublicURL: i.cfg.PublicURL,
	})
}

// renewed returns the certificate that req renews, nil if it renews none.
func (i *Issuance) renewed(ctx context.Context, req *models.Request, facts *Facts) (*x509.Certificate, error) {
	if req.Kind != models.KindRenewal {
		return nil, nil
	}
	predecessor, err := i.predecessor(ctx, req, facts)
	if err != nil {
		return nil, err
	}
	if facts.Leaf != nil && bytes.Equal(facts.Leaf.Raw, predecessor.DER) {
		return facts.Leaf, nil
	}
	old, err := x509.ParseCertificate(predecessor.DER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate %s: %w", predecessor.ID, err)
	}
	return old, nil
}

func certificateEvent(req *models.Request, cert *models.Certificate, action string) models.Event {
	event := requestEvent(req, action, map[string]string{"serial": cert.Serial, "issuer_key_id": cert.IssuerKeyID, "tbs_sha256": cert.TBSSHA256})
	event.Noun, event.SubjectID = "certificate", string(cert.ID)
	return event
}
