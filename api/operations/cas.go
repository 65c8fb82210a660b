// SPDX-License-Identifier: MIT

package operations

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

const (
	year                   = 365 * 24 * time.Hour
	defaultRootValidity    = models.Duration(10 * year)
	defaultIssuingValidity = models.Duration(5 * year)
	minCAValidity          = models.Duration(time.Hour)
)

// ListCAs lists CAs by name; a limited caller sees those that its domains
// stand on.
func (o *Operations) ListCAs(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.CA], error) {
	if err := auth.Authorize(who.Principal, auth.ReadCAs); err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	convert := func(ca *models.CA) (api.CA, error) { return o.wireCA(ctx, names, ca) }
	if !who.Limited() {
		rows, next, err := o.store.ListCAs(ctx, pageOf(q))
		if err != nil {
			return nil, err
		}
		return wirePage(rows, next, convert)
	}
	visible, err := casOf(ctx, o.store.Queries, who)
	if err != nil {
		return nil, err
	}
	all := make([]string, 0, len(visible))
	for name := range visible {
		all = append(all, name)
	}
	some, next, err := sliceNames(all, q)
	if err != nil {
		return nil, err
	}
	return wirePage(some, next, func(name *string) (api.CA, error) { return convert(visible[*name]) })
}

// casOf returns the CAs above the domains of a limited caller, by name.
func casOf(ctx context.Context, q reader, who Caller) (map[string]*models.CA, error) {
	visible := map[string]*models.CA{}
	for _, name := range who.Domains {
		domain, err := q.FindDomainByName(ctx, name)
		if err != nil {
			if models.KindOf(err) == models.KindNotFound {
				continue
			}
			return nil, err
		}
		chain, err := q.CAChain(ctx, domain.IssuingCAID)
		if err != nil {
			return nil, err
		}
		for _, ca := range chain {
			visible[ca.Name] = ca
		}
	}
	return visible, nil
}

// caNamed finds a CA that the caller sees.
func caNamed(ctx context.Context, q reader, who Caller, name string) (*models.CA, error) {
	if who.Limited() {
		visible, err := casOf(ctx, q, who)
		if err != nil {
			return nil, err
		}
		if ca := visible[name]; ca != nil {
			return ca, nil
		}
		return nil, absent("CA", name)
	}
	ca, err := q.FindCAByName(ctx, name)
	if err != nil {
		return nil, found(err, "CA", name)
	}
	return ca, nil
}

// FindCA returns a CA with its certificate and chain.
func (o *Operations) FindCA(ctx context.Context, who Caller, name string) (*api.CA, error) {
	if err := auth.Authorize(who.Principal, auth.ReadCAs); err != nil {
		return nil, err
	}
	row, err := caNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	return o.fullCA(ctx, row)
}

// CAChain returns the PEM of a CA's certificate and of those above it.
func (o *Operations) CAChain(ctx context.Context, who Caller, name string) (string, error) {
	ca, err := o.FindCA(ctx, who, name)
	if err != nil {
		return "", err
	}
	if ca.Chain == "" {
		return "", models.Errorf(models.KindConflict, "CA %s is %s and has no certificate", name, ca.State)
	}
	return ca.Chain, nil
}

// CreateCA stores a CA and starts its making, which it waits for a few
// seconds: the CA that it returns may still be pending.
func (o *Operations) CreateCA(ctx context.Context, who Caller, in api.CACreation) (*api.CA, error) {
	if err := auth.Authorize(who.Principal, auth.WriteCAs); err != nil {
		return nil, err
	}
	if in.Type == models.CAExternal {
		return o.addCA(ctx, who, in)
	}
	row, err := o.newCA(in)
	if err != nil {
		return nil, err
	}
	changed, err := o.underProfile(ctx, who, row, in)
	if err != nil {
		return nil, err
	}
	err = o.write(ctx, func(tx *store.Tx) error {
		if err := placeCA(ctx, tx, who, row, in.Issuer); err != nil {
			return err
		}
		if err := tx.InsertCA(row); err != nil {
			return err
		}
		promise := models.OutboxItem{Action: models.OutboxStartAuthority, SubjectID: string(row.ID)}
		if err := tx.Promise(promise); err != nil {
			return err
		}
		event := who.event("ca.created", "ca", string(row.ID), "name", row.Name, "type", string(row.Type), "origin", string(row.Origin),
			"issuer", in.Issuer, "algorithm", string(row.Key.Algorithm), "key_store", row.Key.Store)
		noteProfile(&event, row, changed)
		return tx.Audit(event)
	})
	if err != nil {
		return nil, err
	}
	o.awaitAuthority(ctx, who, row)
	made, err := o.store.FindCA(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	return o.fullCA(ctx, made)
}

// awaitAuthority starts the making of a CA and waits for it, bounded. What
// becomes of it is read from the row.
func (o *Operations) awaitAuthority(ctx context.Context, who Caller, row *models.CA) {
	id, begin := row.ID, o.stories.StartAuthority
	if row.Origin == models.CARequested {
		begin = o.stories.StartExternalAuthority
	}
	told := o.tell(ctx, who, "start authority", func(ctx context.Context) error { return begin(ctx, id) })
	if !told {
		return
	}
	if row.Origin == models.CARequested {
		o.awaitRequest(ctx, id)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, o.authorityWait)
	defer cancel()
	if err := o.stories.AwaitAuthority(ctx, id); err != nil {
		o.logger.InfoContext(ctx, "the making of a CA was not waited out", "ca", id, "request_id", who.RequestID, "error", err)
	}
}

// newCA validates what can be without the store.
func (o *Operations) newCA(in api.CACreation) (*models.CA, error) {
	if err := models.CheckName("CA", in.Name); err != nil {
		return nil, err
	}
	if err := oneOf("type", in.Type, []models.CAType{models.CARoot, models.CAIssuing}); err != nil {
		return nil, err
	}
	if err := checkIssuer(in); err != nil {
		return nil, err
	}
	row := &models.CA{
		ID: models.NewID[models.CAID](), Name: in.Name, Type: in.Type, State: models.CAPending, Generation: 1,
		Subject: models.Name(in.Subject), Validity: in.Validity, Demo: in.Demo, Origin: models.CAMade,
	}
	if in.External {
		if in.Deadline == 0 {
			in.Deadline = defaultWait
		}
		deadline := o.now().Add(in.Deadline.Std())
		row.Origin, row.Deadline = models.CARequested, &deadline
	}
	if err := o.chooseKey(row, in.Key); err != nil {
		return nil, err
	}
	if row.Subject == (models.Name{}) {
		row.Subject.CommonName = in.Name
	}
	if _, err := pki.MarshalName(row.Subject); err != nil {
		return nil, err
	}
	if row.Validity == 0 && in.Profile == "" {
		row.Validity = defaultIssuingValidity
		if row.Type == models.CARoot {
			row.Validity = defaultRootValidity
		}
	}
	if row.Validity < minCAValidity && (row.Validity != 0 || in.Profile == "") {
		return nil, models.Errorf(models.KindInvalid, "validity %s is shorter than %s", row.Validity, minCAValidity)
	}
	return row, nil
}

func (o *Operations) chooseKey(row *models.CA, key api.Key) (err error) {
	row.Key = models.KeyRef{Store: key.Store, ID: string(row.ID), Algorithm: models.ECP256}
	if key.Algorithm != "" {
		if row.Key.Algorithm, err = models.ParseKeyAlgorithm(string(key.Algorithm)); err != nil {
			return err
		}
	}
	if row.Key.Store == "" {
		row.Key.Store = models.StoreSoftware
	}
	return oneOf("key store", row.Key.Store, o.keyStores)
}

// placeCA gives the row its issuer and refuses a subject that another CA has:
// a new CA key has a new name.
func placeCA(ctx context.Context, tx *store.Tx, who Caller, row *models.CA, issuerName string) error {
	if issuerName != "" {
		issuer, err := caNamed(ctx, tx.Queries, who, issuerName)
		if err != nil {
			return err
		}
		if issuer.Keyless() {
			return models.Errorf(models.KindConflict, "the key of CA %s is not here; create %s with external instead, and have its request signed where that key is", issuer.Name, row.Name)
		}
		if issuer.State != models.CAActive {
			return models.Errorf(models.KindConflict, "CA %s is %s and does not issue", issuer.Name, issuer.State)
		}
		row.IssuerID = issuer.ID
	}
	all, err := tx.AllCAs(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Subject == row.Subject && other.Name != row.Name {
			return models.Errorf(models.KindConflict, "CA %s has the same subject; a new CA key needs a new name", other.Name)
		}
	}
	return nil
}

func (o *Operations) wireCA(ctx context.Context, names *names, ca *models.CA) (api.CA, error) {
	issuer, err := names.ca(ctx, ca.IssuerID)
	if err != nil {
		return api.CA{}, err
	}
	out := api.CA{
		ID: string(ca.ID), Name: ca.Name, Type: ca.Type, State: ca.State, Generation: ca.Generation, Issuer: issuer,
		Key: api.Key{Algorithm: ca.Key.Algorithm, Store: ca.Key.Store}, KeyID: ca.KeyID, Subject: api.Name(ca.Subject),
		Validity: ca.Validity, Demo: ca.Demo, Failure: ca.Failure, CreatedAt: ca.CreatedAt, UpdatedAt: ca.UpdatedAt,
		Origin: ca.Origin, Profile: ca.ProfileName, Version: ca.ProfileVersion,
	}
	if ca.State == models.CAPending {
		out.Deadline = ca.Deadline
	}
	if ca.State == models.CAPending && len(ca.CSR) > 0 {
		out.Request = requestPEM(ca.CSR)
	}
	if len(ca.CertificateDER) > 0 {
		out.NotBefore, out.NotAfter = ca.NotBefore, ca.NotAfter
		out.AIAURL = o.publicURL + "/ca/" + ca.KeyID + ".cer"
	}
	if len(ca.CertificateDER) > 0 && !ca.Keyless() {
		out.CRLURL = o.publicURL + "/crl/" + ca.KeyID + ".crl"
		out.OCSPURL = o.publicURL + "/ocsp/" + ca.KeyID
	}
	return out, nil
}

// fullCA is wireCA with the certificate and its chain.
func (o *Operations) fullCA(ctx context.Context, row *models.CA) (*api.CA, error) {
	out, err := o.wireCA(ctx, newNames(o.store.Queries), row)
	if err != nil {
		return nil, err
	}
	if out.Metadata, err = o.notes(ctx, "ca", string(row.ID)); err != nil || len(row.CertificateDER) == 0 {
		return &out, err
	}
	certificate, err := x509.ParseCertificate(row.CertificateDER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of CA %s: %w", row.Name, err)
	}
	out.Serial = pki.SerialHex(certificate.SerialNumber)
	out.Certificate = string(pki.EncodePEM(certificate))
	out.Chain, err = o.chainPEM(ctx, nil, row.ID)
	return &out, err
}

// chainPEM returns the PEM of leaf, if there is one, of the CA and of those
// above it.
func (o *Operations) chainPEM(ctx context.Context, leaf *x509.Certificate, issuer models.CAID) (string, error) {
	rows, err := o.store.CAChain(ctx, issuer)
	if err != nil {
		return "", err
	}
	var chain []*x509.Certificate
	if leaf != nil {
		chain = append(chain, leaf)
	}
	for _, row := range rows {
		certificate, err := x509.ParseCertificate(row.CertificateDER)
		if err != nil {
			return "", fmt.Errorf("parse certificate of CA %s: %w", row.Name, err)
		}
		if leaf == nil || !bytes.Equal(leaf.Raw, certificate.Raw) {
			chain = append(chain, certificate)
		}
	}
	return string(pki.EncodePEM(chain...)), nil
}
