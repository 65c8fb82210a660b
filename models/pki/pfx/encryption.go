// SPDX-License-Identifier: MIT

package pfx

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidData          = oid{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = oid{1, 2, 840, 113549, 1, 7, 6}

	oidKeyBag         = oid{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedKeyBag = oid{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag        = oid{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidSafeBag        = oid{1, 2, 840, 113549, 1, 12, 10, 1, 6}
	oidX509           = oid{1, 2, 840, 113549, 1, 9, 22, 1}

	oidPBKDF2 = oid{1, 2, 840, 113549, 1, 5, 12}
	oidPBES2  = oid{1, 2, 840, 113549, 1, 5, 13}
	oidPBMAC1 = oid{1, 2, 840, 113549, 1, 5, 14}
)

var (
	explicit0 = asn1.Tag(0).ContextSpecific().Constructed()
	implicit0 = asn1.Tag(0).ContextSpecific()
)

// scheme is a block cipher with the size of its key in octets.
type scheme struct {
	size  int
	block func(key []byte) (cipher.Block, error)
}

// legacy are the schemes of RFC 7292 appendix C with their keys from SHA-1,
// and modern those that PBES2 is used with. RC4 and DES are not supported.
var (
	legacy = []named[scheme]{
		{oid{1, 2, 840, 113549, 1, 12, 1, 3}, scheme{24, des.NewTripleDESCipher}},
		{oid{1, 2, 840, 113549, 1, 12, 1, 4}, scheme{16, twoKeyTripleDES}},
		{oid{1, 2, 840, 113549, 1, 12, 1, 5}, scheme{16, newRC2}},
		{oid{1, 2, 840, 113549, 1, 12, 1, 6}, scheme{5, newRC2}},
	}
	modern = []named[scheme]{
		{oid{2, 16, 840, 1, 101, 3, 4, 1, 2}, scheme{16, aes.NewCipher}},
		{oid{2, 16, 840, 1, 101, 3, 4, 1, 22}, scheme{24, aes.NewCipher}},
		{oid{2, 16, 840, 1, 101, 3, 4, 1, 42}, scheme{32, aes.NewCipher}},
		{oid{1, 2, 840, 113549, 3, 7}, scheme{24, des.NewTripleDESCipher}},
	}
)

func twoKeyTripleDES(key []byte) (cipher.Block, error) {
	return des.NewTripleDESCipher(append(bytes.Clone(key), key[:8]...))
}

// decrypt decrypts under the password with what an AlgorithmIdentifier says.
func (d *decoder) decrypt(algorithm cryptobyte.String, encrypted []byte) ([]byte, error) {
	var kind oid
	var parameters cryptobyte.String
	if !algorithm.ReadASN1ObjectIdentifier(&kind) || !algorithm.ReadASN1(&parameters, asn1.SEQUENCE) || !algorithm.Empty() {
		return nil, errMalformed
	}
	var block cipher.Block
	var iv []byte
	var err error
	switch use := byOID(legacy, kind); {
	case kind.Equal(oidPBES2):
		block, iv, err = d.pbes2(parameters)
	case use.block != nil:
		block, iv, err = d.pbes12(use, parameters)
	default:
		err = fmt.Errorf("its encryption (%s) is not supported; write it anew with AES", kind)
	}
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(encrypted) == 0 || len(encrypted)%size != 0 {
		return nil, errMalformed
	}
	plain := make([]byte, len(encrypted))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, encrypted)
	return unpad(plain, size)
}

// unpad removes the padding of RFC 8018 §6.1.1. What it tells of the password
// is no secret: whoever asks brings both.
func unpad(plain []byte, size int) ([]byte, error) {
	n := int(plain[len(plain)-1])
	if n < 1 || n > size || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errPassword
	}
	return plain[:len(plain)-n], nil
}

// pbes12 is the encryption of RFC 7292 appendix B.
func (d *decoder) pbes12(use scheme, parameters cryptobyte.String) (cipher.Block, []byte, error) {
	var salt []byte
	if !parameters.ReadASN1Bytes(&salt, asn1.OCTET_STRING) || len(salt) > maxSalt {
		return nil, nil, errMalformed
	}
	iterations, err := readCount(&parameters)
	if err != nil {
		return nil, nil, err
	}
	if err := d.spend(iterations, (use.size+sha1.Size-1)/sha1.Size+1); err != nil {
		return nil, nil, err
	}
	block, err := use.block(derive(sha1.New, idKey, d.secret.bmp, salt, iterations, use.size))
	if err != nil {
		return nil, nil, err
	}
	return block, derive(sha1.New, idIV, d.secret.bmp, salt, iterations, block.BlockSize()), nil
}

// pbes2 is the encryption of RFC 8018 §6.2.
func (d *decoder) pbes2(parameters cryptobyte.String) (cipher.Block, []byte, error) {
	var derivation, encryption cryptobyte.String
	var kind oid
	var iv []byte
	if !parameters.ReadASN1(&derivation, asn1.SEQUENCE) || !parameters.ReadASN1(&encryption, asn1.SEQUENCE) || !parameters.Empty() ||
		!encryption.ReadASN1ObjectIdentifier(&kind) {
		return nil, nil, errMalformed
	}
	use := byOID(modern, kind)
	if use.block == nil {
		return nil, nil, fmt.Errorf("its encryption (%s) is not supported; write it anew with AES", kind)
	}
	if !encryption.ReadASN1Bytes(&iv, asn1.OCTET_STRING) || !encryption.Empty() {
		return nil, nil, errMalformed
	}
	k, err := parsePBKDF2(derivation)
	if err != nil {
		return nil, nil, err
	}
	key, err := d.pbkdf2(d.secret, k, use.size)
	if err != nil {
		return nil, nil, err
	}
	block, err := use.block(key)
	return block, iv, err
}
