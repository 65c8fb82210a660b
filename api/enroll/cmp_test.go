// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

func TestCMPOnboardsWithASecret(t *testing.T) {
	w := newCMPWorld(t)
	w.secretDevice("press-01")
	tx, csr := transaction(), w.template(nil, nil)
	if _, err := w.bySecret(tx, "press-01", "wrong"); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("a wrong secret is answered with %v", err)
	}
	if _, err := w.bySecret(tx, "nobody", "secret of nobody"); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("an unknown reference is answered with %v", err)
	}
	who, err := w.bySecret(tx, "press-01", "secret of press-01")
	check(t, err)
	out, err := w.ask(cmp.Enrollment{Transaction: tx, Sender: who, Request: csr, Implicit: true})
	if err != nil || out.RetryAfter == 0 { // the engine is away
		t.Fatalf("the first answer is %+v, %v", out, err)
	}
	check(t, w.play(w.requestOf(csr)))
	who, err = w.bySecret(tx, "press-01", "secret of press-01")
	check(t, err)
	out, err = w.ask(cmp.Enrollment{Transaction: tx, Sender: who, Request: csr, Implicit: true})
	check(t, err)
	if out.Certificate == nil || !out.Implicit || len(out.Chain) != 2 || len(out.CAPubs) != 1 || out.Certificate.Subject.CommonName != "press-01" {
		t.Errorf("the certificate comes as %+v", out)
	}
	if d := w.deviceNamed("press-01"); d.State != models.DeviceOnboarded {
		t.Errorf("the device is %s", d.State)
	}
	if _, err := w.bySecret(transaction(), "press-01", "secret of press-01"); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("the spent secret is good for another transaction: %v", err)
	}
	w.now = w.now.Add(time.Hour)
	if _, err := w.bySecret(tx, "press-01", "secret of press-01"); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("the spent secret is good for its transaction after an hour: %v", err)
	}
	w.write(func(tx *store.Tx) error {
		n, err := tx.DestroySpentSecrets(time.Now().Add(time.Minute))
		if n != 1 {
			t.Errorf("%d spent secrets are destroyed, want 1", n)
		}
		return err
	})
}

func TestCMPIssuesAtOnceWithTheDomainCredential(t *testing.T) {
	w := newCMPWorld(t)
	credential := w.onboardedByCMP("press-01")
	tx, csr := transaction(), w.template(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "press-01"}, DNSNames: []string{"press-01.example"}})
	who, err := w.bySignature(tx, credential)
	check(t, err)
	before := w.rows()
	in := cmp.Enrollment{Label: cmp.Label{Domain: "press-shop", Profile: "tls_server"}, Operation: cmp.OpCert, Transaction: tx, Sender: who, Request: csr, Implicit: true}
	out, err := w.ask(in)
	check(t, err)
	if out.Certificate == nil || !out.Implicit || len(out.CAPubs) != 0 {
		t.Fatalf("the answer is %+v", out)
	}
	if after := w.rows(); after[0] != before[0]+1 || after[1] != before[1]+1 || after[4] != before[4] {
		t.Errorf("requests, certificates, devices, events, promises went from %v to %v", before, after)
	}
	again, err := w.ask(in)
	if err != nil || !again.Certificate.Equal(out.Certificate) {
		t.Errorf("the same request is answered with %+v, %v", again, err)
	}
	other := in
	other.Request = w.template(nil, nil)
	if _, err := w.ask(other); models.KindOf(err) != models.KindConflict || cmp.FailInfoOf(err) != cmp.FailTransactionIDInUse {
		t.Errorf("another request with the transactionID is answered with %v", err)
	}
	thief := w.onboardedByCMP("press-02")
	stolen := in
	stolen.Sender, err = w.bySignature(tx, thief)
	check(t, err)
	if _, err := w.ask(stolen); models.KindOf(err) != models.KindConflict {
		t.Errorf("the request of another sender is answered with %v", err)
	}
	if _, err := w.cmp.Poll(context.Background(), w.label, tx.ID, stolen.Sender, cmp.Peer{}); models.KindOf(err) != models.KindNotFound {
		t.Errorf("the poll of another sender is answered with %v", err)
	}
}

func TestCMPRenews(t *testing.T) {
	w := newCMPWorld(t)
	credential := w.onboardedByCMP("press-01")
	tx := transaction()
	who, err := w.bySignature(tx, credential)
	check(t, err)
	kur := cmp.Enrollment{Operation: cmp.OpKeyUpdate, Transaction: tx, Sender: who, Implicit: true, Request: w.template(nil, &x509.CertificateRequest{RawSubject: credential.RawSubject}),
		OldCert: &cmp.CertID{Issuer: credential.RawIssuer, Serial: append([]byte{0}, credential.SerialNumber.Bytes()...)}}
	wrong := kur
	wrong.OldCert = &cmp.CertID{Issuer: credential.RawIssuer, Serial: []byte{1}}
	if _, err := w.ask(wrong); models.KindOf(err) != models.KindDenied {
		t.Errorf("oldCertId of another certificate is answered with %v", err)
	}
	renamed := kur
	renamed.Request = w.template(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "press-02"}})
	if _, err := w.ask(renamed); err == nil {
		t.Error("a kur for another subject is answered with a certificate")
	}
	out, err := w.ask(kur)
	check(t, err)
	if row := w.rowOf(out.Certificate); row.PredecessorID != w.rowOf(credential).ID {
		t.Errorf("the new certificate has predecessor %q", row.PredecessorID)
	}
}

func TestCMPConfirmation(t *testing.T) {
	for name, tt := range map[string]struct {
		say      func(w *cmpWorld, tx cmp.Transaction, who cmp.Sender, cert *x509.Certificate) error
		after    time.Duration // then the deadline is looked at
		kind     models.Kind   // of the answer to say
		refused  bool
		state    models.CMPState
		revoked  bool
		promised bool
	}{
		"who confirms keeps the certificate": {after: time.Hour, state: models.CMPConfirmed,
			say: func(w *cmpWorld, tx cmp.Transaction, who cmp.Sender, cert *x509.Certificate) error {
				check(w.t, w.confirm(tx, who, cert, true))
				return w.confirm(tx, who, cert, true)
			}},
		"who refuses loses it": {state: models.CMPRefused, revoked: true,
			say: func(w *cmpWorld, tx cmp.Transaction, who cmp.Sender, cert *x509.Certificate) error {
				check(w.t, w.confirm(tx, who, cert, false))
				return w.confirm(tx, who, cert, false)
			}},
		"who says both is believed the first": {state: models.CMPConfirmed, kind: models.KindConflict, refused: true,
			say: func(w *cmpWorld, tx cmp.Transaction, who cmp.Sender, cert *x509.Certificate) error {
				check(w.t, w.confirm(tx, who, cert, true))
				return w.confirm(tx, who, cert, false)
			}},
		"who says nothing loses it":                  {after: 5 * time.Minute, state: models.CMPLapsed, revoked: true},
		"before the wait has passed nothing is lost": {after: 5*time.Minute - time.Second, state: models.CMPOpen, promised: true},
		"who comes too late is told so": {state: models.CMPLapsed, revoked: true, kind: models.KindConflict, refused: true,
			say: func(w *cmpWorld, tx cmp.Transaction, who cmp.Sender, cert *x509.Certificate) error {
				w.now = w.now.Add(5 * time.Minute)
				return w.confirm(tx, who, cert, true)
			}},
		"the hash of another certificate changes nothing": {state: models.CMPOpen, kind: models.KindNotFound, refused: true, promised: true,
			say: func(w *cmpWorld, tx cmp.Transaction, who cmp.Sender, cert *x509.Certificate) error {
				return w.confirm(tx, who, w.onboardedByCMP("press-09"), true)
			}},
		"another party confirms nothing": {state: models.CMPOpen, kind: models.KindNotFound, refused: true, promised: true,
			say: func(w *cmpWorld, tx cmp.Transaction, _ cmp.Sender, cert *x509.Certificate) error {
				thief, err := w.bySignature(tx, w.onboardedByCMP("press-09"))
				check(w.t, err)
				return w.confirm(tx, thief, cert, true)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCMPWorld(t)
			tx, csr := transaction(), w.template(nil, nil)
			who, err := w.bySignature(tx, w.onboardedByCMP("press-01"))
			check(t, err)
			out, err := w.ask(cmp.Enrollment{Label: cmp.Label{Domain: "press-shop", Profile: "tls_client"}, Operation: cmp.OpCert, Transaction: tx, Sender: who, Request: csr})
			check(t, err)
			if out.Implicit || out.Confirmed || out.ConfirmWait != 5*time.Minute {
				t.Errorf("the answer is %+v", out)
			}
			if tt.say != nil {
				if err := tt.say(w, tx, who, out.Certificate); tt.refused != (err != nil) || err != nil && models.KindOf(err) != tt.kind {
					t.Errorf("the word is answered with %v", err)
				}
			}
			w.now = w.now.Add(tt.after)
			if state := w.lapse(w.requestOf(csr)); state != tt.state {
				t.Errorf("the transaction is %s, want %s", state, tt.state)
			}
			if row := w.rowOf(out.Certificate); (row.State == models.CertificateRevoked) != tt.revoked {
				t.Errorf("the certificate is %s", row.State)
			}
			if got := w.promised(models.OutboxConfirmation); (got == 1) != tt.promised {
				t.Errorf("%d stories are promised", got)
			}
		})
	}
}

func (w *cmpWorld) promised(action models.OutboxAction) (n int) {
	w.t.Helper()
	due, err := w.store.DuePromises(context.Background(), w.now.AddDate(1, 0, 0), 0)
	check(w.t, err)
	for _, item := range due {
		if item.Action == action {
			n++
		}
	}
	return n
}

func TestCMPWaitsForPeople(t *testing.T) {
	w := newCMPWorld(t)
	w.rules(models.CMPRules{ExplicitConfirm: true, ConfirmWait: models.Duration(time.Hour)})
	w.askPeople()
	w.secretDevice("press-01")
	tx, csr := transaction(), w.template(nil, nil)
	who, err := w.bySecret(tx, "press-01", "secret of press-01")
	check(t, err)
	out, err := w.ask(cmp.Enrollment{Transaction: tx, Sender: who, Request: csr, Implicit: true})
	if err != nil || out.RetryAfter == 0 {
		t.Fatalf("the answer is %+v, %v", out, err)
	}
	poll := func() (cmp.Outcome, error) {
		again, err := w.bySecret(tx, "press-01", "secret of press-01")
		check(t, err)
		return w.cmp.Poll(context.Background(), w.label, tx.ID, again, cmp.Peer{})
	}
	if out, err = poll(); err != nil || out.RetryAfter == 0 {
		t.Errorf("a poll is answered with %+v, %v", out, err)
	}
	w.now = w.now.Add(72 * time.Hour)
	w.approve(w.requestOf(csr))
	check(t, w.play(w.requestOf(csr)))
	out, err = poll()
	if err != nil || out.Certificate == nil || out.Implicit || out.ConfirmWait != time.Hour {
		t.Fatalf("the poll after the approval is answered with %+v, %v", out, err)
	}
	w.now = w.now.Add(50 * time.Minute) // longer than an answer may be repeated otherwise
	again, err := w.bySecret(tx, "press-01", "secret of press-01")
	check(t, err)
	check(t, w.confirm(tx, again, out.Certificate, true))
	if out, err = poll(); err != nil || !out.Confirmed {
		t.Errorf("the poll after certConf is answered with %+v, %v", out, err)
	}
}

func TestCMPSetsADeviceBackThatDoesNotConfirm(t *testing.T) {
	w := newCMPWorld(t)
	maker := newManufacturer(t, "Maker")
	w.trust("maker", "SN-.*", maker)
	idevid := maker.idevid(t, "SN-1")
	tx, csr := transaction(), w.template(nil, nil)
	who, err := w.bySignature(tx, idevid, maker.cert)
	check(t, err)
	_, err = w.ask(cmp.Enrollment{Transaction: tx, Sender: who, Request: csr})
	check(t, err)
	check(t, w.play(w.requestOf(csr)))
	if d := w.deviceNamed("maker-sn-1"); d.State != models.DeviceOnboarded || d.Method != models.CMPIDevID {
		t.Fatalf("the device is %s by %s", d.State, d.Method)
	}
	w.now = w.now.Add(time.Hour)
	if state := w.lapse(w.requestOf(csr)); state != models.CMPLapsed {
		t.Fatalf("the transaction is %s", state)
	}
	if d := w.deviceNamed("maker-sn-1"); d.State != models.DeviceRegistered {
		t.Errorf("the device is %s", d.State)
	}
	if _, err := w.cmp.Poll(context.Background(), w.label, tx.ID, who, cmp.Peer{}); models.KindOf(err) != models.KindConflict {
		t.Errorf("the poll is answered with %v", err)
	}
	tx, csr = transaction(), w.template(nil, nil)
	who, err = w.bySignature(tx, idevid, maker.cert)
	check(t, err)
	if out, err := w.ask(cmp.Enrollment{Transaction: tx, Sender: who, Request: csr}); err != nil || out.RetryAfter == 0 {
		t.Errorf("the second attempt is answered with %+v, %v", out, err)
	}
}

func TestCMPMakesAKey(t *testing.T) {
	w := newCMPWorld(t)
	credential := w.onboardedByCMP("press-01")
	who, err := w.bySignature(transaction(), credential)
	check(t, err)
	template, err := pki.ParseKeylessTemplate([]byte{0x30, 0x00})
	if err != nil {
		template, err = pki.ParseKeylessTemplate(append([]byte{0x30, 0x04, 0xa5, 0x02}, 0x30, 0x00))
	}
	check(t, err)
	in := cmp.Enrollment{Label: cmp.Label{Domain: "press-shop", Profile: "tls_client"}, Operation: cmp.OpCert, Transaction: transaction(), Sender: who, Request: template, Generate: true}
	if _, err := w.ask(in); cmp.FailInfoOf(err) != cmp.FailNotAuthorized {
		t.Errorf("where keys are not made the answer is %v", err)
	}
	w.domain.Operations.Open = models.DeviceOperations
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
	in.Sender, err = w.bySignature(transaction(), credential)
	check(t, err)
	out, err := w.ask(in)
	check(t, err)
	key, ok := out.Key.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(out.Certificate.PublicKey) || out.Implicit {
		t.Fatalf("the answer is %T, implicit %v", out.Key, out.Implicit)
	}
	if again, err := w.ask(in); models.KindOf(err) != models.KindConflict || again.Key != nil {
		t.Errorf("the key is given twice: %v", err)
	}
}
