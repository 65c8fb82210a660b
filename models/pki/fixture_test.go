// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day   = 24 * time.Hour
)

// slow is when a refusal counts as too expensive: five times what is asked
// for, because machines that run tests are busy with other things, too.
const slow = time.Second

// builder is shared: it is safe for concurrent use, which -race then checks.
var builder = pki.NewBuilder()

var (
	rsa2048 = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsa4096 = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 4096)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newKey returns a fresh key; RSA keys are made once, because that is slow.
func newKey(algorithm models.KeyAlgorithm) crypto.Signer {
	switch algorithm {
	case models.ECP256:
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	case models.ECP384:
		return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	case models.ECP521:
		return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	case models.RSA2048:
		return rsa2048()
	case models.RSA4096:
		return rsa4096()
	case models.Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	}
	panic("no such algorithm: " + algorithm)
}

// authority is a CA of a test.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (a authority) issuer() pki.Issuer { return pki.Issuer{Certificate: a.cert} }

func caTemplate(t testing.TB, name string, years int) *x509.Certificate {
	t.Helper()
	subject, err := pki.MarshalName(models.Name{CommonName: name, Organization: "Plant", Country: "DE"})
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: pki.NewSerial(), NotBefore: start, NotAfter: start.AddDate(years, 0, 0), RawSubject: subject,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func leafTemplate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	subject, err := pki.MarshalName(models.Name{CommonName: name, SerialNumber: "4711"})
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: pki.NewSerial(), NotBefore: start, NotAfter: start.Add(90 * day), RawSubject: subject,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		CRLDistributionPoints: []string{"http://127.0.0.1:8080/crl/00.crl"},
	}
}

func issue(t testing.TB, template *x509.Certificate, pub crypto.PublicKey, by authority) *x509.Certificate {
	t.Helper()
	tbs, err := builder.BuildTBS(template, pub, by.issuer())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := pki.SignTBS(tbs.DER, by.cert, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return must(x509.ParseCertificate(signed))
}

func newRoot(t testing.TB, algorithm models.KeyAlgorithm) authority {
	t.Helper()
	key := newKey(algorithm)
	return authority{issue(t, caTemplate(t, "Plant Root", 20), key.Public(), authority{key: key}), key}
}

func newSubCA(t testing.TB, name string, above authority) authority {
	t.Helper()
	key := newKey(models.ECP256)
	return authority{issue(t, caTemplate(t, name, 10), key.Public(), above), key}
}

// handmade builds requests that no library would: every part is given as DER.
type handmade struct {
	version    int64
	subject    []byte
	spki       []byte
	attributes []byte // contents of [0]
	algorithm  []byte
	signature  []byte
	key        crypto.Signer
}

// newHandmade returns an honest request, to be spoilt in one place.
func newHandmade() handmade {
	key := newKey(models.ECP256)
	return handmade{
		subject:   must(pki.MarshalName(models.Name{CommonName: "press-01"})),
		spki:      must(x509.MarshalPKIXPublicKey(key.Public())),
		algorithm: []byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02},
		key:       key,
	}
}

func (h handmade) der() []byte {
	var info, b cryptobyte.Builder
	info.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(h.version)
		b.AddBytes(h.subject)
		b.AddBytes(h.spki)
		b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(h.attributes) })
	})
	signed := info.BytesOrPanic()
	if h.signature == nil {
		digest := sha256.Sum256(signed)
		h.signature = must(h.key.Sign(rand.Reader, digest[:], crypto.SHA256))
	}
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		b.AddBytes(h.algorithm)
		b.AddASN1BitString(h.signature)
	})
	return b.BytesOrPanic()
}

func attribute(oid asn1.ObjectIdentifier, values ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
			for _, v := range values {
				b.AddBytes(v)
			}
		})
	})
	return b.BytesOrPanic()
}

var (
	oidExtensionRequest  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	oidSAN               = asn1.ObjectIdentifier{2, 5, 29, 17}
)

func extensionRequest(extensions ...pkix.Extension) []byte {
	return attribute(oidExtensionRequest, must(asn1.Marshal(extensions)))
}

// sanExtension encodes general names given as tag number and contents.
func sanExtension(names ...asn1.RawValue) pkix.Extension {
	return pkix.Extension{Id: oidSAN, Value: must(asn1.Marshal(names))}
}

func generalName(tag int, contents string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(contents)}
}

func dnsName(name string) asn1.RawValue { return generalName(2, name) }

// subject encodes one attribute per RDN, with the given string tag.
func subject(oid asn1.ObjectIdentifier, tag int, values ...string) []byte {
	var rdns pkix.RDNSequence
	for _, v := range values {
		rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(v)}}})
	}
	return must(asn1.Marshal(rdns))
}

var oidCN = asn1.ObjectIdentifier{2, 5, 4, 3}

func commonName(value string) []byte { return subject(oidCN, asn1.TagUTF8String, value) }

// wantError fails the test unless err has the kind and its public text says so.
func wantError(t *testing.T, err error, kind models.Kind, says string) {
	t.Helper()
	if err == nil {
		t.Fatal("it is accepted")
	}
	if models.KindOf(err) != kind {
		t.Fatalf("kind %s: %v", models.KindOf(err), err)
	}
	if kind != models.KindInternal && !strings.Contains(models.PublicText(err), says) {
		t.Fatalf("the caller is told %q, want something about %q", models.PublicText(err), says)
	}
	if kind == models.KindInternal && !strings.Contains(err.Error(), says) {
		t.Fatalf("the log says %q, want something about %q", err, says)
	}
}
