// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// kinds are the bodies that ask for certificates, and those of their answers.
var kinds = map[BodyType]struct {
	operation Operation
	reply     BodyType
}{
	BodyIR:    {OpInit, BodyIP},
	BodyCR:    {OpCert, BodyCP},
	BodyKUR:   {OpKeyUpdate, BodyKUP},
	BodyP10CR: {OpPKCS10, BodyCP},
}

// replyTo is the body that answers an operation, also when it was waited for.
func replyTo(op Operation) BodyType {
	for _, kind := range kinds {
		if kind.operation == op {
			return kind.reply
		}
	}
	return BodyIP
}

// p10CertReqID is the certReqId of what came as PKCS #10 (RFC 9483 §4.1.4).
const p10CertReqID = -1

// dispatch does what an authenticated message asks for.
func (s *responder) dispatch(ctx context.Context, e *exchange) error {
	switch e.in.Body.Type {
	case BodyIR, BodyCR, BodyKUR, BodyP10CR:
		return s.enroll(ctx, e)
	case BodyCertConf:
		return s.confirm(ctx, e)
	case BodyPollReq:
		return s.poll(ctx, e)
	case BodyError:
		return s.clientError(ctx, e)
	case BodyRR:
		return s.revoke(ctx, e)
	case BodyGenM:
		return s.inform(ctx, e)
	case BodyNested:
		return s.nested(ctx, e)
	}
	return refuse(FailBadRequest, models.KindInvalid, "a message with the body %s is not one that this server answers", e.in.Body.Type)
}

// transactionOf names the transaction that a request begins.
func (e *exchange) transaction() Transaction {
	return Transaction{ID: e.in.Header.TransactionID, Digest: sha256.Sum256(e.in.RawBody())}
}

// enroll takes ir, cr, kur and p10cr. What is wrong with the request is said in
// the status of its answer (RFC 9483 §4.1.1).
func (s *responder) enroll(ctx context.Context, e *exchange) error {
	kind := kinds[e.in.Body.Type]
	in, err := e.enrollment(kind.operation)
	if err == nil && in.Generate {
		err = s.findGenerator(ctx, e)
	}
	var outcome Outcome
	if err == nil {
		outcome, err = s.backend.Enroll(ctx, in)
		if kind.operation != OpKeyUpdate { // where it is the certificate that is not found
			err = withDefault(err, models.KindNotFound, FailUnacceptedPolicy)
		}
	}
	asked := course(kind.operation)
	if err == nil {
		e.course = courseOf(in)
		err = s.certificate(e, outcome)
	}
	if err != nil {
		s.log(ctx, e.peer, e.in, err)
		e.course = noCourse
		e.answer = answer{body: Body{Type: kind.reply, Replies: &CertReplies{Responses: []CertResponse{{ID: asked.certReqID(), Status: statusOf(e.peer, err)}}}}}
	}
	return nil
}

// enrollment reads the one request of a message and checks its proof.
func (e *exchange) enrollment(op Operation) (*Enrollment, error) {
	in := &Enrollment{Label: e.label, Operation: op, Transaction: e.transaction(), Sender: e.sender, Peer: e.peer, Implicit: e.in.Header.ImplicitConfirm()}
	if op == OpPKCS10 {
		in.CertReqID = p10CertReqID
		return in, in.readPKCS10(e.in.Body.CSR)
	}
	if len(e.in.Body.Requests) != 1 {
		return nil, refuse(FailBadRequest, models.KindInvalid, "there is more than one request in the message; send one message for each (RFC 9483 section 4.1.1)")
	}
	request := &e.in.Body.Requests[0]
	if request.Request.ID != 0 {
		return nil, refuse(FailBadRequest, models.KindInvalid, "certReqId is not 0 (RFC 9483 section 4.1.1)")
	}
	if err := in.readControls(&request.Request); err != nil {
		return nil, err
	}
	if err := e.readTemplate(in, request); err != nil {
		return nil, err
	}
	return in, nil
}

// readPKCS10 reads a request that proves the possession of its key itself.
func (in *Enrollment) readPKCS10(csr []byte) (err error) {
	if in.Request, err = pki.ParseCSR(csr); err == nil {
		return nil
	}
	// Only a request that is well formed but for its signature has a wrong proof.
	parsed, malformed := x509.ParseCertificateRequest(csr)
	if malformed == nil && pki.CheckPublicKey(parsed.PublicKey) == nil && parsed.CheckSignature() != nil {
		return WithFailInfo(err, FailBadPOP)
	}
	return WithFailInfo(err, FailBadCertTemplate)
}

// readControls reads what a request says beside its template. What is not
// understood is refused, because it may restrict (RFC 4211 §6).
func (in *Enrollment) readControls(request *CertRequest) (err error) {
	for _, control := range request.Controls {
		switch {
		case !control.OID.Equal(OIDOldCertID):
			return refuse(FailBadRequest, models.KindInvalid, "the control %s of the request is not supported; leave it out", control.OID)
		case in.Operation != OpKeyUpdate:
			return refuse(FailBadRequest, models.KindInvalid, "oldCertId belongs into a kur; to update a certificate, send one")
		}
	}
	in.OldCert, err = request.OldCertID()
	return err
}

// readTemplate reads the template and checks the proof of possession.
func (e *exchange) readTemplate(in *Enrollment, request *CertReqMsg) error {
	template := &request.Request.Template
	in.NotBefore, in.NotAfter = template.NotBefore, template.NotAfter
	if _, in.Generate = template.WantsKey(); in.Generate {
		return e.readKeyless(in, request)
	}
	der, err := template.Marshal()
	if err != nil {
		return err
	}
	if in.Request, err = pki.ParseTemplate(der); err != nil {
		return withDefault(err, models.KindInvalid, FailBadCertTemplate)
	}
	in.Proof, err = e.prove(request, in.Request.Request.PublicKey)
	return err
}

// certificate puts the outcome of a request into the answer.
func (s *responder) certificate(e *exchange, outcome Outcome) error {
	response := CertResponse{ID: e.course.certReqID()}
	reply := &CertReplies{}
	switch {
	case outcome.RetryAfter > 0:
		response.Status = StatusInfo{Status: StatusWaiting}
	case outcome.Certificate == nil:
		return models.Errorf(models.KindInternal, "the backend gave neither a certificate nor a time to wait")
	default:
		pair, err := e.keyPair(outcome)
		if err != nil {
			return err
		}
		response.KeyPair = pair
		e.answer.certs = outcome.Chain
		if e.answer.infos, err = s.confirmation(outcome); err != nil {
			return err
		}
		if e.mac && e.course.operation() == OpInit {
			for _, root := range outcome.CAPubs {
				reply.CAPubs = append(reply.CAPubs, root.Raw)
			}
		}
	}
	reply.Responses = []CertResponse{response}
	e.answer.body = Body{Type: replyTo(e.course.operation()), Replies: reply}
	return nil
}

// confirmation says whether certConf must come, and until when (RFC 9810
// §5.1.1.1, §5.1.1.2).
func (s *responder) confirmation(outcome Outcome) ([]Attribute, error) {
	switch {
	case outcome.Implicit:
		return []Attribute{ImplicitConfirmInfo()}, nil
	case outcome.ConfirmWait > 0 && !outcome.Confirmed:
		until, err := ConfirmWaitInfo(s.now().Add(outcome.ConfirmWait))
		return []Attribute{until}, err
	}
	return nil, nil
}

// poll tells how a request stands that was answered "waiting".
func (s *responder) poll(ctx context.Context, e *exchange) error {
	id := e.course.certReqID()
	if len(e.in.Body.PollReqs) != 1 {
		return refuse(FailBadRequest, models.KindInvalid, "pollReq asks for more than one request; a transaction has one")
	}
	if e.in.Body.PollReqs[0] != id {
		return refuse(FailBadRequest, models.KindInvalid, "the certReqId of pollReq is not that of the request")
	}
	if e.course.generated() {
		if err := s.findGenerator(ctx, e); err != nil {
			return err
		}
	}
	outcome, err := s.backend.Poll(ctx, e.label, e.in.Header.TransactionID, e.sender, e.peer)
	switch {
	case err != nil:
		return err
	case outcome.RetryAfter > 0:
		after := int((outcome.RetryAfter + time.Second - 1) / time.Second)
		e.answer.body = Body{Type: BodyPollRep, PollReps: []PollReply{{ID: id, CheckAfter: after}}}
		return nil
	}
	return s.certificate(e, outcome)
}

// maxReason bounds what a client may say about a certificate, in octets.
const maxReason = 256

// reasonOf makes one printable line of a status.
func reasonOf(status *StatusInfo) string {
	text := bytes.NewBufferString(status.Fail.String())
	for _, line := range status.Text {
		text.WriteString(" " + line)
	}
	// Errorf takes out what cannot be printed.
	return models.Errorf(models.KindInvalid, "%s", bytes.ToValidUTF8(bytes.TrimSpace(text.Bytes()[:min(text.Len(), maxReason)]), nil)).Public
}

// confirm takes certConf (RFC 9810 §5.3.18).
func (s *responder) confirm(ctx context.Context, e *exchange) error {
	if len(e.in.Body.Confirms) != 1 {
		return refuse(FailBadRequest, models.KindInvalid, "certConf is not about exactly one certificate")
	}
	status := &e.in.Body.Confirms[0]
	if status.ID != e.course.certReqID() {
		return refuse(FailBadRequest, models.KindInvalid, "the certReqId of certConf is not that of the request")
	}
	in := &Confirmation{Label: e.label, Transaction: e.in.Header.TransactionID, Sender: e.sender, Peer: e.peer, CertReqID: status.ID, Accepted: true}
	if status.Status != nil {
		in.Reason = reasonOf(status.Status)
		switch status.Status.Status {
		case StatusAccepted, StatusGrantedWithMods:
		case StatusRejection:
			in.Accepted = false
		default:
			return refuse(FailBadRequest, models.KindInvalid, "the status of certConf is neither accepted nor rejection")
		}
	}
	matches, err := certHashMatches(e.in.Header.Version, status)
	if err != nil {
		return err
	}
	in.Matches = matches
	if err := s.backend.Confirm(ctx, in); err != nil {
		return err
	}
	e.answer.body = Body{Type: BodyPKIConf}
	return nil
}

// certHashMatches compares certHash, made with hashAlg, or if there is none
// with the hash of the certificate's signature.
func certHashMatches(version int, status *CertStatus) (func(*x509.Certificate) bool, error) {
	named := certHashOf
	if status.HashAlg != nil {
		hash := hashNamed(*status.HashAlg)
		if hash == 0 || version < Version3 {
			return nil, refuse(FailBadAlg, models.KindInvalid, "hashAlg of certConf is not SHA-256, SHA-384 or SHA-512, or pvno is not 3")
		}
		named = fixedHash(hash)
	}
	return func(cert *x509.Certificate) bool {
		hash := named(cert)
		if hash == 0 {
			return false
		}
		h := hash.New()
		h.Write(cert.Raw)
		return bytes.Equal(h.Sum(nil), status.CertHash)
	}, nil
}

// clientError takes the error with which a client ends a transaction: the
// certificate that it was sent, if any, is refused (RFC 9483 §3.6.4).
func (s *responder) clientError(ctx context.Context, e *exchange) error {
	in := &Confirmation{Label: e.label, Transaction: e.in.Header.TransactionID, Sender: e.sender, Peer: e.peer, CertReqID: e.course.certReqID(),
		Matches: func(*x509.Certificate) bool { return true }, Reason: reasonOf(&e.in.Body.Error.Status)}
	if err := s.backend.Confirm(ctx, in); err != nil {
		return err
	}
	e.answer.body = Body{Type: BodyPKIConf}
	return nil
}
