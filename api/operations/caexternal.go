// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// How long the certificate of an external CA may be waited for, and how often
// its row is looked at while its request is made.
const (
	defaultWait     = models.Duration(30 * 24 * time.Hour)
	maxWait         = models.Duration(year)
	minWait         = models.Duration(time.Minute)
	requestInterval = 50 * time.Millisecond
)

// checkIssuer refuses what does not go together about who signs a CA.
func checkIssuer(in api.CACreation) error {
	if in.Certificate != "" || in.Chain != "" {
		return models.Errorf(models.KindInvalid, "a certificate is given for the type external only; a CA that comes with its key is imported")
	}
	if !in.External && in.Deadline != 0 {
		return models.Errorf(models.KindInvalid, "a deadline is given with external only")
	}
	switch {
	case in.External && (in.Type != models.CAIssuing || in.Issuer != ""):
		return models.Errorf(models.KindInvalid, "external is for an issuing CA whose issuer is elsewhere")
	case !in.External && (in.Type == models.CARoot) != (in.Issuer == ""):
		return models.Errorf(models.KindInvalid, "an issuing CA needs an issuer, a root has none")
	case in.External && in.Deadline != 0 && (in.Deadline < minWait || in.Deadline > maxWait):
		return models.Errorf(models.KindInvalid, "deadline %s is not between %s and %s", in.Deadline, minWait, maxWait)
	}
	return nil
}

// awaitRequest waits until the request of an external CA is there, bounded.
func (o *Operations) awaitRequest(ctx context.Context, id models.CAID) {
	ctx, cancel := context.WithTimeout(ctx, o.authorityWait)
	defer cancel()
	look := time.NewTicker(requestInterval)
	defer look.Stop()
	for {
		row, err := o.store.FindCA(ctx, id)
		if err != nil || row.State != models.CAPending || len(row.CSR) > 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

func requestPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// CARequest returns the PEM of the request that an external CA is to sign.
func (o *Operations) CARequest(ctx context.Context, who Caller, name string) (string, error) {
	if err := auth.Authorize(who.Principal, auth.ReadCAs); err != nil {
		return "", err
	}
	row, err := caNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return "", err
	}
	switch {
	case row.Origin != models.CARequested:
		return "", models.Errorf(models.KindConflict, "CA %s has no request: nobody elsewhere signs it", name)
	case len(row.CSR) == 0:
		return "", models.Errorf(models.KindConflict, "CA %s is %s and has no request yet; ask again", name, row.State)
	}
	return requestPEM(row.CSR), nil
}

// InstallCA installs the certificate that an external CA signed. Installing
// the same again does nothing.
func (o *Operations) InstallCA(ctx context.Context, who Caller, name string, in api.CACertificate) (*api.CA, error) {
	if err := auth.Authorize(who.Principal, auth.WriteCAs); err != nil {
		return nil, err
	}
	row, err := caNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	certificate, others, err := readInstalled(row, in)
	if err != nil {
		return nil, err
	}
	if row.State == models.CAActive && string(row.CertificateDER) == string(certificate.Raw) {
		return o.fullCA(ctx, row)
	}
	err = o.activate(ctx, who, row.ID, "ca.certificate-installed", certificate, func(tx *store.Tx, ca *models.CA) error {
		return o.place(ctx, tx, who, ca, certificate, others)
	})
	if err != nil {
		return nil, err
	}
	o.tell(ctx, who, "wake authority", func(ctx context.Context) error { return o.stories.WakeAuthority(ctx, row.ID) })
	return o.FindCA(ctx, who, name)
}

// readInstalled finds the certificate that answers the CA's request.
func readInstalled(row *models.CA, in api.CACertificate) (*x509.Certificate, []*x509.Certificate, error) {
	if row.Origin != models.CARequested || len(row.CSR) == 0 {
		return nil, nil, models.Errorf(models.KindConflict, "CA %s waits for no certificate", row.Name)
	}
	given, err := certificatesIn(in.Certificate)
	if err != nil {
		return nil, nil, err
	}
	if len(given) == 0 {
		return nil, nil, models.Errorf(models.KindInvalid, "certificate is missing")
	}
	chain, err := certificatesIn(in.Chain)
	if err != nil {
		return nil, nil, err
	}
	for i, certificate := range given { // the one that fits, in a file with its chain
		if pki.CheckInstalled(row.CSR, certificate) == nil {
			given[0], given[i] = given[i], given[0]
			break
		}
	}
	return given[0], append(given[1:], chain...), pki.CheckInstalled(row.CSR, given[0])
}

// place completes the row of a CA with its certificate, after verifying it.
func (o *Operations) place(ctx context.Context, tx *store.Tx, who Caller, ca *models.CA, certificate *x509.Certificate, others []*x509.Certificate) error {
	if err := pki.CheckCA(certificate, true, o.now()); err != nil {
		return err
	}
	if pki.SelfIssued(certificate) {
		return models.Errorf(models.KindInvalid, "the certificate is signed by itself; an external CA has to sign it")
	}
	if err := o.answersProfile(ctx, tx, ca, certificate); err != nil {
		return err
	}
	all, err := tx.AllCAs(ctx)
	if err != nil {
		return err
	}
	if ca.IssuerID, err = o.placeAbove(ctx, tx, who, all, certificate, others); err != nil {
		return err
	}
	fillCA(ca, certificate)
	return tx.Promise(models.OutboxItem{Action: models.OutboxWakeAuthority, SubjectID: string(ca.ID)})
}

// addCA adds a CA of which we have the certificate only.
func (o *Operations) addCA(ctx context.Context, who Caller, in api.CACreation) (*api.CA, error) {
	if err := models.CheckName("CA", in.Name); err != nil {
		return nil, err
	}
	if in.Issuer != "" || in.Key != (api.Key{}) || in.Subject != (api.Name{}) || in.Validity != 0 || in.External || in.Profile != "" {
		return nil, models.Errorf(models.KindInvalid, "the certificate of an external CA says everything about it; give type, name, certificate and chain only")
	}
	certificates, err := certificatesIn([]byte(in.Certificate))
	if err != nil {
		return nil, err
	}
	if len(certificates) == 0 {
		return nil, models.Errorf(models.KindInvalid, "the type external needs the CA's certificate")
	}
	chain, err := certificatesIn([]byte(in.Chain))
	if err != nil {
		return nil, err
	}
	certificate := certificates[0]
	if err := pki.CheckCA(certificate, false, o.now()); err != nil {
		return nil, err
	}
	keyID, err := pki.KeyID(certificate.PublicKey)
	if err != nil {
		return nil, err
	}
	err = o.write(ctx, func(tx *store.Tx) error {
		all, err := tx.AllCAs(ctx)
		if err != nil {
			return err
		}
		if err := unknownCA(all, keyID, certificate); err != nil {
			return err
		}
		above, err := o.placeAbove(ctx, tx, who, all, certificate, append(certificates[1:], chain...))
		if err != nil {
			return err
		}
		_, err = o.insertKeyless(tx, who, in.Name, certificate, keyID, above)
		return err
	})
	if err != nil {
		return nil, err
	}
	return o.FindCA(ctx, who, in.Name)
}

// DeleteCA removes a CA that nothing stands on: one without a key here, or one
// that never had a certificate, whose key is destroyed.
func (o *Operations) DeleteCA(ctx context.Context, who Caller, name string) error {
	if err := auth.Authorize(who.Principal, auth.WriteCAs); err != nil {
		return err
	}
	var row *models.CA
	err := o.write(ctx, func(tx *store.Tx) (err error) {
		if row, err = caNamed(ctx, tx.Queries, who, name); err != nil {
			return err
		}
		if !row.Keyless() && row.State != models.CAPending && row.State != models.CAFailed {
			return models.Errorf(models.KindConflict, "CA %s is %s: a CA that may have issued is not removed", name, row.State)
		}
		if row.State == models.CAPending && row.Origin == models.CAMade {
			return models.Errorf(models.KindConflict, "CA %s is still being made; wait until it is active or failed", name)
		}
		if err := tx.DeleteCA(row); err != nil {
			return err
		}
		if !row.Keyless() {
			if err := o.promiseEnd(tx, row); err != nil {
				return err
			}
		}
		return tx.Audit(who.event("ca.removed", "ca", string(row.ID), "name", row.Name, "type", string(row.Type), "state", string(row.State), "key_id", row.KeyID))
	})
	if err == nil && row.Origin == models.CARequested {
		o.tell(ctx, who, "wake authority", func(ctx context.Context) error { return o.stories.WakeAuthority(ctx, row.ID) })
	}
	return err
}

// promiseEnd has the story of a removed CA end and its key destroyed.
func (o *Operations) promiseEnd(tx *store.Tx, row *models.CA) error {
	if err := tx.Promise(models.OutboxItem{Action: models.OutboxWakeAuthority, SubjectID: string(row.ID)}); err != nil {
		return err
	}
	return tx.Promise(models.OutboxItem{Action: models.OutboxDestroyKey, SubjectID: row.Key.Store + "/" + row.Key.ID})
}
