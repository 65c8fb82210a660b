// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// Request is what a client wants a certificate for.
type Request struct {
	Type     BodyType          // BodyIR, BodyCR, BodyKUR or BodyP10CR
	Template Template          // for all but BodyP10CR; see TemplateOf
	Key      crypto.Signer     // proves the possession of the template's key; nil: the client is an RA and vouches for it
	CSR      []byte            // BodyP10CR: the certification request in DER
	OldCert  *x509.Certificate // BodyKUR: which certificate is updated
	Profile  string            // certProfile; "": the server's choice
	Explicit bool              // do not ask for implicit confirmation
}

// TemplateOf asks for what a PKCS #10 request asks for: subject, key and
// extensions.
func TemplateOf(csr *x509.CertificateRequest) (Template, error) {
	t := Template{Subject: csr.RawSubject, PublicKey: csr.RawSubjectPublicKeyInfo}
	if len(csr.Extensions) == 0 {
		return t, nil
	}
	var err error
	t.Extensions, err = asn1.Marshal(csr.Extensions)
	if err != nil {
		return Template{}, models.Errorf(models.KindInvalid, "the extensions of the request cannot be encoded").Because(err)
	}
	return t, nil
}

// ClientTransaction is a request on its way. It can be stored, as JSON for example,
// and continued by another Client of the same party, after weeks if need be:
// it has no secrets. Sent again, it is the same request to the server. Only one
// goroutine may use it.
type ClientTransaction struct {
	ID         []byte `json:"id"`   // transactionID
	Body       []byte `json:"body"` // DER of the PKIBody of the request
	Profile    string `json:"profile,omitempty"`
	Explicit   bool   `json:"explicit,omitempty"`
	Waiting    bool   `json:"waiting,omitempty"`     // the server said so: poll
	TheirNonce []byte `json:"their_nonce,omitempty"` // senderNonce of the last answer
	Server     []byte `json:"server,omitempty"`      // DER of the GeneralName of who signs the answers
	RequestID  int    `json:"request_id"`            // certReqId
}

// The length of our transaction identifiers and nonces (RFC 9483 §3.1).
const idLength = 16

func newID() []byte {
	b := make([]byte, idLength)
	rand.Read(b)
	return b
}

// NewClientTransaction makes a request, with its proof of possession, and gives it a
// transactionID. Nothing is sent yet: store it first.
func NewClientTransaction(r *Request) (*ClientTransaction, error) {
	body := Body{Type: r.Type}
	t := &ClientTransaction{ID: newID(), Profile: r.Profile, Explicit: r.Explicit}
	switch r.Type {
	case BodyP10CR:
		body.CSR, t.RequestID = r.CSR, -1
	case BodyIR, BodyCR, BodyKUR:
		m, err := r.certReqMsg()
		if err != nil {
			return nil, err
		}
		body.Requests = []CertReqMsg{m}
	default:
		return nil, models.Errorf(models.KindInternal, "%s does not ask for a certificate", r.Type)
	}
	var err error
	t.Body, err = encoded(body.encode)
	return t, err
}

// certReqMsg makes the one request of ir, cr and kur.
func (r *Request) certReqMsg() (CertReqMsg, error) {
	m := CertReqMsg{Request: CertRequest{Template: r.Template}}
	if r.OldCert != nil {
		id, err := (&CertID{Issuer: r.OldCert.RawIssuer, Serial: serialContent(r.OldCert)}).Marshal()
		if err != nil {
			return m, err
		}
		m.Request.Controls = []Attribute{{OID: OIDOldCertID, Value: id}}
	}
	if _, keyless := r.Template.WantsKey(); keyless {
		return m, nil
	}
	if r.Key == nil {
		m.POPO = &POPO{Method: POPORAVerified}
		return m, nil
	}
	signs, err := newSigning(r.Key)
	if err != nil {
		return m, err
	}
	over, err := m.Request.Marshal()
	if err != nil {
		return m, err
	}
	signature, err := signs.protect(over)
	if err != nil {
		return m, models.Errorf(models.KindUnavailable, "the key of the request does not sign").Because(err)
	}
	m.POPO = &POPO{Method: POPOSignature, Signature: &SigningKeyProof{Algorithm: signs.algorithm(), Signature: signature}}
	return m, nil
}

// serialContent returns the content octets of a serial number.
func serialContent(cert *x509.Certificate) []byte {
	element, _ := encoded(func(b *builder) { b.AddASN1BigInt(cert.SerialNumber) })
	return newDecoder(element).content("a serial number", der.INTEGER)
}

// request parses the body again.
func (t *ClientTransaction) request() (*Body, error) {
	d := newDecoder(t.Body)
	body := d.bodyOf(0)
	d.end("the request of the transaction")
	return &body, *d.err
}

// publicKey returns the key that the certificate has to have, as DER; nil if
// the CA makes it.
func (body *Body) publicKey() ([]byte, error) {
	if body.Type == BodyP10CR {
		csr, err := x509.ParseCertificateRequest(body.CSR)
		if err != nil {
			return nil, models.Errorf(models.KindInvalid, "the certification request cannot be read").Because(err)
		}
		return csr.RawSubjectPublicKeyInfo, nil
	}
	t := &body.Requests[0].Request.Template
	if _, keyless := t.WantsKey(); keyless {
		return nil, nil
	}
	return t.PublicKey, nil
}

// answers are the bodies that answer a request.
var answers = map[BodyType]BodyType{BodyIR: BodyIP, BodyCR: BodyCP, BodyKUR: BodyKUP, BodyP10CR: BodyCP}

// Result is how a transaction stands: there is a certificate, or, if
// RetryAfter is positive, it waits.
type Result struct {
	Certificate *x509.Certificate
	Extra       []*x509.Certificate // what came along: intermediates, unverified
	CAPubs      []*x509.Certificate // only as trustworthy as the protection
	PrivateKey  *EncryptedKey       // made by the CA
	Confirmed   bool                // no certConf is expected; otherwise Confirm has to follow
	RetryAfter  time.Duration
	Reason      string // why it waits, in the server's words
}

// Pending reports whether the transaction waits.
func (r *Result) Pending() bool { return r.RetryAfter > 0 }

// result reads an answer that has a certificate.
func (t *ClientTransaction) result(request *Body, m *Message) (*Result, error) {
	response := &m.Body.Replies.Responses[0]
	if response.KeyPair == nil || response.KeyPair.Certificate == nil {
		return nil, badAnswer("the CMP server granted the request and sent no certificate")
	}
	cert, err := parseCertificate(response.KeyPair.Certificate)
	if err != nil {
		return nil, badAnswer("the certificate that the CMP server sent cannot be read").Because(err)
	}
	key, err := request.publicKey()
	if err != nil {
		return nil, err
	}
	if key != nil && !bytes.Equal(key, cert.RawSubjectPublicKeyInfo) {
		return nil, badAnswer("the CMP server sent a certificate for another key than that of the request")
	}
	out := &Result{Certificate: cert, PrivateKey: response.KeyPair.PrivateKey, Confirmed: !t.Explicit && m.Header.ImplicitConfirm()}
	for _, list := range []struct {
		from [][]byte
		to   *[]*x509.Certificate
	}{{m.ExtraCerts, &out.Extra}, {m.Body.Replies.CAPubs, &out.CAPubs}} {
		for _, raw := range list.from {
			if other, err := parseCertificate(raw); err == nil && !slices.ContainsFunc(*list.to, other.Equal) {
				*list.to = append(*list.to, other)
			}
		}
	}
	return out, nil
}
