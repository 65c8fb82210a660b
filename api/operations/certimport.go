// SPDX-License-Identifier: MIT

package operations

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// maxImported bounds the certificates of one file.
const maxImported = 500

// The outcomes of the import of a certificate.
const (
	outcomeImported = "imported"
	outcomeKnown    = "known"
	outcomeRefused  = "refused"
)

// ImportCertificates brings the certificates of a file into the inventory, in
// one transaction. One that is known is left as it is, so the same file again
// changes nothing.
func (o *Operations) ImportCertificates(ctx context.Context, who Caller, in api.CertificateImport) (*api.CertificateImportResult, error) {
	if err := auth.Authorize(who.Principal, auth.ImportCertificates); err != nil {
		return nil, err
	}
	if in.BindDevices && in.Domain == "" {
		return nil, models.Errorf(models.KindInvalid, "bind_devices needs the domain of the devices")
	}
	certificates, err := o.readInventory(ctx, in)
	if err != nil {
		return nil, err
	}
	result := &api.CertificateImportResult{}
	err = o.write(ctx, func(tx *store.Tx) error {
		result.Items = nil
		i := inventory{tx: tx, who: who, bind: in.BindDevices}
		if in.Domain != "" {
			if i.domain, err = domainNamed(ctx, tx.Queries, who, in.Domain); err != nil {
				return err
			}
		}
		if i.cas, err = tx.AllCAs(ctx); err != nil {
			return err
		}
		for _, certificate := range certificates {
			item, err := i.add(ctx, certificate)
			if err != nil {
				return err
			}
			result.Items = append(result.Items, item)
		}
		return nil
	})
	return result, err
}

func (o *Operations) readInventory(ctx context.Context, in api.CertificateImport) ([]*x509.Certificate, error) {
	if !pki.IsPKCS12(in.File) {
		return pki.ParseCertificates(in.File, maxImported)
	}
	release, err := o.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return pki.PKCS12Certificates(in.File, in.Password, maxImported)
}

// inventory is one import under way.
type inventory struct {
	tx     *store.Tx
	who    Caller
	domain *models.Domain
	bind   bool
	cas    []*models.CA
}

func (i *inventory) add(ctx context.Context, certificate *x509.Certificate) (api.ImportedCertificate, error) {
	item := api.ImportedCertificate{Outcome: outcomeRefused, Subject: certificate.Subject.String(), Fingerprint: fingerprintOf(certificate.Raw)}
	switch {
	case certificate.IsCA:
		item.Reason = "it is that of a CA; add it with its chain: trustloom cas add"
		return item, nil
	case certificate.SerialNumber.Sign() <= 0 || certificate.SerialNumber.BitLen() > 160:
		item.Reason = "its serial number is not a positive one of up to 20 octets (RFC 5280 §4.1.2.2)"
		return item, nil
	}
	row := i.row(certificate)
	item.Serial = row.Serial
	err := i.bindDevice(ctx, certificate, row, &item)
	if err != nil {
		return item, err
	}
	if item.Reason, err = i.tx.WhyPurged(ctx, row); err != nil || item.Reason != "" {
		item.Device = ""
		return item, err
	}
	added, err := i.tx.InsertImported(row)
	if err != nil {
		return item, err
	}
	switch {
	case added:
		item.Outcome, item.ID = outcomeImported, string(row.ID)
		event := i.who.event("certificate.imported", "certificate", string(row.ID), "serial", row.Serial, "sha256", row.Fingerprint, "device", item.Device)
		event.DomainID, event.DeviceID = row.DomainID, row.DeviceID
		return item, i.tx.Audit(event)
	case bytes.Equal(row.DER, certificate.Raw):
		item.Outcome, item.ID, item.Device = outcomeKnown, string(row.ID), ""
	default:
		item.Reason, item.Device = fmt.Sprintf("another certificate of the same issuer has the serial number %s", row.Serial), ""
	}
	return item, nil
}

// row describes a certificate. Its issuer is a CA that is known and whose
// signature it bears, or else known by its name only.
func (i *inventory) row(certificate *x509.Certificate) *models.Certificate {
	name := sha256.Sum256(certificate.RawIssuer)
	row := &models.Certificate{
		Kind: models.CertificateApplication, IssuerKeyID: "name:" + hex.EncodeToString(name[:20]), Serial: pki.SerialHex(certificate.SerialNumber),
		DER: certificate.Raw, Fingerprint: fingerprintOf(certificate.Raw), SPKISHA256: keyFingerprint(certificate),
		Subject: certificate.Subject.String(), SANs: pki.SANs(certificate), NotBefore: certificate.NotBefore.UTC(), NotAfter: certificate.NotAfter.UTC(),
	}
	for _, ca := range i.cas {
		if len(ca.CertificateDER) == 0 {
			continue
		}
		issuer, err := x509.ParseCertificate(ca.CertificateDER)
		if err == nil && bytes.Equal(issuer.RawSubject, certificate.RawIssuer) && certificate.CheckSignatureFrom(issuer) == nil {
			row.IssuerCAID, row.IssuerKeyID = ca.ID, ca.KeyID
			break
		}
	}
	if i.domain != nil {
		row.DomainID = i.domain.ID
	}
	return row
}

// bindDevice binds a certificate to the one device that has its serialNumber.
func (i *inventory) bindDevice(ctx context.Context, certificate *x509.Certificate, row *models.Certificate, item *api.ImportedCertificate) error {
	serial := pki.SubjectSerialNumber(certificate)
	if !i.bind || serial == "" {
		return nil
	}
	devices, err := i.tx.DevicesWithSerial(ctx, i.domain.ID, serial, 2)
	if err != nil || len(devices) != 1 {
		return err
	}
	row.DeviceID, item.Device = devices[0].ID, devices[0].Name
	return nil
}

// revocableHere refuses to revoke what a CA elsewhere has to.
func revocableHere(ctx context.Context, tx *store.Tx, row *models.Certificate) error {
	if row.Origin != models.CertificateImported {
		return nil
	}
	if row.IssuerCAID != "" {
		issuer, err := tx.FindCA(ctx, row.IssuerCAID)
		if err != nil && models.KindOf(err) != models.KindNotFound {
			return err
		}
		if err == nil && !issuer.Keyless() {
			return nil
		}
	}
	return models.Errorf(models.KindConflict, "certificate %s was issued elsewhere, by a CA whose key is not here: revoke it there", row.ID)
}
