// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func sure[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newECKey() *ecdsa.PrivateKey { return sure(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (a *identity) issue(template *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	template.SerialNumber = pki.NewSerial()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	if !template.IsCA {
		template.SubjectKeyId = sure(pki.SubjectKeyID(pub))
	}
	parent := a.cert
	if parent == nil {
		parent = template
	}
	return sure(x509.ParseCertificate(sure(x509.CreateCertificate(rand.Reader, template, parent, pub, a.key))))
}

func newAuthority(name string, issuer *identity) *identity {
	ca := &identity{key: newECKey()}
	if issuer == nil {
		issuer = ca
	}
	ca.cert = issuer.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, ca.key.Public())
	return ca
}

func (a *identity) member(name string, change ...func(*x509.Certificate)) *identity {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature}
	for _, c := range change {
		c(template)
	}
	key := newECKey()
	return &identity{cert: a.issue(template, key.Public()), key: key}
}

// dealings are what a site knows of one transaction.
type dealings struct {
	digest  [32]byte
	sender  string
	outcome Outcome
	refused bool
}

// site is a Backend in memory with one domain, "press-shop": it really
// authenticates and issues, and writes down what it changes.
type site struct {
	root, issuing, vendor, other *identity
	protection                   *identity
	secrets                      map[string]string
	now                          func() time.Time

	mu           sync.Mutex
	wait         time.Duration // requests wait, until it is 0
	implicit     bool
	transactions map[string]*dealings
	issued       map[string]*x509.Certificate // by serial
	owners       map[string]string
	revoked      map[string]int
	changes      []string
	fail         error // of Enroll
}

func newSite() *site {
	s := &site{root: newAuthority("Plant Root", nil), vendor: newAuthority("Vendor", nil), other: newAuthority("Other Plant", nil), now: time.Now,
		secrets: map[string]string{"press-01": "a secret of press-01", "press-02": "a secret of press-02"}, implicit: true,
		transactions: map[string]*dealings{}, issued: map[string]*x509.Certificate{}, owners: map[string]string{}, revoked: map[string]int{}}
	s.issuing = newAuthority("Plant Issuing", s.root)
	s.protection = s.issuing.member("Plant CMP", func(c *x509.Certificate) {
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 27}, oidKeyGeneration}
	})
	return s
}

// credential is a certificate that the site issued to a device.
func (s *site) credential(device string, change ...func(*x509.Certificate)) *identity {
	id := s.issuing.member(device, change...)
	s.issued[id.cert.SerialNumber.String()], s.owners[id.cert.SerialNumber.String()] = id.cert, device
	return id
}

func isRA(c *x509.Certificate) {
	c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}}
}

func (s *site) domain(label Label) error {
	if label.Domain != "press-shop" && label.Domain != "" {
		return refuse(FailWrongAuthority, models.KindDenied, "the device is not of the domain %s", label.Domain)
	}
	return nil
}

func (s *site) Secret(_ context.Context, label Label, _ []byte, reference string, _ Peer, prove func([]byte) bool) (Sender, error) {
	secret, known := s.secrets[reference]
	if !known {
		secret = "what nobody has"
	}
	if proven := prove([]byte(secret)); !proven || !known {
		return Sender{}, models.Errorf(models.KindUnauthenticated, "reference or secret are wrong")
	}
	return Sender{ID: reference}, s.domain(label)
}

func (s *site) Signer(_ context.Context, label Label, _ []byte, chain []*x509.Certificate, _ Peer) (Sender, error) {
	leaf := chain[0]
	for _, ca := range []*identity{s.issuing, s.vendor} {
		if leaf.CheckSignatureFrom(ca.cert) != nil {
			continue
		}
		if at := s.now(); at.After(leaf.NotAfter) || at.Before(leaf.NotBefore) {
			return Sender{}, models.Errorf(models.KindUnauthenticated, "the certificate of the sender is not valid now")
		}
		if _, is := s.revoked[leaf.SerialNumber.String()]; is {
			return Sender{}, refuse(FailCertRevoked, models.KindUnauthenticated, "the certificate of the sender is revoked")
		}
		return Sender{ID: leaf.Subject.CommonName, RA: len(leaf.UnknownExtKeyUsage) > 0, Value: leaf}, s.domain(label)
	}
	return Sender{}, models.Errorf(models.KindUnauthenticated, "the certificate of the sender is of no trusted CA")
}

func (s *site) Protector(context.Context, Label) (*Protector, error) {
	return &Protector{Signer: s.protection.key, Chain: []*x509.Certificate{s.protection.cert, s.issuing.cert, s.root.cert}}, nil
}

func (s *site) Enroll(_ context.Context, in *Enrollment) (Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return Outcome{}, s.fail
	}
	if d := s.transactions[string(in.Transaction.ID)]; d != nil {
		if d.digest != in.Transaction.Digest || d.sender != in.Sender.ID {
			return Outcome{}, models.Errorf(models.KindConflict, "the transaction exists already")
		}
		return d.outcome, nil
	}
	if err := s.policy(in); err != nil {
		return Outcome{}, err
	}
	d := &dealings{digest: in.Transaction.Digest, sender: in.Sender.ID}
	s.transactions[string(in.Transaction.ID)] = d
	s.changes = append(s.changes, "request of "+in.Sender.ID)
	d.outcome = Outcome{RetryAfter: s.wait, Chain: []*x509.Certificate{s.issuing.cert, s.root.cert},
		CAPubs: []*x509.Certificate{s.root.cert}, Implicit: in.Implicit && s.implicit, ConfirmWait: 5 * time.Minute}
	pub := crypto.PublicKey(nil)
	if in.Generate {
		key := newECKey()
		d.outcome.Key, pub = key, key.Public()
	} else {
		pub = in.Request.Request.PublicKey
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "press-01"}, KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: in.NotBefore, NotAfter: in.NotAfter}
	if in.Request != nil {
		template.RawSubject = in.Request.Request.RawSubject
	}
	cert := s.issuing.issue(template, pub)
	d.outcome.Certificate = cert
	s.issued[cert.SerialNumber.String()], s.owners[cert.SerialNumber.String()] = cert, in.Sender.ID
	s.changes = append(s.changes, "certificate for "+in.Sender.ID)
	out := d.outcome
	d.outcome.Key = nil
	return out, nil
}

func (s *site) policy(in *Enrollment) error {
	if in.Sender.RA {
		return nil
	}
	if in.Label.Profile != "" && in.Label.Profile != "tls-client" {
		return refuse(FailUnacceptedPolicy, models.KindDenied, "the profile %s is not one of the domain", in.Label.Profile)
	}
	if in.Request != nil {
		if name := in.Request.Request.Subject.CommonName; name != in.Sender.ID {
			return models.Errorf(models.KindDenied, "%s may not have a certificate for %s", in.Sender.ID, name)
		}
		for _, extension := range in.Request.Request.Extensions {
			if !extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
				return refuse(FailUnacceptedExtension, models.KindDenied, "the extension %s is not of the profile", extension.Id)
			}
		}
	}
	if in.Operation == OpKeyUpdate {
		signer, _ := in.Sender.Value.(*x509.Certificate)
		if in.OldCert == nil || signer == nil || !bytes.Equal(in.OldCert.Issuer, signer.RawIssuer) || new(big.Int).SetBytes(in.OldCert.Serial).Cmp(signer.SerialNumber) != 0 {
			return refuse(FailBadCertID, models.KindNotFound, "oldCertId is not the certificate that signed")
		}
	}
	return nil
}

func (s *site) find(label Label, id []byte, sender Sender) (*dealings, error) {
	d := s.transactions[string(id)]
	if err := s.domain(label); err != nil {
		return nil, err
	}
	if d == nil || d.sender != sender.ID {
		return nil, models.Errorf(models.KindDenied, "the sender has no such transaction")
	}
	return d, nil
}

func (s *site) Poll(_ context.Context, label Label, id []byte, sender Sender, _ Peer) (Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find(label, id, sender)
	if err != nil {
		return Outcome{}, err
	}
	d.outcome.RetryAfter = s.wait
	return d.outcome, nil
}

func (s *site) Confirm(_ context.Context, in *Confirmation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find(in.Label, in.Transaction, in.Sender)
	switch {
	case err != nil:
		return err
	case d.outcome.Confirmed || d.refused:
		return refuse(FailCertConfirmed, models.KindConflict, "the certificate is confirmed already")
	case !in.Matches(d.outcome.Certificate):
		return refuse(FailBadCertID, models.KindNotFound, "certHash is not that of the certificate")
	}
	d.outcome.Confirmed, d.refused = in.Accepted, !in.Accepted
	s.changes = append(s.changes, fmt.Sprintf("confirmed by %s: %v", in.Sender.ID, in.Accepted))
	return nil
}

func (s *site) Revoke(_ context.Context, in *Revocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	serial := new(big.Int).SetBytes(in.Cert.Serial).String()
	cert := s.issued[serial]
	switch {
	case cert == nil || !bytes.Equal(in.Cert.Issuer, cert.RawIssuer):
		return models.Errorf(models.KindNotFound, "there is no such certificate")
	case s.owners[serial] != in.Sender.ID && !in.Sender.RA:
		return models.Errorf(models.KindDenied, "the certificate is not yours")
	case s.revoked[serial] != 0:
		return refuse(FailCertRevoked, models.KindConflict, "the certificate is revoked already")
	}
	s.revoked[serial] = in.Reason + 1
	s.changes = append(s.changes, fmt.Sprintf("revoked by %s: %d", in.Sender.ID, in.Reason))
	return nil
}

func (s *site) CACerts(context.Context, Label) ([]*x509.Certificate, error) {
	return []*x509.Certificate{s.issuing.cert, s.root.cert}, nil
}

func (s *site) RootUpdate(_ context.Context, _ Label, old *x509.Certificate) (*RootUpdate, error) {
	if old == nil || !old.Equal(s.root.cert) {
		return nil, models.Errorf(models.KindNotFound, "there is no such root CA")
	}
	return &RootUpdate{NewWithNew: s.other.cert, NewWithOld: s.issuing.cert, OldWithNew: s.vendor.cert}, nil
}

func (s *site) Template(context.Context, Label) (*CertTemplateAdvice, error) {
	return &CertTemplateAdvice{Attrs: pki.CSRAttrs{Key: "EC-P256"}}, nil
}

func (s *site) CRLs(_ context.Context, _ Label, known []CRLStatus) ([][]byte, error) {
	if len(known) != 1 || !known[0].ThisUpdate.IsZero() {
		return nil, nil
	}
	return [][]byte{sure(pki.BuildCRL(s.issuing.cert, s.issuing.key, 1, s.now(), s.now().Add(time.Hour), nil))}, nil
}

// party is somebody who sends messages: with a secret, or with a certificate.
type party struct {
	reference, secret string
	id                *identity
	extra             []*x509.Certificate
	pbmac1            bool
}

// request begins a transaction.
func request(body Body) *Message {
	return &Message{Header: Header{Version: Version2, Sender: NullDN, Recipient: NullDN, MessageTime: time.Now().UTC().Truncate(time.Second),
		TransactionID: random(16), SenderNonce: random(16)}, Body: body}
}

// next goes on with a transaction.
func next(answer *Message, body Body) *Message {
	m := request(body)
	m.Header.TransactionID, m.Header.RecipNonce = answer.Header.TransactionID, answer.Header.SenderNonce
	return m
}

func random(n int) []byte {
	out := make([]byte, n)
	rand.Read(out)
	return out
}

// protect finishes a message.
func (p *party) protect(m *Message) *Message {
	var by protector
	if p.id == nil {
		own := sure((&macAlgorithm{pbkdf2: p.pbmac1, iterations: minIterations}).fresh())
		by = sure(own.with([]byte(p.secret)))
		m.Header.SenderKID = []byte(p.reference)
	} else {
		by = sure(newSigning(p.id.key))
		m.Header.Sender, m.Header.SenderKID = DirectoryName(p.id.cert.RawSubject), p.id.cert.SubjectKeyId
		m.ExtraCerts = [][]byte{p.id.cert.Raw}
		for _, cert := range p.extra {
			m.ExtraCerts = append(m.ExtraCerts, cert.Raw)
		}
	}
	return protectBy(m, by)
}

func protectBy(m *Message, by protector) *Message {
	algorithm := by.algorithm()
	m.Header.ProtectionAlg = &algorithm
	m.Protection = sure(by.protect(sure(m.ProtectedPart())))
	return m
}

// checks verifies the protection of an answer for a party.
func (p *party) checks(t *testing.T, s *site, answer *Message) {
	t.Helper()
	part := sure(answer.ProtectedPart())
	if answer.Header.ProtectionAlg == nil {
		t.Fatalf("the answer %s is not protected: %+v", answer.Body.Type, answer.Body.Error)
	}
	if p.id != nil {
		if err := verifySignature(*answer.Header.ProtectionAlg, s.protection.key.Public(), part, answer.Protection, models.Errorf(models.KindInvalid, "wrong")); err != nil {
			t.Error(err)
		}
		if !sameName(answer.Header.Sender, s.protection.cert.RawSubject) || !bytes.Equal(answer.ExtraCerts[0], s.protection.cert.Raw) {
			t.Error("the answer does not say who signed it")
		}
		return
	}
	mac := sure(parseMAC(*answer.Header.ProtectionAlg))
	if !mac.verify([]byte(p.secret), part, answer.Protection) || mac.pbkdf2 != p.pbmac1 {
		t.Error("the MAC of the answer is wrong")
	}
}

// certRequest is a signed request for a certificate.
func certRequest(t BodyType, key crypto.Signer, name string, change ...func(*CertReqMsg)) Body {
	var m CertReqMsg
	m.Request.Template = Template{Subject: sure(asn1.Marshal(pkix.Name{CommonName: name}.ToRDNSequence())), PublicKey: sure(x509.MarshalPKIXPublicKey(key.Public()))}
	for _, c := range change {
		c(&m)
	}
	if m.POPO == nil {
		by := sure(newSigning(key))
		m.POPO = &POPO{Method: POPOSignature, Signature: &SigningKeyProof{Algorithm: by.algorithm(), Signature: sure(by.protect(sure(m.Request.Marshal())))}}
	}
	return Body{Type: t, Requests: []CertReqMsg{m}}
}

// certConf confirms a certificate.
func certConf(cert []byte, change ...func(*CertStatus)) Body {
	digest := sha256.Sum256(cert)
	status := CertStatus{CertHash: digest[:]}
	for _, c := range change {
		c(&status)
	}
	return Body{Type: BodyCertConf, Confirms: []CertStatus{status}}
}

// post sends octets to a responder.
func post(s http.Handler, path string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", ContentType)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// ask sends a message and returns the answer, whose header is checked.
func ask(t *testing.T, s http.Handler, path string, m *Message) *Message {
	t.Helper()
	w := post(s, path, sure(m.Marshal()))
	answer, err := ParseMessage(w.Body.Bytes())
	if w.Code != http.StatusOK || err != nil || w.Header().Get("Content-Type") != ContentType {
		t.Fatalf("HTTP %d, %v, %q", w.Code, err, clip(w.Body.String()))
	}
	h, asked := answer.Header, m.Header
	if !bytes.Equal(h.TransactionID, asked.TransactionID) || !bytes.Equal(h.RecipNonce, asked.SenderNonce) || len(h.SenderNonce) != nonceSize ||
		h.Version != asked.Version || !slices.Equal(h.Recipient, asked.Sender) {
		t.Errorf("the header of the answer is %+v", h)
	}
	return answer
}

// certificateIn returns the certificate of an answer.
func certificateIn(t *testing.T, answer *Message, want BodyType) []byte {
	t.Helper()
	if answer.Body.Type != want {
		t.Fatalf("the answer is %s: %+v", answer.Body.Type, answer.Body.Error)
	}
	response := answer.Body.Replies.Responses[0]
	if response.KeyPair == nil {
		t.Fatalf("the status is %+v", response.Status)
	}
	return response.KeyPair.Certificate
}

func oldCert(cert *x509.Certificate) func(*CertReqMsg) {
	return func(m *CertReqMsg) {
		id := CertID{Issuer: cert.RawIssuer, Serial: integerContent(cert.SerialNumber)}
		m.Request.Controls = []Attribute{{OID: OIDOldCertID, Value: sure(id.Marshal())}}
	}
}

// integerContent returns the content octets of a positive INTEGER.
func integerContent(n *big.Int) []byte {
	var raw asn1.RawValue
	sure(asn1.Unmarshal(sure(asn1.Marshal(n)), &raw))
	return raw.Bytes
}

func raVerified(m *CertReqMsg) { m.POPO = &POPO{Method: POPORAVerified} }

func csr(key crypto.Signer, name string) []byte {
	return sure(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key))
}

// withInput proves possession with a POPOSigningKeyInput that names the sender.
func withInput(key crypto.Signer, sender *x509.Certificate) func(*CertReqMsg) {
	return func(m *CertReqMsg) {
		signInput(m, key, &SigningKeyInput{Sender: DirectoryName(sender.RawSubject), PublicKey: m.Request.Template.PublicKey})
	}
}

// withKeyMAC proves possession with a POPOSigningKeyInput whose key is
// protected with a secret.
func withKeyMAC(key crypto.Signer, secret string) func(*CertReqMsg) {
	return func(m *CertReqMsg) {
		own := sure((&macAlgorithm{iterations: minIterations}).fresh())
		mac := sure(sure(own.with([]byte(secret))).protect(m.Request.Template.PublicKey))
		signInput(m, key, &SigningKeyInput{MAC: &PKMAC{Algorithm: own.algorithm, Value: mac}, PublicKey: m.Request.Template.PublicKey})
	}
}

func signInput(m *CertReqMsg, key crypto.Signer, input *SigningKeyInput) {
	by := sure(newSigning(key))
	m.POPO = &POPO{Method: POPOSignature, Signature: &SigningKeyProof{Input: input, Algorithm: by.algorithm(), Signature: sure(by.protect(sure(input.Marshal())))}}
}
