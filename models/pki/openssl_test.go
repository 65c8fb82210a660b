// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// openssl runs the OpenSSL command in a folder and returns what it prints.
func openssl(t *testing.T, dir string, arguments ...string) string {
	t.Helper()
	command := exec.Command("openssl", arguments...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

func needOpenSSL(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl here")
	}
	return t.TempDir()
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRequestsOfOpenSSLAreAccepted(t *testing.T) {
	dir := needOpenSSL(t)
	keys := map[models.KeyAlgorithm][]string{
		models.RSA2048: {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		models.RSA3072: {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"},
		models.ECP256:  {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
		models.ECP384:  {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
		models.ECP521:  {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"},
		models.Ed25519: {"-algorithm", "ED25519"},
	}
	for algorithm, options := range keys {
		t.Run(string(algorithm), func(t *testing.T) {
			openssl(t, dir, append([]string{"genpkey", "-out", "key.pem"}, options...)...)
			for _, form := range []string{"PEM", "DER"} {
				openssl(t, dir, "req", "-new", "-key", "key.pem", "-out", "csr", "-outform", form, "-utf8", "-subj", "/C=DE/O=Plant/CN=Prüfstand/serialNumber=4711",
					"-addext", "subjectAltName=DNS:press-01.example,DNS:press-01,IP:10.0.0.7,URI:urn:press-01:app", "-addext", "keyUsage=digitalSignature")
				csr, err := pki.ParseCSR(must(pki.DecodeCSR(must(os.ReadFile(filepath.Join(dir, "csr"))))))
				if err != nil {
					t.Fatal(err)
				}
				if csr.KeyAlgorithm != algorithm || csr.Request.Subject.CommonName != "Prüfstand" || len(csr.Request.DNSNames) != 2 {
					t.Errorf("%s: %+v", form, csr)
				}
			}
		})
	}
	t.Run("explicit curve parameters are refused", func(t *testing.T) {
		openssl(t, dir, "ecparam", "-name", "prime256v1", "-genkey", "-param_enc", "explicit", "-noout", "-out", "key.pem")
		openssl(t, dir, "req", "-new", "-key", "key.pem", "-out", "csr", "-subj", "/CN=x")
		_, err := pki.ParseCSR(must(pki.DecodeCSR(must(os.ReadFile(filepath.Join(dir, "csr"))))))
		wantError(t, err, models.KindInvalid, "named curve")
	})
	t.Run("RSA-PSS signatures are accepted", func(t *testing.T) {
		openssl(t, dir, "genpkey", "-out", "key.pem", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
		openssl(t, dir, "req", "-new", "-key", "key.pem", "-out", "csr", "-subj", "/CN=x", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
		if _, err := pki.ParseCSR(must(pki.DecodeCSR(must(os.ReadFile(filepath.Join(dir, "csr")))))); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("SHA-1 signatures are refused", func(t *testing.T) {
		openssl(t, dir, "req", "-new", "-key", "key.pem", "-out", "csr", "-subj", "/CN=x", "-sha1")
		_, err := pki.ParseCSR(must(pki.DecodeCSR(must(os.ReadFile(filepath.Join(dir, "csr"))))))
		wantError(t, err, models.KindInvalid, "weak")
	})
}

func TestOpenSSLAcceptsWhatWeSign(t *testing.T) {
	dir := needOpenSSL(t)
	for _, algorithm := range []models.KeyAlgorithm{models.ECP256, models.ECP384, models.ECP521, models.RSA2048, models.RSA4096, models.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			root := newRoot(t, algorithm)
			sub := newSubCA(t, "Plant Issuing", root)
			template := leafTemplate(t, "Prüfstand")
			template.DNSNames = []string{"press-01"}
			leaf := issue(t, template, newKey(models.ECP256).Public(), sub)
			revoked := issue(t, leafTemplate(t, "revoked"), newKey(models.ECP256).Public(), sub)
			subCRL := must(pki.BuildCRL(sub.cert, sub.key, 1, start, start.Add(7*day), []pki.CRLEntry{{Serial: revoked.SerialNumber, RevokedAt: start, Reason: 1}}))
			rootCRL := must(pki.BuildCRL(root.cert, root.key, 2, start, start.Add(7*day), nil))
			write(t, dir, "root.pem", pki.EncodePEM(root.cert))
			write(t, dir, "sub.pem", pki.EncodePEM(sub.cert))
			write(t, dir, "leaf.pem", pki.EncodePEM(leaf))
			write(t, dir, "revoked.pem", pki.EncodePEM(revoked))
			write(t, dir, "root.crl", rootCRL)
			write(t, dir, "sub.crl", subCRL)
			write(t, dir, "crls.pem", append(crlPEM(rootCRL), crlPEM(subCRL)...))

			at := []string{"-attime", "1767268800", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "sub.pem"} // 2026-01-01T12:00:00Z
			openssl(t, dir, append(append([]string{"verify"}, at...), "leaf.pem")...)
			openssl(t, dir, append(append([]string{"verify", "-crl_check_all", "-CRLfile", "crls.pem"}, at...), "leaf.pem")...)
			command := exec.Command("openssl", append(append([]string{"verify", "-crl_check_all", "-CRLfile", "crls.pem"}, at...), "revoked.pem")...)
			command.Dir = dir
			if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), "certificate revoked") {
				t.Errorf("the revoked certificate: %v, %s", err, out)
			}
			if out := openssl(t, dir, "crl", "-inform", "DER", "-in", "sub.crl", "-CAfile", "sub.pem", "-noout", "-text"); !strings.Contains(out, "verify OK") ||
				!strings.Contains(out, "Version 2") || !strings.Contains(out, "Key Compromise") || !strings.Contains(out, "X509v3 CRL Number") {
				t.Error(out)
			}
		})
	}
}

func crlPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func TestOpenSSLReadsOurCertsOnlyAndWeReadIts(t *testing.T) {
	dir := needOpenSSL(t)
	root := newRoot(t, models.ECP256)
	sub := newSubCA(t, "Plant Issuing", root)
	write(t, dir, "ours.p7c", must(pki.CertsOnly(sub.cert, root.cert)))
	out := openssl(t, dir, "pkcs7", "-inform", "DER", "-in", "ours.p7c", "-print_certs")
	if strings.Count(out, "BEGIN CERTIFICATE") != 2 || strings.Index(out, "Plant Issuing") > strings.LastIndex(out, "Plant Root") {
		t.Error(out)
	}
	write(t, dir, "both.pem", pki.EncodePEM(sub.cert, root.cert))
	for _, form := range []string{"DER", "PEM"} {
		openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "both.pem", "-outform", form, "-out", "theirs")
		certs, err := pki.ParseCertificates(must(os.ReadFile(filepath.Join(dir, "theirs"))), 5)
		if err != nil || len(certs) != 2 {
			t.Errorf("%s: %d certificates, %v", form, len(certs), err)
		}
	}
}

func TestIDevIDsOfOpenSSLAreVerified(t *testing.T) {
	dir := needOpenSSL(t)
	write(t, dir, "ext", []byte("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"))
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "3650", "-subj", "/O=Maker/CN=Maker CA")
	openssl(t, dir, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "dev.key", "-out", "dev.csr", "-subj", "/O=Maker/serialNumber=PID:X1 SN:4711")
	openssl(t, dir, "x509", "-req", "-in", "dev.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext", "-days", "3650", "-out", "dev.pem")
	read := func(name string) []*x509.Certificate {
		return must(pki.ParseCertificates(must(os.ReadFile(filepath.Join(dir, name))), 1))
	}
	leaf, ca := read("dev.pem")[0], read("ca.pem")
	if _, err := pki.VerifyClient(leaf, nil, ca, leaf.NotBefore.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := pki.SubjectSerialNumber(leaf); got != "PID:X1 SN:4711" {
		t.Error(got)
	}
}
