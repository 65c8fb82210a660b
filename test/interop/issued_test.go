// SPDX-License-Identifier: MIT

// Package interop lets other implementations judge what we issue: OpenSSL,
// GnuTLS, and for ML-DSA, which those of today's distributions cannot read, the
// Go library of Cloudflare.
package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mldsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

func rsaKey(bits int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
}

func ecKey(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
}

func mldsaKey(parameters mldsa.Parameters) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return mldsa.GenerateKey(parameters) }
}

// classic are the algorithms that OpenSSL and GnuTLS verify.
var classic = map[models.KeyAlgorithm]func() (crypto.Signer, error){
	models.RSA2048: rsaKey(2048), models.RSA3072: rsaKey(3072), models.RSA4096: rsaKey(4096),
	models.ECP256: ecKey(elliptic.P256()), models.ECP384: ecKey(elliptic.P384()), models.ECP521: ecKey(elliptic.P521()),
	models.Ed25519: func() (crypto.Signer, error) { _, key, err := ed25519.GenerateKey(rand.Reader); return key, err },
}

// quantum are the algorithms of FIPS 204.
var quantum = map[models.KeyAlgorithm]func() (crypto.Signer, error){
	models.MLDSA44: mldsaKey(mldsa.MLDSA44()), models.MLDSA65: mldsaKey(mldsa.MLDSA65()), models.MLDSA87: mldsaKey(mldsa.MLDSA87()),
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var builder = sync.OnceValue(pki.NewBuilder)

// authority is a CA with its certificate.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// sign issues what a template says, as the server does: linted bytes, then the
// signature over exactly those. A nil issuer signs itself.
func sign(t testing.TB, template *x509.Certificate, pub crypto.PublicKey, issuer *authority, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template.SerialNumber = pki.NewSerial()
	by := pki.Issuer{}
	if issuer != nil {
		by.Certificate, key = issuer.certificate, issuer.key
		template.CRLDistributionPoints = []string{"http://pki.example/crl/1.crl"}
		template.IssuingCertificateURL = []string{"http://pki.example/ca/1.cer"}
	}
	tbs := must[*pki.TBS](t)(builder().BuildTBS(template, pub, by))
	der := must[[]byte](t)(pki.SignTBS(tbs.DER, by.Certificate, key))
	return must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

func newAuthority(t testing.TB, name string, newKey func() (crypto.Signer, error), issuer *authority) *authority {
	t.Helper()
	key := must[crypto.Signer](t)(newKey())
	now, years := time.Now().Truncate(time.Second), 2
	if issuer == nil {
		years = 3
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(years, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return &authority{sign(t, template, key.Public(), issuer, key), key}
}

// device is who the certificates are for.
var device = policy.Subject{
	Device: models.Device{Name: "press-01", SerialNumber: "4711"}, Domain: models.Domain{Name: "press-shop"},
}

// issue issues a certificate of a shipped profile for a key.
func issue(t testing.TB, profile string, key crypto.Signer, ca *authority) *x509.Certificate {
	t.Helper()
	application := must[*url.URL](t)(url.Parse("urn:press-01:plc"))
	request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "press-01"}, DNSNames: []string{"press-01"}, URIs: []*url.URL{application}}
	csr := must[*pki.CSR](t)(pki.ParseCSR(must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, request, key))))
	rules := must[*policy.Profile](t)(policy.ParseProfile(policy.Shipped()[profile]))
	template, _, err := rules.Template(csr, device, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = template.NotBefore.Truncate(time.Second), template.NotAfter.Truncate(time.Second)
	if template.NotBefore.Before(ca.certificate.NotBefore) {
		template.NotBefore = ca.certificate.NotBefore
	}
	return sign(t, template, csr.Request.PublicKey, ca, nil)
}

// TestIssuedCertificates issues a certificate of every shipped profile for
// every algorithm, under CAs of the same one, and lets OpenSSL and GnuTLS
// validate the path.
func TestIssuedCertificates(t *testing.T) {
	for algorithm, newKey := range classic {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			root := newAuthority(t, "Root "+string(algorithm), newKey, nil)
			issuing := newAuthority(t, "Issuing "+string(algorithm), newKey, root)
			key := must[crypto.Signer](t)(newKey())
			for _, profile := range slices.Sorted(maps.Keys(policy.Shipped())) {
				t.Run(profile, func(t *testing.T) {
					judge(t, issue(t, profile, key, issuing), key, issuing.certificate, root.certificate)
				})
			}
		})
	}
}

// judge asks OpenSSL and GnuTLS about a path, and OpenSSL about the PKCS #12
// file that it is put into with its key.
func judge(t *testing.T, leaf *x509.Certificate, key crypto.Signer, issuing, root *x509.Certificate) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("leaf.pem", pki.EncodePEM(leaf))
	write("issuing.pem", pki.EncodePEM(issuing))
	write("root.pem", pki.EncodePEM(root))
	write("path.pem", pki.EncodePEM(leaf, issuing, root))
	write("both.p12", must[[]byte](t)(pki.EncodePKCS12(key, leaf, []*x509.Certificate{issuing, root}, "a password")))
	for _, command := range []string{
		"openssl x509 -in leaf.pem -noout -text",
		"openssl verify -x509_strict -CAfile root.pem -untrusted issuing.pem leaf.pem",
		"openssl pkcs12 -in both.p12 -passin pass:a\u00a0password -noenc -info",
		"certtool --verify --verify-profile=medium --load-ca-certificate root.pem --infile path.pem",
		"certtool --certificate-info --infile leaf.pem",
	} {
		args := strings.Fields(strings.ReplaceAll(command, "\u00a0", "\x00"))
		for n := range args {
			args[n] = strings.ReplaceAll(args[n], "\x00", " ")
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "Not verified") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// verifiers are the second implementation of ML-DSA: public key, message,
// signature.
var verifiers = map[models.KeyAlgorithm]func(pub, message, signature []byte) bool{
	models.MLDSA44: func(pub, message, signature []byte) bool {
		var key mldsa44.PublicKey
		return key.UnmarshalBinary(pub) == nil && mldsa44.Verify(&key, message, nil, signature)
	},
	models.MLDSA65: func(pub, message, signature []byte) bool {
		var key mldsa65.PublicKey
		return key.UnmarshalBinary(pub) == nil && mldsa65.Verify(&key, message, nil, signature)
	},
	models.MLDSA87: func(pub, message, signature []byte) bool {
		var key mldsa87.PublicKey
		return key.UnmarshalBinary(pub) == nil && mldsa87.Verify(&key, message, nil, signature)
	},
}

// TestIssuedMLDSA issues certificates of every shipped profile for ML-DSA keys
// under ML-DSA CAs; Go and a second implementation verify each signature, that
// of the request included.
func TestIssuedMLDSA(t *testing.T) {
	for algorithm, newKey := range quantum {
		t.Run(string(algorithm), func(t *testing.T) {
			root := newAuthority(t, "Root "+string(algorithm), newKey, nil)
			issuing := newAuthority(t, "Issuing "+string(algorithm), newKey, root)
			key := must[crypto.Signer](t)(newKey())
			anchors, between := x509.NewCertPool(), x509.NewCertPool()
			anchors.AddCert(root.certificate)
			between.AddCert(issuing.certificate)
			for _, profile := range slices.Sorted(maps.Keys(policy.Shipped())) {
				leaf := issue(t, profile, key, issuing)
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: anchors, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
					t.Errorf("%s: Go: %v", profile, err)
				}
				for issuer, signed := range map[*x509.Certificate]*x509.Certificate{issuing.certificate: leaf, root.certificate: issuing.certificate} {
					public := issuer.PublicKey.(*mldsa.PublicKey).Bytes()
					if !verifiers[algorithm](public, signed.RawTBSCertificate, signed.Signature) {
						t.Errorf("%s: circl does not verify the signature of %s", profile, issuer.Subject)
					}
					broken := slices.Clone(signed.RawTBSCertificate)
					broken[len(broken)-1] ^= 1
					if verifiers[algorithm](public, broken, signed.Signature) {
						t.Errorf("%s: circl verifies whatever it is given", profile)
					}
				}
			}
		})
	}
}
