// SPDX-License-Identifier: MIT

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestCAsFromElsewhere has devices enroll from a CA that came with its key, and
// from one whose certificate an offline root signed.
func TestCAsFromElsewhere(t *testing.T) {
	for name, s := range map[string]struct{ database, keyStore string }{
		"sqlite, software keys": {"sqlite", models.StoreSoftware},
		"postgres, softhsm":     {"postgres", models.StorePKCS11},
	} {
		t.Run(name, func(t *testing.T) {
			args := database(t, s.database)
			if s.keyStore == models.StorePKCS11 {
				args = append(args, token(t)...)
			}
			i := start(t, args...)
			root := fixture.NewOutside(t, "Offline Root", nil)
			p := &plant{instance: i, api: i.Client(), domain: "bought"}
			bought := fixture.NewOutside(t, "Bought CA", root)
			file := bought.PKCS12(t, "geheim-12", root)
			must(p.api.ImportCA(background(), api.CAImport{Name: "bought", PKCS12: file, Password: "geheim-12", Store: s.keyStore}))(t)
			must(p.api.CreateDomain(background(), api.DomainCreation{Name: "bought", IssuingCA: "bought"}))(t)
			p.enrollsUnder(t, "press-01", root)

			waiting := must(p.api.CreateCA(background(), api.CACreation{Name: "signed", Type: models.CAIssuing, External: true, Key: api.Key{Store: s.keyStore}}))(t)
			if !waiting.Awaits() {
				t.Fatalf("%+v", waiting)
			}
			request := must(p.api.CARequest(background(), "signed"))(t)
			must(p.api.InstallCA(background(), "signed", api.CACertificate{Certificate: root.Answer(t, request)}))(t)
			p.domain = "signed"
			must(p.api.CreateDomain(background(), api.DomainCreation{Name: "signed", IssuingCA: "signed"}))(t)
			p.enrollsUnder(t, "press-02", root)
			for _, ca := range []string{"bought", "signed"} {
				p.publishes(t, ca)
			}
			if text := i.Log.String(); strings.Contains(text, "geheim-12") || strings.Contains(text, "PRIVATE KEY") {
				t.Error("a secret is in the log")
			}
		})
	}
}

// enrollsUnder has a device enroll, and OpenSSL verify what it got up to a root
// that the server was never given the key of.
func (p *plant) enrollsUnder(t *testing.T, name string, root *fixture.Outside) {
	t.Helper()
	d := p.register(t, name)
	d.newCSR("domain", "/CN=anything")
	d.keep(d.est("simpleenroll", "domain.csr", d.basic()...), "domain")
	chain := must(p.api.CAChain(background(), p.domain))(t)
	for file, content := range map[string][]byte{"root.pem": root.PEM(), "chain.pem": chain} {
		if err := os.WriteFile(filepath.Join(d.dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.openssl("verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "chain.pem", "domain.pem")
}

// publishes waits until the first CRL of a CA is there.
func (p *plant) publishes(t *testing.T, name string) {
	t.Helper()
	ca := must(p.api.FindCA(background(), name))(t)
	eventually(t, name+" has a CRL", 20*time.Second, func() bool {
		resp, err := http.Get("http://" + p.HTTP + "/crl/" + ca.KeyID + ".crl")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}
