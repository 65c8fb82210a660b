// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

const maxOCSPURL = 500

// FindTruststoreRevocation tells how the certificates below a truststore are
// checked, and what is known.
func (o *Operations) FindTruststoreRevocation(ctx context.Context, who Caller, name string) (*api.TruststoreRevocation, error) {
	if _, err := o.truststoreVersion(ctx, who, name, 0); err != nil {
		return nil, err
	}
	return o.revocation(ctx, name)
}

func (o *Operations) revocation(ctx context.Context, name string) (*api.TruststoreRevocation, error) {
	rules, err := o.store.FindRevocation(ctx, name)
	if err != nil {
		return nil, err
	}
	crls, err := o.store.ForeignCRLs(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &api.TruststoreRevocation{Policy: rules.Policy, OCSPURL: rules.OCSPURL, CRLs: []api.ForeignCRL{}}
	for _, c := range crls {
		out.CRLs = append(out.CRLs, api.ForeignCRL{
			Issuer: c.Issuer, IssuerKeySHA256: c.IssuerKeySHA256, Number: c.Number, Entries: c.Entries,
			ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate, Current: o.now().Before(c.NextUpdate),
		})
	}
	return out, nil
}

// PutTruststoreRevocation says how the certificates below a truststore are
// checked.
func (o *Operations) PutTruststoreRevocation(ctx context.Context, who Caller, name string, in api.RevocationRules) (*api.TruststoreRevocation, error) {
	if err := auth.Authorize(who.Principal, auth.WriteTruststores); err != nil {
		return nil, err
	}
	if err := oneOf("policy", in.Policy, models.RevocationPolicies); err != nil {
		return nil, err
	}
	if in.OCSPURL != "" {
		u, err := url.Parse(in.OCSPURL)
		if err != nil || len(in.OCSPURL) > maxOCSPURL || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
			return nil, models.Errorf(models.KindInvalid, "ocsp_url is not of the form http://host/path")
		}
	}
	err := o.write(ctx, func(tx *store.Tx) error {
		if _, err := truststoreNamed(ctx, tx.Queries, who, name); err != nil {
			return err
		}
		row, err := tx.FindRevocation(ctx, name)
		if err != nil {
			return err
		}
		row.Policy, row.OCSPURL = in.Policy, in.OCSPURL
		if err := tx.SaveRevocation(row); err != nil {
			return err
		}
		return tx.Audit(who.event("truststore.revocation-changed", "truststore", name, "name", name, "policy", string(in.Policy), "ocsp_url", in.OCSPURL))
	})
	if err != nil {
		return nil, err
	}
	return o.revocation(ctx, name)
}

// PutForeignCRL keeps the CRL of a CA of a truststore, in the place of the one
// before. It must be signed by that CA, current, complete, and have a higher
// number; otherwise the one before stays.
func (o *Operations) PutForeignCRL(ctx context.Context, who Caller, name string, in api.CRLUpload) (*api.TruststoreRevocation, error) {
	if err := auth.Authorize(who.Principal, auth.WriteTruststores); err != nil {
		return nil, err
	}
	if (in.PEM == "") == (in.DER == "") {
		return nil, models.Errorf(models.KindInvalid, "give the CRL as pem or as der, one of them")
	}
	data := []byte(in.PEM)
	if in.DER != "" {
		var err error
		if data, err = base64.StdEncoding.DecodeString(in.DER); err != nil {
			return nil, models.Errorf(models.KindInvalid, "der is not base64").Because(err)
		}
	}
	err := o.write(ctx, func(tx *store.Tx) error {
		truststore, err := truststoreNamed(ctx, tx.Queries, who, name)
		if err != nil {
			return err
		}
		anchors, err := parseStored(truststore)
		if err != nil {
			return err
		}
		list, issuer, err := pki.ReadForeignCRL(data, anchors, o.now())
		if err != nil {
			return err
		}
		key := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
		row := &models.ForeignCRL{
			TruststoreName: name, IssuerKeySHA256: hex.EncodeToString(key[:]), Issuer: issuer.Subject.String(), Number: list.Number.Text(16), DER: list.Raw,
			Entries: len(list.RevokedCertificateEntries), ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate,
		}
		if err := tx.SaveForeignCRL(row); err != nil {
			return err
		}
		return tx.Audit(who.event("truststore.crl-uploaded", "truststore", string(truststore.ID), "name", name, "issuer", row.Issuer,
			"number", row.Number, "entries", strconv.Itoa(row.Entries)))
	})
	if err != nil {
		return nil, err
	}
	return o.revocation(ctx, name)
}
