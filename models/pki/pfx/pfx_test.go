// SPDX-License-Identifier: MIT

package pfx

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

const password = "geheim12"

// The parts of a file, written by hand so that each of them can be wrong.

type part func(*cryptobyte.Builder)

func seq(parts ...part) part { return tagged(asn1.SEQUENCE, parts...) }

func tagged(tag asn1.Tag, parts ...part) part {
	return func(b *cryptobyte.Builder) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			for _, p := range parts {
				p(b)
			}
		})
	}
}

func id(o oid) part            { return func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(o) } }
func octets(data []byte) part  { return func(b *cryptobyte.Builder) { b.AddASN1OctetString(data) } }
func number(n int64) part      { return func(b *cryptobyte.Builder) { b.AddASN1Int64(n) } }
func raw(data []byte) part     { return func(b *cryptobyte.Builder) { b.AddBytes(data) } }
func in0(parts ...part) part   { return tagged(explicit0, parts...) }
func der(p part) []byte        { b := cryptobyte.NewBuilder(nil); p(b); return b.BytesOrPanic() }
func data(content []byte) part { return seq(id(oidData), in0(octets(content))) }

var (
	salt      = []byte("saltsalt")
	sha256OID = digests[2].id
	hmacOID   = hmacs[2].id
	aes256OID = modern[2].id
)

// pbes2 is the AlgorithmIdentifier that asks for the given iterations.
func pbes2(iterations int64) part {
	return seq(id(oidPBES2), seq(
		seq(id(oidPBKDF2), seq(octets(salt), number(iterations), seq(id(hmacOID)))),
		seq(id(aes256OID), octets(make([]byte, 16)))))
}

// encrypt does what pbes2(iterations) describes.
func encrypt(t testing.TB, plain []byte, iterations int) []byte {
	key, err := pbkdf2.Key(sha256.New, password, salt, iterations, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	n := 16 - len(plain)%16
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out, out)
	return out
}

func encryptedSafe(t testing.TB, contents []byte, iterations int) part {
	return seq(id(oidEncryptedData), in0(seq(number(0), seq(id(oidData), pbes2(int64(iterations)), tagged(implicit0, raw(encrypt(t, contents, iterations)))))))
}

func bag(kind oid, value part) part { return seq(id(kind), in0(value)) }

func shrouded(t testing.TB, key []byte, iterations int64) part {
	work := int(min(iterations, 10))
	return bag(oidShroudedKeyBag, seq(pbes2(iterations), octets(encrypt(t, key, work))))
}

func certBag(certificate []byte) part {
	return bag(oidCertBag, seq(id(oidX509), in0(octets(certificate))))
}

// sealed is a file around the safes, with a MAC of ten iterations.
func sealed(safes ...part) []byte {
	content := der(seq(safes...))
	mac := hmac.New(sha256.New, derive(sha256.New, idMAC, newSecret(password).bmp, salt, 10, 32))
	mac.Write(content)
	return withMAC(content, seq(seq(seq(id(sha256OID)), octets(mac.Sum(nil))), octets(salt), number(10)))
}

func withMAC(content []byte, mac part) []byte { return der(seq(number(3), data(content), mac)) }

func pkcs8(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func honest(t testing.TB) []byte {
	return sealed(encryptedSafe(t, der(seq(certBag([]byte("certificate")))), 10), data(der(seq(shrouded(t, pkcs8(t), 10)))))
}

func TestAFileIsRead(t *testing.T) {
	contents, err := Decode(honest(t), password, true)
	if err != nil || len(contents.Keys) != 1 || len(contents.Certificates) != 1 || string(contents.Certificates[0]) != "certificate" {
		t.Fatal(contents, err)
	}
	contents, err = Decode(honest(t), password, false)
	if err != nil || len(contents.Keys) != 0 || len(contents.Certificates) != 1 {
		t.Fatal(contents, err)
	}
}

// hostile are the files that must be refused, and what is said of them.
func hostile(t testing.TB) map[string]struct {
	file []byte
	says string
} {
	key := pkcs8(t)
	good := der(seq(seq(id(oidData), in0(octets(der(seq(certBag([]byte("x")))))))))
	mac := func(algorithm part, iterations ...part) []byte {
		return withMAC(good, seq(append([]part{seq(algorithm, octets(make([]byte, 32))), octets(salt)}, iterations...)...))
	}
	pbmac1 := func(iterations, length int64) []byte {
		return mac(seq(id(oidPBMAC1), seq(seq(id(oidPBKDF2), seq(octets(salt), number(iterations), number(length), seq(id(hmacOID)))), seq(id(hmacOID)))), number(1))
	}
	bags := make([]part, maxBags+1)
	for i := range bags {
		bags[i] = certBag(nil)
	}
	huge := []byte{2, 9, 0x40, 0, 0, 0, 0, 0, 0, 0, 0} // 2^70
	deep := []byte{}
	for range 40 {
		deep = encode(0x30, deep)
	}
	return map[string]struct {
		file []byte
		says string
	}{
		"a MAC of 2^31 iterations":                   {mac(seq(id(sha256OID)), number(1<<31)), "iterations"},
		"a MAC of a million and one iterations":      {mac(seq(id(sha256OID)), number(1_000_001)), "1000001 iterations"},
		"a MAC of 2^70 iterations":                   {mac(seq(id(sha256OID)), raw(huge)), "absurd"},
		"a MAC of no iterations":                     {mac(seq(id(sha256OID)), number(0)), "malformed"},
		"a MAC of minus one iteration":               {mac(seq(id(sha256OID)), number(-1)), "malformed"},
		"a MAC of an unknown algorithm":              {mac(seq(id(oid{1, 2, 3})), number(1)), "1.2.3"},
		"a MAC with MD5":                             {mac(seq(id(oid{1, 2, 840, 113549, 2, 5})), number(1)), "not supported"},
		"a wrong MAC":                                {mac(seq(id(sha256OID)), number(1)), "password is wrong"},
		"no MAC":                                     {der(seq(number(3), data(good))), "no MAC"},
		"PBMAC1 of 2^31 iterations":                  {pbmac1(1<<31, 32), "iterations"},
		"PBMAC1 with a key of one octet":             {pbmac1(1, 1), "1 octets"},
		"PBMAC1 with a key of a gigabyte":            {pbmac1(1, 1<<30), "octets"},
		"a key of 2^31 iterations":                   {sealed(data(der(seq(shrouded(t, key, 1<<31))))), "iterations"},
		"a key of 2^31 iterations within encryption": {sealed(encryptedSafe(t, der(seq(shrouded(t, key, 1<<31))), 10)), "iterations"},
		"certificates of 2^31 iterations": {sealed(seq(id(oidEncryptedData), in0(seq(number(0), seq(id(oidData), pbes2(1<<31),
			tagged(implicit0, raw(make([]byte, 32)))))))), "iterations"},
		"bags within bags":          {sealed(data(der(seq(bag(oidSafeBag, seq(certBag(nil))))))), "bags within bags"},
		"a thousand bags":           {sealed(data(der(seq(bags...)))), "more keys and certificates"},
		"nesting":                   {deep, "nested"},
		"RC4":                       {sealed(data(der(seq(bag(oidShroudedKeyBag, seq(seq(id(oid{1, 2, 840, 113549, 1, 12, 1, 1}), seq(octets(salt), number(1))), octets(make([]byte, 16)))))))), "not supported"},
		"scrypt":                    {sealed(data(der(seq(bag(oidShroudedKeyBag, seq(seq(id(oidPBES2), seq(seq(id(oid{1, 3, 6, 1, 4, 1, 11591, 4, 11}), seq()), seq(id(aes256OID), octets(make([]byte, 16))))), octets(make([]byte, 16)))))))), "PBKDF2"},
		"a signature for integrity": {der(seq(number(3), seq(id(oid{1, 2, 840, 113549, 1, 7, 2}), in0(octets(good))), seq())), "signature"},
		"encryption for a certificate": {sealed(seq(id(oid{1, 2, 840, 113549, 1, 7, 3}), in0(octets(nil)))),
			"for a certificate"},
		"a damaged key":                {sealed(data(der(seq(bag(oidKeyBag, seq(number(0))))))), "damaged"},
		"a key of a megabyte":          {sealed(data(der(seq(bag(oidKeyBag, octets(make([]byte, 100<<10))))))), "larger"},
		"another version":              {der(seq(number(4), data(good), seq())), "version 3"},
		"a certificate":                {der(seq(seq(number(2)), seq(), octets(nil))), "version 3"},
		"text":                         {[]byte("-----BEGIN CERTIFICATE-----"), "not a PKCS #12 file"},
		"nothing":                      {nil, "cut off"},
		"half of it":                   {honest(t)[:200], "cut off"},
		"something after its end":      {append(honest(t), 0), "after its end"},
		"fifty megabytes":              {make([]byte, 50<<20), "larger than 512 KiB"},
		"sixteen thousand and more":    {encode(0x30, bytes.Repeat([]byte{5, 0}, 20000)), "more elements"},
		"an indefinite length, no end": {[]byte{0x30, 0x80, 2, 1, 3}, "cut off"},
	}
}

func TestHostileFilesAreRefusedAtOnce(t *testing.T) {
	for name, c := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			_, err := Decode(c.file, password, true)
			if models.KindOf(err) != models.KindInvalid || !strings.Contains(models.PublicText(err), c.says) {
				t.Errorf("%v, want it to say %q", err, c.says)
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestManyDerivationsTogetherAreBounded(t *testing.T) {
	d := decoder{left: maxWork}
	for range 6 {
		if err := d.spend(maxIterations, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.spend(1, 1); err == nil {
		t.Error("there is no end to it")
	}
}

// TestRC2 uses the vectors of RFC 2268 §5 whose effective length is that of
// the key.
func TestRC2(t *testing.T) {
	for _, v := range [][3]string{
		{"ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", "1000000000000001", "30649edf9be7d2c2"},
		{"88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"},
	} {
		key, _ := hex.DecodeString(v[0])
		encrypted, _ := hex.DecodeString(v[2])
		block, err := newRC2(key)
		if err != nil {
			t.Fatal(err)
		}
		plain := make([]byte, 8)
		block.Decrypt(plain, encrypted)
		if hex.EncodeToString(plain) != v[1] {
			t.Errorf("%x, want %s", plain, v[1])
		}
	}
	if _, err := newRC2(nil); err == nil {
		t.Error("no key is a key")
	}
}

func TestDERIsLeftAlone(t *testing.T) {
	file := honest(t)
	if out, err := normalise(file); err != nil || !bytes.Equal(out, file) {
		t.Error(err)
	}
	ber := []byte{0x30, 0x80, 0x24, 0x80, 0x04, 1, 'a', 0x24, 3, 0x04, 1, 'b', 0, 0, 0x04, 0x81, 1, 'c', 0, 0}
	if out, err := normalise(ber); err != nil || !bytes.Equal(out, []byte{0x30, 7, 0x04, 2, 'a', 'b', 0x04, 1, 'c'}) {
		t.Errorf("%x %v", out, err)
	}
}

// FuzzDecode holds that every refusal has a sentence, whatever is sent, and
// that none takes long. The MAC keeps a fuzzer out of what is behind it:
// FuzzSafes goes there directly.
func FuzzDecode(f *testing.F) {
	for _, c := range hostile(f) {
		f.Add(c.file[:min(len(c.file), 4096)])
	}
	f.Add(honest(f))
	f.Fuzz(func(t *testing.T, file []byte) {
		mustBeRefused(t, func() error { _, err := Decode(file, password, true); return err })
		mustBeRefused(t, func() error { _, err := DecodeKey(file, password); return err })
	})
}

func FuzzSafes(f *testing.F) {
	f.Add(der(seq(data(der(seq(certBag([]byte("x"))))), encryptedSafe(f, der(seq(shrouded(f, pkcs8(f), 1<<31))), 10))))
	f.Fuzz(func(t *testing.T, content []byte) {
		d := decoder{secret: newSecret(password), left: 10_000, keys: true}
		_ = d.authenticatedSafe(content)
		d = decoder{secret: newSecret(password), left: 10_000, keys: true}
		_ = d.safeContents(content)
		if len(d.contents.Certificates) > maxBags {
			t.Error("more than is permitted")
		}
	})
}

func mustBeRefused(t *testing.T, do func() error) {
	t.Helper()
	begun := time.Now()
	if err := do(); err != nil && (models.KindOf(err) != models.KindInvalid || models.PublicText(err) == "") {
		t.Error(err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}
