// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models/pki"
)

// open decrypts an EnvelopedData with OpenSSL.
func (o *tool) open(key *EncryptedKey, to *identity) []byte {
	o.t.Helper()
	if key == nil {
		o.t.Fatal("nothing is encrypted")
	}
	oid := sure(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}))
	tagged := sure(asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: key.EnvelopedData}))
	o.write("message.der", sure(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(oid, tagged...)})))
	o.identity("recipient", to)
	out, err := o.try("cms", "-decrypt", "-inform", "DER", "-in", "message.der", "-recip", "recipient.pem", "-inkey", "recipient.key", "-binary", "-out", "opened.der")
	if err != nil {
		o.t.Fatalf("%v\n%s", err, out)
	}
	return o.read("opened.der")
}

// keyless leaves the key to the CA.
func keyless(m *CertReqMsg) {
	m.Request.Template.PublicKey = nil
	m.POPO = &POPO{Method: POPORAVerified} // so that nothing is signed; taken out by withoutProof
}

func withoutProof(b Body) Body {
	b.Requests[0].POPO = nil
	return b
}

func version3(m *Message) *Message {
	m.Header.Version = Version3
	return m
}

func TestAKeyIsMadeAndHandedOverOnce(t *testing.T) {
	s := newSite()
	o := newTool(t, s)
	h := NewResponder(s, Options{})
	rsaKey := sure(rsa.GenerateKey(rand.Reader, 2048))
	for name, id := range map[string]*identity{
		"key agreement": s.credential("press-01"),
		"key transport": {cert: s.issuing.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "press-01"}}, rsaKey.Public()), key: rsaKey},
	} {
		t.Run(name, func(t *testing.T) {
			by := &party{id: id}
			m := by.protect(version3(request(withoutProof(certRequest(BodyCR, newECKey(), "press-01", keyless)))))
			answer := ask(t, h, shop, m)
			by.checks(t, s, answer)
			cert := sure(x509.ParseCertificate(certificateIn(t, answer, BodyCP)))
			signed := o.open(answer.Body.Replies.Responses[0].KeyPair.PrivateKey, id)
			if !bytes.Contains(signed, s.protection.cert.Raw) || !bytes.Contains(signed, privateKeyBits(t, signed, cert)) {
				t.Error("the key package has neither the certificate that signed it nor the key")
			}
			again := ask(t, h, shop, m).Body.Replies.Responses[0]
			if again.Status.Fail != FailIncorrectData || again.KeyPair != nil {
				t.Errorf("asked again, it is answered %+v", again.Status)
			}
		})
	}
}

// privateKeyBits finds the PKCS #8 key of a certificate in a signed package.
func privateKeyBits(t *testing.T, signed []byte, cert *x509.Certificate) []byte {
	t.Helper()
	for i := range signed {
		if signed[i] != 0x30 {
			continue
		}
		var raw asn1.RawValue
		if _, err := asn1.Unmarshal(signed[i:], &raw); err != nil {
			continue
		}
		if key, err := x509.ParsePKCS8PrivateKey(raw.FullBytes); err == nil && pki.KeyBelongs(key, cert) {
			return raw.FullBytes
		}
	}
	t.Fatal("the key of the certificate is not there")
	return nil
}

func TestAKeyIsEncryptedWithTheSharedSecret(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	by := &party{reference: "press-01", secret: s.secrets["press-01"], pbmac1: true}
	answer := ask(t, h, shop, by.protect(version3(request(withoutProof(certRequest(BodyIR, newECKey(), "press-01", keyless))))))
	by.checks(t, s, answer)
	certificateIn(t, answer, BodyIP)
	key := answer.Body.Replies.Responses[0].KeyPair.PrivateKey
	if key == nil || !bytes.Contains(key.EnvelopedData, sure(asn1.Marshal(oidPBKDF2))) {
		t.Errorf("the key is %+v", key)
	}
}

func TestAKeyIsHandedOverAfterAWait(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	for _, by := range []*party{{reference: "press-01", secret: s.secrets["press-01"]}, {id: s.credential("press-01")}} {
		s.wait = time.Minute
		answer := ask(t, h, shop, by.protect(version3(request(withoutProof(certRequest(BodyIR, newECKey(), "press-01", keyless))))))
		s.transactions[string(answer.Header.TransactionID)].outcome.Key = newECKey()
		s.wait = 0
		poll := Body{Type: BodyPollReq, PollReqs: []int{0}}
		if refused := ask(t, h, shop, by.protect(next(answer, poll))); failOf(refused) != FailUnsupportedVersion {
			t.Errorf("in pvno 2 the answer is %+v", refused.Body)
		}
		answer = ask(t, h, shop, by.protect(version3(next(answer, poll))))
		certificateIn(t, answer, BodyIP)
		if answer.Body.Replies.Responses[0].KeyPair.PrivateKey == nil {
			t.Error("the key is missing")
		}
	}
}

func TestAKeyThatCannotSignIsProvenByReadingItsCertificate(t *testing.T) {
	s := newSite()
	o := newTool(t, s)
	h := NewResponder(s, Options{})
	by := &party{id: s.credential("press-01")}
	for name, key := range map[string]crypto.Signer{"RSA": sure(rsa.GenerateKey(rand.Reader, 2048)), "EC": newECKey()} {
		t.Run(name, func(t *testing.T) {
			encrypted := func(m *CertReqMsg) {
				m.POPO = &POPO{Method: POPOKeyEncipherment, PrivateKey: &PrivateKeyProof{Method: PrivateKeySubsequent, Subsequent: SubsequentEncrCert}}
			}
			answer := ask(t, h, shop, by.protect(version3(request(certRequest(BodyCR, key, "press-01", encrypted)))))
			if open := certificateIn(t, answer, BodyCP); open != nil {
				t.Fatal("the certificate is there in clear")
			}
			pair := answer.Body.Replies.Responses[0].KeyPair
			d := s.transactions[string(answer.Header.TransactionID)]
			cert := o.open(pair.EncryptedCert, &identity{cert: d.outcome.Certificate, key: key})
			answer = ask(t, h, shop, by.protect(version3(next(answer, certConf(cert)))))
			if answer.Body.Type != BodyPKIConf || !d.outcome.Confirmed {
				t.Errorf("certConf is answered %s", answer.Body.Type)
			}
		})
	}
}

func TestAfterAWaitTheProofIsStillAskedFor(t *testing.T) {
	s := newSite()
	s.wait = time.Minute
	h := NewResponder(s, Options{})
	by := &party{id: s.credential("press-01")}
	encrypted := func(m *CertReqMsg) {
		m.POPO = &POPO{Method: POPOKeyAgreement, PrivateKey: &PrivateKeyProof{Method: PrivateKeySubsequent, Subsequent: SubsequentEncrCert}}
	}
	answer := ask(t, h, shop, by.protect(version3(request(certRequest(BodyKUR, newECKey(), "press-01", encrypted, oldCert(by.id.cert))))))
	answer = ask(t, h, shop, by.protect(version3(next(answer, Body{Type: BodyPollReq, PollReqs: []int{0}}))))
	s.wait = 0
	answer = ask(t, h, shop, by.protect(version3(next(answer, Body{Type: BodyPollReq, PollReqs: []int{0}}))))
	if open := certificateIn(t, answer, BodyKUP); open != nil || answer.Body.Replies.Responses[0].KeyPair.EncryptedCert == nil {
		t.Error("the certificate is there in clear")
	}
}

// The same transactionID is another transaction in another domain. What was
// asked for there, and how it was proven, says nothing here: a certificate that
// is sent encrypted must not be had in clear with a nonce from elsewhere.
func TestANonceIsOfOneDomain(t *testing.T) {
	here, there := newSite(), newSite()
	key := random(32)
	mux := http.NewServeMux()
	mux.Handle(shop, NewResponder(here, Options{NonceKey: key}))
	mux.Handle(Prefix+"/p/paint-shop", NewResponder(&renamed{there}, Options{NonceKey: key}))
	by, accomplice := &party{id: here.credential("press-01")}, &party{id: there.credential("press-01")}
	encrypted := func(m *CertReqMsg) {
		m.POPO = &POPO{Method: POPOKeyEncipherment, PrivateKey: &PrivateKeyProof{Method: PrivateKeySubsequent, Subsequent: SubsequentEncrCert}}
	}
	signed := request(certRequest(BodyCR, newECKey(), "press-01"))
	elsewhere := ask(t, mux, Prefix+"/p/paint-shop", accomplice.protect(signed))
	certificateIn(t, elsewhere, BodyCP)
	asked := version3(request(certRequest(BodyCR, newECKey(), "press-01", encrypted)))
	asked.Header.TransactionID = signed.Header.TransactionID
	answer := ask(t, mux, shop, by.protect(asked))
	if open := certificateIn(t, answer, BodyCP); open != nil {
		t.Fatal("the certificate is there in clear")
	}
	got := ask(t, mux, shop, by.protect(version3(next(elsewhere, Body{Type: BodyPollReq, PollReqs: []int{0}}))))
	if failOf(got) != FailBadRecipientNonce || got.Body.Replies != nil {
		t.Errorf("a poll with a nonce of another domain is answered %+v", got.Body)
	}
}

// renamed is a site whose domain is "paint-shop".
type renamed struct{ *site }

func (r *renamed) Signer(ctx context.Context, _ Label, id []byte, chain []*x509.Certificate, peer Peer) (Sender, error) {
	return r.site.Signer(ctx, Label{}, id, chain, peer)
}
