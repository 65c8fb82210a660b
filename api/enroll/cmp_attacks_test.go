// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// cmpDoor is a cmpWorld behind HTTP, with devices that have their keys.
type cmpDoor struct {
	*cmpWorld
	url string
}

// holder is a certificate with its key.
type holder struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCMPDoor(t *testing.T) *cmpDoor {
	t.Helper()
	return cmpDoorOf(t, newCMPWorld(t))
}

func cmpDoorOf(t *testing.T, w *cmpWorld) *cmpDoor {
	t.Helper()
	d := &cmpDoor{cmpWorld: w}
	server := httptest.NewServer(cmp.NewResponder(d.cmp, cmp.Options{Now: func() time.Time { return d.now }}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// client talks to the door as somebody; change says who.
func (d *cmpDoor) client(change ...func(*cmp.ClientConfig)) *cmp.Client {
	d.t.Helper()
	ca, err := x509.ParseCertificate(d.ca.CertificateDER)
	check(d.t, err)
	cfg := cmp.ClientConfig{URL: d.url, Label: d.label, Trust: []*x509.Certificate{ca}, UnprotectedErrors: true}
	for _, c := range change {
		c(&cfg)
	}
	client, err := cmp.NewClient(cfg)
	check(d.t, err)
	d.t.Cleanup(client.Close)
	return client
}

func withSecret(reference, secret string) func(*cmp.ClientConfig) {
	return func(cfg *cmp.ClientConfig) { cfg.Reference, cfg.Secret = reference, []byte(secret) }
}

func (h holder) signs(cfg *cmp.ClientConfig) {
	cfg.Signer, cfg.Chain = h.key, []*x509.Certificate{h.cert}
}

func under(domain, profile string) func(*cmp.ClientConfig) {
	return func(cfg *cmp.ClientConfig) { cfg.Label = cmp.Label{Domain: domain, Profile: profile} }
}

// asked makes a request for a certificate.
func (d *cmpDoor) asked(body cmp.BodyType, key *ecdsa.PrivateKey, change ...func(*cmp.Request, *x509.CertificateRequest)) *cmp.ClientTransaction {
	d.t.Helper()
	wish := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "anything"}}
	request := &cmp.Request{Type: body, Key: key}
	for _, c := range change {
		c(request, wish)
	}
	csr := d.csr(key, wish)
	var err error
	request.Template, err = cmp.TemplateOf(csr.Request)
	check(d.t, err)
	request.CSR = csr.DER
	transaction, err := cmp.NewClientTransaction(request)
	check(d.t, err)
	return transaction
}

// onboards takes a device from its secret to its domain credential.
func (d *cmpDoor) onboards(name string) holder {
	d.t.Helper()
	d.secretDevice(name)
	key, client := newKey(d.t), d.client(withSecret(name, "secret of "+name))
	transaction := d.asked(cmp.BodyIR, key)
	result, err := client.Ask(context.Background(), transaction)
	if err != nil || !result.Pending() { // the engine is away
		d.t.Fatalf("the first answer is %+v, %v", result, err)
	}
	all := d.requests()
	for i := range all {
		if !all[i].Finished() {
			check(d.t, d.play(&all[i]))
		}
	}
	result, err = client.Ask(context.Background(), transaction)
	check(d.t, err)
	return holder{result.Certificate, key}
}

// obtains gets an application certificate.
func (d *cmpDoor) obtains(by holder, profile string) holder {
	d.t.Helper()
	key := newKey(d.t)
	result, err := d.client(by.signs, under(d.domain.Name, profile)).Ask(context.Background(), d.asked(cmp.BodyCR, key))
	check(d.t, err)
	return holder{result.Certificate, key}
}

func TestAttacksByCMP(t *testing.T) {
	d := newCMPDoor(t)
	first, second := d.onboards("press-01"), d.onboards("press-02")
	application := d.obtains(first, "tls_client")
	revoked := d.obtains(first, "tls_client")
	d.revoke(revoked.cert, "keyCompromise")
	d.secretDevice("press-03")
	foreign := holder{key: newKey(t)}
	maker := newManufacturer(t, "Nobody")
	foreign.cert = sign(t, &x509.Certificate{SerialNumber: first.cert.SerialNumber, Subject: first.cert.Subject, NotBefore: first.cert.NotBefore,
		NotAfter: first.cert.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature}, maker.cert, foreign.key, maker.key)
	ctx := context.Background()
	asks := func(body cmp.BodyType, by func(*cmp.ClientConfig), change ...func(*cmp.Request, *x509.CertificateRequest)) func() error {
		return func() error {
			_, err := d.client(by, under(d.domain.Name, "tls_client")).Ask(ctx, d.asked(body, newKey(t), change...))
			return err
		}
	}
	revokes := func(by func(*cmp.ClientConfig), cert *x509.Certificate, reason int) func() error {
		return func() error { return d.client(by).Revoke(ctx, cert, reason) }
	}
	of := func(cert *x509.Certificate) func(*cmp.Request, *x509.CertificateRequest) {
		return func(r *cmp.Request, _ *x509.CertificateRequest) { r.OldCert = cert }
	}
	for name, c := range map[string]struct {
		act  func() error
		want cmp.FailInfo
	}{
		"a wrong secret":       {asks(cmp.BodyIR, withSecret("press-03", "guess")), cmp.FailBadMessageCheck},
		"an unknown reference": {asks(cmp.BodyIR, withSecret("press-99", "guess")), cmp.FailBadMessageCheck},
		"a spent secret":       {asks(cmp.BodyIR, withSecret("press-01", "secret of press-01")), cmp.FailBadMessageCheck},
		"a secret elsewhere": {func() error {
			_, err := d.client(withSecret("press-03", "secret of press-03"), under("paint-shop", "")).Ask(ctx, d.asked(cmp.BodyIR, newKey(t)))
			return err
		}, cmp.FailBadMessageCheck},
		"no such domain": {func() error {
			_, err := d.client(first.signs, under("nowhere", "")).Ask(ctx, d.asked(cmp.BodyCR, newKey(t)))
			return err
		}, cmp.FailBadRequest},
		"a twin of a foreign CA": {asks(cmp.BodyCR, foreign.signs), cmp.FailSignerNotTrusted},
		"a revoked certificate":  {asks(cmp.BodyCR, revoked.signs), cmp.FailCertRevoked},
		"another domain": {func() error {
			_, err := d.client(first.signs, under("paint-shop", "tls_client")).Ask(ctx, d.asked(cmp.BodyCR, newKey(t)))
			return err
		}, cmp.FailNotAuthorized},
		"an application certificate enrolls": {asks(cmp.BodyCR, application.signs), cmp.FailNotAuthorized},
		"an ir with the domain credential":   {asks(cmp.BodyIR, first.signs), cmp.FailNotAuthorized},
		"a profile of nobody": {func() error {
			_, err := d.client(first.signs, under(d.domain.Name, "nobodys")).Ask(ctx, d.asked(cmp.BodyCR, newKey(t)))
			return err
		}, cmp.FailUnacceptedPolicy},
		"kur for another device's certificate":                      {asks(cmp.BodyKUR, first.signs, of(second.cert)), cmp.FailBadCertID},
		"raVerified by a device":                                    {asks(cmp.BodyCR, first.signs, func(r *cmp.Request, _ *x509.CertificateRequest) { r.Key = nil }), cmp.FailBadPOP},
		"rr for another device's certificate":                       {revokes(second.signs, application.cert, 1), cmp.FailBadCertID},
		"rr of the domain credential by an application certificate": {revokes(application.signs, first.cert, 1), cmp.FailBadCertID},
		"rr of a foreign certificate":                               {revokes(first.signs, foreign.cert, 1), cmp.FailBadCertID},
		"rr with a secret":                                          {revokes(withSecret("press-03", "secret of press-03"), application.cert, 1), cmp.FailNotAuthorized},
	} {
		t.Run(name, func(t *testing.T) { d.staysAsItIs(t, c.act, c.want) })
	}
	wish := d.asked(cmp.BodyCR, newKey(t), func(_ *cmp.Request, c *x509.CertificateRequest) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}
	})
	if result, err := d.client(first.signs, under(d.domain.Name, "tls_client")).Ask(ctx, wish); err != nil || result.Certificate.IsCA {
		t.Errorf("who asks for a CA gets %+v, %v", result, err)
	}
	d.domain.Operations.Open = []models.DeviceOperation{models.OpSimpleEnroll}
	d.write(func(tx *store.Tx) error { return tx.SaveDomain(d.domain) })
	for name, act := range map[string]func() error{
		"ir is switched off":    asks(cmp.BodyIR, withSecret("press-03", "secret of press-03")),
		"cr is switched off":    asks(cmp.BodyCR, first.signs),
		"kur is switched off":   asks(cmp.BodyKUR, first.signs, of(first.cert)),
		"p10cr is switched off": asks(cmp.BodyP10CR, first.signs),
		"rr is switched off":    revokes(first.signs, application.cert, 1),
		"genm is switched off":  func() error { _, err := d.client(first.signs).CACerts(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) { d.staysAsItIs(t, act, cmp.FailNotAuthorized) })
	}
}

// staysAsItIs checks that something is refused, and leaves nothing but audit
// events.
func (d *cmpDoor) staysAsItIs(t *testing.T, act func() error, want cmp.FailInfo) {
	t.Helper()
	before := d.rows()
	if err := act(); err == nil || cmp.FailInfoOf(err) != want {
		t.Errorf("the answer is %v (%s), want %s", err, cmp.FailInfoOf(err), want)
	}
	after := d.rows()
	after[3] = before[3]
	if after != before {
		t.Errorf("requests, certificates, devices, events, promises went from %v to %v", before, after)
	}
}
