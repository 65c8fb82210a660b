// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// cmpServer is a CMP server with a CA, in memory: it issues what it is asked for,
// after a wait if there is one.
type cmpServer struct {
	cmp.Supporter // what is not asked for here
	t             *testing.T
	root, issuing *authority
	vendor        *authority
	protection    *authority
	serial        int64
	polls         int // how often a request waits
	explicit      bool
	foreign       bool // issue from a CA that nobody knows
	used          []byte
	done          map[string]*cmp.Outcome
	said          []string
}

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (p *cmpServer) issue(by *authority, template *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	p.t.Helper()
	p.serial++
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(p.serial), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if template.IsCA { // nothing outlives its issuer
		template.NotAfter = template.NotAfter.Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, pub, by.key)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return cert
}

func (p *cmpServer) authority(name string, by *authority, ca bool, usage ...asn1.ObjectIdentifier) *authority {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true, UnknownExtKeyUsage: usage, KeyUsage: x509.KeyUsageDigitalSignature}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	a := &authority{key: key}
	if by == nil {
		by = &authority{cert: template, key: key}
	}
	a.cert = p.issue(by, template, key.Public())
	return a
}

func newCMPServer(t *testing.T) (*cmpServer, string) {
	t.Helper()
	p := &cmpServer{t: t, done: map[string]*cmp.Outcome{}}
	p.root, p.vendor = p.authority("Root", nil, true), p.authority("Vendor", nil, true)
	p.issuing = p.authority("Issuing", p.root, true)
	p.protection = p.authority("CMP", p.issuing, false, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 27})
	server := httptest.NewServer(cmp.NewResponder(p, cmp.Options{}))
	t.Cleanup(server.Close)
	return p, server.URL
}

func (p *cmpServer) Secret(_ context.Context, _ cmp.Label, id []byte, reference string, _ cmp.Peer, prove func([]byte) bool) (cmp.Sender, error) {
	if reference != "press-01" || !prove([]byte("one time")) || p.used != nil && !bytes.Equal(p.used, id) {
		return cmp.Sender{}, models.Errorf(models.KindUnauthenticated, "no")
	}
	p.used = id // for one transaction
	return cmp.Sender{ID: "press-01"}, nil
}

func (p *cmpServer) Signer(_ context.Context, _ cmp.Label, _ []byte, chain []*x509.Certificate, _ cmp.Peer) (cmp.Sender, error) {
	for _, ca := range []*authority{p.issuing, p.vendor} {
		if chain[0].CheckSignatureFrom(ca.cert) == nil {
			return cmp.Sender{ID: "press-01"}, nil
		}
	}
	return cmp.Sender{}, models.Errorf(models.KindUnauthenticated, "who is that")
}

func (p *cmpServer) Protector(context.Context, cmp.Label) (*cmp.Protector, error) {
	return &cmp.Protector{Signer: p.protection.key, Chain: []*x509.Certificate{p.protection.cert, p.issuing.cert, p.root.cert}}, nil
}

func (p *cmpServer) Enroll(_ context.Context, in *cmp.Enrollment) (cmp.Outcome, error) {
	if done := p.done[string(in.Transaction.ID)]; done != nil {
		return *done, nil
	}
	p.said = append(p.said, fmt.Sprintf("%d %s", in.Operation, in.Label.Profile))
	by := p.issuing
	if p.foreign {
		by = p.vendor
	}
	out := &cmp.Outcome{Chain: []*x509.Certificate{p.issuing.cert, p.root.cert}, CAPubs: []*x509.Certificate{p.root.cert}, Implicit: !p.explicit, ConfirmWait: time.Minute}
	out.Certificate = p.issue(by, &x509.Certificate{Subject: pkix.Name{CommonName: "press-01"}, KeyUsage: x509.KeyUsageDigitalSignature}, in.Request.Request.PublicKey)
	p.done[string(in.Transaction.ID)] = out
	return p.waits(out), nil
}

// waits returns an outcome that waits as often as polls says.
func (p *cmpServer) waits(out *cmp.Outcome) cmp.Outcome {
	waiting := *out
	if p.polls > 0 {
		p.polls--
		waiting.RetryAfter = time.Second
	}
	return waiting
}

func (p *cmpServer) Poll(_ context.Context, _ cmp.Label, id []byte, _ cmp.Sender, _ cmp.Peer) (cmp.Outcome, error) {
	return p.waits(p.done[string(id)]), nil
}

func (p *cmpServer) Confirm(_ context.Context, in *cmp.Confirmation) error {
	done := p.done[string(in.Transaction)]
	if done == nil || !in.Matches(done.Certificate) {
		return models.Errorf(models.KindNotFound, "no")
	}
	p.said = append(p.said, fmt.Sprintf("accepted %v", in.Accepted))
	done.Confirmed = true
	return nil
}

func (p *cmpServer) Revoke(context.Context, *cmp.Revocation) error { return nil }

func (p *cmpServer) CACerts(context.Context, cmp.Label) ([]*x509.Certificate, error) {
	return []*x509.Certificate{p.issuing.cert, p.root.cert}, nil
}

// speaking returns an agent for a server that speaks CMP, in a folder.
func speaking(t *testing.T, dir, url, more string) (*agent, func()) {
	t.Helper()
	d, err := parseDocument([]byte("protocol: cmp\nserver: " + url + "\ndomain: press-shop\nstate_dir: state\ncertificates: [{name: web, profile: tls_server}]\n" + more))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := d.complete(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	a := &agent{cfg: cfg, secret: func() (string, error) { return "one time", nil }, log: slog.New(slog.NewTextHandler(log, nil)), now: time.Now, disk: disk{func(string) {}}}
	a.token = newCLI(log).token(cfg, a.log)
	release, err := a.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a, release
}

func TestCMPFromSecretToRenewal(t *testing.T) {
	for name, explicit := range map[string]bool{"without certConf": false, "with certConf": true} {
		t.Run(name, func(t *testing.T) {
			p, url := newCMPServer(t)
			p.explicit = explicit
			a, release := speaking(t, t.TempDir(), url, "device: press-01")
			defer release()
			if err := a.settle(t.Context(), a.held, false, time.Minute); err != nil {
				t.Fatal(err)
			}
			if err := a.settle(t.Context(), a.held, true, time.Minute); err != nil {
				t.Fatal(err)
			}
			want := []string{"0 ", "1 tls_server", "2 ", "2 tls_server"}
			if explicit {
				want = []string{"0 ", "accepted true", "1 tls_server", "accepted true", "2 ", "accepted true", "2 tls_server", "accepted true"}
			}
			if !slices.Equal(p.said, want) {
				t.Errorf("the server was asked %q", p.said)
			}
			for _, h := range a.held {
				now, err := h.store.current()
				if err != nil || now.leaf().CheckSignatureFrom(p.issuing.cert) != nil || exists(h.store.path(dirPending)) {
					t.Errorf("%s: %v", h.Name, err)
				}
			}
			if trust, err := a.cmpTrust(); err != nil || !slices.ContainsFunc(trust, p.root.cert.Equal) {
				t.Errorf("the domain's root CA is not kept: %v", err)
			}
		})
	}
}

// cut is thrown where a test ends the process.
type cut struct{}

func TestCMPGoesOnWithItsTransaction(t *testing.T) {
	for _, point := range []string{faultPending, faultAnswered, faultVersion} {
		t.Run(point, func(t *testing.T) {
			p, url := newCMPServer(t)
			p.polls, p.explicit = 2, true
			dir := t.TempDir()
			for range 2 { // the second without the cut
				func() {
					a, release := speaking(t, dir, url, "device: press-01")
					defer release()
					defer func() { _ = recover() }()
					if !exists(a.domain().store.path(dirPending)) {
						fault := func(at string) {
							if at == point {
								panic(cut{})
							}
						}
						a.fault, a.domain().store.fault = fault, fault
					}
					for !a.onboarded() {
						if err := a.advance(t.Context(), a.domain(), false); err != nil {
							t.Error(err)
							return
						}
					}
				}()
			}
			if len(p.done) != 1 || p.said[0] != "0 " {
				t.Errorf("%d transactions: %q", len(p.done), p.said)
			}
		})
	}
}

func TestCMPRefusesWhatIsNotOfTheDomain(t *testing.T) {
	p, url := newCMPServer(t)
	p.foreign, p.explicit = true, true
	a, release := speaking(t, t.TempDir(), url, "device: press-01")
	defer release()
	err := a.advance(t.Context(), a.domain(), false)
	if err == nil || !strings.Contains(plain(err), "not from the domain's CAs") || !slices.Contains(p.said, "accepted false") {
		t.Errorf("%v; the server heard %q", err, p.said)
	}
}

func TestCMPWithIDevID(t *testing.T) {
	p, url := newCMPServer(t)
	id := p.authority("IDevID", p.vendor, false)
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"id.pem": pki.EncodePEM(id.cert), "id.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), "root.pem": pki.EncodePEM(p.root.cert)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, filePerm); err != nil {
			t.Fatal(err)
		}
	}
	section := "idevid: {certificate: id.pem, key: id.key}\n"
	a, release := speaking(t, dir, url, section)
	if err := a.settle(t.Context(), a.held, false, time.Minute); err == nil || !strings.Contains(plain(err), "cmp_trust") {
		t.Errorf("an answer would be believed from anybody: %v", err)
	}
	release()
	a, release = speaking(t, dir, url, section+"cmp_trust: root.pem\n")
	defer release()
	if err := a.settle(t.Context(), a.held, false, time.Minute); err != nil {
		t.Error(err)
	}
	if now, err := a.domain().store.current(); err != nil || now == nil {
		t.Errorf("there is no domain credential: %v", err)
	}
}

func TestCMPSettingsThatDoNotFit(t *testing.T) {
	for text, want := range map[string]string{
		"protocol: scep":   "est or cmp",
		"cmp_trust: x.pem": "protocol: cmp",
		"protocol: cmp\nserver: http://x\ntruststores: [{name: a, file: b}]": "https://",
	} {
		d, err := parseDocument([]byte("state_dir: s\n" + text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.complete(t.TempDir()); models.KindOf(err) != models.KindInvalid || !strings.Contains(plain(err), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
