// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

const maxAnchors = 64 // certificates of one truststore

// ListTruststores lists the current versions of the truststores; a limited
// caller sees those that its domains or their registrations name.
func (o *Operations) ListTruststores(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.Truststore], error) {
	if err := auth.Authorize(who.Principal, auth.ReadTruststores); err != nil {
		return nil, err
	}
	if !who.Limited() {
		rows, next, err := o.store.ListTruststores(ctx, pageOf(q))
		if err != nil {
			return nil, err
		}
		return wirePage(rows, next, wireTruststore)
	}
	visible, err := truststoresOf(ctx, o.store.Queries, who)
	if err != nil {
		return nil, err
	}
	some, next, err := sliceNames(visible, q)
	if err != nil {
		return nil, err
	}
	return wirePage(some, next, func(name *string) (api.Truststore, error) {
		row, err := o.store.FindTruststore(ctx, *name)
		if err != nil {
			return api.Truststore{}, err
		}
		return wireTruststore(row)
	})
}

// truststoresOf returns the names of the truststores that a limited caller
// sees.
func truststoresOf(ctx context.Context, q reader, who Caller) ([]string, error) {
	domains, err := scope(ctx, q, who)
	if err != nil {
		return nil, err
	}
	var visible []string
	for _, id := range domains {
		domain, err := q.FindDomain(ctx, id)
		if err != nil {
			return nil, err
		}
		visible = append(visible, domain.Truststores...)
		registrations, err := q.RegistrationsOfDomain(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, r := range registrations {
			visible = append(visible, r.TruststoreName)
		}
	}
	return visible, nil
}

// truststoreNamed finds a truststore that the caller sees.
func truststoreNamed(ctx context.Context, q reader, who Caller, name string) (*models.Truststore, error) {
	if who.Limited() {
		visible, err := truststoresOf(ctx, q, who)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(visible, name) {
			return nil, absent("truststore", name)
		}
	}
	row, err := q.FindTruststore(ctx, name)
	return row, found(err, "truststore", name)
}

// FindTruststore returns a version of a truststore, the current one for
// version 0, with its certificates and what changed with it.
func (o *Operations) FindTruststore(ctx context.Context, who Caller, name string, q api.TruststoreQuery) (*api.Truststore, error) {
	row, err := o.truststoreVersion(ctx, who, name, q.Version)
	if err != nil {
		return nil, err
	}
	return o.fullTruststore(ctx, row)
}

// truststoreVersion finds a version of a truststore that the caller sees.
func (o *Operations) truststoreVersion(ctx context.Context, who Caller, name string, version int) (*models.Truststore, error) {
	if err := auth.Authorize(who.Principal, auth.ReadTruststores); err != nil {
		return nil, err
	}
	row, err := truststoreNamed(ctx, o.store.Queries, who, name)
	if err != nil || version == 0 || version == row.Version {
		return row, err
	}
	row, err = o.store.FindTruststoreVersion(ctx, name, version)
	return row, found(err, "truststore", fmt.Sprintf("%s of version %d", name, version))
}

// ListTruststoreVersions lists the versions of a truststore, oldest first,
// each with what changed.
func (o *Operations) ListTruststoreVersions(ctx context.Context, who Caller, name string, q api.PageQuery) (*api.Page[api.Truststore], error) {
	if _, err := o.truststoreVersion(ctx, who, name, 0); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListTruststoreVersions(ctx, name, pageOf(q))
	if err != nil {
		return nil, err
	}
	return wirePage(rows, next, func(row *models.Truststore) (api.Truststore, error) { return o.changedTruststore(ctx, row) })
}

// TruststoreContent returns the certificates of a truststore as a file.
func (o *Operations) TruststoreContent(ctx context.Context, who Caller, name string, q api.TruststoreContentQuery) (*File, error) {
	row, err := o.truststoreVersion(ctx, who, name, q.Version)
	if err != nil {
		return nil, err
	}
	certificates, err := parseStored(row)
	if err != nil {
		return nil, err
	}
	content, err := pki.EncodeCertificates(pki.Format(q.Format), certificates...)
	if err != nil {
		return nil, err
	}
	return &File{Name: fmt.Sprintf("%s-%d%s", row.Name, row.Version, content.Extension), MediaType: content.MediaType, Content: content.Content}, nil
}

// CreateTruststore adds a truststore.
func (o *Operations) CreateTruststore(ctx context.Context, who Caller, in api.TruststoreCreation) (*api.Truststore, error) {
	if err := models.CheckName("truststore", in.Name); err != nil {
		return nil, err
	}
	return o.addTruststore(ctx, who, in.Name, api.TruststoreVersion{PEM: in.PEM, DER: in.DER}, func(tx *store.Tx) error {
		_, err := tx.FindTruststore(ctx, in.Name)
		if err == nil {
			return models.Errorf(models.KindConflict, "truststore %s exists; PUT replaces its certificates", in.Name)
		}
		return ifAbsent(err)
	})
}

// PutTruststore replaces the certificates of a truststore by a new version.
func (o *Operations) PutTruststore(ctx context.Context, who Caller, name string, in api.TruststoreVersion) (*api.Truststore, error) {
	return o.addTruststore(ctx, who, name, in, func(tx *store.Tx) error {
		_, err := truststoreNamed(ctx, tx.Queries, who, name)
		return err
	})
}

func (o *Operations) addTruststore(ctx context.Context, who Caller, name string, in api.TruststoreVersion, check func(*store.Tx) error) (*api.Truststore, error) {
	if err := auth.Authorize(who.Principal, auth.WriteTruststores); err != nil {
		return nil, err
	}
	anchors, err := parseAnchors(in)
	if err != nil {
		return nil, err
	}
	row := &models.Truststore{ID: models.NewID[models.TruststoreID](), Name: name, Certificates: anchors}
	err = o.write(ctx, func(tx *store.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		if err := tx.InsertTruststore(row); err != nil {
			return err
		}
		return tx.Audit(who.event("truststore.saved", "truststore", string(row.ID), "name", name,
			"version", fmt.Sprint(row.Version), "certificates", fmt.Sprint(len(anchors))))
	})
	if err != nil {
		return nil, err
	}
	return o.fullTruststore(ctx, row)
}

// parseAnchors reads CA certificates, each once.
func parseAnchors(in api.TruststoreVersion) ([][]byte, error) {
	if (in.PEM == "") == (in.DER == "") {
		return nil, models.Errorf(models.KindInvalid, "give the certificates as pem or as der, one of them")
	}
	data := []byte(in.PEM)
	if in.DER != "" {
		var err error
		if data, err = base64.StdEncoding.DecodeString(in.DER); err != nil {
			return nil, models.Errorf(models.KindInvalid, "der is not base64").Because(err)
		}
	}
	certificates, err := pki.ParseCertificates(data, maxAnchors)
	if err != nil {
		return nil, err
	}
	var ders [][]byte
	for _, c := range certificates {
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, models.Errorf(models.KindInvalid, "certificate %q is not a CA certificate; a truststore holds trust anchors", c.Subject.String())
		}
		if !slices.ContainsFunc(ders, func(der []byte) bool { return string(der) == string(c.Raw) }) {
			ders = append(ders, c.Raw)
		}
	}
	if len(ders) == 0 {
		return nil, models.Errorf(models.KindInvalid, "there is no certificate in it")
	}
	return ders, nil
}

func parseStored(row *models.Truststore) ([]*x509.Certificate, error) {
	certificates := make([]*x509.Certificate, len(row.Certificates))
	for i, der := range row.Certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d of truststore %s: %w", i, row.Name, err)
		}
		certificates[i] = c
	}
	return certificates, nil
}

func wireTruststore(row *models.Truststore) (api.Truststore, error) {
	out := api.Truststore{Name: row.Name, Version: row.Version, CreatedAt: row.CreatedAt}
	certificates, err := parseStored(row)
	for _, c := range certificates {
		sum := sha256.Sum256(c.Raw)
		out.Certificates = append(out.Certificates, api.TrustAnchor{
			Subject: c.Subject.String(), Fingerprint: hex.EncodeToString(sum[:]), NotAfter: c.NotAfter.UTC(),
		})
	}
	return out, err
}

func (o *Operations) fullTruststore(ctx context.Context, row *models.Truststore) (*api.Truststore, error) {
	out, err := o.changedTruststore(ctx, row)
	if err != nil {
		return nil, err
	}
	certificates, err := parseStored(row)
	out.PEM = string(pki.EncodePEM(certificates...))
	return &out, err
}

// changedTruststore is wireTruststore with the difference to the version
// before.
func (o *Operations) changedTruststore(ctx context.Context, row *models.Truststore) (api.Truststore, error) {
	out, err := wireTruststore(row)
	if err != nil || row.Version == 1 {
		out.Added = out.Certificates
		return out, err
	}
	before, err := o.store.FindTruststoreVersion(ctx, row.Name, row.Version-1)
	if err != nil {
		return out, err
	}
	old, err := wireTruststore(before)
	out.Added, out.Removed = without(out.Certificates, old.Certificates), without(old.Certificates, out.Certificates)
	return out, err
}

// without returns the anchors that are not among others.
func without(anchors, others []api.TrustAnchor) (rest []api.TrustAnchor) {
	for _, a := range anchors {
		if !slices.ContainsFunc(others, func(b api.TrustAnchor) bool { return a.Fingerprint == b.Fingerprint }) {
			rest = append(rest, a)
		}
	}
	return rest
}
