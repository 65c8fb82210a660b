// SPDX-License-Identifier: MIT

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// confirmWait is long enough to send a message again to a server that had to
// be started again, and short enough to wait for its end.
const confirmWait = 45 * time.Second

// What a client says about a certificate that it has, and the fault points on
// either side of it.
var (
	confirms = []string{activities.FaultBeforeConfirm, activities.FaultAfterConfirm}
	revokes  = []string{activities.FaultBeforeRevoke, activities.FaultAfterRevoke}
)

// TestCMPKilledAtFaultPoints kills the server at the fault points of every
// message that changes something: at all of them on SQLite, at some on
// PostgreSQL. Whoever sends its message again, to the octet or as a new message
// of the same transaction, gets the same certificate. In the end what was
// confirmed is there, and what was not is revoked.
func TestCMPKilledAtFaultPoints(t *testing.T) {
	t.Parallel() // it waits more than it works
	for _, tt := range []struct {
		database string
		requests []string // the fault points of ir, cr, kur
	}{{"sqlite", faults}, {"postgres", []string{activities.FaultAfterSign}}} {
		t.Run(tt.database, func(t *testing.T) {
			t.Parallel()
			c := newCrashing(t, newPlant(t, start(t, database(t, tt.database)...), models.StoreSoftware))
			for _, point := range confirms {
				t.Run("certConf "+point, c.certConf(point))
			}
			for n, point := range tt.requests {
				t.Run("ir "+point, c.ir(point, fmt.Sprintf("press-%02d", n+1)))
			}
			for _, point := range tt.requests {
				t.Run("cr "+point, c.cr(point))
			}
			for _, point := range tt.requests {
				t.Run("kur "+point, c.kur(point))
			}
			for _, point := range revokes {
				t.Run("rr "+point, c.rr(point))
			}
			// Who was confirmed asked before those who were not: its wait is over, too.
			for _, cert := range c.lost {
				eventually(t, "what nobody confirmed is revoked", confirmWait+30*time.Second, func() bool { return c.row(t, cert).Status == "revoked" })
			}
			for _, cert := range c.kept {
				if row := c.row(t, cert); row.Status != "valid" {
					t.Errorf("certificate %s, which was confirmed, is %s", row.ID, row.Status)
				}
			}
			c.checkInvariants(t)
			c.Stop()
			check := exec.Command(running.Binary(t, "trustloomd"), append([]string{"check", "--data-dir", c.Dir, "--grace", "0s"}, c.Args...)...)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("trustloomd check: %v\n%s", err, out)
			}
		})
	}
}

// crashing is a device that has its domain credential, at a plant whose server
// dies of messages.
type crashing struct {
	*plant
	self       caller
	kept, lost []*x509.Certificate // in the end
}

// caller is with what messages are protected.
type caller struct {
	cmp.ClientConfig
	name string
}

func newCrashing(t *testing.T, p *plant) *crashing {
	t.Helper()
	wait := models.Duration(confirmWait)
	must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{CMP: api.CMPChange{ConfirmWait: &wait}}))(t)
	c := &crashing{plant: p}
	c.self = c.newcomer(t, "press-00")
	request, key := c.self.request(t, cmp.BodyIR)
	cert := must(c.client(t, c.self, "http://"+c.HTTP, "").Ask(background(), must(cmp.NewClientTransaction(request))(t)))(t).Certificate
	c.self.become(cert, key)
	// From here on answers are signed, with a certificate that is made at the first.
	must(c.client(t, c.self, "http://"+c.HTTP, "").CACerts(background()))(t)
	return c
}

// newcomer registers a device, which has a one-time secret.
func (c *crashing) newcomer(t testing.TB, name string) caller {
	t.Helper()
	d := c.registerCMP(t, name, models.CMPSecret)
	who := caller{name: name, ClientConfig: cmp.ClientConfig{Reference: name, Secret: []byte(d.secret), Now: time.Now}}
	for _, ca := range []string{"plant-root", "plant-issuing"} {
		block, _ := pem.Decode([]byte(must(c.api.FindCA(background(), ca))(t).Certificate))
		who.Trust = append(who.Trust, must(x509.ParseCertificate(block.Bytes))(t))
	}
	return who
}

// become signs messages from now on.
func (w *caller) become(cert *x509.Certificate, key *ecdsa.PrivateKey) {
	w.Reference, w.Secret, w.Signer, w.Chain = "", nil, key, []*x509.Certificate{cert}
}

// request makes a key and asks for a certificate.
func (w *caller) request(t testing.TB, kind cmp.BodyType) (*cmp.Request, *ecdsa.PrivateKey) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: w.name}}, key))(t)
	r := &cmp.Request{Type: kind, Key: key, Template: must(cmp.TemplateOf(must(x509.ParseCertificateRequest(der))(t)))(t)}
	if kind == cmp.BodyKUR {
		r.OldCert, r.Template.Subject = w.Chain[0], w.Chain[0].RawSubject
	}
	return r, key
}

func (c *crashing) client(t testing.TB, who caller, url, profile string) *cmp.Client {
	t.Helper()
	who.URL, who.Label = url, cmp.Label{Domain: c.domain, Profile: profile}
	client := must(cmp.NewClient(who.ClientConfig))(t)
	t.Cleanup(client.Close)
	return client
}

// gets asks a server that does not die.
func (c *crashing) gets(t testing.TB, explicit bool) (*cmp.ClientTransaction, *x509.Certificate) {
	t.Helper()
	request, _ := c.self.request(t, cmp.BodyCR)
	request.Explicit = explicit
	tx := must(cmp.NewClientTransaction(request))(t)
	return tx, must(c.client(t, c.self, "http://"+c.HTTP, "tls_client").Ask(background(), tx))(t).Certificate
}

// overheard returns the message that say sends, which does not arrive.
func overheard(t testing.TB, say func(url string)) (message []byte) {
	t.Helper()
	nobody := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		message = must(io.ReadAll(r.Body))(t)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer nobody.Close()
	say(nobody.URL)
	return message
}

// lonely uses each connection once: those to a server that died are no use.
var lonely = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

// says sends a message as it is. The status of the answer is 200 for what was
// asked for, with the certificate if it is one, and 202 for a wait.
func (c *crashing) says(t testing.TB, profile string, message []byte) answer {
	t.Helper()
	r, err := lonely.Post("http://"+c.HTTP+"/.well-known/cmp/p/"+c.domain+profile, cmp.ContentType, bytes.NewReader(message))
	if err != nil {
		return answer{status: "none", body: err.Error()}
	}
	defer r.Body.Close()
	body := must(io.ReadAll(r.Body))(t)
	m, err := cmp.ParseMessage(body)
	if err != nil {
		return answer{status: r.Status, body: string(body)}
	}
	switch {
	case m.Body.Replies != nil && m.Body.Replies.Responses[0].Status.Status == cmp.StatusWaiting:
		return answer{status: "202"}
	case m.Body.Replies != nil && m.Body.Replies.Responses[0].KeyPair != nil:
		return answer{status: "200", body: string(m.Body.Replies.Responses[0].KeyPair.Certificate)}
	case m.Body.RevReps != nil && m.Body.RevReps.Status[0].Status == cmp.StatusAccepted, m.Body.Type == cmp.BodyPKIConf:
		return answer{status: "200"}
	}
	var text bytes.Buffer
	cmp.Explain(&text, m)
	return answer{status: "refused", body: text.String()}
}

// dies has the server die of a message, and sends it again to the next.
func (c *crashing) dies(t *testing.T, point, profile string, message []byte) answer {
	t.Helper()
	a := c.killedAt(t, point, func() answer { return c.says(t, profile, message) })
	if a.status != "200" {
		t.Fatalf("the message that is sent again is answered with %s %s", a.status, a.body)
	}
	return a
}

// asks has the server die of a request, and returns the certificate that both
// the same octets and the same request in another message get.
func (c *crashing) asks(t *testing.T, who caller, point, profile string, request *cmp.Request) (*cmp.ClientTransaction, *x509.Certificate) {
	t.Helper()
	tx := must(cmp.NewClientTransaction(request))(t)
	message := overheard(t, func(url string) { _, _ = c.client(t, who, url, profile).Ask(background(), tx) })
	path := profile
	if path != "" {
		path = "/" + path
	}
	a := c.dies(t, point, path, message)
	again := must(c.client(t, who, "http://"+c.HTTP, profile).Ask(background(), tx))(t)
	if again.Pending() || string(again.Certificate.Raw) != a.body {
		t.Fatal("the same request gets another answer")
	}
	return tx, again.Certificate
}

func (c *crashing) row(t testing.TB, cert *x509.Certificate) api.Certificate {
	t.Helper()
	page := must(c.api.ListCertificates(background(), api.CertificateFilter{Serial: fmt.Sprintf("%x", cert.SerialNumber)}))(t)
	if len(page.Items) != 1 {
		t.Fatalf("%d certificates have the serial number %x", len(page.Items), cert.SerialNumber)
	}
	return page.Items[0]
}

func (c *crashing) certConf(point string) func(*testing.T) {
	return func(t *testing.T) {
		tx, cert := c.gets(t, true)
		message := overheard(t, func(url string) { _ = c.client(t, c.self, url, "tls_client").Confirm(background(), tx, cert, "") })
		c.dies(t, point, "/tls_client", message)
		c.kept = append(c.kept, cert)
	}
}

func (c *crashing) ir(point, name string) func(*testing.T) {
	return func(t *testing.T) {
		who := c.newcomer(t, name)
		request, _ := who.request(t, cmp.BodyIR)
		request.Explicit = true
		tx, cert := c.asks(t, who, point, "", request)
		if err := c.client(t, who, "http://"+c.HTTP, "").Confirm(background(), tx, cert, ""); err != nil {
			t.Fatal(err)
		}
		c.kept = append(c.kept, cert)
	}
}

// cr asks for what is not confirmed.
func (c *crashing) cr(point string) func(*testing.T) {
	return func(t *testing.T) {
		request, _ := c.self.request(t, cmp.BodyCR)
		request.Explicit = true
		_, cert := c.asks(t, c.self, point, "tls_client", request)
		c.lost = append(c.lost, cert)
	}
}

// kur asks for what is confirmed implicitly.
func (c *crashing) kur(point string) func(*testing.T) {
	return func(t *testing.T) {
		request, key := c.self.request(t, cmp.BodyKUR)
		_, cert := c.asks(t, c.self, point, "", request)
		c.self.become(cert, key)
		c.kept = append(c.kept, cert)
	}
}

func (c *crashing) rr(point string) func(*testing.T) {
	return func(t *testing.T) {
		_, cert := c.gets(t, false)
		message := overheard(t, func(url string) { _ = c.client(t, c.self, url, "").Revoke(background(), cert, 1) })
		c.dies(t, point, "", message)
		row := c.row(t, cert)
		events := must(c.api.ListEvents(background(), api.EventFilter{Noun: "certificate", Subject: row.ID}))(t)
		n := 0
		for _, event := range events.Items {
			if event.Action == "certificate.revoked" {
				n++
			}
		}
		if row.Status != "revoked" || n != 1 {
			t.Errorf("the certificate is %s, and was revoked %d times", row.Status, n)
		}
	}
}
