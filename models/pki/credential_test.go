// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// plantFiles writes a root and a CA below it with its key: ca.key, ca.pem,
// root.pem, both.pem.
func plantFiles(t *testing.T, dir string, algorithm models.KeyAlgorithm) (root, ca authority) {
	t.Helper()
	root = newRoot(t, algorithm)
	ca = newSubCA(t, "Plant Issuing", root)
	write(t, dir, "ca.key", keyPEM(t, ca.key))
	write(t, dir, "ca.pem", pki.EncodePEM(ca.cert))
	write(t, dir, "root.pem", pki.EncodePEM(root.cert))
	write(t, dir, "both.pem", pki.EncodePEM(ca.cert, root.cert))
	return root, ca
}

func keyPEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func readFile(t *testing.T, dir, name string) []byte {
	t.Helper()
	return must(os.ReadFile(filepath.Join(dir, name)))
}

const p12Password = "größer 1"

// makers are the tools whose PKCS #12 files have to be read.
var makers = map[string]func(t *testing.T, dir string){
	"OpenSSL": func(t *testing.T, dir string) {
		openssl(t, dir, "pkcs12", "-export", "-inkey", "ca.key", "-in", "both.pem", "-out", "x.p12", "-passout", "pass:"+p12Password)
	},
	"OpenSSL, legacy (RC2-40 and 3DES)": func(t *testing.T, dir string) {
		openssl(t, dir, "pkcs12", "-export", "-legacy", "-inkey", "ca.key", "-in", "both.pem", "-out", "x.p12", "-passout", "pass:"+p12Password)
	},
	"OpenSSL, RC2-128 and 10,000 iterations": func(t *testing.T, dir string) {
		openssl(t, dir, "pkcs12", "-export", "-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-2DES", "-iter", "10000", "-inkey", "ca.key", "-in", "both.pem", "-out", "x.p12", "-passout", "pass:"+p12Password)
	},
	"OpenSSL, SHA-512 and certificates in the clear": func(t *testing.T, dir string) {
		openssl(t, dir, "pkcs12", "-export", "-certpbe", "NONE", "-keypbe", "AES-192-CBC", "-macalg", "sha512", "-inkey", "ca.key", "-in", "both.pem", "-out", "x.p12", "-passout", "pass:"+p12Password)
	},
	"GnuTLS": func(t *testing.T, dir string) {
		tool(t, dir, "certtool", "--to-p12", "--load-privkey", "ca.key", "--load-certificate", "ca.pem", "--load-ca-certificate", "root.pem",
			"--p12-name", "x", "--password", p12Password, "--outder", "--outfile", "x.p12")
	},
	"NSS": func(t *testing.T, dir string) { nss(t, dir) },
	"NSS, legacy (RC2-40 and 3DES)": func(t *testing.T, dir string) {
		nss(t, dir, "-c", "PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC", "-C", "PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC")
	},
}

// nss has NSS write what OpenSSL gave to it.
func nss(t *testing.T, dir string, options ...string) {
	openssl(t, dir, "pkcs12", "-export", "-name", "x", "-inkey", "ca.key", "-in", "both.pem", "-out", "in.p12", "-passout", "pass:"+p12Password)
	db := "sql:" + t.TempDir()
	tool(t, dir, "certutil", "-N", "-d", db, "--empty-password")
	tool(t, dir, "pk12util", "-i", "in.p12", "-d", db, "-W", p12Password)
	tool(t, dir, "pk12util", append([]string{"-o", "x.p12", "-n", "x", "-d", db, "-W", p12Password}, options...)...)
}

func TestThePKCS12OfOthersIsRead(t *testing.T) {
	for name, make := range makers {
		t.Run(name, func(t *testing.T) {
			dir := needOpenSSL(t)
			root, ca := plantFiles(t, dir, models.ECP256)
			make(t, dir)
			file := readFile(t, dir, "x.p12")
			if !pki.IsPKCS12(file) {
				t.Error("it is not recognised")
			}
			got, err := pki.ParsePKCS12(file, p12Password)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Certificate.Equal(ca.cert) || got.Algorithm != models.ECP256 || len(got.Others) != 1 || !got.Others[0].Equal(root.cert) {
				t.Errorf("%v, %d others", got.Certificate.Subject, len(got.Others))
			}
			certificates, err := pki.PKCS12Certificates(file, p12Password, 5)
			if err != nil || len(certificates) != 2 {
				t.Errorf("%d certificates, %v", len(certificates), err)
			}
			_, err = pki.ParsePKCS12(file, "wrong")
			wantError(t, err, models.KindInvalid, "password is wrong")
		})
	}
}

func TestKeysOfEachAlgorithmAreRead(t *testing.T) {
	for _, algorithm := range []models.KeyAlgorithm{models.RSA2048, models.ECP384, models.ECP521, models.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			dir := needOpenSSL(t)
			_, ca := plantFiles(t, dir, algorithm)
			openssl(t, dir, "pkcs12", "-export", "-inkey", "ca.key", "-in", "ca.pem", "-out", "x.p12", "-passout", "pass:")
			if got, err := pki.ParsePKCS12(readFile(t, dir, "x.p12"), ""); err != nil || got.Algorithm != ca.algorithm(t) {
				t.Fatal(err)
			}
			ours := must(pki.EncodePKCS12(ca.key, ca.cert, nil, p12Password))
			if got, err := pki.ParsePKCS12(ours, p12Password); err != nil || !got.Certificate.Equal(ca.cert) {
				t.Fatal(err)
			}
		})
	}
}

func (a authority) algorithm(t *testing.T) models.KeyAlgorithm {
	t.Helper()
	return must(pki.KeyAlgorithmOf(a.key.Public()))
}

func TestPrivateKeysAreReadInEachForm(t *testing.T) {
	dir := needOpenSSL(t)
	forms := map[string][]string{
		"PKCS #8":                           {"pkcs8", "-topk8", "-nocrypt"},
		"PKCS #8 in DER":                    {"pkcs8", "-topk8", "-nocrypt", "-outform", "DER"},
		"encrypted with AES":                {"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:geheim"},
		"encrypted with AES, in DER":        {"pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512", "-passout", "pass:geheim", "-outform", "DER"},
		"encrypted with 3DES":               {"pkcs8", "-topk8", "-v2", "des3", "-passout", "pass:geheim"},
		"encrypted in the way of PKCS #12":  {"pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-passout", "pass:geheim"},
		"PKCS #1 or SEC 1":                  {"pkey", "-traditional"},
		"PKCS #1 or SEC 1 in DER":           {"pkey", "-traditional", "-outform", "DER"},
		"with its parameters in front (EC)": {"ec"},
	}
	for _, algorithm := range []models.KeyAlgorithm{models.RSA2048, models.ECP256} {
		key := newKey(algorithm)
		write(t, dir, "key.pem", keyPEM(t, key))
		for name, arguments := range forms {
			if algorithm == models.RSA2048 && arguments[0] == "ec" {
				continue
			}
			t.Run(string(algorithm)+": "+name, func(t *testing.T) {
				openssl(t, dir, append(arguments, "-in", "key.pem", "-out", "out")...)
				data := readFile(t, dir, "out")
				got, err := pki.ParsePrivateKey(data, "geheim")
				if err != nil || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(got.Public()) {
					t.Fatal(err)
				}
				if strings.HasPrefix(name, "encrypted") {
					_, err = pki.ParsePrivateKey(data, "wrong")
					wantError(t, err, models.KindInvalid, "cannot be used")
					_, err = pki.ParsePrivateKey(data, "")
					wantError(t, err, models.KindInvalid, "send its password")
				}
			})
		}
	}
}

func TestPrivateKeysThatAreRefused(t *testing.T) {
	dir := needOpenSSL(t)
	whole := must(x509.MarshalPKCS8PrivateKey(newKey(models.ECP256)))
	partial := x509.MarshalPKCS1PrivateKey(rsa2048().(*rsa.PrivateKey))
	for name, make := range map[string]struct {
		file func(t *testing.T) []byte
		says string
	}{
		"a weak RSA key": {func(t *testing.T) []byte {
			openssl(t, dir, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "x")
			return readFile(t, dir, "x")
		}, "1024 bits"},
		"an unusual curve": {func(t *testing.T) []byte {
			openssl(t, dir, "ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", "x")
			return readFile(t, dir, "x")
		}, "not supported"},
		"an X25519 key": {func(t *testing.T) []byte {
			openssl(t, dir, "genpkey", "-algorithm", "X25519", "-out", "x")
			return readFile(t, dir, "x")
		}, "does not sign"},
		"the old encryption of PEM": {func(t *testing.T) []byte {
			write(t, dir, "key.pem", keyPEM(t, rsa2048()))
			openssl(t, dir, "rsa", "-in", "key.pem", "-aes128", "-traditional", "-passout", "pass:geheim", "-out", "x")
			return readFile(t, dir, "x")
		}, "openssl pkcs8 -topk8"},
		"two keys":              {func(t *testing.T) []byte { return append(keyPEM(t, newKey(models.ECP256)), keyPEM(t, rsa2048())...) }, "more than one"},
		"half a key":            {func(*testing.T) []byte { return whole[:len(whole)/2] }, "damaged"},
		"half an RSA key":       {func(*testing.T) []byte { return partial[:len(partial)-100] }, "damaged"},
		"an RSA key without d":  {func(*testing.T) []byte { return must(asn1RSA(rsa2048().(*rsa.PrivateKey))) }, "damaged"},
		"a certificate":         {func(t *testing.T) []byte { return pki.EncodePEM(newRoot(t, models.ECP256).cert) }, "no private key"},
		"nothing":               {func(*testing.T) []byte { return nil }, "no private key"},
		"a key of a megabyte":   {func(*testing.T) []byte { return make([]byte, 1<<20) }, "larger"},
		"a key of 20 kilobytes": {func(*testing.T) []byte { return append([]byte{0x30, 0x82, 0x50, 0}, make([]byte, 0x5000)...) }, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pki.ParsePrivateKey(make.file(t), "")
			wantError(t, err, models.KindInvalid, make.says)
		})
	}
}

// asn1RSA is an RSAPrivateKey whose numbers after the modulus are zero
// (CVE-2025-22865).
func asn1RSA(key *rsa.PrivateKey) ([]byte, error) {
	broken := *key
	broken.D = big.NewInt(0)
	broken.Precomputed = rsa.PrecomputedValues{}
	return x509.MarshalPKCS1PrivateKey(&broken), nil
}

func TestCAsThatAreRefused(t *testing.T) {
	root := newRoot(t, models.ECP256)
	make := func(change func(*x509.Certificate)) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Plant"}, NotBefore: start, NotAfter: start.Add(90 * day), IsCA: true,
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3},
		}
		change(template)
		key := newKey(models.ECP256)
		der := must(x509.CreateCertificate(rand.Reader, template, root.cert, key.Public(), root.key))
		return must(x509.ParseCertificate(der))
	}
	for name, c := range map[string]struct {
		change func(*x509.Certificate)
		says   string
	}{
		"an end-entity certificate": {func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }, "not that of a CA"},
		"no basic constraints":      {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }, "not that of a CA"},
		"no keyCertSign":            {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, "keyCertSign"},
		"no cRLSign":                {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }, "cRLSign"},
		"expired":                   {func(c *x509.Certificate) { c.NotAfter = start.Add(day) }, "expired at 2026-01-02"},
		"not valid yet":             {func(c *x509.Certificate) { c.NotBefore = start.Add(50 * day) }, "not valid before"},
		"an unknown critical extension": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}, "critical extension 1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, pki.CheckCA(make(c.change), true, start.Add(2*day)), models.KindInvalid, c.says)
		})
	}
	if err := pki.CheckCA(make(func(c *x509.Certificate) { c.KeyUsage = 0 }), true, start.Add(day)); err != nil {
		t.Errorf("a CA without keyUsage: %v", err)
	}
}

func TestPathsAreBuilt(t *testing.T) {
	root := newRoot(t, models.ECP256)
	middle := newSubCA(t, "Middle", root)
	ca := newSubCA(t, "Plant Issuing", middle)
	other := newRoot(t, models.ECP384)
	at := start.Add(day)
	same := func(want ...*x509.Certificate) func([]*x509.Certificate, error) error {
		return func(path []*x509.Certificate, err error) error {
			if err != nil || len(path) != len(want) {
				return fmt.Errorf("%d certificates, %w", len(path), err)
			}
			return nil
		}
	}
	list := func(certificates ...*x509.Certificate) []*x509.Certificate { return certificates }
	if err := same(ca.cert, middle.cert, root.cert)(pki.BuildPath(ca.cert, nil, list(root.cert, other.cert, middle.cert), at)); err != nil {
		t.Error(err)
	}
	if err := same(ca.cert, middle.cert, root.cert)(pki.BuildPath(ca.cert, list(root.cert, middle.cert), nil, at)); err != nil {
		t.Error(err)
	}
	if err := same(root.cert)(pki.BuildPath(root.cert, nil, nil, at)); err != nil {
		t.Error(err)
	}
	_, err := pki.BuildPath(ca.cert, nil, list(middle.cert), at)
	wantError(t, err, models.KindInvalid, `the certificate of "CN=Plant Root,O=Plant,C=DE" is missing`)
	_, err = pki.BuildPath(ca.cert, list(root.cert), nil, at)
	wantError(t, err, models.KindInvalid, `the certificate of "CN=Middle`)
	impostor := newRoot(t, models.ECP256) // the same name, another key
	_, err = pki.BuildPath(middle.cert, list(impostor.cert), nil, at)
	wantError(t, err, models.KindInvalid, "was not signed by any")
	_, err = pki.BuildPath(ca.cert, nil, list(middle.cert, root.cert), at.Add(100*365*day))
	wantError(t, err, models.KindInvalid, "expired")
	many := make([]*x509.Certificate, 100)
	for i := range many {
		many[i] = root.cert
	}
	_, err = pki.BuildPath(ca.cert, nil, many, at)
	wantError(t, err, models.KindInvalid, "at most 32")
}

func TestARequestForAnAuthorityIsAnswered(t *testing.T) {
	dir := needOpenSSL(t)
	key := newKey(models.ECP384)
	subject := must(pki.MarshalName(models.Name{CommonName: "Prüfstand Issuing", Organization: "Plant"}))
	request, err := pki.BuildAuthorityRequest(subject, key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "ca.csr", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days", "3650", "-subj", "/CN=Offline Root")
	text := openssl(t, dir, "req", "-in", "ca.csr", "-noout", "-text", "-verify")
	for _, want := range []string{"CA:TRUE", "Certificate Sign, CRL Sign", "ecdsa-with-SHA384"} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not show %q:\n%s", want, text)
		}
	}
	openssl(t, dir, "x509", "-req", "-in", "ca.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "365", "-copy_extensions", "copy", "-out", "ca.pem")
	cert := must(pki.ParseCertificates(readFile(t, dir, "ca.pem"), 1))[0]
	if err := pki.CheckInstalled(request, cert); err != nil {
		t.Error(err)
	}
	if err := pki.ProveKey(key, cert); err != nil {
		t.Error(err)
	}
	wantError(t, pki.ProveKey(newKey(models.ECP384), cert), models.KindInvalid, "does not belong")
	another := must(pki.BuildAuthorityRequest(subject, newKey(models.ECP384)))
	wantError(t, pki.CheckInstalled(another, cert), models.KindInvalid, "another key")
	renamed := must(pki.BuildAuthorityRequest(must(pki.MarshalName(models.Name{CommonName: "x"})), key))
	wantError(t, pki.CheckInstalled(renamed, cert), models.KindInvalid, "was asked for")
	if err := pki.CheckCA(cert, true, time.Now()); err != nil {
		t.Error(err)
	}
}
