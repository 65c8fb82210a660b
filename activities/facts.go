// SPDX-License-Identifier: MIT

package activities

import (
	"bytes"
	"context"
	"crypto/x509"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// Facts are the rows that an issuance rests on.
type Facts struct {
	Device  *models.Device
	Domain  *models.Domain
	CA      *models.CA
	Profile *policy.Profile
	Version int // of the profile

	// What the caller has read already, or nil: the checked request, and the
	// certificate that is renewed.
	CSR         *pki.CSR
	Predecessor *models.Certificate
	Leaf        *x509.Certificate // Predecessor, parsed
	FreeKey     string            // hex SHA-256 of a key that, as was just read, nothing forbids to certify for the device
}

// Facts reads the rows that the issuance of req rests on, with the version of
// the profile that was decided on.
func (i *Issuance) Facts(ctx context.Context, req *models.Request) (*Facts, error) {
	device, err := i.cfg.Store.FindDevice(ctx, req.DeviceID)
	if err != nil {
		return nil, err
	}
	domain, err := i.cfg.Store.FindDomain(ctx, req.DomainID)
	if err != nil {
		return nil, err
	}
	ca, err := i.cfg.Store.FindCA(ctx, domain.IssuingCAID)
	if err != nil {
		return nil, err
	}
	row, err := i.cfg.Store.FindProfileVersion(ctx, req.ProfileName, req.ProfileVersion)
	if err != nil {
		return nil, err
	}
	profile, err := i.profiles.Parse(row)
	if err != nil {
		return nil, err
	}
	return &Facts{Device: device, Domain: domain, CA: ca, Profile: profile, Version: row.Version}, nil
}

// request returns the parsed request of req, whose proof of possession was
// verified, by the caller or here.
func (f *Facts) request(req *models.Request) (*pki.CSR, error) {
	if f.CSR != nil && bytes.Equal(f.CSR.DER, req.CSR) {
		return f.CSR, nil
	}
	return pki.ParseRequest(req.CSR)
}

// predecessor returns the certificate that req renews.
func (i *Issuance) predecessor(ctx context.Context, req *models.Request, facts *Facts) (*models.Certificate, error) {
	if facts.Predecessor != nil && facts.Predecessor.ID == req.PredecessorID {
		return facts.Predecessor, nil
	}
	cert, err := i.cfg.Store.FindCertificate(ctx, req.PredecessorID)
	return cert, store.OrPurged(err, func() (*models.Tombstone, error) { return i.cfg.Store.FindTombstone(ctx, req.PredecessorID) })
}
