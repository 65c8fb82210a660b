// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// revokes sends rr.
func (w *cmpWorld) revokes(tx cmp.Transaction, signer, cert *x509.Certificate) error {
	w.t.Helper()
	who, err := w.bySignature(tx, signer)
	check(w.t, err)
	return w.cmp.Revoke(context.Background(), &cmp.Revocation{Label: w.label, Sender: who, Reason: 1, Transaction: tx,
		Cert: cmp.CertID{Issuer: cert.RawIssuer, Serial: cert.SerialNumber.Bytes()}})
}

// applies asks for an application certificate.
func (w *cmpWorld) applies(tx cmp.Transaction, by *x509.Certificate, csr *pki.CSR, implicit bool) (cmp.Outcome, error) {
	who, err := w.bySignature(tx, by)
	if err != nil {
		return cmp.Outcome{}, err
	}
	return w.ask(cmp.Enrollment{Label: cmp.Label{Domain: "press-shop", Profile: "tls_client"}, Operation: cmp.OpCert, Transaction: tx, Sender: who, Request: csr, Implicit: implicit})
}

// TestCMPRevokedSignerRepeatsItsRevocationOnly: that the answer to rr may have
// been lost lets the revoked certificate do nothing else.
func TestCMPRevokedSignerRepeatsItsRevocationOnly(t *testing.T) {
	w := newCMPWorld(t)
	credential := w.onboardedByCMP("press-01")
	tx := transaction()
	check(t, w.revokes(tx, credential, credential))
	check(t, w.revokes(tx, credential, credential))
	who, err := w.bySignature(tx, credential)
	check(t, err)
	renewal := w.template(nil, &x509.CertificateRequest{RawSubject: credential.RawSubject})
	before := w.rows()
	for name, in := range map[string]cmp.Enrollment{
		"cr":                          {Label: cmp.Label{Domain: "press-shop", Profile: "tls_client"}, Operation: cmp.OpCert, Request: w.template(nil, nil), Implicit: true},
		"p10cr":                       {Label: cmp.Label{Domain: "press-shop", Profile: "tls_client"}, Operation: cmp.OpPKCS10, Request: w.csr(nil, nil), Implicit: true},
		"kur":                         {Operation: cmp.OpKeyUpdate, Request: renewal, Implicit: true},
		"kur that is to be confirmed": {Operation: cmp.OpKeyUpdate, Request: renewal},
	} {
		in.Transaction, in.Sender = tx, who
		if out, err := w.ask(in); models.KindOf(err) != models.KindUnauthenticated || cmp.FailInfoOf(err) != cmp.FailCertRevoked {
			t.Errorf("%s: the answer is %+v, %v", name, out, err)
		}
	}
	if after := w.rows(); after != before {
		t.Errorf("the rows went from %v to %v", before, after)
	}
}

func TestCMPIdentifierOfARevocationIsTaken(t *testing.T) {
	w := newCMPWorld(t)
	credential := w.onboardedByCMP("press-01")
	out, err := w.applies(transaction(), credential, w.template(nil, nil), true)
	check(t, err)
	tx := transaction()
	check(t, w.revokes(tx, credential, out.Certificate))
	before := w.rows()
	for _, implicit := range []bool{true, false} {
		if out, err := w.applies(tx, credential, w.template(nil, nil), implicit); models.KindOf(err) != models.KindConflict || cmp.FailInfoOf(err) != cmp.FailTransactionIDInUse {
			t.Errorf("implicit %v: the answer is %+v, %v", implicit, out, err)
		}
	}
	if after := w.rows(); after != before {
		t.Errorf("the rows went from %v to %v", before, after)
	}
}

// TestCMPKeyIsForWhoAskedFirst: two devices use one transactionID at the same
// moment, and the second must not get the key that was made for the first.
func TestCMPKeyIsForWhoAskedFirst(t *testing.T) {
	w := keyWorld(t)
	first, second := w.onboardedByCMP("press-01"), w.onboardedByCMP("press-02")
	tx := transaction()
	asks := func(by *x509.Certificate) (cmp.Outcome, error) {
		template, err := pki.ParseKeylessTemplate([]byte{0x30, 0x00})
		if err != nil {
			return cmp.Outcome{}, err
		}
		who, err := w.bySignature(tx, by)
		if err != nil {
			return cmp.Outcome{}, err
		}
		return w.ask(cmp.Enrollment{Label: cmp.Label{Domain: "press-shop", Profile: "tls_client"}, Operation: cmp.OpCert, Transaction: tx, Sender: who, Request: template, Generate: true, Implicit: true})
	}
	recorded, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var own cmp.Outcome
	var ownErr error
	var begun, held atomic.Bool
	w.fault = func(point string) {
		switch {
		case point == activities.FaultBeforeReserve && begun.CompareAndSwap(false, true):
			go func() {
				defer close(done)
				own, ownErr = asks(first)
			}()
			select {
			case <-recorded:
			case <-done:
			}
		case point == activities.FaultAfterRecord && held.CompareAndSwap(false, true):
			close(recorded)
			<-goOn
		}
	}
	stolen, err := asks(second)
	close(goOn)
	<-done
	if stolen.Key != nil || cmp.FailInfoOf(err) != cmp.FailTransactionIDInUse {
		t.Errorf("the second is given %T (%v)", stolen.Key, err)
	}
	check(t, ownErr)
	if key, ok := own.Key.(*ecdsa.PrivateKey); !ok || !key.PublicKey.Equal(own.Certificate.PublicKey) {
		t.Errorf("the first is given %T", own.Key)
	}
}

// TestCMPOneCertificatePerTransaction: many use one transactionID at the same moment.
func TestCMPOneCertificatePerTransaction(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := cmpWorldOver(t, worldIn(t, s))
		first, second := w.onboardedByCMP("press-01"), w.onboardedByCMP("press-02")
		for _, implicit := range []bool{true, false} {
			tx, before := transaction(), w.rows()
			var answered atomic.Int32
			done := make(chan struct{}, 8)
			for i := range 8 {
				by := first
				if i%2 == 1 {
					by = second
				}
				csr := w.template(nil, nil)
				go func() {
					defer func() { done <- struct{}{} }()
					if _, err := w.applies(tx, by, csr, implicit); err == nil {
						answered.Add(1)
					} else if cmp.FailInfoOf(err) != cmp.FailTransactionIDInUse {
						t.Errorf("a loser is told %v", err)
					}
				}()
			}
			for range 8 {
				<-done
			}
			if after := w.rows(); answered.Load() != 1 || after[0] != before[0]+1 || after[1] != before[1]+1 {
				t.Errorf("implicit %v: %d answers, the rows went from %v to %v", implicit, answered.Load(), before, after)
			}
		}
	})
}

func TestCMPUnconfirmedOnHoldIsRevokedForGood(t *testing.T) {
	w := newCMPWorld(t)
	csr := w.template(nil, nil)
	out, err := w.applies(transaction(), w.onboardedByCMP("press-01"), csr, false)
	check(t, err)
	w.revoke(out.Certificate, "certificateHold")
	w.now = w.now.Add(time.Hour)
	w.lapse(w.requestOf(csr))
	if row := w.rowOf(out.Certificate); row.RevokedReason != "cessationOfOperation" {
		t.Errorf("the certificate that nobody confirmed is %s (%s)", row.State, row.RevokedReason)
	}
}

func TestCMPUnconfirmedDeviceThatIsSuspended(t *testing.T) {
	w := newCMPWorld(t)
	w.secretDevice("press-01")
	tx, csr := transaction(), w.template(nil, nil)
	who, err := w.bySecret(tx, "press-01", "secret of press-01")
	check(t, err)
	_, err = w.ask(cmp.Enrollment{Transaction: tx, Sender: who, Request: csr})
	check(t, err)
	check(t, w.play(w.requestOf(csr)))
	w.changeDevice("press-01", func(d *models.Device) { d.State = models.DeviceSuspended })
	who, err = w.bySecret(tx, "press-01", "secret of press-01")
	check(t, err)
	if out, err := w.cmp.Poll(context.Background(), w.label, tx.ID, who, cmp.Peer{}); models.KindOf(err) != models.KindDenied {
		t.Errorf("the poll of a suspended device is answered with %+v, %v", out, err)
	}
	w.now = w.now.Add(time.Hour)
	w.lapse(w.requestOf(csr))
	if d := w.deviceNamed("press-01"); d.State != models.DeviceSuspended || d.OnboardedAt != nil {
		t.Errorf("the device is %s and will be resumed as onboarded at %v", d.State, d.OnboardedAt)
	}
}

func TestCMPOldTransactionLeavesANewIdentity(t *testing.T) {
	w := newCMPWorld(t)
	device := w.secretDevice("press-01")
	onboard := func(implicit bool) *pki.CSR {
		tx, csr := transaction(), w.template(nil, nil)
		who, err := w.bySecret(tx, "press-01", "secret of press-01")
		check(t, err)
		_, err = w.ask(cmp.Enrollment{Transaction: tx, Sender: who, Request: csr, Implicit: implicit})
		check(t, err)
		check(t, w.play(w.requestOf(csr)))
		return csr
	}
	old := onboard(false)
	w.now = w.now.Add(time.Minute)
	w.changeDevice("press-01", func(d *models.Device) {
		d.State, d.Epoch, d.SecretUsedBy, d.SecretUsedAt, d.OnboardedAt = models.DeviceRegistered, d.Epoch+1, "", nil, nil
	})
	w.write(func(tx *store.Tx) error {
		return tx.PutDeviceSecret(device.ID, w.sealer.Seal(models.SecretSeal(device.ID), []byte("secret of press-01")))
	})
	onboard(true)
	w.now = w.now.Add(time.Hour)
	if state := w.lapse(w.requestOf(old)); state != models.CMPLapsed {
		t.Fatalf("the old transaction is %s", state)
	}
	if d := w.deviceNamed("press-01"); d.State != models.DeviceOnboarded || d.OnboardedAt == nil {
		t.Errorf("the device, which has a newer identity, is %s", d.State)
	}
}

func TestCMPRegistrationAuthorityThatIsSuspended(t *testing.T) {
	w := newCMPWorld(t)
	plant := newManufacturer(t, "Plant RAs")
	w.write(func(tx *store.Tx) error {
		return tx.InsertTruststore(&models.Truststore{ID: models.NewID[models.TruststoreID](), Name: "ras", Certificates: [][]byte{plant.cert.Raw}})
	})
	w.rules(models.CMPRules{RATruststore: "ras"})
	ra, device := plant.ra(t), w.secretDevice("gate-01")
	sum := sha256.Sum256(ra.Raw)
	w.write(func(tx *store.Tx) error {
		row := &models.Certificate{ID: models.NewID[models.CertificateID](), RequestKey: "ra", Kind: models.CertificateApplication, IssuerCAID: w.ca.ID, IssuerKeyID: w.ca.KeyID,
			Serial: "01", DomainID: w.domain.ID, DeviceID: device.ID, NotBefore: ra.NotBefore, NotAfter: ra.NotAfter}
		if _, err := tx.ReserveCertificate(row); err != nil {
			return err
		}
		_, err := tx.RecordCertificate(row.ID, ra.Raw, hex.EncodeToString(sum[:]))
		return err
	})
	who, err := w.bySignature(transaction(), ra, plant.cert)
	if err != nil || !who.RA {
		t.Fatalf("the RA is answered with %v", err)
	}
	w.changeDevice("gate-01", func(d *models.Device) { d.State = models.DeviceSuspended })
	if _, err := w.bySignature(transaction(), ra, plant.cert); models.KindOf(err) != models.KindDenied {
		t.Errorf("the suspended RA is answered with %v", err)
	}
}
