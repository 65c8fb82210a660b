// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestOthersReadTheEncryptedKeysThatWeMake(t *testing.T) {
	dir := needOpenSSL(t)
	for _, algorithm := range []models.KeyAlgorithm{models.ECP256, models.ECP384, models.ECP521, models.RSA2048, models.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			key, err := pki.GenerateKey(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			if made, err := pki.KeyAlgorithmOf(key.Public()); err != nil || made != algorithm {
				t.Errorf("made a key of %s: %v", made, err)
			}
			file, err := pki.EncryptPKCS8(key, "päßword 1234")
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "key.pem", file)
			spki := must(x509.MarshalPKIXPublicKey(key.Public()))
			openssl(t, dir, "pkey", "-in", "key.pem", "-passin", "pass:päßword 1234", "-pubout", "-outform", "DER", "-out", "pub.der")
			if read := must(os.ReadFile(filepath.Join(dir, "pub.der"))); string(read) != string(spki) {
				t.Error("openssl reads another key")
			}
			if out := openssl(t, dir, "asn1parse", "-in", "key.pem"); !strings.Contains(out, "aes-256-cbc") || !strings.Contains(out, "hmacWithSHA256") || !strings.Contains(out, "0186A0") {
				t.Errorf("the encryption is not what it is said to be:\n%s", out)
			}
			if out := tool(t, dir, "certtool", "--pubkey-info", "--load-privkey", "key.pem", "--password", "päßword 1234"); !strings.Contains(out, "BEGIN PUBLIC KEY") {
				t.Errorf("certtool: %s", out)
			}
		})
	}
}

func TestKeysOfOtherAlgorithmsAreNotMade(t *testing.T) {
	for _, algorithm := range []models.KeyAlgorithm{"", "RSA-1024", models.RSA8192, "DSA"} {
		if _, err := pki.GenerateKey(algorithm); models.KindOf(err) != models.KindInvalid {
			t.Errorf("%q: %v", algorithm, err)
		}
	}
}
