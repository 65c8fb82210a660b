// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// limitRoot gives the root above the issuing CA a certificate that permits the
// names of a domain only, which the issuing CA does not repeat, as an imported
// one need not.
func (w *world) limitRoot(permitted string) {
	w.t.Helper()
	root, err := w.store.FindCA(context.Background(), w.ca.IssuerID)
	check(w.t, err)
	template, err := x509.ParseCertificate(root.CertificateDER)
	check(w.t, err)
	signer, err := w.keys.Signer(context.Background(), root.Key.ID)
	check(w.t, err)
	template.PermittedDNSDomainsCritical, template.PermittedDNSDomains = true, []string{permitted}
	root.CertificateDER, err = x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	check(w.t, err)
	w.write(func(tx *store.Tx) error { return tx.SaveCA(root) })
}

// TestNamesStayInsideTheConstraintsOfEveryCAAbove, in both lanes.
func TestNamesStayInsideTheConstraintsOfEveryCAAbove(t *testing.T) {
	for name, c := range map[string]struct {
		dns       string
		people    bool
		permitted bool
	}{
		"inside":                        {"press-01.plant.example", false, true},
		"outside":                       {"press-01.other.example", false, false},
		"inside, after people decided":  {"press-01.plant.example", true, true},
		"outside, after people decided": {"press-01.other.example", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, credential := w.onboarded("press-01")
			if c.people {
				w.askPeople()
			}
			if !c.people {
				w.limitRoot("plant.example")
				w.now = w.now.Add(2 * pathLife)
			}
			csr := w.csr(nil, &x509.CertificateRequest{DNSNames: []string{c.dns}})
			got, err := w.enroll("tls_server", csr, with(credential))
			if c.people {
				check(t, err)
				w.limitRoot("plant.example") // while they decide
				w.now = w.now.Add(2 * pathLife)
				req := w.requestOf(csr)
				w.approve(req)
				err = w.play(req)
			}
			if c.permitted {
				check(t, err)
				return
			}
			if models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), `outside the name constraints of the CA "CN=Plant root"`) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// pathLife is for how long a path is remembered.
const pathLife = 60e9
