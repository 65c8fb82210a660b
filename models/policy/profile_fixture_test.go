// SPDX-License-Identifier: MIT

package policy_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

var (
	today = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	press = policy.Subject{
		Device: models.Device{Name: "press-01", SerialNumber: "4711"},
		Domain: models.Domain{Name: "press-shop"},
	}
	nameless = policy.Subject{Device: models.Device{Name: "press_02"}, Domain: press.Domain}
)

func parseText(document string) (*policy.Profile, error) {
	return policy.ParseProfile([]byte(document))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The keys of the tests, made once.
var (
	ecKey  = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	rsaKey = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	edKey  = sync.OnceValue(func() crypto.Signer { _, key, err := ed25519.GenerateKey(rand.Reader); return must(key, err) })
)

// request is what a device asks for; the zero value asks for nothing.
type request struct {
	subject      pkix.Name
	attributes   []pkix.AttributeTypeAndValue
	dns          []string
	ips          []string
	uris         []string
	emails       []string
	keyUsage     byte // first octet of the BIT STRING
	extKeyUsages []asn1.ObjectIdentifier
	extensions   []pkix.Extension
	key          crypto.Signer
}

func (r request) csr(t testing.TB) *pki.CSR {
	t.Helper()
	template := &x509.CertificateRequest{Subject: r.subject, DNSNames: r.dns, EmailAddresses: r.emails, ExtraExtensions: r.extensions}
	template.Subject.ExtraNames = r.attributes
	for _, ip := range r.ips {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	for _, uri := range r.uris {
		template.URIs = append(template.URIs, must(url.Parse(uri)))
	}
	if r.keyUsage != 0 {
		bits := asn1.BitString{Bytes: []byte{r.keyUsage}, BitLength: 8}
		for bits.At(bits.BitLength-1) == 0 {
			bits.BitLength--
		}
		template.ExtraExtensions = append(template.ExtraExtensions, extension("2.5.29.15", bits))
	}
	if r.extKeyUsages != nil {
		template.ExtraExtensions = append(template.ExtraExtensions, extension("2.5.29.37", r.extKeyUsages))
	}
	if r.key == nil {
		r.key = ecKey()
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, r.key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.ParseCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func extension(dotted string, value any) pkix.Extension {
	return pkix.Extension{Id: oid(dotted), Value: must(asn1.Marshal(value))}
}

func oid(dotted string) asn1.ObjectIdentifier {
	parsed := must(x509.ParseOID(dotted))
	var plain asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagOID, Bytes: must(parsed.MarshalBinary())})), &plain); err != nil {
		panic(err)
	}
	return plain
}

var (
	serverAuth  = oid("1.3.6.1.5.5.7.3.1")
	clientAuth  = oid("1.3.6.1.5.5.7.3.2")
	codeSigning = oid("1.3.6.1.5.5.7.3.3")
	ocspSigning = oid("1.3.6.1.5.5.7.3.9")
	cmcRA       = oid("1.3.6.1.5.5.7.3.28")
)

// summary is a template in the form that tests compare.
type summary struct {
	Subject     string
	SANs        []string
	KeyUsage    x509.KeyUsage
	ExtKeyUsage []x509.ExtKeyUsage
	Unknown     []string
}

func summarize(t testing.TB, template *x509.Certificate) summary {
	t.Helper()
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(template.RawSubject, &rdns); err != nil || len(rest) > 0 {
		t.Fatalf("RawSubject: %v", err)
	}
	s := summary{Subject: rdns.String(), SANs: pki.SANs(template), KeyUsage: template.KeyUsage, ExtKeyUsage: template.ExtKeyUsage}
	for _, unknown := range template.UnknownExtKeyUsage {
		s.Unknown = append(s.Unknown, unknown.String())
	}
	return s
}

// issuer returns a CA to build certificates under.
var issuer = sync.OnceValue(func() pki.Issuer { return newIssuer(elliptic.P256()) })

func newIssuer(curve elliptic.Curve) pki.Issuer {
	template := &x509.Certificate{
		SerialNumber: pki.NewSerial(), Subject: pkix.Name{CommonName: "Plant Issuing", Organization: []string{"Plant"}, Country: []string{"DE"}},
		NotBefore: today.AddDate(-1, 0, 0), NotAfter: today.AddDate(10, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3, 4},
	}
	key := must(ecdsa.GenerateKey(curve, rand.Reader))
	return pki.Issuer{Certificate: must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))}
}

var builder = pki.NewBuilder()

// build completes the template as the issuer does, and lints it.
func build(t testing.TB, template *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	t.Helper()
	return buildUnder(t, nil, template, pub)
}

// buildUnder is build with the URLs of a profile.
func buildUnder(t testing.TB, p *policy.Profile, template *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = pki.NewSerial()
	if err := p.Locate(template, "http://pki.example", policy.Subject{Device: press.Device, Domain: press.Domain, IssuerKeyID: "01"}); err != nil {
		t.Fatal(err)
	}
	tbs, err := builder.BuildTBS(template, pub, issuer())
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return readBack(t, tbs.DER, x509.ECDSAWithSHA256)
}

// readBack parses a certificate around to-be-signed bytes; nobody verifies it.
func readBack(t testing.TB, tbs []byte, by x509.SignatureAlgorithm) *x509.Certificate {
	t.Helper()
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oid(map[x509.SignatureAlgorithm]string{
		x509.ECDSAWithSHA256: "1.2.840.10045.4.3.2", x509.ECDSAWithSHA384: "1.2.840.10045.4.3.3", x509.ECDSAWithSHA512: "1.2.840.10045.4.3.4",
	}[by])}
	der := must(asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: []byte{0}, BitLength: 8}}))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parse what was built: %v", err)
	}
	return cert
}
