// SPDX-License-Identifier: MIT

package cmp

import (
	"errors"

	der "golang.org/x/crypto/cryptobyte/asn1"
)

func (body *Body) encode(b *builder) {
	if body.Type < 0 || body.Type > maxBodyType {
		b.SetError(errors.New("the body is of no known type"))
		return
	}
	addTagged(b, uint8(body.Type), body.encodeContent)
}

func (body *Body) encodeContent(b *builder) {
	switch body.Type {
	case BodyIR, BodyCR, BodyKUR, BodyKRR, BodyCCR:
		addList(b, body.Requests, func(b *builder, m *CertReqMsg) { m.encode(b) })
	case BodyIP, BodyCP, BodyKUP, BodyCCP:
		addPart(b, body.Replies)
	case BodyP10CR:
		addWhole(b, body.CSR)
	case BodyRR:
		addList(b, body.RevReqs, func(b *builder, r *RevDetails) { r.encode(b) })
	case BodyRP:
		addPart(b, body.RevReps)
	case BodyPKIConf:
		addContent(b, der.NULL, nil)
	case BodyNested:
		addList(b, body.Nested, func(b *builder, m **Message) { (*m).encode(b) })
	case BodyGenM, BodyGenP:
		addList(b, body.Infos, addAttribute)
	case BodyError:
		addPart(b, body.Error)
	case BodyCertConf:
		addList(b, body.Confirms, func(b *builder, s *CertStatus) { s.encode(b) })
	case BodyPollReq:
		addList(b, body.PollReqs, func(b *builder, id *int) {
			addSequence(b, func(b *builder) { b.AddASN1Int64(int64(*id)) })
		})
	case BodyPollRep:
		addList(b, body.PollReps, func(b *builder, r *PollReply) { r.encode(b) })
	default:
		addWhole(b, body.Raw)
	}
}

// addPart adds what the type of a body demands.
func addPart[T any, P interface {
	*T
	encode(*builder)
}](b *builder, part P) {
	if part == nil {
		b.SetError(errors.New("the content of the body is missing"))
		return
	}
	part.encode(b)
}

func (r *CertReplies) encode(b *builder) {
	addSequence(b, func(b *builder) {
		if r.CAPubs != nil {
			addTagged(b, 1, func(b *builder) { addCertificates(b, r.CAPubs) })
		}
		addList(b, r.Responses, func(b *builder, r *CertResponse) { r.encode(b) })
	})
}

func (r *CertResponse) encode(b *builder) {
	addSequence(b, func(b *builder) {
		b.AddASN1Int64(int64(r.ID))
		r.Status.encode(b)
		if r.KeyPair != nil {
			r.KeyPair.encode(b)
		}
		if r.RspInfo != nil {
			b.AddASN1OctetString(r.RspInfo)
		}
	})
}

func (p *CertifiedKeyPair) encode(b *builder) {
	addSequence(b, func(b *builder) {
		if p.EncryptedCert != nil {
			addTagged(b, 1, p.EncryptedCert.encode)
		} else {
			addTagged(b, 0, func(b *builder) { addWhole(b, p.Certificate) })
		}
		if p.PrivateKey != nil {
			addTagged(b, 0, p.PrivateKey.encode)
		}
		if p.PublicationInfo != nil {
			addTagged(b, 1, func(b *builder) { addWhole(b, p.PublicationInfo) })
		}
	})
}

func (k *EncryptedKey) encode(b *builder) {
	if k.EnvelopedData != nil {
		addAs(b, tagged(0), k.EnvelopedData)
		return
	}
	addWhole(b, k.EncryptedValue)
}

func (r *RevDetails) encode(b *builder) {
	addSequence(b, func(b *builder) {
		r.Template.encode(b)
		b.AddBytes(r.Extensions)
	})
}

func (r *RevReplies) encode(b *builder) {
	addSequence(b, func(b *builder) {
		addList(b, r.Status, func(b *builder, s *StatusInfo) { s.encode(b) })
		if r.RevCerts != nil {
			addTagged(b, 0, func(b *builder) {
				addList(b, r.RevCerts, func(b *builder, id *CertID) { id.encode(b) })
			})
		}
		if r.CRLs != nil {
			addTagged(b, 1, func(b *builder) { addCertificates(b, r.CRLs) })
		}
	})
}

func (e *ErrorContent) encode(b *builder) {
	addSequence(b, func(b *builder) {
		e.Status.encode(b)
		if e.HasCode {
			b.AddASN1Int64(int64(e.Code))
		}
		if e.Details != nil {
			addTexts(b, e.Details)
		}
	})
}

func (s *CertStatus) encode(b *builder) {
	addSequence(b, func(b *builder) {
		b.AddASN1OctetString(s.CertHash)
		b.AddASN1Int64(int64(s.ID))
		if s.Status != nil {
			s.Status.encode(b)
		}
		if s.HashAlg != nil {
			addTagged(b, 0, s.HashAlg.encode)
		}
	})
}

func (r *PollReply) encode(b *builder) {
	addSequence(b, func(b *builder) {
		b.AddASN1Int64(int64(r.ID))
		b.AddASN1Int64(int64(r.CheckAfter))
		if r.Reason != nil {
			addTexts(b, r.Reason)
		}
	})
}
