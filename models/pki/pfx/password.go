// SPDX-License-Identifier: MIT

package pfx

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	stdasn1 "encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// How much work a file may ask for. One iteration is one call of the hash or
// HMAC function; a million take about half a second. OpenSSL and Java write
// 2,048 to 10,000, GnuTLS, NSS and Windows up to 600,000 for each derivation.
const (
	maxIterations = 1_000_000
	maxWork       = 6 * maxIterations // all derivations of a file together
	maxSalt       = 1024
	minMACKey     = 20 // RFC 9579 §5
	maxMACKey     = 64
)

// secret is a password in the two forms in which it is used.
type secret struct {
	utf8 []byte // PKCS #5
	bmp  []byte // PKCS #12: UTF-16, big-endian, with a zero character at the end
}

func newSecret(password string) secret {
	s := secret{utf8: []byte(password)}
	for _, unit := range utf16.Encode([]rune(password)) {
		s.bmp = append(s.bmp, byte(unit>>8), byte(unit))
	}
	s.bmp = append(s.bmp, 0, 0)
	return s
}

// variants are the forms in which the password may have been used.
func (s secret) variants() []secret {
	if len(s.utf8) == 0 {
		return []secret{s, {}}
	}
	return []secret{s}
}

// spend accounts for a key derivation before it is done.
func (d *decoder) spend(iterations, blocks int) error {
	if iterations > maxIterations {
		return fmt.Errorf("it asks for %d iterations of its key derivation, and no more than %d are done; write it anew with fewer", iterations, maxIterations)
	}
	if d.left -= iterations * blocks; d.left < 0 {
		return errors.New("its key derivations together ask for more work than any real file; write it anew with fewer iterations")
	}
	return nil
}

// readCount reads a number of iterations. One that is too large for an int32
// is as good as any other that is refused.
func readCount(in *cryptobyte.String) (int, error) {
	var count int64
	rest := *in
	if !in.ReadASN1Integer(&count) {
		if !rest.SkipASN1(asn1.INTEGER) {
			return 0, errMalformed
		}
		return 0, fmt.Errorf("it asks for an absurd number of iterations of its key derivation; no more than %d are done", maxIterations)
	}
	if count < 1 {
		return 0, errMalformed
	}
	return int(min(count, 1<<31)), nil
}

// mac computes the MAC of a file.
func (d *decoder) mac(s secret, algorithm cryptobyte.String, salt []byte, iterations int, message []byte) ([]byte, error) {
	var kind oid
	if !algorithm.ReadASN1ObjectIdentifier(&kind) || len(salt) > maxSalt {
		return nil, errMalformed
	}
	if kind.Equal(oidPBMAC1) {
		return d.pbmac1(s, algorithm, message)
	}
	digest := byOID(digests, kind)
	if digest == nil {
		return nil, fmt.Errorf("the algorithm of its MAC (%s) is not supported", kind)
	}
	if err := d.spend(iterations, 1); err != nil {
		return nil, err
	}
	mac := hmac.New(digest, derive(digest, idMAC, s.bmp, salt, iterations, digest().Size()))
	mac.Write(message)
	return mac.Sum(nil), nil
}

// pbmac1 computes the MAC of RFC 8018 §7.1 within the limits of RFC 9579.
func (d *decoder) pbmac1(s secret, parameters cryptobyte.String, message []byte) ([]byte, error) {
	var fields, derivation, scheme cryptobyte.String
	var kind oid
	if !parameters.ReadASN1(&fields, asn1.SEQUENCE) || !fields.ReadASN1(&derivation, asn1.SEQUENCE) ||
		!fields.ReadASN1(&scheme, asn1.SEQUENCE) || !scheme.ReadASN1ObjectIdentifier(&kind) {
		return nil, errMalformed
	}
	digest := byOID(hmacs, kind)
	if digest == nil {
		return nil, fmt.Errorf("the algorithm of its MAC (%s) is not supported", kind)
	}
	k, err := parsePBKDF2(derivation)
	if err != nil {
		return nil, err
	}
	if k.length < minMACKey || k.length > maxMACKey {
		return nil, fmt.Errorf("the key of its MAC has %d octets instead of %d to %d", k.length, minMACKey, maxMACKey)
	}
	key, err := d.pbkdf2(s, k, k.length)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(digest, key)
	mac.Write(message)
	return mac.Sum(nil), nil
}

// kdf is PBKDF2-params (RFC 8018 appendix A.2).
type kdf struct {
	salt       []byte
	iterations int
	length     int // 0 if it is not said
	prf        func() hash.Hash
}

func parsePBKDF2(algorithm cryptobyte.String) (kdf, error) {
	k := kdf{prf: sha1.New}
	var kind, prf oid
	var fields cryptobyte.String
	if !algorithm.ReadASN1ObjectIdentifier(&kind) {
		return k, errMalformed
	}
	if !kind.Equal(oidPBKDF2) {
		return k, fmt.Errorf("its key derivation (%s) is not supported; write it anew with PBKDF2", kind)
	}
	if !algorithm.ReadASN1(&fields, asn1.SEQUENCE) || !fields.ReadASN1Bytes(&k.salt, asn1.OCTET_STRING) || len(k.salt) > maxSalt {
		return k, errMalformed
	}
	var err error
	if k.iterations, err = readCount(&fields); err != nil {
		return k, err
	}
	if fields.PeekASN1Tag(asn1.INTEGER) && !fields.ReadASN1Integer(&k.length) {
		return k, errMalformed
	}
	if !fields.Empty() {
		var choice cryptobyte.String
		if !fields.ReadASN1(&choice, asn1.SEQUENCE) || !fields.Empty() || !choice.ReadASN1ObjectIdentifier(&prf) {
			return k, errMalformed
		}
		if k.prf = byOID(hmacs, prf); k.prf == nil {
			return k, fmt.Errorf("the function of its key derivation (%s) is not supported", prf)
		}
	}
	return k, nil
}

func (d *decoder) pbkdf2(s secret, k kdf, size int) ([]byte, error) {
	if k.length != 0 && k.length != size {
		return nil, errMalformed
	}
	unit := k.prf().Size()
	if err := d.spend(k.iterations, (size+unit-1)/unit); err != nil {
		return nil, err
	}
	return pbkdf2.Key(k.prf, string(s.utf8), k.salt, k.iterations, size)
}

// The purposes of RFC 7292 appendix B.3.
const (
	idKey byte = 1
	idIV  byte = 2
	idMAC byte = 3
)

// derive is the key derivation of RFC 7292 appendix B.2.
func derive(digest func() hash.Hash, id byte, password, salt []byte, iterations, size int) []byte {
	h := digest()
	v := h.BlockSize()
	diversifier := bytes.Repeat([]byte{id}, v)
	input := append(fill(salt, v), fill(password, v)...)
	var out []byte
	for {
		h.Reset()
		h.Write(diversifier)
		h.Write(input)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		if out = append(out, a...); len(out) >= size {
			return out[:size]
		}
		b := fill(a, v)[:v]
		for at := 0; at < len(input); at += v {
			addOne(input[at:at+v], b)
		}
	}
}

// fill repeats data up to the next multiple of v octets.
func fill(data []byte, v int) []byte {
	if len(data) == 0 {
		return nil
	}
	size := (len(data) + v - 1) / v * v
	return bytes.Repeat(data, size/len(data)+1)[:size:size]
}

// addOne sets x to x + y + 1, both big-endian and of the same length, and
// drops the carry.
func addOne(x, y []byte) {
	carry := 1
	for i := len(x) - 1; i >= 0; i-- {
		carry += int(x[i]) + int(y[i])
		x[i] = byte(carry)
		carry >>= 8
	}
}

type oid = stdasn1.ObjectIdentifier

// named is an algorithm with its identifier.
type named[T any] struct {
	id    oid
	value T
}

// byOID returns the value with this identifier, or the zero value.
func byOID[T any](table []named[T], id oid) (none T) {
	for _, row := range table {
		if row.id.Equal(id) {
			return row.value
		}
	}
	return none
}

// digests and hmacs are the hash functions of MACs, and of PBKDF2 and PBMAC1.
var (
	digests = []named[func() hash.Hash]{
		{oid{1, 3, 14, 3, 2, 26}, sha1.New},
		{oid{2, 16, 840, 1, 101, 3, 4, 2, 4}, sha256.New224},
		{oid{2, 16, 840, 1, 101, 3, 4, 2, 1}, sha256.New},
		{oid{2, 16, 840, 1, 101, 3, 4, 2, 2}, sha512.New384},
		{oid{2, 16, 840, 1, 101, 3, 4, 2, 3}, sha512.New},
	}
	hmacs = []named[func() hash.Hash]{
		{oid{1, 2, 840, 113549, 2, 7}, sha1.New},
		{oid{1, 2, 840, 113549, 2, 8}, sha256.New224},
		{oid{1, 2, 840, 113549, 2, 9}, sha256.New},
		{oid{1, 2, 840, 113549, 2, 10}, sha512.New384},
		{oid{1, 2, 840, 113549, 2, 11}, sha512.New},
	}
)
