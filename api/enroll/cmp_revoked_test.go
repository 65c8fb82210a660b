// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/x509"
	"testing"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
)

// Who was revoked by an rr may hear its answer again in that transaction,
// whose identifier everybody on the line has seen, and gets nothing else in it.
func TestCMPARevokedSignerGetsNothingInTheTransactionThatRevokedIt(t *testing.T) {
	application := cmp.Label{Domain: "press-shop", Profile: "tls_client"}
	for name, in := range map[string]cmp.Enrollment{
		"cr":                         {Operation: cmp.OpCert, Label: application, Implicit: true},
		"p10cr":                      {Operation: cmp.OpPKCS10, Label: application, Implicit: true},
		"kur":                        {Operation: cmp.OpKeyUpdate, Implicit: true},
		"cr, to be confirmed":        {Operation: cmp.OpCert, Label: application},
		"cr for a key of the server": {Operation: cmp.OpCert, Label: application, Implicit: true, Generate: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCMPWorld(t)
			credential, tx := w.onboardedByCMP("press-01"), transaction()
			who, err := w.bySignature(tx, credential)
			check(t, err)
			id := cmp.CertID{Issuer: credential.RawIssuer, Serial: credential.SerialNumber.Bytes()}
			rr := &cmp.Revocation{Label: w.label, Sender: who, Cert: id, Reason: 1, Transaction: tx}
			check(t, w.cmp.Revoke(context.Background(), rr))
			before := w.rows()
			rr.Sender, err = w.bySignature(tx, credential)
			check(t, err)
			in.Transaction, in.Sender = tx, rr.Sender
			in.Request = w.template(nil, &x509.CertificateRequest{RawSubject: credential.RawSubject})
			if out, err := w.ask(in); models.KindOf(err) != models.KindUnauthenticated || cmp.FailInfoOf(err) != cmp.FailCertRevoked {
				t.Errorf("it is answered with %v, and a certificate: %t", err, out.Certificate != nil)
			}
			check(t, w.cmp.Revoke(context.Background(), rr))
			if after := w.rows(); after != before {
				t.Errorf("the rows changed from %v to %v", before, after)
			}
		})
	}
}
