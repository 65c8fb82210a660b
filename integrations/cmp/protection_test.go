// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/mldsa"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
)

// pssKey signs with PSS, whatever it is asked for.
type pssKey struct{ *rsa.PrivateKey }

func (k pssKey) Sign(source io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.PrivateKey.Sign(source, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: opts.HashFunc()})
}

func TestEverySchemeProtectsAMessage(t *testing.T) {
	s := newSite()
	h := NewResponder(s, Options{})
	rsaKey := sure(rsa.GenerateKey(rand.Reader, 2048))
	keys := map[x509.PublicKeyAlgorithm][]crypto.Signer{
		x509.RSA:     {rsaKey},
		x509.ECDSA:   {newECKey(), sure(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), sure(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))},
		x509.Ed25519: {sure2(ed25519.GenerateKey(rand.Reader))},
	}
	for _, scheme := range schemes() {
		var signers []crypto.Signer
		switch scheme.standard {
		case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
			signers = []crypto.Signer{pssKey{rsaKey}}
		case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA:
			signers = keys[x509.RSA]
		case x509.PureEd25519:
			signers = keys[x509.Ed25519]
		case x509.MLDSA44:
			signers = []crypto.Signer{sure(mldsa.GenerateKey(mldsa.MLDSA44()))}
		case x509.MLDSA65:
			signers = []crypto.Signer{sure(mldsa.GenerateKey(mldsa.MLDSA65()))}
		case x509.MLDSA87:
			signers = []crypto.Signer{sure(mldsa.GenerateKey(mldsa.MLDSA87()))}
		default:
			signers = keys[x509.ECDSA]
		}
		for _, signer := range signers {
			by := &party{id: &identity{key: newECKey()}}
			by.id.cert = s.issuing.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "press-01"}}, signer.Public())
			m := by.protect(request(certRequest(BodyCR, newECKey(), "press-01")))
			m = protectBy(m, &signing{scheme: scheme, signer: signer})
			answer := ask(t, h, shop, m)
			by.checks(t, s, answer)
			certificateIn(t, answer, BodyCP)
		}
	}
}

func sure2[A, B any](_ A, b B, err error) B { return sure(b, err) }

func TestOurOwnKeysSignByTheirStrength(t *testing.T) {
	for want, key := range map[x509.SignatureAlgorithm]crypto.Signer{
		x509.SHA256WithRSA:   sure(rsa.GenerateKey(rand.Reader, 2048)),
		x509.ECDSAWithSHA256: newECKey(),
		x509.ECDSAWithSHA384: sure(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		x509.ECDSAWithSHA512: sure(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		x509.PureEd25519:     sure2(ed25519.GenerateKey(rand.Reader)),
		x509.MLDSA44:         sure(mldsa.GenerateKey(mldsa.MLDSA44())),
	} {
		own := sure(newSigning(key))
		if own.scheme.standard != want {
			t.Errorf("%v instead of %v", own.scheme.standard, want)
		}
		message := []byte("a message")
		if err := verifySignature(own.algorithm(), key.Public(), message, sure(own.protect(message)), models.Errorf(models.KindInvalid, "wrong")); err != nil {
			t.Errorf("%v: %v", want, err)
		}
	}
}

func TestALongKeySignsWithALongDigest(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 4095)
	if scheme := sure(schemeFor(&rsa.PublicKey{N: n, E: 65537})); scheme.standard != x509.SHA512WithRSA {
		t.Errorf("%v", scheme.standard)
	}
}

// The steps of RFC 9810 §5.1.3.1 and RFC 8018 §7.1, one by one.
func TestMACsAreWhatTheDocumentsSay(t *testing.T) {
	secret, message := []byte("a secret"), []byte("a message")
	for _, kdf := range []bool{false, true} {
		own := sure((&macAlgorithm{pbkdf2: kdf}).fresh())
		read := sure(parseMAC(own.algorithm))
		var key []byte
		if kdf {
			key = sure(pbkdf2.Key(sha256.New, string(secret), read.salt, ownIterations, ownMACKey))
		} else {
			hash := sha256.Sum256(append(bytes.Clone(secret), read.salt...))
			for range ownIterations - 1 {
				hash = sha256.Sum256(hash[:])
			}
			key = hash[:]
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(message)
		if !read.verify(secret, message, mac.Sum(nil)) || read.verify([]byte("another"), message, mac.Sum(nil)) {
			t.Errorf("PBKDF2 %v: the MAC is another", kdf)
		}
		if again := sure((&macAlgorithm{pbkdf2: kdf}).fresh()); bytes.Equal(again.salt, own.salt) {
			t.Error("the salt was used before")
		}
	}
}

func TestAnswersAreNoEasierToGuessFromThanTheRequest(t *testing.T) {
	for _, kdf := range []bool{false, true} {
		if own := sure((&macAlgorithm{pbkdf2: kdf, iterations: 77_777}).fresh()); own.iterations != 77_777 {
			t.Errorf("PBKDF2 %v: %d iterations", kdf, own.iterations)
		}
	}
}

// watched counts how often secrets are tried.
type watched struct {
	*site
	tried int
}

func (w *watched) Secret(ctx context.Context, label Label, id []byte, reference string, peer Peer, prove func([]byte) bool) (Sender, error) {
	return w.site.Secret(ctx, label, id, reference, peer, func(secret []byte) bool {
		w.tried++
		return prove(secret)
	})
}

func TestWrongSecretsAndUnknownReferencesLookTheSame(t *testing.T) {
	w := &watched{site: newSite()}
	now := time.Now()
	h := NewResponder(w, Options{Now: func() time.Time { return now }})
	base := request(certRequest(BodyIR, newECKey(), "press-01"))
	var answers []*Message
	for _, by := range []*party{{reference: "press-01", secret: "wrong"}, {reference: "press-99", secret: "wrong"}} {
		m := &Message{Header: base.Header, Body: base.Body}
		answer := ask(t, h, shop, by.protect(m))
		answer.Header.SenderNonce = nil
		answers = append(answers, answer)
	}
	if diff := cmp.Diff(answers[0].Header, answers[1].Header) + cmp.Diff(answers[0].Body, answers[1].Body, cmp.AllowUnexported(Message{})); diff != "" {
		t.Error(diff)
	}
	if w.tried != 2 {
		t.Errorf("secrets were tried %d times", w.tried)
	}
}

func TestNothingIsComputedWithParametersOutOfBounds(t *testing.T) {
	b := newBench(t)
	w := &watched{site: b.site}
	h := NewResponder(w, Options{})
	for name, c := range badMACs() {
		if c.want != FailBadAlg {
			continue
		}
		post(h, shop, sure(c.message(b).Marshal()))
		if w.tried != 0 {
			t.Fatalf("%s: a secret was tried", name)
		}
	}
}

func TestPathsAreRead(t *testing.T) {
	for path, want := range map[string]struct {
		label     Label
		operation string
	}{
		"":                                 {},
		"/":                                {},
		"/initialization":                  {operation: "initialization"},
		"/p/press-shop":                    {label: Label{Domain: "press-shop"}},
		"/p/press-shop/":                   {label: Label{Domain: "press-shop"}},
		"/p/press-shop/keyupdate":          {label: Label{Domain: "press-shop"}, operation: "keyupdate"},
		"/p/press-shop/tls-client":         {label: Label{Domain: "press-shop", Profile: "tls-client"}},
		"/p/press-shop/tls-client/pkcs10/": {label: Label{Domain: "press-shop", Profile: "tls-client"}, operation: "pkcs10"},
		"/p/press-shop~tls-client/getcrls": {label: Label{Domain: "press-shop", Profile: "tls-client"}, operation: "getcrls"},
		"/p/~tls-client/nested":            {label: Label{Profile: "tls-client"}, operation: "nested"},
		"/p/_/certification":               {operation: "certification"},
	} {
		label, operation, err := parsePath(Prefix + path)
		if err != nil || label != want.label || operation != want.operation {
			t.Errorf("%s: %+v %q %v", path, label, operation, err)
		}
	}
	for _, path := range []string{"x", "/x", "/p", "/p//", "/p/a/b/c", "/p/a/b/initialization/x", "/p/~", "/p/a~", "/p/A", "/p/-a", "/initialization/a", "//p/a"} {
		if label, operation, err := parsePath(Prefix + path); err == nil {
			t.Errorf("%s is %+v %q", path, label, operation)
		}
	}
}

// FuzzResponder sends what a fuzzer makes, as it is, and protected by somebody
// who may: whatever it is, it is answered.
func FuzzResponder(f *testing.F) {
	s := newSite()
	s.wait = time.Hour
	h := NewResponder(s, Options{})
	secret := &party{reference: "press-01", secret: s.secrets["press-01"]}
	ra := &party{id: s.issuing.member("press-01", isRA)}
	device := s.credential("press-01")
	for _, body := range []Body{certRequest(BodyIR, newECKey(), "press-01"), certRequest(BodyKUR, newECKey(), "press-01", oldCert(device.cert)),
		{Type: BodyP10CR, CSR: csr(newECKey(), "press-01")}, certConf([]byte("x")), {Type: BodyPollReq, PollReqs: []int{0}}, revocation(device.cert),
		{Type: BodyGenM, Infos: []Attribute{{OID: OIDCACerts}, {OID: OIDCRLStatusList}}}, errorBody(Peer{}, models.Errorf(models.KindInvalid, "no")),
		withoutProof(certRequest(BodyCR, newECKey(), "press-01", keyless))} {
		m := secret.protect(version3(request(body)))
		f.Add(sure(m.Marshal()))
		f.Add(sure(ra.protect(request(Body{Type: BodyNested, Nested: []*Message{m}})).Marshal()))
	}
	answered := func(t *testing.T, message []byte) {
		w := post(h, shop, message)
		if w.Code == http.StatusOK || w.Code == http.StatusBadRequest {
			if _, err := ParseMessage(w.Body.Bytes()); err != nil {
				t.Errorf("HTTP %d: the answer is no message: %v", w.Code, err)
			}
			return
		}
		t.Errorf("HTTP %d", w.Code)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > MaxMessage {
			return
		}
		answered(t, message)
		m, err := ParseMessage(message)
		if err != nil {
			return
		}
		for _, by := range []*party{secret, ra} {
			again := &Message{Header: m.Header, Body: m.Body}
			again.Header.MessageTime = time.Time{}
			again.Header.RecipNonce = h.(*responder).newNonce("press-shop", m.Header.TransactionID, course(message[len(message)-1]&0x1f))
			if out, err := by.protect(again).Marshal(); err == nil && len(out) <= MaxMessage {
				answered(t, out)
			}
		}
	})
}
