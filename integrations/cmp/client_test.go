// SPDX-License-Identifier: MIT

package cmp

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
)

func newTestClient(t *testing.T, cfg ClientConfig) *Client {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// forDevice asks for a certificate for a device with a new key.
func forDevice(body BodyType, device string) *Request {
	key := newECKey()
	csr := sure(x509.CreateCertificateRequest(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: device}, DNSNames: []string{device}}, key))
	if body == BodyP10CR {
		return &Request{Type: body, CSR: csr}
	}
	return &Request{Type: body, Key: key, Template: sure(TemplateOf(sure(x509.ParseCertificateRequest(csr))))}
}

func TestClientAgainstResponder(t *testing.T) {
	s := newSite()
	server := httptest.NewServer(NewResponder(s, Options{}))
	t.Cleanup(server.Close)
	base := ClientConfig{URL: server.URL, Label: Label{Domain: "press-shop", Profile: "tls-client"}, Trust: []*x509.Certificate{s.root.cert}}
	secret, pbmac1, signed, ra := base, base, base, base
	secret.Reference, secret.Secret = "press-01", []byte(s.secrets["press-01"])
	pbmac1.Reference, pbmac1.Secret, pbmac1.PBMAC1, pbmac1.Version = "press-01", []byte(s.secrets["press-01"]), true, Version3
	device, authority := s.credential("press-01"), s.issuing.member("ra", isRA)
	signed.Signer, signed.Chain = device.key, []*x509.Certificate{device.cert, s.issuing.cert}
	ra.Signer, ra.Chain = authority.key, []*x509.Certificate{authority.cert}
	explicit := func(r *Request) *Request { r.Explicit = true; return r }
	vouched := forDevice(BodyCR, "press-77")
	vouched.Key = nil
	update := forDevice(BodyKUR, "press-01")
	update.OldCert = device.cert
	for name, c := range map[string]struct {
		cfg     ClientConfig
		request *Request
	}{
		"ir with PasswordBasedMac":          {secret, forDevice(BodyIR, "press-01")},
		"ir with PBMAC1, confirmed":         {pbmac1, explicit(forDevice(BodyIR, "press-01"))},
		"cr with a signature":               {signed, forDevice(BodyCR, "press-01")},
		"cr with a signature, confirmed":    {signed, explicit(forDevice(BodyCR, "press-01"))},
		"cr of an RA that vouches":          {ra, vouched},
		"kur":                               {signed, update},
		"p10cr with a secret":               {secret, forDevice(BodyP10CR, "press-01")},
		"p10cr with a signature, confirmed": {signed, explicit(forDevice(BodyP10CR, "press-01"))},
	} {
		t.Run(name, func(t *testing.T) {
			client := newTestClient(t, c.cfg)
			transaction := sure(NewClientTransaction(c.request))
			result, err := client.Ask(t.Context(), transaction)
			if err != nil {
				t.Fatal(err)
			}
			again, err := client.Ask(t.Context(), sure(restored(transaction)))
			if err != nil || !again.Certificate.Equal(result.Certificate) || result.Pending() {
				t.Errorf("sent again it gets another certificate, or: %v", err)
			}
			if result.Confirmed == c.request.Explicit {
				t.Errorf("confirmed: %v", result.Confirmed)
			}
			if !result.Confirmed {
				if err := client.Confirm(t.Context(), transaction, result.Certificate, ""); err != nil {
					t.Error(err)
				}
				if err := client.Confirm(t.Context(), transaction, result.Certificate, ""); FailInfoOf(err) != FailCertConfirmed || models.KindOf(err) != models.KindConflict {
					t.Errorf("confirmed twice: %v", err)
				}
			}
			if err := result.Certificate.CheckSignatureFrom(s.issuing.cert); err != nil {
				t.Error(err)
			}
			if !slices.ContainsFunc(result.Extra, s.issuing.cert.Equal) {
				t.Error("the issuer did not come along")
			}
		})
	}
}

// restored takes a transaction through its stored form.
func restored(t *ClientTransaction) (*ClientTransaction, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	out := &ClientTransaction{}
	return out, json.Unmarshal(data, out)
}

func TestClientWaitsAndRefuses(t *testing.T) {
	s := newSite()
	s.wait = 3 * time.Hour
	server := httptest.NewServer(NewResponder(s, Options{}))
	t.Cleanup(server.Close)
	client := newTestClient(t, ClientConfig{URL: server.URL + Prefix, Reference: "press-01", Secret: []byte(s.secrets["press-01"])})
	transaction := sure(NewClientTransaction(forDevice(BodyIR, "press-01")))
	for range 3 {
		result, err := client.Ask(t.Context(), transaction)
		if err != nil || result.RetryAfter != s.wait || !transaction.Waiting {
			t.Fatalf("%+v, %v", result, err)
		}
		transaction = sure(restored(transaction))
	}
	s.mu.Lock()
	s.wait, s.implicit = 0, false
	s.mu.Unlock()
	result, err := client.Ask(t.Context(), transaction)
	if err != nil || result.Certificate == nil {
		t.Fatalf("%+v, %v", result, err)
	}
	if err := client.Confirm(t.Context(), transaction, result.Certificate, "it is for somebody else"); err != nil {
		t.Error(err)
	}
	if !slices.Contains(s.changes, "confirmed by press-01: false") {
		t.Errorf("the refusal did not arrive: %q", s.changes)
	}
}

// forgetful is a site that has lost its transactions.
type forgetful struct{ *site }

func (forgetful) Poll(context.Context, Label, []byte, Sender, Peer) (Outcome, error) {
	return Outcome{}, models.Errorf(models.KindNotFound, "there is no such transaction")
}

func TestClientIsToldThatItsTransactionIsGone(t *testing.T) {
	s := newSite()
	s.wait = time.Hour
	server := httptest.NewServer(NewResponder(forgetful{s}, Options{}))
	t.Cleanup(server.Close)
	client := newTestClient(t, ClientConfig{URL: server.URL, Label: Label{Domain: "press-shop"}, Reference: "press-01", Secret: []byte(s.secrets["press-01"])})
	transaction := sure(NewClientTransaction(forDevice(BodyIR, "press-01")))
	// Whoever gets KindNotFound would poll for ever.
	if _, err := client.Ask(t.Context(), transaction); models.KindOf(err) != models.KindConflict || !transaction.Waiting {
		t.Errorf("%v", err)
	}
}

func TestClientAsksAndRevokes(t *testing.T) {
	s := newSite()
	server := httptest.NewServer(NewResponder(s, Options{}))
	t.Cleanup(server.Close)
	device := s.credential("press-01")
	client := newTestClient(t, ClientConfig{URL: server.URL, Label: Label{Domain: "press-shop"}, Trust: []*x509.Certificate{s.root.cert},
		Signer: device.key, Chain: []*x509.Certificate{device.cert}})
	if certs, err := client.CACerts(t.Context()); err != nil || len(certs) != 2 || !certs[0].Equal(s.issuing.cert) {
		t.Errorf("caCerts: %d, %v", len(certs), err)
	}
	if update, err := client.RootUpdate(t.Context(), s.root.cert); err != nil || !update.NewWithNew.Equal(s.other.cert) || !update.OldWithNew.Equal(s.vendor.cert) {
		t.Errorf("rootCaKeyUpdate: %v", err)
	}
	if _, err := client.RootUpdate(t.Context(), s.vendor.cert); models.KindOf(err) != models.KindNotFound {
		t.Errorf("the root update of a stranger: %v", err)
	}
	if advice, err := client.Template(t.Context()); err != nil || advice.Attrs.Key != "EC-P256" {
		t.Errorf("certReqTemplate: %+v, %v", advice, err)
	}
	if crls, err := client.CRLs(t.Context(), CRLStatus{Issuer: s.issuing.cert.RawSubject}); err != nil || len(crls) != 1 {
		t.Errorf("crls: %d, %v", len(crls), err)
	}
	if crls, err := client.CRLs(t.Context(), CRLStatus{Issuer: s.issuing.cert.RawSubject, ThisUpdate: time.Now()}); err != nil || crls != nil {
		t.Errorf("crls when there is no newer one: %d, %v", len(crls), err)
	}
	if err := client.Revoke(t.Context(), s.credential("press-02").cert, 1); models.KindOf(err) != models.KindDenied {
		t.Errorf("the certificate of another: %v", err)
	}
	old := s.credential("press-01").cert
	if err := client.Revoke(t.Context(), old, 4); err != nil || s.revoked[old.SerialNumber.String()] != 4+1 {
		t.Error(err)
	}
	if err := client.Revoke(t.Context(), old, 4); FailInfoOf(err) != FailCertRevoked {
		t.Errorf("revoked twice: %v", err)
	}
}

func TestClientToldNo(t *testing.T) {
	s := newSite()
	server := httptest.NewServer(NewResponder(s, Options{}))
	t.Cleanup(server.Close)
	good := ClientConfig{URL: server.URL, Label: Label{Domain: "press-shop"}, Reference: "press-01", Secret: []byte(s.secrets["press-01"])}
	for name, c := range map[string]struct {
		change func(*ClientConfig)
		device string
		want   models.Kind
		text   string
	}{
		"another's name":      {func(*ClientConfig) {}, "press-02", models.KindDenied, "notAuthorized"},
		"a wrong secret":      {func(c *ClientConfig) { c.Secret = []byte("guessed") }, "press-01", models.KindUnavailable, "without protection: the CMP server says rejection: badMessageCheck"},
		"believing errors":    {func(c *ClientConfig) { c.Secret, c.UnprotectedErrors = []byte("guessed"), true }, "press-01", models.KindUnauthenticated, "badMessageCheck"},
		"no such path":        {func(c *ClientConfig) { c.URL, c.Label = server.URL+"/nowhere", Label{} }, "press-01", models.KindNotFound, "HTTP 404"},
		"nobody there":        {func(c *ClientConfig) { c.URL = "http://127.0.0.1:1" }, "press-01", models.KindUnavailable, "cannot be reached"},
		"a profile of nobody": {func(c *ClientConfig) { c.Label.Profile = "nuclear" }, "press-01", models.KindDenied, "unacceptedPolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			_, err := newTestClient(t, cfg).Ask(t.Context(), sure(NewClientTransaction(forDevice(BodyIR, c.device))))
			if models.KindOf(err) != c.want || !strings.Contains(models.PublicText(err), c.text) {
				t.Errorf("%v", err)
			}
		})
	}
	for name, cfg := range map[string]ClientConfig{
		"no URL":          {Reference: "x", Secret: []byte("x")},
		"a password":      {URL: "http://a:b@c", Secret: []byte("x")},
		"no protection":   {URL: "http://x"},
		"two protections": {URL: "http://x", Secret: []byte("x"), Signer: newECKey(), Chain: []*x509.Certificate{s.root.cert}},
		"a key alone":     {URL: "http://x", Signer: newECKey()},
	} {
		if _, err := NewClient(cfg); models.KindOf(err) != models.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClientBelievesNobodyElse puts somebody between client and server who
// changes the answers, or makes them.
func TestClientBelievesNobodyElse(t *testing.T) {
	s := newSite()
	device := s.credential("press-01")
	imposter := s.issuing.member("Plant CMP")
	stranger := s.other.member("Plant CMP", func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{oidCMCCA} })
	thief := newECKey()
	resign := func(id *identity, change func(*Message)) func(*Message) {
		return func(m *Message) {
			change(m)
			(&party{id: id, extra: []*x509.Certificate{s.issuing.cert}}).protect(m)
		}
	}
	nothing := func(*Message) {}
	for name, c := range map[string]struct {
		change func(*Message)
		want   string
	}{
		"a changed body":      {func(m *Message) { m.Body.Replies.Responses[0].Status.Text = []string{"changed"} }, "signature"},
		"no protection":       {func(m *Message) { m.Protection, m.Header.ProtectionAlg = nil, nil }, "not protected"},
		"a MAC":               {func(m *Message) { (&party{reference: "x", secret: "guess"}).protect(m) }, "there is none"},
		"a device as server":  {resign(device, nothing), "not one of a CMP server"},
		"the server's name":   {resign(imposter, nothing), "not one of a CMP server"},
		"another CA":          {resign(stranger, nothing), "not trusted"},
		"another transaction": {resign(s.protection, func(m *Message) { m.Header.TransactionID = random(16) }), "another transaction"},
		"another nonce":       {resign(s.protection, func(m *Message) { m.Header.RecipNonce = random(16) }), "recipNonce"},
		"a short nonce":       {resign(s.protection, func(m *Message) { m.Header.SenderNonce = random(8) }), "128 bits"},
		"another request":     {resign(s.protection, func(m *Message) { m.Body.Replies.Responses[0].ID = 3 }), "certReqId 3"},
		"another body":        {resign(s.protection, func(m *Message) { m.Body = Body{Type: BodyPKIConf} }), "answered cr with pkiconf"},
		"a certificate for the thief": {resign(s.protection, func(m *Message) {
			m.Body.Replies.Responses[0].KeyPair.Certificate = s.issuing.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "press-01"}}, thief.Public()).Raw
		}), "another key"},
		"no certificate": {resign(s.protection, func(m *Message) { m.Body.Replies.Responses[0].KeyPair = nil }), "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			responder := NewResponder(s, Options{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				recorder := httptest.NewRecorder()
				responder.ServeHTTP(recorder, r)
				m := sure(ParseMessage(recorder.Body.Bytes()))
				if m.Body.Type != BodyCP {
					t.Errorf("the responder answered %s", m.Body.Type)
				}
				m.forget()
				c.change(m)
				w.Header().Set("Content-Type", ContentType)
				_, _ = w.Write(sure(m.Marshal()))
			}))
			defer server.Close()
			client := newTestClient(t, ClientConfig{URL: server.URL, Label: Label{Domain: "press-shop"}, Trust: []*x509.Certificate{s.root.cert},
				Signer: device.key, Chain: []*x509.Certificate{device.cert}})
			_, err := client.Ask(t.Context(), sure(NewClientTransaction(forDevice(BodyCR, "press-01"))))
			if models.KindOf(err) != models.KindUnavailable || !strings.Contains(models.PublicText(err), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
