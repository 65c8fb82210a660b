// SPDX-License-Identifier: MIT

package cmp

import (
	"context"
	"encoding/asn1"

	"github.com/trustloom/trustloom/models"
)

// maxQuestions bounds what one genm may ask for.
const maxQuestions = 8

// inform takes genm (RFC 9483 §4.3, RFC 9810 §5.3.19). What is not known here
// is listed in unsupportedOIDs.
func (s *responder) inform(ctx context.Context, e *exchange) error {
	questions := e.in.Body.Infos
	if len(questions) > maxQuestions {
		return refuse(FailBadRequest, models.KindInvalid, "genm asks for more than %d things", maxQuestions)
	}
	var answers []Attribute
	var unknown []asn1.ObjectIdentifier
	for i := range questions {
		answer, known, err := s.information(ctx, e, &questions[i])
		switch {
		case err != nil:
			return err
		case known:
			answers = append(answers, answer)
		default:
			unknown = append(unknown, questions[i].OID)
		}
	}
	if unknown != nil {
		answer, err := newInfo(OIDUnsupportedOIDs, func(b *builder) {
			addList(b, unknown, func(b *builder, oid *asn1.ObjectIdentifier) { b.AddASN1ObjectIdentifier(*oid) })
		})
		if err != nil {
			return err
		}
		answers = append(answers, answer)
	}
	e.answer.body = Body{Type: BodyGenP, Infos: answers}
	return nil
}

// information answers one question; false if it is not understood.
func (s *responder) information(ctx context.Context, e *exchange, question *Attribute) (answer Attribute, known bool, err error) {
	switch oid := question.OID; {
	case oid.Equal(OIDCACerts):
		certs, err := s.backend.CACerts(ctx, e.label)
		if err != nil {
			return Attribute{}, true, err
		}
		answer, err = CertificatesInfo(OIDCACerts, certs)
		return answer, true, err
	case oid.Equal(OIDRootCACert):
		answer, err = s.rootUpdate(ctx, e, question)
	case oid.Equal(OIDCertReqTemplate):
		advice, err := s.backend.Template(ctx, e.label)
		if err != nil {
			return Attribute{}, true, err
		}
		answer, err = TemplateInfo(advice)
		return answer, true, err
	case oid.Equal(OIDCRLStatusList):
		answer, err = s.newerCRLs(ctx, e, question)
	case oid.Equal(OIDCurrentCRL):
		answer, err = s.currentCRL(ctx, e)
	case oid.Equal(OIDSignKeyPairTypes):
		answer, err = AlgorithmsInfo(oid, keyTypes(true))
	case oid.Equal(OIDEncKeyPairTypes):
		answer, err = AlgorithmsInfo(oid, keyTypes(false))
	case oid.Equal(OIDPreferredSymmAlg):
		answer, err = AlgorithmInfo(oid, Algorithm{OID: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}}) // AES-256-CBC
	case oid.Equal(OIDCAProtEncCert):
		answer = Attribute{OID: oid} // keys are not archived, so there is nobody to encrypt them to
	default:
		return Attribute{}, false, nil
	}
	return answer, true, err
}

// rootUpdate answers rootCaCert with rootCaKeyUpdate.
func (s *responder) rootUpdate(ctx context.Context, e *exchange, question *Attribute) (Attribute, error) {
	old, err := question.Certificate()
	if err != nil {
		return Attribute{}, err
	}
	update, err := s.backend.RootUpdate(ctx, e.label, old)
	if err != nil {
		return Attribute{}, err
	}
	return RootUpdateInfo(update)
}

// newerCRLs answers crlStatusList with crls.
func (s *responder) newerCRLs(ctx context.Context, e *exchange, question *Attribute) (Attribute, error) {
	known, err := question.CRLStatuses()
	if err != nil {
		return Attribute{}, err
	}
	if len(known) == 0 {
		return Attribute{}, refuse(FailBadRequest, models.KindInvalid, "crlStatusList does not say about which CRLs")
	}
	crls, err := s.backend.CRLs(ctx, e.label, known)
	if err != nil {
		return Attribute{}, err
	}
	return CRLsInfo(crls)
}

// currentCRL answers with the CRL of the issuing CA (RFC 9810 §5.3.19.6).
func (s *responder) currentCRL(ctx context.Context, e *exchange) (Attribute, error) {
	certs, err := s.backend.CACerts(ctx, e.label)
	if err != nil || len(certs) == 0 {
		return Attribute{OID: OIDCurrentCRL}, err
	}
	crls, err := s.backend.CRLs(ctx, e.label, []CRLStatus{{Issuer: certs[0].RawSubject}})
	if err != nil || len(crls) == 0 {
		return Attribute{OID: OIDCurrentCRL}, err
	}
	return Attribute{OID: OIDCurrentCRL, Value: crls[0]}, nil
}

// keyTypes lists the kinds of keys that certificates are issued for, or of
// those the ones that something can be encrypted to.
func keyTypes(all bool) []Algorithm {
	curve := func(parameters string) Algorithm {
		return Algorithm{OID: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: unhex(parameters)}
	}
	types := []Algorithm{curve("06082a8648ce3d030107"), curve("06052b81040022"), curve("06052b81040023"),
		{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: derNull}}
	if !all {
		return types
	}
	types = append(types, Algorithm{OID: asn1.ObjectIdentifier{1, 3, 101, 112}})
	for n := 17; n <= 19; n++ { // ML-DSA
		types = append(types, Algorithm{OID: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, n}})
	}
	return types
}
