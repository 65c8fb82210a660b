// SPDX-License-Identifier: MIT

package enroll_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// keygen is a depot whose domain has keys made by the server.
func keygen(t *testing.T, s *store.Store) *depot {
	t.Helper()
	d := depotIn(t, s)
	sealer, err := hsm.NewSealer(make([]byte, 32))
	check(t, err)
	signer := newManufacturer(t, "signer")
	d.deliveries = enroll.NewDeliveries(enroll.DeliveryConfig{Door: d.door, Sealer: sealer,
		Signer: func() (crypto.Signer, *x509.Certificate, error) { return signer.key, signer.cert, nil }})
	d.est.Delivering(d.deliveries)
	d.doors(models.DomainDoors{Open: models.DeviceOperations})
	return d
}

func (d *depot) generate(profile string, csr *pki.CSR, peer est.Peer) (est.KeyResult, error) {
	return d.est.ServerKeyGen(context.Background(), est.Label{Domain: d.domain.Name, Profile: profile}, csr, peer)
}

// wishing makes a CSR with one more attribute.
func (d *depot) wishing(oid asn1.ObjectIdentifier, value any) *pki.CSR {
	d.t.Helper()
	key := newKey(d.t)
	return d.attributed(key, d.csr(key, nil), oid, value)
}

func (d *depot) attributed(key *ecdsa.PrivateKey, plain *pki.CSR, oid asn1.ObjectIdentifier, value any) *pki.CSR {
	d.t.Helper()
	marshal := func(v any) []byte {
		out, err := asn1.Marshal(v)
		check(d.t, err)
		return out
	}
	var info struct {
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0,set"`
	}
	_, err := asn1.Unmarshal(plain.Request.RawTBSCertificateRequest, &info)
	check(d.t, err)
	info.Attributes = append(info.Attributes, asn1.RawValue{FullBytes: marshal(struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}{oid, []asn1.RawValue{{FullBytes: marshal(value)}}})})
	tbs := marshal(info)
	digest := sha256.Sum256(tbs)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	check(d.t, err)
	csr, err := pki.ParseCSR(marshal(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}}))
	check(d.t, err)
	return csr
}

var (
	symmetricID  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 37}
	asymmetricID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 54}
	capabilities = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
)

// capability is one of SMIMECapabilities.
type capability struct{ OID asn1.ObjectIdentifier }

func TestTheServerMakesAKeyOnce(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		d := keygen(t, s)
		_, credential := d.onboarded("press-01")
		_, other := d.onboarded("press-02")
		csr := d.csr(nil, &x509.CertificateRequest{})
		got, err := d.generate("tls_server", csr, with(credential))
		check(t, err)
		key, err := x509.ParsePKCS8PrivateKey(got.Key)
		check(t, err)
		if cert := got.Certificates[0]; !pki.KeyBelongs(key, cert) || cert.Subject.CommonName != "press-01" || got.Enveloped {
			t.Errorf("the certificate is %v for %v", cert.Subject, cert.DNSNames)
		}
		if csr.Request.PublicKey.(*ecdsa.PublicKey).Equal(got.Certificates[0].PublicKey) {
			t.Error("the key of the request was certified")
		}
		// E14
		_, err = d.generate("tls_server", csr, with(credential))
		says(t, err, models.KindConflict, "delivered already")
		theirs, err := d.generate("tls_server", csr, with(other))
		check(t, err)
		if bytes.Equal(theirs.Key, got.Key) {
			t.Error("another device got the same key")
		}
		rows, _, err := d.store.ListDeliveries(t.Context(), store.DeliveryFilter{})
		check(t, err)
		for i := range rows {
			d.keyGone(&rows[i])
		}
	})
}

func TestAServerMadeKeyWaitsWithItsRequest(t *testing.T) {
	d := keygen(t, fixture.Open(t, fixture.SQLite(t)))
	d.device("press-01")
	csr := d.csr(nil, nil)
	for range 2 { // asked again it is the same request
		got, err := d.generate("", csr, secretOf("press-01"))
		check(t, err)
		if !got.Pending() || len(got.Key) != 0 {
			t.Fatalf("without its story the answer is %+v", got)
		}
	}
	requests := d.requests()
	if len(requests) != 1 {
		t.Fatalf("%d requests, want 1", len(requests))
	}
	_, err := d.generate("", d.csr(nil, nil), secretOf("press-01"))
	says(t, err, models.KindUnauthenticated, "used before")
	check(t, d.play(&requests[0]))
	got, err := d.generate("", csr, secretOf("press-01"))
	check(t, err)
	key, err := x509.ParsePKCS8PrivateKey(got.Key)
	check(t, err)
	if !pki.KeyBelongs(key, got.Certificates[0]) || d.deviceNamed("press-01").State != models.DeviceOnboarded {
		t.Error("the device is not onboarded with the key")
	}
	_, err = d.generate("", csr, secretOf("press-01"))
	says(t, err, models.KindConflict, "delivered already")
}

// E13
func TestKeysAreEncryptedAsAsked(t *testing.T) {
	d := keygen(t, fixture.Open(t, fixture.SQLite(t)))
	_, credential := d.onboarded("press-01")
	_, other := d.onboarded("press-02")
	d.device("press-03")
	got, err := d.generate("tls_server", d.wishing(asymmetricID, credential.SubjectKeyId), with(credential))
	check(t, err)
	if !got.Enveloped {
		t.Error("the key is not encrypted")
	}
	if _, err := x509.ParsePKCS8PrivateKey(got.Key); err == nil {
		t.Error("the key is in clear")
	}
	key := newKey(t)
	cannot := d.attributed(key, d.wishingWith(key, asymmetricID, credential.SubjectKeyId), capabilities, []capability{{asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}}})
	before := d.rows()
	for name, c := range map[string]struct {
		csr  *pki.CSR
		peer est.Peer
		kind models.Kind
		says string
	}{
		"to the key of another device":          {d.wishing(asymmetricID, other.SubjectKeyId), with(credential), models.KindDenied, "encrypted to nobody else"},
		"to a key that nobody has":              {d.wishing(asymmetricID, []byte{1}), with(credential), models.KindDenied, "encrypted to nobody else"},
		"to a key, with a password as proof":    {d.wishing(asymmetricID, []byte{1}), secretOf("press-03"), models.KindDenied, "password authenticated"},
		"to another's certificate, by password": {d.wishing(asymmetricID, other.SubjectKeyId), est.Peer{Username: "press-03", Password: "secret of press-03", HasBasic: true, Certificates: []*x509.Certificate{other}}, models.KindDenied, "password authenticated"},
		"with a secret that nobody shares":      {d.wishing(symmetricID, []byte("shared")), with(credential), models.KindInvalid, "no secret shared"},
		"with a cipher that is not ours":        {cannot, with(credential), models.KindInvalid, "AES-256-CBC"},
		"in words that cannot be understood":    {d.wishing(asymmetricID, "text"), with(credential), models.KindInvalid, "malformed"},
		"to a key without a name":               {d.wishing(asymmetricID, []byte{}), with(credential), models.KindInvalid, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := d.generate("tls_server", c.csr, c.peer)
			says(t, err, c.kind, c.says)
			if len(got.Key) != 0 {
				t.Error("there is a key all the same")
			}
		})
	}
	if after := d.rows(); after != before {
		t.Errorf("the refusals changed the rows from %v to %v", before, after)
	}
}

// wishingWith is wishing with a key of the caller's.
func (d *depot) wishingWith(key *ecdsa.PrivateKey, oid asn1.ObjectIdentifier, value any) *pki.CSR {
	d.t.Helper()
	return d.attributed(key, d.csr(key, nil), oid, value)
}

func TestServerKeyGenIsOffUnlessSwitchedOn(t *testing.T) {
	d := keygen(t, fixture.Open(t, fixture.SQLite(t)))
	_, credential := d.onboarded("press-01")
	d.doors(*models.NewDomainDoors())
	_, err := d.generate("tls_server", d.csr(nil, nil), with(credential))
	says(t, err, models.KindNotFound, "switched off")
	_, err = enroll.NewEST(d.door).ServerKeyGen(t.Context(), est.Label{Domain: d.domain.Name}, d.csr(nil, nil), with(credential))
	says(t, err, models.KindNotFound, "not offered")
}

func TestAServerMadeKeyThatNobodyFetchesIsTakenBack(t *testing.T) {
	d := keygen(t, fixture.Open(t, fixture.SQLite(t)))
	d.device("press-01")
	csr := d.csr(nil, nil)
	_, err := d.generate("", csr, secretOf("press-01"))
	check(t, err)
	req := d.requests()[0]
	check(t, d.play(&req))
	row, err := d.store.FindDeliveryByRequest(t.Context(), req.ID)
	check(t, err)
	_, err = d.deliveries.Look(t.Context(), row.ID)
	check(t, err)
	d.now = d.now.Add(2 * time.Hour)
	d.sweep()
	d.keyGone(row)
	if state := d.deviceNamed("press-01").State; state != models.DeviceRegistered {
		t.Errorf("the device is %s", state)
	}
	if _, err := d.generate("", csr, secretOf("press-01")); err == nil {
		t.Error("the spent secret gets another key")
	}
}
