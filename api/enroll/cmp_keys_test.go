// SPDX-License-Identifier: MIT

package enroll_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// keyWorld is a cmpWorld whose domain has keys made by the server.
func keyWorld(t *testing.T) *cmpWorld {
	t.Helper()
	w := newCMPWorld(t)
	w.cmp = enroll.NewCMP(enroll.CMPConfig{Door: w.door, Confirmations: w.acts.Confirmations, Protectors: w.acts.Protectors, Sealer: w.sealer,
		Deliveries: enroll.NewDeliveries(enroll.DeliveryConfig{Door: w.door, Sealer: w.sealer})})
	w.domain.Operations = &models.DomainDoors{Open: models.DeviceOperations}
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
	return w
}

// TestAKeyComesThroughTheDoor asks as a device would, and opens with OpenSSL
// what it gets.
func TestAKeyComesThroughTheDoor(t *testing.T) {
	d := cmpDoorOf(t, keyWorld(t))
	device := d.onboards("press-01")
	template := cmp.Template{Subject: d.csr(nil, nil).Request.RawSubject}
	m := &cmp.Message{Header: cmp.Header{Version: cmp.Version3, Sender: cmp.DirectoryName(device.cert.RawSubject), Recipient: cmp.NullDN,
		SenderKID: device.cert.SubjectKeyId, TransactionID: transaction().ID, SenderNonce: transaction().ID,
		ProtectionAlg: &cmp.Algorithm{OID: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}},
		Body: cmp.Body{Type: cmp.BodyCR, Requests: []cmp.CertReqMsg{{Request: cmp.CertRequest{Template: template}}}}, ExtraCerts: [][]byte{device.cert.Raw}}
	part, err := m.ProtectedPart()
	check(t, err)
	digest := sha256.Sum256(part)
	m.Protection, err = ecdsa.SignASN1(rand.Reader, device.key, digest[:])
	check(t, err)
	encoded, err := m.Marshal()
	check(t, err)
	got, err := http.Post(d.url+"/.well-known/cmp/p/press-shop/tls_client", cmp.ContentType, bytes.NewReader(encoded))
	check(t, err)
	body, err := io.ReadAll(got.Body)
	check(t, err)
	check(t, got.Body.Close())
	answer, err := cmp.ParseMessage(body)
	check(t, err)
	if answer.Body.Type != cmp.BodyCP || answer.Body.Replies.Responses[0].KeyPair == nil {
		t.Fatalf("the answer is %s %+v %+v", answer.Body.Type, answer.Body.Error, answer.Body.Replies)
	}
	pair := answer.Body.Replies.Responses[0].KeyPair
	cert, err := x509.ParseCertificate(pair.Certificate)
	check(t, err)
	if !holdsKeyOf(cert, opened(t, device, pair.PrivateKey.EnvelopedData)) {
		t.Error("the key of the certificate is not in the answer")
	}
}

// opened decrypts an EnvelopedData with OpenSSL.
func opened(t *testing.T, to holder, enveloped []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		check(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	key, err := x509.MarshalPKCS8PrivateKey(to.key)
	check(t, err)
	message, err := asn1.Marshal(struct {
		OID     asn1.ObjectIdentifier
		Content asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: enveloped}})
	check(t, err)
	write("message", message)
	write("cert", pki.EncodePEM(to.cert))
	write("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	command := exec.Command("openssl", "cms", "-decrypt", "-inform", "DER", "-in", "message", "-recip", "cert", "-inkey", "key", "-binary")
	command.Dir = dir
	out, err := command.Output()
	check(t, err)
	return out
}

// holdsKeyOf finds the PKCS #8 key of a certificate in a signed package.
func holdsKeyOf(cert *x509.Certificate, signed []byte) bool {
	for i := range signed {
		var raw asn1.RawValue
		if _, err := asn1.Unmarshal(signed[i:], &raw); err != nil || raw.Tag != asn1.TagSequence {
			continue
		}
		if key, err := x509.ParsePKCS8PrivateKey(raw.FullBytes); err == nil && pki.KeyBelongs(key, cert) {
			return true
		}
	}
	return false
}
