// SPDX-License-Identifier: MIT

package e2e

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestASmartCard lets a person in with a certificate, as curl presents it, and
// shows where that ends.
func TestASmartCard(t *testing.T) {
	cards, dir := fixture.NewCards(t, "Plant People"), t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, blocks ...*pem.Block) {
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		if err := os.WriteFile(path(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	crl := func(certs ...*x509.Certificate) *pem.Block {
		return &pem.Block{Type: "X509 CRL", Bytes: cards.Revoke(t, time.Now().Add(time.Hour), certs...).Raw}
	}
	write("people.pem", &pem.Block{Type: "CERTIFICATE", Bytes: cards.CA.Raw})
	write("people.crl", crl())
	card := cards.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Alice"}, EmailAddresses: []string{"alice@plant.example"}})
	key := must(x509.MarshalPKCS8PrivateKey(card.PrivateKey))(t)
	write("alice.pem", &pem.Block{Type: "CERTIFICATE", Bytes: card.Leaf.Raw})
	write("alice.key", &pem.Block{Type: "PRIVATE KEY", Bytes: key})

	p := newPlant(t, start(t, "--operator-ca", path("people.pem"), "--operator-crl", path("people.crl")), "software")
	must(p.api.CreateOperator(background(), api.OperatorCreation{Name: "alice", Role: models.RoleViewer, Domains: []string{p.domain}}))(t)
	session := func(args ...string) string {
		args = append([]string{"-s", "-w", " %{http_code}", "--cacert", p.CA, "--cert", path("alice.pem"), "--key", path("alice.key")}, args...)
		out, _ := exec.Command("curl", append(args, "https://"+p.HTTPS+"/api/v1/session")...).CombinedOutput()
		return string(out)
	}
	wants := func(what, got string, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(got, word) {
				t.Errorf("%s: no %s in %s", what, word, got)
			}
		}
	}
	wants("before it is registered", session(), " 401", "belongs to no operator")
	if out, err := exec.Command(running.Binary(t, "trustloom"), "--url", "https://"+p.HTTPS, "--ca", p.CA, "--token-file", filepath.Join(p.Dir, "admin-token"),
		"operators", "add-certificate", "alice", "--file", path("alice.pem"), "--match", "email").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wants("with the card", session(), " 200", `"operator":"alice"`, `"role":"viewer"`, `"domains":["press-shop"]`)
	token := strings.TrimSpace(string(must(os.ReadFile(filepath.Join(p.Dir, "admin-token")))(t)))
	wants("with a token as well", session("-H", "Authorization: Bearer "+token), " 400", "one method")

	d := newDevice(t, p)
	d.newCSR("x", "/CN=x")
	if answer := d.est("simpleenroll", "x.csr", "--cert", path("alice.pem"), "--key", path("alice.key")); answer.status != "403" {
		t.Errorf("a person enrolls as a device: %s %s", answer.status, answer.body)
	}
	write("people.crl", crl(card.Leaf))
	later := time.Now().Add(2 * time.Second) // the clocks of some file systems tick once a second
	if err := os.Chtimes(path("people.crl"), later, later); err != nil {
		t.Fatal(err)
	}
	wants("when it is revoked", session(), " 401", "is revoked")
}
