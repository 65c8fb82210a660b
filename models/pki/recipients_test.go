// SPDX-License-Identifier: MIT

package pki_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// inContentInfo makes of an EnvelopedData what OpenSSL reads.
func inContentInfo(enveloped []byte) []byte {
	oid := must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}))
	return must(asn1.Marshal(asn1.RawValue{Class: 0, Tag: 16, IsCompound: true, Bytes: append(oid,
		must(asn1.Marshal(asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: enveloped}))...)}))
}

func TestOpenSSLOpensWhatIsEnvelopedForCMP(t *testing.T) {
	root := newRoot(t, models.ECP256)
	for _, algorithm := range []models.KeyAlgorithm{models.RSA2048, models.ECP256, models.ECP521} {
		for _, byKeyID := range []bool{false, true} {
			key := newKey(algorithm)
			recipient := issue(t, leafTemplate(t, "press-01"), key.Public(), root)
			made := newKey(models.ECP256)
			opened := openWithOpenSSL(t, key, recipient, must(pki.EnvelopedKey(made, pki.Recipient{Certificate: recipient, ByKeyID: byKeyID}, root.cert, root.key)))
			if !bytes.Contains(opened, must(x509.MarshalPKCS8PrivateKey(made))) {
				t.Errorf("%s, by key ID %v: OpenSSL found another key", algorithm, byKeyID)
			}
			opened = openWithOpenSSL(t, key, recipient, must(pki.EnvelopedCertificate(recipient)))
			if !bytes.Equal(opened, recipient.Raw) {
				t.Errorf("%s: OpenSSL found another certificate", algorithm)
			}
		}
	}
}

func openWithOpenSSL(t *testing.T, key crypto.Signer, recipient *x509.Certificate, enveloped []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"message": inContentInfo(enveloped), "cert": pki.EncodePEM(recipient), "key": must(pki.EncryptPKCS8(key, "x"))} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("openssl", "cms", "-decrypt", "-inform", "DER", "-in", "message", "-recip", "cert", "-inkey", "key", "-passin", "pass:x", "-binary")
	command.Dir = dir
	out, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("openssl cms: %s", exit.Stderr)
	}
	return out
}

// OpenSSL knows passwords with another key encryption (RFC 3211) only, so this
// is the way back step by step as RFC 5652 §6.2.4 and RFC 3394 §2.2.2 have it.
func TestAPasswordOpensWhatIsEnvelopedForIt(t *testing.T) {
	root, made := newRoot(t, models.ECP256), newKey(models.ECP256)
	enveloped := must(pki.EnvelopedKey(made, pki.Recipient{Password: must(pki.NewPasswordKey([]byte("a long secret")))}, root.cert, root.key))
	var message struct {
		Version    int
		Recipients []asn1.RawValue `asn1:"set"`
		Content    struct {
			Type      asn1.ObjectIdentifier
			Algorithm struct {
				OID asn1.ObjectIdentifier
				IV  []byte
			}
			Encrypted []byte `asn1:"tag:0"`
		}
	}
	var recipient struct {
		Version    int
		Derivation struct {
			OID        asn1.ObjectIdentifier
			Parameters struct {
				Salt       []byte
				Iterations int
				KeyLength  int
				PRF        asn1.RawValue
			}
		} `asn1:"tag:0"`
		Wrap struct{ OID asn1.ObjectIdentifier }
		Key  []byte
	}
	if _, err := asn1.Unmarshal(enveloped, &message); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.UnmarshalWithParams(message.Recipients[0].FullBytes, &recipient, "tag:3"); err != nil {
		t.Fatal(err)
	}
	p := recipient.Derivation.Parameters
	kek := must(pbkdf2.Key(sha256.New, "a long secret", p.Salt, p.Iterations, p.KeyLength))
	block := must(aes.NewCipher(unwrap(t, kek, recipient.Key)))
	plain := make([]byte, len(message.Content.Encrypted))
	cipher.NewCBCDecrypter(block, message.Content.Algorithm.IV).CryptBlocks(plain, message.Content.Encrypted)
	if message.Version != 3 || !bytes.Contains(plain, must(x509.MarshalPKCS8PrivateKey(made))) {
		t.Error("the password does not open the message")
	}
}

func unwrap(t *testing.T, kek, wrapped []byte) []byte {
	t.Helper()
	block, n := must(aes.NewCipher(kek)), len(wrapped)/8-1
	out := bytes.Clone(wrapped)
	var buffer [16]byte
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			binary.BigEndian.PutUint64(buffer[:8], binary.BigEndian.Uint64(out[:8])^uint64(n*j+i))
			copy(buffer[8:], out[8*i:8*i+8])
			block.Decrypt(buffer[:], buffer[:])
			copy(out[:8], buffer[:8])
			copy(out[8*i:], buffer[8:])
		}
	}
	if !bytes.Equal(out[:8], bytes.Repeat([]byte{0xa6}, 8)) {
		t.Fatal("the key is not wrapped with this password")
	}
	return out[8:]
}

func TestKeysAreNotEnvelopedForKeysThatOnlySign(t *testing.T) {
	root := newRoot(t, models.ECP256)
	recipient := issue(t, leafTemplate(t, "press-01"), newKey(models.Ed25519).Public(), root)
	if _, err := pki.EnvelopedCertificate(recipient); models.KindOf(err) != models.KindInvalid {
		t.Errorf("an envelope for Ed25519: %v", err)
	}
}
