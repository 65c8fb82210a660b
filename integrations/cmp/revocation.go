// SPDX-License-Identifier: MIT

package cmp

import (
	"context"
	"encoding/asn1"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// oidCRLReason is the CRL entry extension with the reason (RFC 5280 §5.3.1).
var oidCRLReason = asn1.ObjectIdentifier{2, 5, 29, 21}

// The reasons of RFC 5280 §5.3.1; 7 is not one.
const (
	reasonUnused = 7
	maxCRLReason = 10
)

// revoke takes rr. What is wrong with it is said in the status of its answer
// (RFC 9483 §4.2).
func (s *responder) revoke(ctx context.Context, e *exchange) error {
	in, err := e.revocation()
	if err == nil {
		err = s.backend.Revoke(ctx, in)
	}
	reply := &RevReplies{Status: []StatusInfo{{Status: StatusAccepted}}}
	if err != nil {
		s.log(ctx, e.peer, e.in, err)
		reply.Status[0] = statusOf(e.peer, err)
	} else {
		reply.RevCerts = []CertID{in.Cert}
	}
	e.answer.body = Body{Type: BodyRP, RevReps: reply}
	return nil
}

// revocation reads the one certificate that a message is about.
func (e *exchange) revocation() (*Revocation, error) {
	if len(e.in.Body.RevReqs) != 1 {
		return nil, refuse(FailBadRequest, models.KindInvalid, "rr is about more than one certificate; send one message for each (RFC 9483 section 4.2)")
	}
	details := &e.in.Body.RevReqs[0]
	in := &Revocation{Label: e.label, Sender: e.sender, Peer: e.peer, Transaction: e.transaction(),
		Cert: CertID{Issuer: details.Template.Issuer, Serial: details.Template.Serial}}
	if in.Cert.Issuer == nil || in.Cert.Serial == nil {
		return nil, refuse(FailBadCertID, models.KindInvalid, "rr has to name the certificate by issuer and serial number")
	}
	var err error
	in.Reason, err = crlReason(details.Extensions)
	return in, err
}

// crlReason reads the reason in crlEntryDetails; 0, unspecified, if there is
// none. Other CRL entry extensions are the CA's business, and left alone
// unless they are critical.
func crlReason(extensions []byte) (int, error) {
	const what = "crlEntryDetails"
	if extensions == nil {
		return 0, nil
	}
	reason, given := 0, false
	unknown := false
	d := newDecoder(extensions)
	d.each(what, 1, func(d *decoder) {
		in := d.sequence(what)
		oid := in.oid(what)
		critical := in.next(der.BOOLEAN) && len(in.content(what, der.BOOLEAN)) > 0
		value := &decoder{in: in.octets(what), err: d.err}
		in.end(what)
		switch {
		case oid.Equal(oidCRLReason) && given:
			d.fail("the reason of a revocation")
		case oid.Equal(oidCRLReason):
			given = true
			reason = value.smallInteger("the reason of a revocation", value.content("the reason of a revocation", der.ENUM), 0, maxCRLReason)
			value.end("the reason of a revocation")
		case critical:
			unknown = true
		}
	})
	d.end(what)
	switch {
	case !d.ok():
		return 0, *d.err
	case unknown:
		return 0, refuse(FailUnacceptedExtension, models.KindInvalid, "rr asks for a critical CRL entry extension that is not the reason")
	case reason == reasonUnused:
		return 0, refuse(FailBadRequest, models.KindInvalid, "the reason of the revocation is none of RFC 5280 section 5.3.1")
	}
	return reason, nil
}
