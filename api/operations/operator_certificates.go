// SPDX-License-Identifier: MIT

package operations

import (
	"context"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

const maxOperatorCertificates = 20

// AddOperatorCertificate registers a person's certificate. It has to be good
// now: issued by a CA of the operators, valid, and not one of a device.
func (o *Operations) AddOperatorCertificate(ctx context.Context, who Caller, name string, in api.OperatorCertificateCreation) (*api.Operator, error) {
	if err := auth.Authorize(who.Principal, auth.WriteOperators); err != nil {
		return nil, err
	}
	if in.Match == "" {
		in.Match = models.MatchFingerprint
	}
	if err := oneOf("match", in.Match, models.CertificateMatches); err != nil {
		return nil, err
	}
	if o.people == nil {
		return nil, models.Errorf(models.KindConflict, "the server knows no CA of operators; start it with --operator-ca")
	}
	certificate, err := o.people.Register(ctx, in.PEM, in.Match)
	if err != nil {
		return nil, err
	}
	err = o.write(ctx, func(tx *store.Tx) error {
		operator, err := tx.FindOperatorByName(ctx, name)
		if err != nil {
			return found(err, "operator", name)
		}
		present, err := tx.OperatorCertificates(ctx, operator.ID)
		if err != nil {
			return err
		}
		if len(present) >= maxOperatorCertificates {
			return models.Errorf(models.KindConflict, "operator %s has %d certificates already; remove one first", name, len(present))
		}
		certificate.OperatorID = operator.ID
		if err := tx.InsertOperatorCertificate(certificate); err != nil {
			return err
		}
		return tx.Audit(who.event("operator.certificate_added", "operator", string(operator.ID), "name", name,
			"match", string(certificate.Kind), "value", certificate.Value, "issuer_sha256", certificate.IssuerSHA256, "subject", certificate.Label))
	})
	if err != nil {
		return nil, err
	}
	return o.FindOperator(ctx, who, name)
}

// RemoveOperatorCertificate makes a certificate nobody's, at once.
func (o *Operations) RemoveOperatorCertificate(ctx context.Context, who Caller, name, id string) error {
	if err := auth.Authorize(who.Principal, auth.WriteOperators); err != nil {
		return err
	}
	return o.write(ctx, func(tx *store.Tx) error {
		return o.keepingAWayIn(ctx, tx, "this certificate of operator "+name, func() error {
			operator, err := tx.FindOperatorByName(ctx, name)
			if err != nil {
				return found(err, "operator", name)
			}
			if err := tx.DeleteOperatorCertificate(operator.ID, models.OperatorCertificateID(id)); err != nil {
				return found(err, "certificate of operator "+name, id)
			}
			return tx.Audit(who.event("operator.certificate_removed", "operator", string(operator.ID), "name", name, "certificate", id))
		})
	})
}

func wireOperatorCertificate(c *models.OperatorCertificate) api.OperatorCertificate {
	return api.OperatorCertificate{
		ID: string(c.ID), Match: c.Kind, Value: c.Value, IssuerSHA256: c.IssuerSHA256, Subject: c.Label, CreatedAt: c.CreatedAt,
	}
}
