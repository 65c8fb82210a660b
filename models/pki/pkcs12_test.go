// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// tool runs a command in a folder and returns what it prints.
func tool(t *testing.T, dir, name string, arguments ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s here: run `make deps`", name)
	}
	command := exec.Command(path, arguments...)
	command.Dir, command.Env = dir, append(os.Environ(), "LC_ALL=C.UTF-8") // the encoding of passwords
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

func TestOthersReadThePKCS12ThatWeMake(t *testing.T) {
	dir := needOpenSSL(t)
	root := newRoot(t, models.ECP256)
	for _, algorithm := range []models.KeyAlgorithm{models.ECP256, models.RSA2048, models.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			key := newKey(algorithm)
			leaf := issue(t, leafTemplate(t, "press-01"), key.Public(), root)
			file, err := pki.EncodePKCS12(key, leaf, []*x509.Certificate{root.cert}, "päßword 1")
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "ours.p12", file)
			out := openssl(t, dir, "pkcs12", "-in", "ours.p12", "-passin", "pass:päßword 1", "-nodes", "-info")
			for _, want := range []string{"press-01", "Plant Root", "BEGIN PRIVATE KEY", "AES-256-CBC", "MAC: sha256, Iteration 100000", "Shrouded Keybag: PBES2, PBKDF2, AES-256-CBC, Iteration 100000"} {
				if !strings.Contains(out, want) {
					t.Errorf("openssl does not show %q:\n%s", want, out)
				}
			}
			if out := tool(t, dir, "certtool", "--p12-info", "--inder", "--infile", "ours.p12", "--password", "päßword 1"); strings.Count(out, "BEGIN CERTIFICATE") != 2 ||
				!strings.Contains(out, "PRIVATE KEY") {
				t.Error(out)
			}
			if algorithm == models.Ed25519 {
				return // NSS has no Ed25519 in PKCS #12
			}
			nss := filepath.Join(dir, "nss-"+string(algorithm))
			tool(t, dir, "mkdir", nss)
			tool(t, dir, "certutil", "-N", "-d", "sql:"+nss, "--empty-password")
			tool(t, dir, "pk12util", "-i", "ours.p12", "-d", "sql:"+nss, "-W", "päßword 1")
			if out := tool(t, dir, "certutil", "-K", "-d", "sql:"+nss); !strings.Contains(out, "< 0>") {
				t.Error(out)
			}
		})
	}
}

func TestPKCS12IsNotMadeOfWhatDoesNotFit(t *testing.T) {
	root := newRoot(t, models.ECP256)
	key := newKey(models.ECP256)
	leaf := issue(t, leafTemplate(t, "press-01"), key.Public(), root)
	for name, c := range map[string]struct {
		key      crypto.PrivateKey
		password string
		want     string
	}{
		"a short password":                  {key, "1234567", "fewer than 8"},
		"a password with an emoji":          {key, "12345678\U0001F511", "Basic Multilingual Plane"},
		"a password that is not UTF-8":      {key, "12345678\xff", "UTF-8"},
		"the key of another certificate":    {newKey(models.ECP256), "12345678", "does not belong"},
		"something that is not a key":       {"key", "12345678", "type string"},
		"a password of a thousand and more": {key, strings.Repeat("x", 2000), "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pki.EncodePKCS12(c.key, leaf, nil, c.password)
			wantError(t, err, models.KindInvalid, c.want)
		})
	}
}
