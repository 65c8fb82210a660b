// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// reasonHold is the only reason that can be taken back (RFC 5280 §5.3.1).
const reasonHold models.RevocationReason = "certificateHold"

var serials = regexp.MustCompile(`^[0-9a-f]{1,64}$`)

// ListCertificates lists the certificates that the caller sees, the soonest to
// expire first.
func (o *Operations) ListCertificates(ctx context.Context, who Caller, f api.CertificateFilter) (*api.Page[api.Certificate], error) {
	if err := auth.Authorize(who.Principal, auth.ReadCertificates); err != nil {
		return nil, err
	}
	filter, err := certificateFilter(f)
	if err != nil {
		return nil, err
	}
	filter.Now = o.now()
	if filter.Domains, filter.DomainID, filter.DeviceID, err = o.selected(ctx, who, f.Domain, f.Device); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListCertificates(ctx, filter)
	if err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	return wirePage(rows, next, func(c *models.Certificate) (api.Certificate, error) {
		return wireCertificate(ctx, names, c, o.now())
	})
}

func certificateFilter(f api.CertificateFilter) (store.CertificateFilter, error) {
	filter := store.CertificateFilter{Page: pageOf(f.PageQuery), Status: f.Status, ExpiresBefore: f.ExpiresBefore, Origin: models.CertificateOrigin(f.Origin)}
	if f.Origin != "" {
		if err := oneOf("origin", filter.Origin, []models.CertificateOrigin{models.CertificateMade, models.CertificateImported}); err != nil {
			return filter, err
		}
	}
	if f.Serial == "" {
		return filter, nil
	}
	// openssl prints colons or none, upper case, and a zero octet in front of
	// a high bit; the stored form has none of them.
	digits := strings.ToLower(strings.ReplaceAll(f.Serial, ":", ""))
	if !serials.MatchString(digits) {
		return filter, models.Errorf(models.KindInvalid, "serial is not 1 to 64 hex digits")
	}
	filter.Serial = strings.TrimLeft(digits, "0")
	if len(filter.Serial)%2 == 1 {
		filter.Serial = "0" + filter.Serial
	}
	return filter, nil
}

// certificateWith finds a certificate that the caller sees.
func certificateWith(ctx context.Context, q reader, who Caller, id string) (*models.Certificate, error) {
	if !models.IsID(id) {
		return nil, absent("certificate", id)
	}
	row, err := q.FindCertificate(ctx, models.CertificateID(id))
	if err != nil {
		return nil, foundOrPurged(ctx, q, who, err, models.CertificateID(id))
	}
	_, err = inScope(ctx, q, who, row.DomainID, "certificate", id)
	return row, err
}

// FindCertificate returns a certificate with its PEM and chain.
func (o *Operations) FindCertificate(ctx context.Context, who Caller, id string) (*api.Certificate, error) {
	if err := auth.Authorize(who.Principal, auth.ReadCertificates); err != nil {
		return nil, err
	}
	row, err := certificateWith(ctx, o.store.Queries, who, id)
	if err != nil {
		return nil, err
	}
	return o.fullCertificate(ctx, row)
}

// CertificatePEM returns the PEM of a certificate.
func (o *Operations) CertificatePEM(ctx context.Context, who Caller, id string) (string, error) {
	certificate, err := o.FindCertificate(ctx, who, id)
	if err != nil {
		return "", err
	}
	if certificate.PEM == "" {
		return "", models.Errorf(models.KindConflict, "certificate %s is %s and not there yet", id, certificate.Status)
	}
	return certificate.PEM, nil
}

func (o *Operations) fullCertificate(ctx context.Context, row *models.Certificate) (*api.Certificate, error) {
	out, err := wireCertificate(ctx, newNames(o.store.Queries), row, o.now())
	if err != nil {
		return nil, err
	}
	if out.Metadata, err = o.notes(ctx, "certificate", string(row.ID)); err != nil || len(row.DER) == 0 {
		return &out, err
	}
	certificate, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate %s: %w", row.ID, err)
	}
	out.PEM = string(pki.EncodePEM(certificate))
	if row.IssuerCAID == "" { // imported, of a CA that is not known
		out.Chain = out.PEM
		return &out, nil
	}
	out.Chain, err = o.chainPEM(ctx, certificate, row.IssuerCAID)
	return &out, err
}

// RevokeCertificate revokes a certificate. It is refused as a credential from
// this moment on; the CRL follows.
func (o *Operations) RevokeCertificate(ctx context.Context, who Caller, id string, in api.Revocation) (*api.Certificate, error) {
	if _, known := models.RevocationReasons[in.Reason]; !known {
		return nil, models.Errorf(models.KindInvalid, "reason %q is not one of RFC 5280 §5.3.1, such as keyCompromise or superseded", in.Reason)
	}
	if err := checkText("comment", in.Comment, maxComment); err != nil {
		return nil, err
	}
	return o.changeCertificate(ctx, who, id, func(tx *store.Tx, row *models.Certificate) (models.Event, error) {
		if row.State != models.CertificateIssued && row.RevokedReason != reasonHold {
			return models.Event{}, models.Errorf(models.KindConflict, "certificate %s is %s and cannot be revoked", id, row.State)
		}
		event := who.event("certificate.revoked", "certificate", id, "serial", row.Serial, "reason", string(in.Reason), "comment", in.Comment)
		return event, tx.RevokeCertificate(row.ID, in.Reason, models.UTC(o.now()))
	})
}

// ReleaseCertificate ends the hold of a certificate; any other revocation is
// for good.
func (o *Operations) ReleaseCertificate(ctx context.Context, who Caller, id string) (*api.Certificate, error) {
	return o.changeCertificate(ctx, who, id, func(tx *store.Tx, row *models.Certificate) (models.Event, error) {
		if row.State != models.CertificateRevoked || row.RevokedReason != reasonHold {
			return models.Event{}, models.Errorf(models.KindConflict, "certificate %s is not on hold; only a hold can be released", id)
		}
		return who.event("certificate.released", "certificate", id, "serial", row.Serial), tx.ReleaseHold(row.ID)
	})
}

// changeCertificate changes the revocation of a certificate that the caller
// sees and has the CRL of its issuer published.
func (o *Operations) changeCertificate(ctx context.Context, who Caller, id string, do func(*store.Tx, *models.Certificate) (models.Event, error)) (*api.Certificate, error) {
	if err := auth.Authorize(who.Principal, auth.RevokeCertificates); err != nil {
		return nil, err
	}
	var row *models.Certificate
	err := o.write(ctx, func(tx *store.Tx) (err error) {
		if row, err = certificateWith(ctx, tx.Queries, who, id); err != nil {
			return err
		}
		if row.Kind == models.CertificateCA {
			return models.Errorf(models.KindDenied, "certificate %s belongs to a CA and is not revoked here: everything below that CA would go with it", id)
		}
		if err := revocableHere(ctx, tx, row); err != nil {
			return err
		}
		event, err := do(tx, row)
		if err != nil {
			return err
		}
		promise := models.OutboxItem{Action: models.OutboxPublish, SubjectID: string(row.IssuerCAID)}
		if err := tx.Promise(promise); err != nil {
			return err
		}
		event.DomainID, event.DeviceID, event.RequestID = row.DomainID, row.DeviceID, row.RequestID
		return tx.Audit(event)
	})
	if err != nil {
		return nil, err
	}
	o.tell(ctx, who, "publish CRL", func(ctx context.Context) error { return o.stories.Publish(ctx, row.IssuerCAID) })
	if row, err = o.store.FindCertificate(ctx, row.ID); err != nil {
		return nil, err
	}
	return o.fullCertificate(ctx, row)
}

func wireCertificate(ctx context.Context, names *names, c *models.Certificate, now time.Time) (api.Certificate, error) {
	issuer, err := names.ca(ctx, c.IssuerCAID)
	if err != nil {
		return api.Certificate{}, err
	}
	domain, err := names.domain(ctx, c.DomainID)
	if err != nil {
		return api.Certificate{}, err
	}
	device, err := names.device(ctx, c.DeviceID)
	return api.Certificate{
		ID: string(c.ID), Kind: c.Kind, Status: statusOf(c, now), Issuer: issuer, IssuerKeyID: c.IssuerKeyID, Serial: c.Serial,
		Subject: c.Subject, SANs: c.SANs, Fingerprint: c.Fingerprint, Domain: domain, Device: device, Profile: c.ProfileName,
		ProfileVersion: c.ProfileVersion, Request: string(c.RequestID), Predecessor: string(c.PredecessorID),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, RevokedAt: c.RevokedAt, RevocationReason: c.RevokedReason, CreatedAt: c.CreatedAt, Origin: c.Origin,
	}, err
}

// statusOf returns the status in the words of the list's filter.
func statusOf(c *models.Certificate, now time.Time) string {
	switch {
	case c.State == models.CertificateRevoked:
		return store.StatusRevoked
	case c.State != models.CertificateIssued:
		return store.StatusReserved
	case now.After(c.NotAfter):
		return store.StatusExpired
	}
	return store.StatusValid
}
