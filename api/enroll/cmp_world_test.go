// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// cmpWorld is a world whose devices speak CMP.
type cmpWorld struct {
	*world
	cmp    *enroll.CMP
	sealer *hsm.Sealer
	label  cmp.Label
}

func newCMPWorld(t *testing.T) *cmpWorld {
	t.Helper()
	return cmpWorldOver(t, newWorld(t))
}

func cmpWorldOver(t *testing.T, w *world) *cmpWorld {
	t.Helper()
	sealer, err := hsm.NewSealer(make([]byte, hsm.SealingKeySize))
	check(t, err)
	c := &cmpWorld{world: w, sealer: sealer, label: cmp.Label{Domain: w.domain.Name}}
	c.cmp = enroll.NewCMP(enroll.CMPConfig{Door: w.door, Deliveries: enroll.NewDeliveries(enroll.DeliveryConfig{Door: w.door, Sealer: sealer}), Confirmations: w.acts.Confirmations, Protectors: w.acts.Protectors, Sealer: sealer})
	c.rules(models.CMPRules{})
	w.other.Operations = models.NewDomainDoors()
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.other) })
	return c
}

// rules changes the settings of the domain.
func (w *cmpWorld) rules(rules models.CMPRules) {
	w.t.Helper()
	w.domain.Operations = models.NewDomainDoors()
	w.domain.Operations.CMP = &rules
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
}

// secretDevice registers a device with the one-time secret "secret of <name>".
func (w *cmpWorld) secretDevice(name string) *models.Device {
	w.t.Helper()
	d := &models.Device{
		ID: models.NewID[models.DeviceID](), Name: name, SerialNumber: "4711", DomainID: w.domain.ID, State: models.DeviceRegistered, Method: models.CMPSecret, Epoch: 1,
	}
	w.write(func(tx *store.Tx) error {
		if err := tx.InsertDevice(d); err != nil {
			return err
		}
		return tx.PutDeviceSecret(d.ID, w.sealer.Seal(models.SecretSeal(d.ID), []byte("secret of "+name)))
	})
	return d
}

// template makes the request of a CertTemplate.
func (w *cmpWorld) template(key *ecdsa.PrivateKey, csr *x509.CertificateRequest) *pki.CSR {
	w.t.Helper()
	csrOf := w.csr(key, csr).Request
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.Tag(5).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(csrOf.RawSubject) })
		b.AddASN1(der.Tag(6).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			in := cryptobyte.String(csrOf.RawSubjectPublicKeyInfo)
			var content cryptobyte.String
			in.ReadASN1(&content, der.SEQUENCE)
			b.AddBytes(content)
		})
		if len(csrOf.Extensions) == 0 {
			return
		}
		b.AddASN1(der.Tag(9).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			for _, e := range csrOf.Extensions {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(e.Id)
					b.AddASN1OctetString(e.Value)
				})
			}
		})
	})
	template, err := b.Bytes()
	check(w.t, err)
	request, err := pki.ParseTemplate(template)
	check(w.t, err)
	return request
}

// transaction is a fresh one.
func transaction() cmp.Transaction {
	id := make([]byte, 16)
	rand.Read(id)
	return cmp.Transaction{ID: id, Digest: sha256.Sum256(id)}
}

func (w *cmpWorld) bySecret(tx cmp.Transaction, name, secret string) (cmp.Sender, error) {
	return w.cmp.Secret(context.Background(), w.label, tx.ID, name, cmp.Peer{Address: "192.0.2.7"}, func(s []byte) bool { return string(s) == secret })
}

func (w *cmpWorld) bySignature(tx cmp.Transaction, chain ...*x509.Certificate) (cmp.Sender, error) {
	return w.cmp.Signer(context.Background(), w.label, tx.ID, chain, cmp.Peer{Address: "192.0.2.7"})
}

// ask sends a request; what does not matter to the caller is filled in.
func (w *cmpWorld) ask(in cmp.Enrollment) (cmp.Outcome, error) {
	if in.Label == (cmp.Label{}) {
		in.Label = w.label
	}
	in.Peer.Address = "192.0.2.7"
	return w.cmp.Enroll(context.Background(), &in)
}

func (w *cmpWorld) confirm(tx cmp.Transaction, who cmp.Sender, cert *x509.Certificate, accepted bool) error {
	return w.cmp.Confirm(context.Background(), &cmp.Confirmation{
		Label: w.label, Transaction: tx.ID, Sender: who, Accepted: accepted,
		Matches: func(c *x509.Certificate) bool { return c.Equal(cert) },
	})
}

// onboardedByCMP registers a device, onboards it and returns its domain
// credential.
func (w *cmpWorld) onboardedByCMP(name string) *x509.Certificate {
	w.t.Helper()
	w.secretDevice(name)
	tx, csr := transaction(), w.template(nil, nil)
	who, err := w.bySecret(tx, name, "secret of "+name)
	check(w.t, err)
	_, err = w.ask(cmp.Enrollment{Transaction: tx, Sender: who, Request: csr, Implicit: true})
	check(w.t, err)
	check(w.t, w.play(w.requestOf(csr)))
	out, err := w.cmp.Poll(context.Background(), w.label, tx.ID, who, cmp.Peer{})
	check(w.t, err)
	return out.Certificate
}

// lapse has the story of a confirmation come to its deadline.
func (w *cmpWorld) lapse(req *models.Request) models.CMPState {
	w.t.Helper()
	got, err := w.acts.Confirmations.ExpireConfirmation(context.Background(), activities.ConfirmationInput{RequestID: req.ID})
	check(w.t, err)
	return got.State
}
