// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// ra makes the certificate of a registration authority.
func (m *manufacturer) ra(t *testing.T) *x509.Certificate {
	t.Helper()
	return sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Line RA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}},
	}, m.cert, newKey(t), m.key)
}

func TestCMPRegistrationAuthority(t *testing.T) {
	w := newCMPWorld(t)
	plant, stranger := newManufacturer(t, "Plant RAs"), newManufacturer(t, "Nobody")
	w.write(func(tx *store.Tx) error {
		return tx.InsertTruststore(&models.Truststore{ID: models.NewID[models.TruststoreID](), Name: "ras", Certificates: [][]byte{plant.cert.Raw}})
	})
	tx := transaction()
	if _, err := w.bySignature(tx, plant.ra(t), plant.cert); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("an RA is answered with %v where none is trusted", err)
	}
	w.rules(models.CMPRules{RATruststore: "ras"})
	if _, err := w.bySignature(tx, stranger.ra(t), stranger.cert); models.KindOf(err) != models.KindUnauthenticated || cmp.FailInfoOf(err) != cmp.FailSignerNotTrusted {
		t.Errorf("an RA that nobody trusts is answered with %v", err)
	}
	who, err := w.bySignature(tx, plant.ra(t), plant.cert)
	check(t, err)
	if !who.RA {
		t.Error("the RA is none")
	}
	d := &models.Device{ID: models.NewID[models.DeviceID](), Name: "press-01", DomainID: w.domain.ID, State: models.DeviceRegistered, Method: models.CMPRA, Epoch: 1}
	w.write(func(tx *store.Tx) error { return tx.InsertDevice(d) })
	w.secretDevice("press-02")
	named := func(name string) cmp.Enrollment {
		return cmp.Enrollment{Transaction: transaction(), Sender: who, Proof: cmp.ProofByRA, Implicit: true,
			Request: w.template(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}})}
	}
	for name, kind := range map[string]models.Kind{"press-02": models.KindDenied, "nobody": models.KindNotFound, "": models.KindNotFound} {
		if _, err := w.ask(named(name)); models.KindOf(err) != kind || err == nil {
			t.Errorf("an ir for %q is answered with %v", name, err)
		}
	}
	in := named("press-01")
	_, err = w.ask(in)
	check(t, err)
	check(t, w.play(w.requestOf(in.Request)))
	cr := named("press-01")
	cr.Operation, cr.Label = cmp.OpCert, cmp.Label{Domain: "press-shop", Profile: "tls_client"}
	out, err := w.ask(cr)
	if err != nil || out.Certificate == nil || out.Certificate.Subject.CommonName != "press-01" {
		t.Fatalf("a cr for the onboarded device is answered with %+v, %v", out, err)
	}
	credential := w.onboardedByCMP("press-03")
	device, err := w.bySignature(transaction(), credential)
	check(t, err)
	said := cmp.Enrollment{Label: cr.Label, Operation: cmp.OpCert, Transaction: transaction(), Sender: device, Proof: cmp.ProofByRA, Request: w.template(nil, nil)}
	if _, err := w.ask(said); models.KindOf(err) != models.KindDenied {
		t.Errorf("raVerified by a device is answered with %v", err)
	}
}

func TestCMPRevokes(t *testing.T) {
	w := newCMPWorld(t)
	credential, other := w.onboardedByCMP("press-01"), w.onboardedByCMP("press-02")
	id := func(cert *x509.Certificate) cmp.CertID {
		return cmp.CertID{Issuer: cert.RawIssuer, Serial: cert.SerialNumber.Bytes()}
	}
	application := func() *x509.Certificate {
		who, err := w.bySignature(transaction(), credential)
		check(t, err)
		out, err := w.ask(cmp.Enrollment{Label: cmp.Label{Domain: "press-shop", Profile: "tls_client"}, Operation: cmp.OpCert, Transaction: transaction(), Sender: who, Request: w.template(nil, nil), Implicit: true})
		check(t, err)
		return out.Certificate
	}
	revoke := func(tx cmp.Transaction, signer *x509.Certificate, cert cmp.CertID, reason int) error {
		who, err := w.bySignature(tx, signer)
		if err != nil {
			return err
		}
		return w.cmp.Revoke(context.Background(), &cmp.Revocation{Label: w.label, Sender: who, Cert: cert, Reason: reason, Transaction: tx})
	}
	for reason, code := range models.RevocationReasons {
		cert := application()
		check(t, revoke(transaction(), credential, id(cert), code))
		if row := w.rowOf(cert); row.State != models.CertificateRevoked || row.RevokedReason != reason {
			t.Errorf("reason %d: the certificate is %s (%s)", code, row.State, row.RevokedReason)
		}
	}
	if w.promised(models.OutboxPublish) == 0 {
		t.Error("no CRL is promised")
	}
	cert, tx := application(), transaction()
	for name, tt := range map[string]struct {
		signer *x509.Certificate
		cert   cmp.CertID
		reason int
		kind   models.Kind
	}{
		"a certificate of another device":                     {other, id(cert), 4, models.KindDenied},
		"a certificate that is not there":                     {credential, cmp.CertID{Issuer: cert.RawIssuer, Serial: []byte{1, 2, 3}}, 4, models.KindDenied},
		"the certificate of another issuer":                   {credential, cmp.CertID{Issuer: w.ca.CertificateDER, Serial: cert.SerialNumber.Bytes()}, 4, models.KindDenied},
		"an unknown reason":                                   {credential, id(cert), 7, models.KindInvalid},
		"the end of a hold":                                   {credential, id(cert), 8, models.KindDenied},
		"the domain credential by an application certificate": {cert, id(credential), 4, models.KindDenied},
	} {
		before := w.rows()
		if err := revoke(transaction(), tt.signer, tt.cert, tt.reason); err == nil || models.KindOf(err) != tt.kind {
			t.Errorf("%s: the answer is %v", name, err)
		}
		if after := w.rows(); after != before {
			t.Errorf("%s: the refusal changed the rows from %v to %v", name, before, after)
		}
	}
	check(t, revoke(tx, cert, id(cert), 1)) // by itself
	check(t, revoke(tx, cert, id(cert), 1)) // whose answer was lost
	if err := revoke(transaction(), cert, id(cert), 1); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("the revoked certificate is answered with %v", err)
	}
	if err := revoke(tx, credential, id(credential), 1); models.KindOf(err) != models.KindConflict {
		t.Errorf("another revocation in the same transaction is answered with %v", err)
	}
	if err := revoke(transaction(), credential, id(cert), 1); models.KindOf(err) != models.KindConflict || cmp.FailInfoOf(err) != cmp.FailCertRevoked {
		t.Errorf("the second revocation is answered with %v", err)
	}
}

func TestCMPProtectionCertificates(t *testing.T) {
	w := newCMPWorld(t)
	first, err := w.cmp.Protector(context.Background(), w.label)
	check(t, err)
	leaf := first.Chain[0]
	if len(first.Chain) != 3 || leaf.CheckSignatureFrom(first.Chain[1]) != nil || leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.UnknownExtKeyUsage) != 2 {
		t.Errorf("the protection certificate is %v, %v", leaf.Subject, leaf.UnknownExtKeyUsage)
	}
	same, err := w.cmp.Protector(context.Background(), w.label)
	if err != nil || !same.Chain[0].Equal(leaf) {
		t.Errorf("a second one was made (%v)", err)
	}
	w.now = w.now.Add(61 * 24 * time.Hour)
	renewed, err := w.cmp.Protector(context.Background(), w.label)
	if err != nil || renewed.Chain[0].Equal(leaf) {
		t.Errorf("it is not renewed when a third of its time is left (%v)", err)
	}
	w.revoke(renewed.Chain[0], "keyCompromise")
	w.now = w.now.Add(time.Minute)
	next, err := w.cmp.Protector(context.Background(), w.label)
	if err != nil || next.Chain[0].Equal(renewed.Chain[0]) {
		t.Errorf("it is not replaced when it is revoked (%v)", err)
	}
	if _, err := w.bySignature(transaction(), next.Chain[0]); models.KindOf(err) != models.KindDenied {
		t.Errorf("the server's own certificate as that of a device is answered with %v", err)
	}
}

func TestCMPSupportMessages(t *testing.T) {
	w, ctx := newCMPWorld(t), context.Background()
	certs, err := w.cmp.CACerts(ctx, w.label)
	if err != nil || len(certs) != 2 {
		t.Fatalf("%d CA certificates, %v", len(certs), err)
	}
	if update, err := w.cmp.RootUpdate(ctx, w.label, certs[1]); update != nil || err != nil {
		t.Errorf("the present root is replaced by %v (%v)", update, err)
	}
	advice, err := w.cmp.Template(ctx, cmp.Label{Domain: "press-shop", Profile: "tls_server"})
	if err != nil || advice == nil {
		t.Errorf("no advice is given (%v)", err)
	}
	if _, err := w.cmp.Template(ctx, cmp.Label{Domain: "press-shop", Profile: "none"}); models.KindOf(err) != models.KindNotFound {
		t.Errorf("the template of no profile is answered with %v", err)
	}
	w.domain.Operations.Open = nil
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
	if _, err := w.cmp.CACerts(ctx, w.label); models.KindOf(err) != models.KindNotFound || cmp.FailInfoOf(err) != cmp.FailNotAuthorized {
		t.Errorf("genm that is switched off is answered with %v", err)
	}
	if _, err := w.cmp.Protector(ctx, cmp.Label{}); models.KindOf(err) != models.KindNotFound || cmp.FailInfoOf(err) != cmp.FailBadRequest {
		t.Errorf("a path without a domain is answered with %v", err)
	}
}
