// SPDX-License-Identifier: MIT

package cmp

import (
	"context"
	"crypto/x509"
	"encoding/asn1"

	"github.com/trustloom/trustloom/models"
)

// The extension reasonCode (RFC 5280 §5.3.1).
var oidReasonCode = asn1.ObjectIdentifier{2, 5, 29, 21}

// Revoke asks for the revocation of a certificate (rr) with a CRLReason; 8
// (removeFromCRL) revives one that is on hold.
func (c *Client) Revoke(ctx context.Context, cert *x509.Certificate, reason int) error {
	extensions, err := encoded(func(b *builder) {
		addSequence(b, func(b *builder) {
			addSequence(b, func(b *builder) {
				b.AddASN1ObjectIdentifier(oidReasonCode)
				b.AddASN1OctetString([]byte{0x0a, 1, byte(reason)})
			})
		})
	})
	if err != nil {
		return err
	}
	template := Template{Issuer: cert.RawIssuer, Serial: serialContent(cert)}
	m, err := c.exchange(ctx, &ClientTransaction{ID: newID()}, &Message{Body: Body{Type: BodyRR, RevReqs: []RevDetails{{Template: template, Extensions: extensions}}}})
	if err != nil {
		return err
	}
	if m.Body.Type != BodyRP || len(m.Body.RevReps.Status) != 1 {
		return badAnswer("the CMP server answered rr with %s", m.Body.Type)
	}
	if s := &m.Body.RevReps.Status[0]; s.Status != StatusAccepted && s.Status != StatusGrantedWithMods {
		return rejection(s)
	}
	return nil
}

// General sends a general message with one question and returns the answer of
// the kind that belongs to it; nil if there is none.
func (c *Client) General(ctx context.Context, question Attribute) (*Attribute, error) {
	m, err := c.exchange(ctx, &ClientTransaction{ID: newID()}, &Message{Body: Body{Type: BodyGenM, Infos: []Attribute{question}}})
	if err != nil {
		return nil, err
	}
	if m.Body.Type != BodyGenP {
		return nil, badAnswer("the CMP server answered genm with %s", m.Body.Type)
	}
	want := question.OID
	switch {
	case want.Equal(OIDRootCACert):
		want = OIDRootCAKeyUpdate
	case want.Equal(OIDCRLStatusList):
		want = OIDCRLs
	case want.Equal(OIDKeyPairParamReq):
		want = OIDKeyPairParamRep
	}
	for i := range m.Body.Infos {
		if m.Body.Infos[i].OID.Equal(want) {
			return &m.Body.Infos[i], nil
		}
	}
	return nil, nil
}

// question is General with a value that has to be read.
func question[T any](ctx context.Context, c *Client, about Attribute, read func(*Attribute) (T, error)) (T, error) {
	var none T
	answer, err := c.General(ctx, about)
	if err != nil || answer == nil {
		return none, err
	}
	out, err := read(answer)
	if err != nil {
		return none, badAnswer("the CMP server's answer about %s cannot be read: %s", infoName(about.OID), models.PublicText(err)).Because(err)
	}
	return out, nil
}

// CACerts asks for the certificates of the CAs (RFC 9483 §4.3.1).
func (c *Client) CACerts(ctx context.Context) ([]*x509.Certificate, error) {
	return question(ctx, c, Attribute{OID: OIDCACerts}, (*Attribute).Certificates)
}

// RootUpdate asks what replaces a root CA certificate (RFC 9483 §4.3.2); nil:
// nothing. The caller checks that the new one is signed with the old.
func (c *Client) RootUpdate(ctx context.Context, old *x509.Certificate) (*RootUpdate, error) {
	return question(ctx, c, CertificateInfo(OIDRootCACert, old), (*Attribute).RootUpdate)
}

// Template asks what a request should contain (RFC 9483 §4.3.3); nil: the
// server wants nothing.
func (c *Client) Template(ctx context.Context) (*CertTemplateAdvice, error) {
	return question(ctx, c, Attribute{OID: OIDCertReqTemplate}, (*Attribute).Template)
}

// CRLs asks for CRLs that are newer than what is known (RFC 9483 §4.3.4), in
// DER; the caller verifies them.
func (c *Client) CRLs(ctx context.Context, known ...CRLStatus) ([][]byte, error) {
	about, err := CRLStatusInfo(known)
	if err != nil {
		return nil, err
	}
	return question(ctx, c, about, (*Attribute).Elements)
}
