// SPDX-License-Identifier: MIT

package cmp

import (
	"crypto/sha512"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const shop = Prefix + "/p/press-shop"

func TestACertificateIsAskedForAndConfirmed(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	device := s.credential("press-01")
	key := newECKey()
	for name, c := range map[string]struct {
		by   *party
		path string
		body Body
		want BodyType
	}{
		"ir with a secret":             {&party{reference: "press-01", secret: s.secrets["press-01"]}, shop + "/initialization", certRequest(BodyIR, key, "press-01"), BodyIP},
		"ir with a secret and PBMAC1":  {&party{reference: "press-01", secret: s.secrets["press-01"], pbmac1: true}, shop, certRequest(BodyIR, key, "press-01"), BodyIP},
		"ir with the vendor's":         {&party{id: s.vendor.member("press-01")}, shop, certRequest(BodyIR, key, "press-01"), BodyIP},
		"cr with a domain credential":  {&party{id: device}, shop + "/tls-client/certification", certRequest(BodyCR, key, "press-01"), BodyCP},
		"cr under the bare path":       {&party{id: device}, Prefix, certRequest(BodyCR, key, "press-01"), BodyCP},
		"kur":                          {&party{id: device}, shop + "~tls-client/keyupdate/", certRequest(BodyKUR, key, "press-01", oldCert(device.cert)), BodyKUP},
		"p10cr":                        {&party{id: device}, shop + "/pkcs10", Body{Type: BodyP10CR, CSR: csr(key, "press-01")}, BodyCP},
		"cr, verified by an RA":        {&party{id: s.issuing.member("ra", isRA)}, shop, certRequest(BodyCR, key, "press-07", raVerified), BodyCP},
		"cr with poposkInput":          {&party{id: device}, shop, certRequest(BodyCR, key, "press-01", withInput(key, device.cert)), BodyCP},
		"ir with a MAC in poposkInput": {&party{reference: "press-01", secret: s.secrets["press-01"]}, shop, certRequest(BodyIR, key, "press-01", withKeyMAC(key, s.secrets["press-01"])), BodyIP},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.by.protect(request(c.body))
			answer := ask(t, h, c.path, m)
			c.by.checks(t, s, answer)
			cert := certificateIn(t, answer, c.want)
			if parsed := sure(x509.ParseCertificate(cert)); !key.PublicKey.Equal(parsed.PublicKey) {
				t.Error("the certificate is for another key")
			}
			if again := ask(t, h, c.path, m); cmp.Diff(certificateIn(t, again, c.want), cert) != "" {
				t.Error("the same request got another certificate")
			}
			if wait := answer.Header.ConfirmWaitTime(); time.Until(wait).Abs() > 6*time.Minute {
				t.Errorf("confirmWaitTime is %s", wait)
			}
			id := answer.Body.Replies.Responses[0].ID
			done := ask(t, h, c.path, c.by.protect(next(answer, certConf(cert, func(s *CertStatus) { s.ID = id }))))
			c.by.checks(t, s, done)
			if done.Body.Type != BodyPKIConf {
				t.Errorf("certConf was answered %s: %+v", done.Body.Type, done.Body.Error)
			}
		})
	}
}

func TestImplicitConfirmationIsGrantedWhereItMayBe(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	by := &party{reference: "press-01", secret: s.secrets["press-01"]}
	for _, granted := range []bool{true, false} {
		s.implicit = granted
		m := request(certRequest(BodyIR, newECKey(), "press-01"))
		m.Header.GeneralInfo = []Attribute{{OID: OIDImplicitConfirm, Value: derNull}}
		if answer := ask(t, h, shop, by.protect(m)); answer.Header.ImplicitConfirm() != granted || answer.Header.ConfirmWaitTime().IsZero() != granted {
			t.Errorf("granted %v: generalInfo is %v", granted, answer.Header.GeneralInfo)
		}
	}
}

func TestAWaitingRequestIsPolledFor(t *testing.T) {
	s := newSite()
	s.wait = 90 * time.Second
	key := make([]byte, 32)
	h := NewResponder(s, Options{NonceKey: key})
	for _, c := range []struct {
		body  Body
		id    int
		reply BodyType
	}{{certRequest(BodyIR, newECKey(), "press-01"), 0, BodyIP}, {Body{Type: BodyP10CR, CSR: csr(newECKey(), "press-01")}, -1, BodyCP}} {
		s.wait = 90 * time.Second
		by := &party{reference: "press-01", secret: s.secrets["press-01"]}
		answer := ask(t, h, shop, by.protect(request(c.body)))
		if r := answer.Body.Replies.Responses[0]; r.Status.Status != StatusWaiting || r.KeyPair != nil || r.ID != c.id {
			t.Errorf("the answer is %+v", r)
		}
		answer = ask(t, h, shop, by.protect(next(answer, Body{Type: BodyPollReq, PollReqs: []int{c.id}})))
		by.checks(t, s, answer)
		if diff := cmp.Diff([]PollReply{{ID: c.id, CheckAfter: 90}}, answer.Body.PollReps); diff != "" {
			t.Error(diff)
		}
		s.wait = 0
		h = NewResponder(s, Options{NonceKey: key}) // a restart in between
		answer = ask(t, h, shop, by.protect(next(answer, Body{Type: BodyPollReq, PollReqs: []int{c.id}})))
		cert := certificateIn(t, answer, c.reply)
		answer = ask(t, h, shop, by.protect(next(answer, certConf(cert, func(s *CertStatus) { s.ID = c.id }))))
		if answer.Body.Type != BodyPKIConf {
			t.Errorf("certConf was answered %s", answer.Body.Type)
		}
	}
}

func TestACertificateIsRefusedByItsDevice(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	by := &party{reference: "press-01", secret: s.secrets["press-01"]}
	refusal := StatusInfo{Status: StatusRejection, Fail: FailIncorrectData, Text: []string{"not\nmine"}}
	for _, body := range []func(cert []byte) Body{
		func(cert []byte) Body { return certConf(cert, func(s *CertStatus) { s.Status = &refusal }) },
		func([]byte) Body { return Body{Type: BodyError, Error: &ErrorContent{Status: refusal}} },
	} {
		s.changes = nil
		answer := ask(t, h, shop, by.protect(request(certRequest(BodyIR, newECKey(), "press-01"))))
		answer = ask(t, h, shop, by.protect(next(answer, body(certificateIn(t, answer, BodyIP)))))
		if answer.Body.Type != BodyPKIConf {
			t.Errorf("the answer is %s: %+v", answer.Body.Type, answer.Body.Error)
		}
		if diff := cmp.Diff([]string{"request of press-01", "certificate for press-01", "confirmed by press-01: false"}, s.changes); diff != "" {
			t.Error(diff)
		}
	}
}

func revocation(cert *x509.Certificate, change ...func(*RevDetails)) Body {
	details := RevDetails{Template: Template{Issuer: cert.RawIssuer, Serial: integerContent(cert.SerialNumber)}}
	for _, c := range change {
		c(&details)
	}
	return Body{Type: BodyRR, RevReqs: []RevDetails{details}}
}

func TestACertificateIsRevoked(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	device := s.credential("press-01")
	by := &party{id: device}
	answer := ask(t, h, shop+"/revocation", by.protect(request(revocation(device.cert))))
	by.checks(t, s, answer)
	if answer.Body.Type != BodyRP || answer.Body.RevReps.Status[0].Status != StatusAccepted {
		t.Fatalf("the answer is %s: %+v", answer.Body.Type, answer.Body.RevReps)
	}
	answer = ask(t, h, shop, by.protect(request(certRequest(BodyCR, newECKey(), "press-01"))))
	if answer.Body.Type != BodyError || answer.Body.Error.Status.Fail != FailCertRevoked {
		t.Errorf("the revoked certificate is answered %s: %+v", answer.Body.Type, answer.Body.Error)
	}
}

func TestAnRAAddsItsProtection(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	ra := &party{id: s.issuing.member("ra", isRA)}
	by := &party{reference: "press-01", secret: s.secrets["press-01"]}
	inside := by.protect(request(certRequest(BodyIR, newECKey(), "press-01")))
	outside := request(Body{Type: BodyNested, Nested: []*Message{inside}})
	outside.Header.TransactionID, outside.Header.SenderNonce = inside.Header.TransactionID, inside.Header.SenderNonce
	for _, path := range []string{shop + "/nested", shop + "/initialization"} {
		w := post(h, path, sure(ra.protect(outside).Marshal()))
		answer := sure(ParseMessage(w.Body.Bytes()))
		by.checks(t, s, answer)
		certificateIn(t, answer, BodyIP)
	}
}

func TestABatchIsAnsweredOneByOne(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	ra := &party{id: s.issuing.member("ra", isRA)}
	by := &party{reference: "press-01", secret: s.secrets["press-01"]}
	wrong := &party{reference: "press-01", secret: "wrong"}
	batch := []*Message{by.protect(request(certRequest(BodyIR, newECKey(), "press-01"))), wrong.protect(request(certRequest(BodyIR, newECKey(), "press-01")))}
	answer := ask(t, h, shop+"/nested", ra.protect(request(Body{Type: BodyNested, Nested: batch})))
	ra.checks(t, s, answer)
	if answer.Body.Type != BodyNested || len(answer.Body.Nested) != 2 {
		t.Fatalf("the answer is %s", answer.Body.Type)
	}
	by.checks(t, s, answer.Body.Nested[0])
	certificateIn(t, answer.Body.Nested[0], BodyIP)
	if second := answer.Body.Nested[1]; second.Body.Type != BodyError || second.Body.Error.Status.Fail != FailBadMessageCheck || second.Protection != nil {
		t.Errorf("the second answer is %+v", second.Body)
	}
}

func TestAClientMayNameTheHash(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	by := &party{id: s.credential("press-01")}
	answer := ask(t, h, shop, by.protect(version3(request(certRequest(BodyCR, newECKey(), "press-01")))))
	digest := sha512.Sum512(certificateIn(t, answer, BodyCP))
	conf := certConf(nil, func(s *CertStatus) { s.CertHash, s.HashAlg = digest[:], &Algorithm{OID: oidSHA512} })
	if answer = ask(t, h, shop, by.protect(version3(next(answer, conf)))); answer.Body.Type != BodyPKIConf {
		t.Errorf("the answer is %s: %+v", answer.Body.Type, answer.Body.Error)
	}
}
