// SPDX-License-Identifier: MIT

package activities_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

const hallProfile = `{"type":"cert_profile","version":1,"credential_type":"ca",
	"subject":{"CN":{},"O":"Example Works"},
	"extensions":{"basic_constraints":{"ca":true,"path_length":1},"certificate_policies":["1.3.6.1.4.1.99999.7"],
		"name_constraints":{"permitted":{"dns_names":["hall3.example"],"ip_addresses":["10.3.0.0/16"]}}},
	"validity":{"duration":"90d"},"key":{"algorithms":["EC"]}}`

// underHall makes a pending CA under version 1 of hallProfile, which the
// newest version is not.
func underHall(w *world, name string, origin models.CAOrigin) *models.CA {
	w.t.Helper()
	deadline := w.now.Add(48 * time.Hour)
	ca := &models.CA{
		ID: models.NewID[models.CAID](), Name: name, Type: models.CAIssuing, State: models.CAPending, Generation: 1, Origin: origin, Deadline: &deadline,
		Subject: models.Name{CommonName: "Hall 3 " + name}, ProfileName: "hall", ProfileVersion: 1,
		Key: models.KeyRef{Store: models.StoreSoftware, ID: name, Algorithm: models.ECP384},
	}
	if origin == models.CAMade {
		ca.IssuerID = w.ca.ID
	}
	w.write(func(tx *store.Tx) error { return tx.InsertCA(ca) })
	return ca
}

func newerHalls(w *world) {
	w.write(func(tx *store.Tx) error {
		for _, document := range []string{hallProfile, strings.ReplaceAll(hallProfile, "hall3", "hall4")} {
			if err := tx.InsertProfile(&models.Profile{Name: "hall", Document: []byte(document)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// openssl prints what a second implementation reads.
func openssl(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl here")
	}
	cmd := exec.CommandContext(t.Context(), path, kind, "-inform", "DER", "-noout", "-text")
	cmd.Stdin = bytes.NewReader(der)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s", err, out)
	}
	return string(out)
}

var hallWords = []string{"O = Example Works", "CA:TRUE, pathlen:1", "Certificate Sign, CRL Sign", "1.3.6.1.4.1.99999.7", "X509v3 Name Constraints: critical", "DNS:hall3.example", "IP:10.3.0.0/255.255.0.0"}

func TestACAIsMadeUnderAProfile(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		newerHalls(w)
		ca := w.complete(underHall(w, "hall-ca", models.CAMade))
		text := openssl(t, "x509", ca.CertificateDER)
		for _, want := range append(hallWords, "http://pki.example/crl/"+w.ca.KeyID+".crl") {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if lasts := ca.NotAfter.Sub(w.now); lasts.Round(time.Hour) != 90*24*time.Hour || ca.Validity == 0 {
			t.Errorf("it lasts %s, validity %s", lasts, ca.Validity)
		}
		cert, err := s.FindCertificate(t.Context(), ca.CertificateID)
		if err != nil || cert.ProfileName != "hall" || cert.ProfileVersion != 1 {
			t.Errorf("%+v %v", cert, err)
		}
		// A CA below it inherits what binds it, and so does what that issues.
		line := w.makeCA("line", ca.ID, models.CAIssuing)
		text = openssl(t, "x509", line.CertificateDER)
		for _, want := range []string{"pathlen:0", "X509v3 Name Constraints: critical", "DNS:hall3.example"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q below in\n%s", want, text)
			}
		}
		w.device.State = models.DeviceOnboarded
		w.write(func(tx *store.Tx) error { return tx.SaveDevice(w.device) })
		for _, issuer := range []*models.CA{ca, line} {
			w.domain.IssuingCAID = issuer.ID
			w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
			if err := w.issueNamed(); models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), "outside the name constraints") {
				t.Errorf("a name outside the constraints of %s: %v", issuer.Name, err)
			}
		}
	})
}

// issueNamed reserves a certificate of tls_server, whose DNS name is that of
// the device.
func (w *world) issueNamed() error {
	w.t.Helper()
	req := w.newRequest(models.KindEnrollment, "tls_server", models.Decision{Outcome: models.OutcomeIssue})
	w.write(func(tx *store.Tx) error {
		_, err := tx.InsertRequest(req)
		return err
	})
	_, err := w.acts.Issuance.ReserveCertificate(w.t.Context(), activities.RequestInput{RequestID: req.ID})
	return err
}

func TestAnExternalCAIsAskedForWhatTheProfileSays(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		newerHalls(w)
		ca := underHall(w, "elsewhere", models.CARequested)
		in := activities.AuthorityInput{CAID: ca.ID}
		if _, err := w.acts.Authorities.GenerateAuthorityKey(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if _, err := w.acts.External.RequestAuthorityCertificate(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		ca, err := s.FindCA(t.Context(), ca.ID)
		if err != nil {
			t.Fatal(err)
		}
		text := openssl(t, "req", ca.CSR)
		for _, want := range hallWords {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if strings.Contains(text, "http://") || strings.Contains(text, "Key Identifier") {
			t.Errorf("the request asks for what is the issuer's:\n%s", text)
		}
		request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: ca.CSR})
		root := fixture.NewOutside(t, "Offline Root", nil)
		csr, err := x509.ParseCertificateRequest(ca.CSR)
		if err != nil {
			t.Fatal(err)
		}
		copied := func(c *x509.Certificate) { c.ExtraExtensions = slices.Clone(csr.Extensions) }
		for name, c := range map[string]struct {
			change func(*x509.Certificate)
			text   string
		}{
			"as asked":         {copied, ""},
			"nothing of it":    {func(*x509.Certificate) {}, "more CAs be below it than the request asks for (path length 1)"},
			"the length alone": {func(c *x509.Certificate) { c.MaxPathLen = 1 }, "does not have the extension"},
			"a shorter length": {func(c *x509.Certificate) {
				copied(c)
				c.ExtraExtensions = c.ExtraExtensions[:0:0]
				c.MaxPathLenZero = true
			}, "does not have the extension"},
		} {
			block, _ := pem.Decode(root.Answer(t, request, c.change))
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if err := pki.CheckAsked(ca.CSR, cert); (err == nil) != (c.text == "") || err != nil && !strings.Contains(models.PublicText(err), c.text) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
