// SPDX-License-Identifier: MIT

package cmp

import (
	"math"

	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Body is a PKIBody. Type says which of the other fields is of meaning.
type Body struct {
	Type     BodyType
	Requests []CertReqMsg  // ir, cr, kur, krr, ccr
	Replies  *CertReplies  // ip, cp, kup, ccp
	CSR      []byte        // p10cr: DER of the certification request
	RevReqs  []RevDetails  // rr
	RevReps  *RevReplies   // rp
	Nested   []*Message    // nested
	Infos    []Attribute   // genm, genp
	Error    *ErrorContent // error
	Confirms []CertStatus  // certConf; empty: every certificate is refused
	PollReqs []int         // pollReq: certReqId of each
	PollReps []PollReply   // pollRep
	Raw      []byte        // popdecc, popdecr, krp, ckuann, cann, rann, crlann: DER of the content
}

// CertReplies is a CertRepMessage (RFC 9810 §5.3.4).
type CertReplies struct {
	CAPubs    [][]byte // DER; nil: absent
	Responses []CertResponse
}

// CertResponse is the answer to one request.
type CertResponse struct {
	ID      int // certReqId
	Status  StatusInfo
	KeyPair *CertifiedKeyPair
	RspInfo []byte // nil: absent
}

// CertifiedKeyPair has a certificate, open or encrypted, and the private key if
// it was made for the requester.
type CertifiedKeyPair struct {
	Certificate     []byte        // DER
	EncryptedCert   *EncryptedKey // instead of it
	PrivateKey      *EncryptedKey
	PublicationInfo []byte // DER; nil: absent
}

// EncryptedKey has one of two forms (RFC 9810 §5.2.2).
type EncryptedKey struct {
	EnvelopedData  []byte // DER of the EnvelopedData, a SEQUENCE; pvno 3
	EncryptedValue []byte // DER; deprecated, pvno 2
}

// RevDetails is one request of rr.
type RevDetails struct {
	Template   Template // issuer and serial number
	Extensions []byte   // crlEntryDetails, DER of the SEQUENCE OF Extension; nil: absent
}

// RevReplies is a RevRepContent (RFC 9810 §5.3.10).
type RevReplies struct {
	Status   []StatusInfo
	RevCerts []CertID // nil: absent
	CRLs     [][]byte // DER; nil: absent
}

// ErrorContent is an ErrorMsgContent (RFC 9810 §5.3.21).
type ErrorContent struct {
	Status  StatusInfo
	HasCode bool
	Code    int
	Details []string
}

// CertStatus accepts or refuses one certificate (RFC 9810 §5.3.18).
type CertStatus struct {
	CertHash []byte
	ID       int         // certReqId
	Status   *StatusInfo // nil: accepted
	HashAlg  *Algorithm  // nil: the hash of the certificate's signature algorithm
}

// PollReply says when to ask again (RFC 9810 §5.3.22).
type PollReply struct {
	ID         int // certReqId
	CheckAfter int // seconds
	Reason     []string
}

// bodyOf reads a body; depth counts the messages around it.
func (d *decoder) bodyOf(depth int) Body {
	for t := BodyIR; t <= maxBodyType; t++ {
		if !d.next(tagged(uint8(t))) {
			continue
		}
		in := d.inside("the body", tagged(uint8(t)))
		body := Body{Type: t}
		in.bodyContent(&body, depth)
		in.end("the body " + t.String())
		return body
	}
	d.fail("the body")
	return Body{}
}

func (d *decoder) bodyContent(body *Body, depth int) {
	what := "the body " + body.Type.String()
	switch body.Type {
	case BodyIR, BodyCR, BodyKUR, BodyKRR, BodyCCR:
		d.each(what, 1, func(d *decoder) { body.Requests = append(body.Requests, d.certReqMsg()) })
	case BodyIP, BodyCP, BodyKUP, BodyCCP:
		body.Replies = d.certReplies()
	case BodyP10CR:
		body.CSR = d.whole(what, der.SEQUENCE)
	case BodyRR:
		d.each(what, 1, func(d *decoder) { body.RevReqs = append(body.RevReqs, d.revDetails()) })
	case BodyRP:
		body.RevReps = d.revReplies()
	case BodyPKIConf:
		d.null(what)
	case BodyNested:
		d.each(what, 1, func(d *decoder) { body.Nested = append(body.Nested, d.message(depth+1)) })
	case BodyGenM, BodyGenP:
		d.each(what, 0, func(d *decoder) { body.Infos = append(body.Infos, d.info()) })
	case BodyError:
		body.Error = d.errorContent()
	case BodyCertConf:
		d.each(what, 0, func(d *decoder) { body.Confirms = append(body.Confirms, d.certStatus()) })
	case BodyPollReq:
		d.each(what, 1, func(d *decoder) { body.PollReqs = append(body.PollReqs, d.pollRequest()) })
	case BodyPollRep:
		d.each(what, 1, func(d *decoder) { body.PollReps = append(body.PollReps, d.pollReply()) })
	default:
		body.Raw = d.any(what)
	}
}

func (d *decoder) certReplies() *CertReplies {
	const what = "a CertRepMessage"
	in := d.sequence(what)
	r := &CertReplies{}
	in.optional("caPubs", 1, func(d *decoder) { r.CAPubs = d.certificates(1) })
	in.each(what, 0, func(d *decoder) { r.Responses = append(r.Responses, d.certResponse()) })
	in.end(what)
	return r
}

func (d *decoder) certResponse() CertResponse {
	const what = "a CertResponse"
	in := d.sequence(what)
	r := CertResponse{ID: in.certReqID(), Status: in.statusInfo()}
	if in.next(der.SEQUENCE) {
		r.KeyPair = in.keyPair()
	}
	if in.next(der.OCTET_STRING) {
		r.RspInfo = in.octets(what)
	}
	in.end(what)
	return r
}

func (d *decoder) keyPair() *CertifiedKeyPair {
	const what = "a CertifiedKeyPair"
	in := d.sequence(what)
	p := &CertifiedKeyPair{}
	if in.next(tagged(0)) {
		in.optional(what, 0, func(d *decoder) { p.Certificate = d.certificate() })
	} else {
		p.EncryptedCert = in.inside(what, tagged(1)).encryptedKey()
	}
	in.optional(what, 0, func(d *decoder) { p.PrivateKey = d.encryptedKey() })
	in.optional(what, 1, func(d *decoder) { p.PublicationInfo = d.whole("a PKIPublicationInfo", der.SEQUENCE) })
	in.end(what)
	return p
}

// encryptedKey reads what a decoder has: nothing may follow.
func (d *decoder) encryptedKey() *EncryptedKey {
	const what = "an EncryptedKey"
	k := &EncryptedKey{}
	if d.next(tagged(0)) {
		k.EnvelopedData = d.sequenceAs(what, tagged(0))
	} else {
		k.EncryptedValue = d.whole(what, der.SEQUENCE)
	}
	d.end(what)
	return k
}

func (d *decoder) revDetails() RevDetails {
	const what = "a RevDetails"
	in := d.sequence(what)
	r := RevDetails{Template: in.template()}
	if in.more() {
		r.Extensions = in.whole("crlEntryDetails", der.SEQUENCE)
	}
	in.end(what)
	return r
}

func (d *decoder) revReplies() *RevReplies {
	const what = "a RevRepContent"
	in := d.sequence(what)
	r := &RevReplies{}
	in.each(what, 1, func(d *decoder) { r.Status = append(r.Status, d.statusInfo()) })
	in.optional("revCerts", 0, func(d *decoder) {
		d.each("revCerts", 1, func(d *decoder) { r.RevCerts = append(r.RevCerts, d.certID()) })
	})
	in.optional("crls", 1, func(d *decoder) {
		d.each("crls", 1, func(d *decoder) { r.CRLs = append(r.CRLs, d.whole("a CRL", der.SEQUENCE)) })
	})
	in.end(what)
	return r
}

func (d *decoder) errorContent() *ErrorContent {
	const what = "an ErrorMsgContent"
	in := d.sequence(what)
	e := &ErrorContent{Status: in.statusInfo()}
	if in.next(der.INTEGER) {
		e.HasCode, e.Code = true, in.integer("errorCode", math.MinInt32, math.MaxInt32)
	}
	if in.more() {
		e.Details = in.freeText()
	}
	in.end(what)
	return e
}

func (d *decoder) certStatus() CertStatus {
	const what = "a CertStatus"
	in := d.sequence(what)
	s := CertStatus{CertHash: in.octets("certHash"), ID: in.certReqID()}
	if in.next(der.SEQUENCE) {
		status := in.statusInfo()
		s.Status = &status
	}
	in.optional("hashAlg", 0, func(d *decoder) {
		alg := d.algorithm("hashAlg")
		s.HashAlg = &alg
	})
	in.end(what)
	return s
}

func (d *decoder) pollRequest() int {
	in := d.sequence("a pollReq")
	id := in.certReqID()
	in.end("a pollReq")
	return id
}

func (d *decoder) pollReply() PollReply {
	in := d.sequence("a pollRep")
	r := PollReply{ID: in.certReqID(), CheckAfter: in.integer("checkAfter", 0, math.MaxInt32)}
	if in.more() {
		r.Reason = in.freeText()
	}
	in.end("a pollRep")
	return r
}
