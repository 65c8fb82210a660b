// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
)

// bench is a site with what bad messages are made from: parties, and
// transactions in each state.
type bench struct {
	*site
	h http.Handler

	mac, mac2, wrong, nobody    *party // press-01, press-02, a wrong secret, an unknown reference
	device, device2, ra         *party
	revokedOne, expired, notYet *party
	foreign, encrypting, weak   *party
	open, confirmed, waiting    *Message // answers to press-01 by its secret
	first                       *Message // the request behind open
	cert                        []byte   // of open
}

func newBench(t *testing.T) *bench {
	s := newSite()
	b := &bench{site: s, h: NewResponder(s, Options{})}
	b.mac = &party{reference: "press-01", secret: s.secrets["press-01"]}
	b.mac2 = &party{reference: "press-02", secret: s.secrets["press-02"]}
	b.wrong, b.nobody = &party{reference: "press-01", secret: "wrong"}, &party{reference: "press-99", secret: "wrong"}
	b.device, b.device2 = &party{id: s.credential("press-01")}, &party{id: s.credential("press-02")}
	b.ra = &party{id: s.issuing.member("ra", isRA)}
	b.revokedOne = &party{id: s.credential("press-01")}
	s.revoked[b.revokedOne.id.cert.SerialNumber.String()] = 1
	between := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	b.expired, b.notYet = &party{id: s.credential("press-01", between(-2*time.Hour, -time.Hour))}, &party{id: s.credential("press-01", between(time.Hour, 2*time.Hour))}
	b.foreign = &party{id: s.other.member("press-01")}
	b.encrypting = &party{id: s.credential("press-01", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })}
	weak := sure(rsa.GenerateKey(rand.Reader, 1024))
	b.weak = &party{id: &identity{cert: s.issuing.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "press-01"}}, weak.Public()), key: weak}}

	b.first = b.mac.protect(request(certRequest(BodyIR, newECKey(), "press-01")))
	b.open = ask(t, b.h, shop, b.first)
	b.cert = certificateIn(t, b.open, BodyIP)
	b.confirmed = ask(t, b.h, shop, b.mac.protect(request(certRequest(BodyIR, newECKey(), "press-01"))))
	ask(t, b.h, shop, b.mac.protect(next(b.confirmed, certConf(certificateIn(t, b.confirmed, BodyIP)))))
	s.wait = time.Hour
	b.waiting = ask(t, b.h, shop, b.mac.protect(request(certRequest(BodyIR, newECKey(), "press-01"))))
	s.changes = nil
	return b
}

// state is what no bad message may change.
func (b *bench) state() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintln(b.changes, len(b.transactions), len(b.issued), b.revoked)
}

// bad is a message that is refused. It is made by message or raw, and sent as
// HTTP wants it unless http makes something else of it.
type bad struct {
	path    string // behind shop; "" is none
	message func(b *bench) *Message
	raw     func(b *bench) []byte
	http    func(r *http.Request)
	want    FailInfo // 0: the answer is no message
	status  int      // 0: 200
}

// failOf returns the failInfo of an answer, wherever it is.
func failOf(answer *Message) FailInfo {
	body := &answer.Body
	switch {
	case body.Error != nil && body.Error.Status.Status == StatusRejection:
		return body.Error.Status.Fail
	case body.Replies != nil && body.Replies.Responses[0].Status.Status == StatusRejection:
		return body.Replies.Responses[0].Status.Fail
	case body.RevReps != nil && body.RevReps.Status[0].Status == StatusRejection:
		return body.RevReps.Status[0].Fail
	case len(body.Nested) > 0:
		return failOf(body.Nested[0])
	}
	return 0
}

func TestBadMessagesAreRefusedAndChangeNothing(t *testing.T) {
	b := newBench(t)
	count := 0
	for _, table := range []map[string]bad{badHTTP(), badEncodings(), badHeaders(), badOperations(), badMACs(), badSignatures(), badProofs(), badRequests(),
		badTransactions(), badRevocations(), badNests(), badQuestions()} {
		for name, c := range table {
			count++
			t.Run(name, func(t *testing.T) { b.refuses(t, c) })
		}
	}
	if count < 80 {
		t.Errorf("there are only %d bad messages", count)
	}
	t.Logf("%d bad messages", count)
}

func (b *bench) refuses(t *testing.T, c bad) {
	before := b.state()
	var body []byte
	switch {
	case c.raw != nil:
		body = c.raw(b)
	case c.message != nil:
		body = sure(c.message(b).Marshal())
	}
	path := shop + c.path
	if strings.HasPrefix(c.path, "//") {
		path = c.path[1:]
	}
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", ContentType)
	if c.http != nil {
		c.http(r)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	if want := max(c.status, 200); c.status == 0 && w.Code != http.StatusOK || c.status != 0 && w.Code != want {
		t.Errorf("the status is %d", w.Code)
	}
	if c.want != 0 {
		answer, err := ParseMessage(w.Body.Bytes())
		if err != nil {
			t.Fatalf("the answer is no message: %v", err)
		}
		if got := failOf(answer); got != c.want {
			t.Errorf("the failInfo is %q, not %q; the answer is %s %+v", got, c.want, answer.Body.Type, answer.Body.Error)
		}
	}
	if diff := cmp.Diff(before, b.state()); diff != "" {
		t.Errorf("something changed: %s", diff)
	}
}

func badHTTP() map[string]bad {
	ir := func(b *bench) *Message { return b.mac.protect(request(certRequest(BodyIR, newECKey(), "press-01"))) }
	header := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Content-Type"] = values }
	}
	method := func(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }
	return map[string]bad{
		"GET":                             {message: ir, http: method(http.MethodGet), status: http.StatusMethodNotAllowed},
		"PUT":                             {message: ir, http: method(http.MethodPut), status: http.StatusMethodNotAllowed},
		"another content type":            {message: ir, http: header("application/pkcs10"), status: http.StatusUnsupportedMediaType},
		"no content type":                 {message: ir, http: header(), status: http.StatusUnsupportedMediaType},
		"two content types":               {message: ir, http: header(ContentType, ContentType), status: http.StatusUnsupportedMediaType},
		"a message of 128 KiB and one":    {raw: func(*bench) []byte { return make([]byte, MaxMessage+1) }, status: http.StatusRequestEntityTooLarge},
		"an endless message":              {raw: func(*bench) []byte { return make([]byte, MaxMessage+1) }, http: func(r *http.Request) { r.ContentLength = -1 }, status: http.StatusRequestEntityTooLarge},
		"an unknown operation":            {path: "/tls-client/initialisation", message: ir, status: http.StatusNotFound},
		"an unknown path":                 {path: "//.well-known/cmp/initialization/press-shop", message: ir, status: http.StatusNotFound},
		"a path with a prefix in common":  {path: "//.well-known/cmps", message: ir, status: http.StatusNotFound},
		"a path that goes up":             {path: "//.well-known/cmp/p/..", message: ir, status: http.StatusNotFound},
		"an escaped path":                 {path: "//.well-known/cmp/p/press%2dshop", message: ir, status: http.StatusNotFound},
		"a label of 2 KiB":                {path: "//.well-known/cmp/p/" + strings.Repeat("a", 2048), message: ir, status: http.StatusNotFound},
		"a path without a domain":         {path: "//.well-known/cmp/p/", message: ir, status: http.StatusNotFound},
		"a domain that is not the device": {path: "//.well-known/cmp/p/paint-shop", message: ir, want: FailWrongAuthority},
	}
}

func badEncodings() map[string]bad {
	encoded := func(b *bench) []byte {
		return sure(b.mac.protect(request(certRequest(BodyIR, newECKey(), "press-01"))).Marshal())
	}
	serial := func(content []byte) func(b *bench) *Message {
		return func(b *bench) *Message {
			return b.device.protect(request(revocation(b.device.id.cert, func(d *RevDetails) { d.Template.Serial = content })))
		}
	}
	pvno := func(n int) func(b *bench) *Message {
		return func(b *bench) *Message {
			m := request(certRequest(BodyIR, newECKey(), "press-01"))
			m.Header.Version = n
			return b.mac.protect(m)
		}
	}
	table := map[string]bad{
		"nothing":                {raw: func(*bench) []byte { return nil }},
		"one octet":              {raw: func(*bench) []byte { return []byte{0x30} }},
		"random octets":          {raw: func(*bench) []byte { return random(500) }},
		"text":                   {raw: func(*bench) []byte { return []byte("-----BEGIN CMP-----") }},
		"half a message":         {raw: func(b *bench) []byte { m := encoded(b); return m[:len(m)/2] }},
		"a message and an octet": {raw: func(b *bench) []byte { return append(encoded(b), 0) }},
		"two messages":           {raw: func(b *bench) []byte { return append(encoded(b), encoded(b)...) }},
		"an indefinite length": {raw: func(b *bench) []byte {
			m := encoded(b)
			return append(append([]byte{0x30, 0x80}, m[4:]...), 0, 0)
		}},
		"a length that is too long": {raw: func(b *bench) []byte { m := encoded(b); return append([]byte{0x30, 0x83, 0}, m[2:]...) }},
		"a thousand levels":         {raw: func(*bench) []byte { return bytes.Repeat([]byte{0x30, 0x80}, 1000) }},
		"a tower of sequences":      {raw: func(*bench) []byte { return tower(200) }},
		"60 KiB of tiny elements": {raw: func(*bench) []byte {
			return sure(asn1.Marshal(asn1.RawValue{Tag: 16, IsCompound: true, Bytes: bytes.Repeat([]byte{5, 0}, 30<<10)}))
		}},
		"a certification request":        {raw: func(*bench) []byte { return csr(newECKey(), "press-01") }},
		"a certificate":                  {raw: func(b *bench) []byte { return b.cert }},
		"a negative serial number":       {message: serial([]byte{0x80, 1})},
		"a serial number of 40 octets":   {message: serial(bytes.Repeat([]byte{1}, 40))},
		"a serial number that is padded": {message: serial([]byte{0, 1})},
		"an oldCertId of 40 octets":      {message: func(b *bench) *Message { return b.device.protect(request(oversizedOldCert(b))) }},
	}
	for name, c := range table {
		c.want, c.status = FailBadDataFormat, http.StatusBadRequest
		if strings.Contains(name, "oldCertId") {
			c.status = 0 // a control is looked into after the message was
		}
		table[name] = c
	}
	table["a certification request"] = bad{raw: table["a certification request"].raw, want: FailUnsupportedVersion} // its version is 0
	table["pvno 1"], table["pvno 4"], table["pvno 0"] = bad{message: pvno(1), want: FailUnsupportedVersion}, bad{message: pvno(4), want: FailUnsupportedVersion}, bad{message: pvno(0), want: FailUnsupportedVersion}
	return table
}

func tower(n int) []byte {
	out := []byte{0x30, 0}
	for range n {
		out = sure(asn1.Marshal(asn1.RawValue{Tag: 16, IsCompound: true, Bytes: out}))
	}
	return out
}

func oversizedOldCert(b *bench) Body {
	return certRequest(BodyKUR, newECKey(), "press-01", func(m *CertReqMsg) {
		id := CertID{Issuer: b.issuing.cert.RawSubject, Serial: bytes.Repeat([]byte{1}, 40)}
		m.Request.Controls = []Attribute{{OID: OIDOldCertID, Value: sure(id.Marshal())}}
	})
}

func badHeaders() map[string]bad {
	changed := func(change func(*Header)) func(b *bench) *Message {
		return func(b *bench) *Message {
			m := request(certRequest(BodyIR, newECKey(), "press-01"))
			change(&m.Header)
			return b.mac.protect(m)
		}
	}
	after := func(body func(b *bench) Body, change func(*bench, *Header)) func(b *bench) *Message {
		return func(b *bench) *Message {
			m := next(b.open, body(b))
			change(b, &m.Header)
			return b.mac.protect(m)
		}
	}
	conf := func(b *bench) Body { return certConf(b.cert) }
	poll := func(*bench) Body { return Body{Type: BodyPollReq, PollReqs: []int{0}} }
	failed := func(*bench) Body {
		return Body{Type: BodyError, Error: &ErrorContent{Status: StatusInfo{Status: StatusRejection}}}
	}
	profiles := func(names ...string) func(*Header) {
		value := sure(encoded(func(b *builder) { addTexts(b, names) }))
		return func(h *Header) { h.GeneralInfo = []Attribute{{OID: OIDCertProfile, Value: value}} }
	}
	return map[string]bad{
		"no transactionID":                     {message: changed(func(h *Header) { h.TransactionID = nil }), want: FailBadDataFormat},
		"a transactionID of one octet":         {message: changed(func(h *Header) { h.TransactionID = random(1) }), want: FailBadDataFormat},
		"a transactionID of 1 KiB":             {message: changed(func(h *Header) { h.TransactionID = random(1024) }), want: FailBadDataFormat},
		"no senderNonce":                       {message: changed(func(h *Header) { h.SenderNonce = nil }), want: FailBadSenderNonce},
		"a senderNonce of 8 octets":            {message: changed(func(h *Header) { h.SenderNonce = random(8) }), want: FailBadSenderNonce},
		"a senderNonce of 1 KiB":               {message: changed(func(h *Header) { h.SenderNonce = random(1024) }), want: FailBadSenderNonce},
		"messageTime of yesterday":             {message: changed(func(h *Header) { h.MessageTime = h.MessageTime.Add(-24 * time.Hour) }), want: FailBadTime},
		"messageTime of tomorrow":              {message: changed(func(h *Header) { h.MessageTime = h.MessageTime.Add(24 * time.Hour) }), want: FailBadTime},
		"messageTime of the year 1":            {message: changed(func(h *Header) { h.MessageTime = time.Time{}.Add(time.Second) }), want: FailBadTime},
		"two certProfiles":                     {message: changed(profiles("tls-client", "tls-server")), want: FailBadRequest},
		"a certProfile that is no name":        {message: changed(profiles("../tls")), want: FailBadRequest},
		"a certProfile that is not the path's": {path: "/tls-server", message: changed(profiles("tls-client")), want: FailBadRequest},
		"a certProfile of another domain":      {message: changed(profiles("issuing")), want: FailUnacceptedPolicy},
		"certConf without recipNonce":          {message: after(conf, func(_ *bench, h *Header) { h.RecipNonce = nil }), want: FailBadRecipientNonce},
		"certConf with an invented recipNonce": {message: after(conf, func(_ *bench, h *Header) { h.RecipNonce = random(16) }), want: FailBadRecipientNonce},
		"certConf with another transaction's":  {message: after(conf, func(b *bench, h *Header) { h.RecipNonce = b.waiting.Header.SenderNonce }), want: FailBadRecipientNonce},
		"certConf with its own senderNonce":    {message: after(conf, func(_ *bench, h *Header) { h.RecipNonce = h.SenderNonce }), want: FailBadRecipientNonce},
		"pollReq without recipNonce":           {message: after(poll, func(_ *bench, h *Header) { h.RecipNonce = nil }), want: FailBadRecipientNonce},
		"pollReq with a longer recipNonce":     {message: after(poll, func(_ *bench, h *Header) { h.RecipNonce = append(h.RecipNonce, 0) }), want: FailBadRecipientNonce},
		"certConf after a refusal":             {message: afterRefusal(certConf(nil)), want: FailBadRecipientNonce},
		"pollReq after a refusal":              {message: afterRefusal(Body{Type: BodyPollReq, PollReqs: []int{0}}), want: FailBadRecipientNonce},
		"error with an invented recipNonce":    {message: after(failed, func(_ *bench, h *Header) { h.RecipNonce = random(16) }), want: FailBadRecipientNonce},
	}
}

// afterRefusal goes on with a transaction that exists from the answer to
// another request with its identifier, which has a nonce of ours.
func afterRefusal(body Body) func(b *bench) *Message {
	return func(b *bench) *Message {
		m := request(certRequest(BodyIR, newECKey(), "press-01"))
		m.Header.TransactionID = b.waiting.Header.TransactionID
		refused := sure(ParseMessage(post(b.h, shop, sure(b.mac.protect(m).Marshal())).Body.Bytes()))
		return b.mac.protect(next(refused, body))
	}
}

func badOperations() map[string]bad {
	sent := func(body func(b *bench) Body) func(b *bench) *Message {
		return func(b *bench) *Message { return b.device.protect(request(body(b))) }
	}
	cr := sent(func(*bench) Body { return certRequest(BodyCR, newECKey(), "press-01") })
	rr := sent(func(b *bench) Body { return revocation(b.device.id.cert) })
	genm := sent(func(*bench) Body { return Body{Type: BodyGenM, Infos: []Attribute{{OID: OIDCACerts}}} })
	only := func(body Body) bad {
		return bad{message: sent(func(*bench) Body { return body }), want: FailBadRequest}
	}
	return map[string]bad{
		"cr at initialization":      {path: "/initialization", message: cr, want: FailBadRequest},
		"cr at keyupdate":           {path: "/keyupdate", message: cr, want: FailBadRequest},
		"cr at pkcs10":              {path: "/pkcs10", message: cr, want: FailBadRequest},
		"cr at nested":              {path: "/nested", message: cr, want: FailBadRequest},
		"rr at certification":       {path: "/certification", message: rr, want: FailBadRequest},
		"cr at revocation":          {path: "/revocation", message: cr, want: FailBadRequest},
		"genm at keyupdate":         {path: "/keyupdate", message: genm, want: FailBadRequest},
		"genm caCerts at getcrls":   {path: "/getcrls", message: genm, want: FailBadRequest},
		"certConf at revocation":    {path: "/revocation", message: func(b *bench) *Message { return b.mac.protect(next(b.open, certConf(b.cert))) }, want: FailBadRequest},
		"a server's answer ip":      only(Body{Type: BodyIP, Replies: &CertReplies{}}),
		"a server's answer rp":      only(Body{Type: BodyRP, RevReps: &RevReplies{Status: []StatusInfo{{}}}}),
		"a server's answer pkiConf": only(Body{Type: BodyPKIConf}),
		"a server's answer genp":    only(Body{Type: BodyGenP}),
		"a server's answer pollRep": only(Body{Type: BodyPollRep, PollReps: []PollReply{{}}}),
		"key recovery":              only(certRequest(BodyKRR, newECKey(), "press-01")),
		"cross-certification":       only(certRequest(BodyCCR, newECKey(), "press-01")),
		"an announcement of a CRL":  only(Body{Type: BodyCRLAnn, Raw: []byte{0x30, 0}}),
		"a challenge's response":    only(Body{Type: BodyPOPDecR, Raw: []byte{0x30, 0}}),
		"an announced key of a CA":  only(Body{Type: BodyCKUAnn, Raw: []byte{0x30, 0}}),
	}
}

func badProofs() map[string]bad {
	body := func(change ...func(*CertReqMsg)) Body { return certRequest(BodyCR, newECKey(), "press-01", change...) }
	sent := func(make func(b *bench) Body) func(b *bench) *Message {
		return func(b *bench) *Message { return b.device.protect(version3(request(make(b)))) }
	}
	privately := func(p PrivateKeyProof) func(*CertReqMsg) {
		return func(m *CertReqMsg) { m.POPO = &POPO{Method: POPOKeyEncipherment, PrivateKey: &p} }
	}
	with := func(change ...func(*CertReqMsg)) func(b *bench) *Message {
		return sent(func(*bench) Body { return body(change...) })
	}
	edwards := func(m *CertReqMsg) {
		pub, _, _ := ed25519.GenerateKey(rand.Reader)
		m.Request.Template.PublicKey = sure(x509.MarshalPKIXPublicKey(pub))
	}
	encrCert := privately(PrivateKeyProof{Method: PrivateKeySubsequent, Subsequent: SubsequentEncrCert})
	table := map[string]bad{
		"no proof": {message: sent(func(*bench) Body { return withoutProof(body()) })},
		"a proof by another key": {message: sent(func(*bench) Body {
			other, b := newECKey(), body()
			by := sure(newSigning(other))
			b.Requests[0].POPO.Signature.Signature = sure(by.protect(sure(b.Requests[0].Request.Marshal())))
			return b
		})},
		"a proof of another request": {message: sent(func(*bench) Body {
			a, b := body(), body()
			b.Requests[0].POPO = a.Requests[0].POPO
			return b
		})},
		"an empty proof":                    {message: sent(func(*bench) Body { b := body(); b.Requests[0].POPO.Signature.Signature = []byte{}; return b })},
		"raVerified by a device":            {message: with(raVerified)},
		"raVerified with a secret":          {message: func(b *bench) *Message { return b.mac.protect(request(body(raVerified))) }},
		"a challenge is asked for":          {message: with(privately(PrivateKeyProof{Method: PrivateKeySubsequent, Subsequent: SubsequentChallenge}))},
		"the private key in this message":   {message: with(privately(PrivateKeyProof{Method: PrivateKeyThisMessage, Bits: []byte{1}}))},
		"a DH MAC":                          {message: with(privately(PrivateKeyProof{Method: PrivateKeyDHMAC, Bits: []byte{1}}))},
		"an agreed MAC":                     {message: with(privately(PrivateKeyProof{Method: PrivateKeyAgreeMAC, AgreeMAC: &PKMAC{Algorithm: Algorithm{OID: oidPBMAC1}, Value: []byte{1}}}))},
		"an encrypted key":                  {message: with(privately(PrivateKeyProof{Method: PrivateKeyEncryptedKey, EncryptedKey: []byte{0x30, 0}}))},
		"an encrypted certificate, Ed25519": {message: with(edwards, encrCert)},
		"poposkInput of another key": {message: sent(func(b *bench) Body {
			return body(func(m *CertReqMsg) {
				other := newECKey()
				signInput(m, other, &SigningKeyInput{Sender: DirectoryName(b.device.id.cert.RawSubject), PublicKey: sure(x509.MarshalPKIXPublicKey(other.Public()))})
			})
		})},
		"poposkInput of another sender": {message: sent(func(b *bench) Body {
			key := newECKey()
			return certRequest(BodyCR, key, "press-01", withInput(key, b.device2.id.cert))
		})},
		"poposkInput signed by another": {message: sent(func(b *bench) Body {
			return certRequest(BodyCR, newECKey(), "press-01", withInput(newECKey(), b.device.id.cert))
		})},
		"a MAC in a signed message": {message: sent(func(b *bench) Body {
			key := newECKey()
			return certRequest(BodyCR, key, "press-01", withKeyMAC(key, "whatever"))
		})},
		"a proof without a key": {message: with(keyless)},
		"p10cr signed by another key": {message: sent(func(*bench) Body {
			c := csr(newECKey(), "press-01")
			c[len(c)-1] ^= 1
			return Body{Type: BodyP10CR, CSR: c}
		})},
	}
	for name, c := range table {
		c.want = FailBadPOP
		table[name] = c
	}
	table["a wrong MAC in poposkInput"] = bad{want: FailBadMessageCheck, message: func(b *bench) *Message {
		key := newECKey()
		return b.mac.protect(request(certRequest(BodyIR, key, "press-01", withKeyMAC(key, "wrong"))))
	}}
	table["a proof with SHA-1"] = bad{want: FailBadAlg, message: sent(func(*bench) Body {
		b := body()
		b.Requests[0].POPO.Signature.Algorithm = Algorithm{OID: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}}
		return b
	})}
	old := func(change ...func(*CertReqMsg)) bad {
		return bad{want: FailUnsupportedVersion, message: func(b *bench) *Message {
			m := body(change...)
			if m.Requests[0].Request.Template.PublicKey == nil {
				m = withoutProof(m)
			}
			return b.device.protect(request(m))
		}}
	}
	table["an encrypted certificate in pvno 2"], table["a key that is made here in pvno 2"] = old(encrCert), old(keyless)
	return table
}

func badRequests() map[string]bad {
	template := func(change func(*Template)) func(b *bench) *Message {
		return func(b *bench) *Message {
			key := newECKey()
			return b.device.protect(request(certRequest(BodyCR, key, "press-01", func(m *CertReqMsg) { change(&m.Request.Template) })))
		}
	}
	extension := func(oid asn1.ObjectIdentifier, critical bool, values ...[]byte) func(b *bench) *Message {
		var all []pkix.Extension
		for _, value := range values {
			all = append(all, pkix.Extension{Id: oid, Critical: critical, Value: value})
		}
		return template(func(t *Template) { t.Extensions = sure(asn1.Marshal(all)) })
	}
	key := func(spki []byte) func(b *bench) *Message {
		return func(b *bench) *Message {
			return b.ra.protect(request(certRequest(BodyCR, newECKey(), "press-01", raVerified, func(m *CertReqMsg) { m.Request.Template.PublicKey = spki })))
		}
	}
	control := func(t BodyType, controls func(b *bench) []Attribute) func(b *bench) *Message {
		return func(b *bench) *Message {
			return b.device.protect(request(certRequest(t, newECKey(), "press-01", func(m *CertReqMsg) { m.Request.Controls = controls(b) })))
		}
	}
	just := func(oid asn1.ObjectIdentifier, value []byte) func(*bench) []Attribute {
		return func(*bench) []Attribute { return []Attribute{{OID: oid, Value: value}} }
	}
	id := func(cert *x509.Certificate) Attribute {
		var m CertReqMsg
		oldCert(cert)(&m)
		return m.Request.Controls[0]
	}
	named := func(name string) func(b *bench) *Message {
		return func(b *bench) *Message { return b.device.protect(request(certRequest(BodyCR, newECKey(), name))) }
	}
	p224 := sure(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	offCurve := sure(x509.MarshalPKIXPublicKey(newECKey().Public()))
	offCurve[len(offCurve)-1] ^= 1
	small := sure(rsa.GenerateKey(rand.Reader, 1024))
	unknown := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
	return map[string]bad{
		"two requests": {message: func(b *bench) *Message {
			m := certRequest(BodyCR, newECKey(), "press-01")
			m.Requests = append(m.Requests, certRequest(BodyCR, newECKey(), "press-01").Requests...)
			return b.device.protect(request(m))
		}, want: FailBadRequest},
		"certReqId 1": {message: func(b *bench) *Message {
			return b.device.protect(request(certRequest(BodyCR, newECKey(), "press-01", func(m *CertReqMsg) { m.Request.ID = 1 })))
		}, want: FailBadRequest},
		"certReqId -1 in cr": {message: func(b *bench) *Message {
			return b.device.protect(request(certRequest(BodyCR, newECKey(), "press-01", func(m *CertReqMsg) { m.Request.ID = -1 })))
		}, want: FailBadRequest},
		"a version 1 template":     {message: template(func(t *Template) { t.Version = 1 }), want: FailBadCertTemplate},
		"a version 2 template":     {message: template(func(t *Template) { t.Version = 2 }), want: FailBadCertTemplate},
		"a wished serial number":   {message: template(func(t *Template) { t.Serial = []byte{1} }), want: FailBadCertTemplate},
		"a wished signature":       {message: template(func(t *Template) { t.SigningAlg = &Algorithm{OID: oidHMACMD5} }), want: FailBadCertTemplate},
		"an issuerUID":             {message: template(func(t *Template) { t.IssuerUID = []byte{0, 1} }), want: FailBadCertTemplate},
		"a subjectUID":             {message: template(func(t *Template) { t.SubjectUID = []byte{0, 1} }), want: FailBadCertTemplate},
		"a CA is asked for":        {message: extension(asn1.ObjectIdentifier{2, 5, 29, 19}, true, []byte{0x30, 3, 1, 1, 0xff}), want: FailUnacceptedExtension},
		"a critical unknown wish":  {message: extension(unknown, true, derNull), want: FailUnacceptedExtension},
		"an unknown wish":          {message: extension(unknown, false, derNull), want: FailUnacceptedExtension},
		"an extension twice":       {message: extension(unknown, false, derNull, derNull), want: FailBadCertTemplate},
		"an extension that is BER": {message: extension(unknown, false, []byte{0x30, 0x80, 0, 0}), want: FailBadCertTemplate},
		"extensions that are none": {message: template(func(t *Template) { t.Extensions = []byte{0x30, 2, 5, 0} }), want: FailBadCertTemplate},
		"an RSA key of 1024 bits":  {message: key(sure(x509.MarshalPKIXPublicKey(small.Public()))), want: FailBadCertTemplate},
		"a key on P-224":           {message: key(sure(x509.MarshalPKIXPublicKey(p224.Public()))), want: FailBadCertTemplate},
		"a point that is off":      {message: key(offCurve), want: FailBadCertTemplate},
		"another's subject":        {message: named("press-02"), want: FailNotAuthorized},
		"a subject with a newline": {message: named("press-01\n"), want: FailBadCertTemplate},
		"a subject of 10 KiB":      {message: named(strings.Repeat("a", 10<<10)), want: FailBadCertTemplate},
		"a profile of nobody":      {path: "/nobodys", message: named("press-01"), want: FailUnacceptedPolicy},
		"regToken":                 {message: control(BodyCR, just(OIDRegToken, []byte{12, 1, 'a'})), want: FailBadRequest},
		"authenticator":            {message: control(BodyCR, just(OIDAuthenticator, []byte{12, 1, 'a'})), want: FailBadRequest},
		"pkiArchiveOptions":        {message: control(BodyCR, just(OIDArchiveOptions, []byte{0x82, 1, 0xff})), want: FailBadRequest},
		"protocolEncrKey":          {message: control(BodyCR, just(OIDProtocolEncrKey, []byte{0x30, 0})), want: FailBadRequest},
		"oldCertId in a cr":        {message: control(BodyCR, func(b *bench) []Attribute { return []Attribute{id(b.device.id.cert)} }), want: FailBadRequest},
		"oldCertId twice":          {message: control(BodyKUR, func(b *bench) []Attribute { return []Attribute{id(b.device.id.cert), id(b.device.id.cert)} }), want: FailBadDataFormat},
		"oldCertId that is text":   {message: control(BodyKUR, just(OIDOldCertID, []byte{12, 1, 'a'})), want: FailBadDataFormat},
		"kur of nothing": {message: func(b *bench) *Message {
			return b.device.protect(request(certRequest(BodyKUR, newECKey(), "press-01")))
		}, want: FailBadCertID},
		"kur of another device": {message: control(BodyKUR, func(b *bench) []Attribute { return []Attribute{id(b.device2.id.cert)} }), want: FailBadCertID},
		"kur of another CA":     {message: control(BodyKUR, func(b *bench) []Attribute { return []Attribute{id(b.foreign.id.cert)} }), want: FailBadCertID},
		"kur by a revoked one": {message: func(b *bench) *Message {
			return b.revokedOne.protect(request(certRequest(BodyKUR, newECKey(), "press-01", oldCert(b.revokedOne.id.cert))))
		}, want: FailCertRevoked},
		"kur with a secret": {message: func(b *bench) *Message {
			return b.mac.protect(request(certRequest(BodyKUR, newECKey(), "press-01", oldCert(b.device.id.cert))))
		}, want: FailBadCertID},
		"p10cr that is no request": {message: func(b *bench) *Message { return b.device.protect(request(Body{Type: BodyP10CR, CSR: []byte{0x30, 0}})) }, want: FailBadCertTemplate},
		"p10cr that is a template": {message: func(b *bench) *Message {
			return b.device.protect(request(Body{Type: BodyP10CR, CSR: []byte{0x30, 3, 0x80, 1, 2}}))
		}, want: FailBadCertTemplate},
		"p10cr for another's name": {message: func(b *bench) *Message {
			return b.device.protect(request(Body{Type: BodyP10CR, CSR: csr(newECKey(), "press-02")}))
		}, want: FailNotAuthorized},
		"p10cr with a key of P-224": {message: func(b *bench) *Message {
			return b.device.protect(request(Body{Type: BodyP10CR, CSR: csr(p224, "press-01")}))
		}, want: FailBadCertTemplate},
	}
}

func badTransactions() map[string]bad {
	again := func(by func(b *bench) *party) func(b *bench) *Message {
		return func(b *bench) *Message {
			m := request(certRequest(BodyIR, newECKey(), "press-01"))
			m.Header.TransactionID = b.open.Header.TransactionID
			return by(b).protect(m)
		}
	}
	conf := func(by func(b *bench) *party, change ...func(*CertStatus)) func(b *bench) *Message {
		return func(b *bench) *Message { return by(b).protect(next(b.open, certConf(b.cert, change...))) }
	}
	owner := func(b *bench) *party { return b.mac }
	other := func(b *bench) *party { return b.mac2 }
	signer := func(b *bench) *party { return b.device2 }
	poll := func(by func(b *bench) *party, ids ...int) func(b *bench) *Message {
		return func(b *bench) *Message { return by(b).protect(next(b.waiting, Body{Type: BodyPollReq, PollReqs: ids})) }
	}
	// unknown is a transaction that nobody began, with a nonce of ours for it.
	unknown := func(b *bench, body Body) *Message {
		m := request(body)
		m.Header.RecipNonce = b.h.(*responder).newNonce("press-shop", m.Header.TransactionID, 0)
		return b.mac.protect(m)
	}
	status := func(s Status) func(*CertStatus) { return func(c *CertStatus) { c.Status = &StatusInfo{Status: s} } }
	return map[string]bad{
		"a transactionID with another body": {message: again(owner), want: FailTransactionIDInUse},
		"a transactionID of another party":  {message: again(other), want: FailTransactionIDInUse},
		"a whole message of another party": {message: func(b *bench) *Message {
			m := &Message{Header: b.first.Header, Body: b.first.Body}
			return b.mac2.protect(m)
		}, want: FailTransactionIDInUse},
		"certConf with a wrong hash":      {message: conf(owner, func(s *CertStatus) { s.CertHash = random(32) }), want: FailBadCertID},
		"certConf with an empty hash":     {message: conf(owner, func(s *CertStatus) { s.CertHash = nil }), want: FailBadCertID},
		"certConf with another certReqId": {message: conf(owner, func(s *CertStatus) { s.ID = -1 }), want: FailBadRequest},
		"certConf by another party":       {message: conf(other), want: FailNotAuthorized},
		"certConf by a signer":            {message: conf(signer), want: FailNotAuthorized},
		"certConf that waits":             {message: conf(owner, status(StatusWaiting)), want: FailBadRequest},
		"certConf with hashAlg in pvno 2": {message: conf(owner, func(s *CertStatus) { s.HashAlg = &Algorithm{OID: oidSHA256} }), want: FailBadAlg},
		"certConf with MD5": {message: func(b *bench) *Message {
			return b.mac.protect(version3(next(b.open, certConf(b.cert, func(s *CertStatus) { s.HashAlg = &Algorithm{OID: oidMD5} }))))
		}, want: FailBadAlg},
		"certConf of nothing": {message: func(b *bench) *Message { return b.mac.protect(next(b.open, Body{Type: BodyCertConf})) }, want: FailBadRequest},
		"certConf of two": {message: func(b *bench) *Message {
			body := certConf(b.cert)
			body.Confirms = append(body.Confirms, body.Confirms[0])
			return b.mac.protect(next(b.open, body))
		}, want: FailBadRequest},
		"certConf twice": {message: func(b *bench) *Message { return b.mac.protect(next(b.confirmed, certConf(certOf(b, b.confirmed)))) }, want: FailCertConfirmed},
		"a late refusal": {message: func(b *bench) *Message {
			return b.mac.protect(next(b.confirmed, certConf(certOf(b, b.confirmed), status(StatusRejection))))
		}, want: FailCertConfirmed},
		"certConf of no transaction": {message: func(b *bench) *Message { return unknown(b, certConf(b.cert)) }, want: FailNotAuthorized},
		"error in no transaction":    {message: func(b *bench) *Message { return unknown(b, errorBody(Peer{}, models.Errorf(models.KindInvalid, "no"))) }, want: FailNotAuthorized},
		"error by another party": {message: func(b *bench) *Message {
			return b.mac2.protect(next(b.open, errorBody(Peer{}, models.Errorf(models.KindInvalid, "no"))))
		}, want: FailNotAuthorized},
		"pollReq by another party":           {message: poll(other, 0), want: FailNotAuthorized},
		"pollReq by a signer":                {message: poll(signer, 0), want: FailNotAuthorized},
		"pollReq of no transaction":          {message: func(b *bench) *Message { return unknown(b, Body{Type: BodyPollReq, PollReqs: []int{0}}) }, want: FailNotAuthorized},
		"pollReq for two":                    {message: poll(owner, 0, 1), want: FailBadRequest},
		"pollReq for another certReqId":      {message: poll(owner, 7), want: FailBadRequest},
		"pollReq for a p10cr that was an ir": {message: poll(owner, -1), want: FailBadRequest},
	}
}

// certOf returns the certificate of a transaction.
func certOf(b *bench, answer *Message) []byte {
	return b.transactions[string(answer.Header.TransactionID)].outcome.Certificate.Raw
}

func badRevocations() map[string]bad {
	rr := func(by func(b *bench) *party, change ...func(*bench, *RevDetails)) func(b *bench) *Message {
		return func(b *bench) *Message {
			return by(b).protect(request(revocation(b.device.id.cert, func(d *RevDetails) {
				for _, c := range change {
					c(b, d)
				}
			})))
		}
	}
	device := func(b *bench) *party { return b.device }
	reasons := func(extensions ...pkix.Extension) func(b *bench) *Message {
		return rr(device, func(_ *bench, d *RevDetails) { d.Extensions = sure(asn1.Marshal(extensions)) })
	}
	reason := func(value ...byte) pkix.Extension { return pkix.Extension{Id: oidCRLReason, Value: value} }
	return map[string]bad{
		"rr for another device":         {message: rr(func(b *bench) *party { return b.device2 }), want: FailNotAuthorized},
		"rr with another's secret":      {message: rr(func(b *bench) *party { return b.mac2 }), want: FailNotAuthorized},
		"rr for an unknown serial":      {message: rr(device, func(_ *bench, d *RevDetails) { d.Template.Serial = []byte{1} }), want: FailBadCertID},
		"rr with another issuer":        {message: rr(device, func(b *bench, d *RevDetails) { d.Template.Issuer = b.root.cert.RawSubject }), want: FailBadCertID},
		"rr without an issuer":          {message: rr(device, func(_ *bench, d *RevDetails) { d.Template.Issuer = nil }), want: FailBadCertID},
		"rr without a serial number":    {message: rr(device, func(_ *bench, d *RevDetails) { d.Template.Serial = nil }), want: FailBadCertID},
		"rr of what is revoked":         {message: rr(func(b *bench) *party { return b.ra }, func(b *bench, d *RevDetails) { d.Template.Serial = integerContent(b.revokedOne.id.cert.SerialNumber) }), want: FailCertRevoked},
		"rr by a revoked certificate":   {message: rr(func(b *bench) *party { return b.revokedOne }), want: FailCertRevoked},
		"rr by a foreign certificate":   {message: rr(func(b *bench) *party { return b.foreign }), want: FailSignerNotTrusted},
		"rr with reason 7":              {message: reasons(reason(10, 1, 7)), want: FailBadRequest},
		"rr with reason 11":             {message: reasons(reason(10, 1, 11)), want: FailBadDataFormat},
		"rr with reason -1":             {message: reasons(reason(10, 1, 0xff)), want: FailBadDataFormat},
		"rr with an INTEGER for reason": {message: reasons(reason(2, 1, 1)), want: FailBadDataFormat},
		"rr with an empty reason":       {message: reasons(reason()), want: FailBadDataFormat},
		"rr with two reasons":           {message: reasons(reason(10, 1, 1), reason(10, 1, 4)), want: FailBadDataFormat},
		"rr with a critical wish":       {message: reasons(pkix.Extension{Id: oidHMACMD5, Critical: true, Value: derNull}), want: FailUnacceptedExtension},
		"rr for two": {message: func(b *bench) *Message {
			body := revocation(b.device.id.cert)
			body.RevReqs = append(body.RevReqs, revocation(b.device2.id.cert).RevReqs...)
			return b.device.protect(request(body))
		}, want: FailBadRequest},
	}
}

func badNests() map[string]bad {
	inside := func(b *bench) *Message { return b.mac.protect(request(certRequest(BodyIR, newECKey(), "press-01"))) }
	around := func(by *party, inner ...*Message) *Message {
		m := request(Body{Type: BodyNested, Nested: inner})
		m.Header.TransactionID = inner[0].Header.TransactionID
		return by.protect(m)
	}
	return map[string]bad{
		"nested by a device":   {message: func(b *bench) *Message { return around(b.device, inside(b)) }, want: FailNotAuthorized},
		"nested with a secret": {message: func(b *bench) *Message { return around(b.mac, inside(b)) }, want: FailNotAuthorized},
		"nested without protection": {message: func(b *bench) *Message {
			m := around(b.ra, inside(b))
			m.Protection, m.Header.ProtectionAlg = nil, nil
			return m
		}, want: FailBadMessageCheck},
		"nested in nested": {message: func(b *bench) *Message { return around(b.ra, around(b.ra, inside(b))) }, want: FailBadRequest},
		"nested ten times": {message: func(b *bench) *Message {
			m := inside(b)
			for range 10 {
				m = around(b.ra, m)
			}
			return m
		}, want: FailBadDataFormat, status: http.StatusBadRequest},
		"nested, unprotected inside": {message: func(b *bench) *Message { return around(b.ra, request(certRequest(BodyIR, newECKey(), "press-01"))) }, want: FailBadMessageCheck},
		"nested, a wrong secret inside": {message: func(b *bench) *Message {
			return around(b.ra, b.wrong.protect(request(certRequest(BodyIR, newECKey(), "press-01"))))
		}, want: FailBadMessageCheck},
		"nested, another transactionID": {message: func(b *bench) *Message {
			m := request(Body{Type: BodyNested, Nested: []*Message{inside(b)}})
			return b.ra.protect(m)
		}, want: FailBadRequest},
		"nested, a device raVerified": {message: func(b *bench) *Message {
			return around(b.ra, b.device.protect(request(certRequest(BodyIR, newECKey(), "press-01", raVerified))))
		}, want: FailBadPOP},
		"nested at another operation": {path: "/certification", message: func(b *bench) *Message { return around(b.ra, inside(b)) }, want: FailBadRequest},
		"a batch of one and the same": {message: func(b *bench) *Message { m := inside(b); return around(b.ra, m, m) }, want: FailTransactionIDInUse},
		"a batch of 17": {message: func(b *bench) *Message {
			var all []*Message
			for range 17 {
				all = append(all, inside(b))
			}
			return around(b.ra, all...)
		}, want: FailBadRequest},
		"a batch of unprotected ones": {message: func(b *bench) *Message {
			return around(b.ra, request(certRequest(BodyIR, newECKey(), "press-01")), request(certRequest(BodyIR, newECKey(), "press-01")))
		}, want: FailBadMessageCheck},
	}
}

func badQuestions() map[string]bad {
	ask := func(infos ...Attribute) func(b *bench) *Message {
		return func(b *bench) *Message { return b.device.protect(request(Body{Type: BodyGenM, Infos: infos})) }
	}
	many := make([]Attribute, maxQuestions+1)
	for i := range many {
		many[i].OID = OIDCACerts
	}
	return map[string]bad{
		"genm by a foreign certificate":      {message: func(b *bench) *Message { return b.foreign.protect(request(Body{Type: BodyGenM})) }, want: FailSignerNotTrusted},
		"genm by a revoked one":              {message: func(b *bench) *Message { return b.revokedOne.protect(request(Body{Type: BodyGenM})) }, want: FailCertRevoked},
		"genm that asks too much":            {message: ask(many...), want: FailBadRequest},
		"genm about no root CA":              {message: ask(Attribute{OID: OIDRootCACert}), want: FailBadCertID},
		"genm about text for a root CA":      {message: ask(Attribute{OID: OIDRootCACert, Value: []byte{12, 1, 'a'}}), want: FailBadDataFormat},
		"genm about another's root CA":       {message: func(b *bench) *Message { return ask(CertificateInfo(OIDRootCACert, b.other.cert))(b) }, want: FailBadCertID},
		"genm about no CRLs":                 {message: ask(Attribute{OID: OIDCRLStatusList}), want: FailBadRequest},
		"genm about text for CRLs":           {message: ask(Attribute{OID: OIDCRLStatusList, Value: []byte{12, 1, 'a'}}), want: FailBadDataFormat},
		"genm with text for implicitConfirm": {message: ask(Attribute{OID: OIDImplicitConfirm, Value: []byte{12, 1, 'a'}}), want: FailBadDataFormat, status: http.StatusBadRequest},
	}
}
