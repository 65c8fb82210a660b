// SPDX-License-Identifier: MIT

package cmp

import (
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	_ "crypto/sha1" // hmac-sha1 only
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"math"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// The bounds of the parameters with which a stranger says how much work a
// check of his message is. They are checked before any of it is done.
const (
	minIterations    = 100
	maxPBMIterations = 100_000   // PasswordBasedMac, one hash each
	maxKDFIterations = 1_000_000 // PBKDF2
	minSalt          = 8
	maxSalt          = 128
	minMACKey        = 16
	maxMACKey        = 64
)

// What our own messages have at least, and exactly. A client that chose more
// iterations gets as many back: an answer must not be the easier one to guess
// the secret from.
const (
	ownIterations = 1_000
	ownSalt       = 16
	ownMACKey     = 32
)

// The algorithms (RFC 9810 §5.1.3.1, RFC 9481 §6, RFC 9579).
var (
	oidPasswordBasedMAC = asn1.ObjectIdentifier{1, 2, 840, 113533, 7, 66, 13}
	oidPBMAC1           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidPBKDF2           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACWithSHA1     = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACWithSHA256   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidSHA256           = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384           = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512           = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

var derNull = []byte{5, 0}

// hashes are the one-way functions that are accepted, by identifier.
var hashes = map[string]crypto.Hash{
	oidSHA256.String(): crypto.SHA256,
	oidSHA384.String(): crypto.SHA384,
	oidSHA512.String(): crypto.SHA512,
}

// hmacs are the message authentication codes that are accepted. SHA-1 is fit
// for HMAC still, and what OpenSSL 3 takes unless told otherwise.
var hmacs = map[string]crypto.Hash{
	"1.3.6.1.5.5.8.1.2":        crypto.SHA1, // hMAC-SHA1 of RFC 4210
	oidHMACWithSHA1.String():   crypto.SHA1,
	oidHMACWithSHA256.String(): crypto.SHA256,
	"1.2.840.113549.2.10":      crypto.SHA384,
	"1.2.840.113549.2.11":      crypto.SHA512,
}

// macAlgorithm is a protection by a shared secret, with its parameters.
type macAlgorithm struct {
	algorithm  Algorithm // of our own
	mac        crypto.Hash
	salt       []byte
	iterations int
	keyLength  int         // PBMAC1 only
	prf        crypto.Hash // PBKDF2's, or PasswordBasedMac's one-way function
	pbkdf2     bool
}

// isMAC reports whether a protection algorithm is one of shared secrets.
func isMAC(oid asn1.ObjectIdentifier) bool {
	return oid.Equal(oidPasswordBasedMAC) || oid.Equal(oidPBMAC1)
}

// badAlg refuses an algorithm or its parameters.
func badAlg(format string, args ...any) error {
	return refuse(FailBadAlg, models.KindInvalid, format, args...)
}

// parseMAC reads the protectionAlg of a message with a MAC. It is badAlg for
// algorithms that are not accepted and for parameters out of bounds.
func parseMAC(algorithm Algorithm) (*macAlgorithm, error) {
	m, d := &macAlgorithm{}, newDecoder(algorithm.Parameters)
	var owf, mac Algorithm
	var iterations []byte
	most := int64(maxPBMIterations)
	switch {
	case algorithm.OID.Equal(oidPasswordBasedMAC):
		iterations, owf, mac = m.readPBM(d)
	case algorithm.OID.Equal(oidPBMAC1):
		most = maxKDFIterations
		iterations, owf, mac = m.readPBMAC1(d)
	default:
		return nil, badAlg("the protection algorithm %s is not one of shared secrets; use PBMAC1 or PasswordBasedMac", algorithm.OID)
	}
	d.end("the protection algorithm")
	if !d.ok() {
		return nil, *d.err
	}
	return m, m.accept(iterations, most, owf, mac)
}

// readPBM reads a PBMParameter (RFC 9810 §5.1.3.1).
func (m *macAlgorithm) readPBM(d *decoder) (iterations []byte, owf, mac Algorithm) {
	const what = "a PBMParameter"
	in := d.sequence(what)
	m.salt = in.octets(what)
	owf = in.algorithm(what)
	iterations = in.content(what, der.INTEGER)
	mac = in.algorithm(what)
	in.end(what)
	m.prf = named(hashes, owf)
	return iterations, owf, mac
}

// readPBMAC1 reads PBMAC1-params (RFC 8018 §A.5) with PBKDF2-params (§A.2).
func (m *macAlgorithm) readPBMAC1(d *decoder) (iterations []byte, prf, mac Algorithm) {
	const what = "a PBMAC1-params"
	in := d.sequence(what)
	kdf := in.algorithm(what)
	mac = in.algorithm(what)
	in.end(what)
	m.pbkdf2 = true
	if !kdf.OID.Equal(oidPBKDF2) {
		return nil, kdf, mac
	}
	inner := &decoder{in: kdf.Parameters, err: d.err}
	parameters := inner.sequence(what)
	inner.end(what)
	m.salt = parameters.octets(what)
	iterations = parameters.content(what, der.INTEGER)
	if parameters.next(der.INTEGER) { // absent: 0, which is out of bounds (RFC 9579 §4 demands it)
		m.keyLength = parameters.integer(what, 0, math.MaxInt32)
	}
	prf = Algorithm{OID: oidHMACWithSHA1}
	if parameters.more() {
		prf = parameters.algorithm(what)
	}
	parameters.end(what)
	m.prf = named(hmacs, prf)
	return iterations, prf, mac
}

// named returns what an identifier without parameters stands for; 0: nothing.
func named(table map[string]crypto.Hash, a Algorithm) crypto.Hash {
	if a.Parameters != nil && string(a.Parameters) != "\x05\x00" {
		return 0
	}
	return table[a.OID.String()]
}

// accept checks the parameters against the bounds.
func (m *macAlgorithm) accept(count []byte, most int64, prf, mac Algorithm) error {
	m.mac = named(hmacs, mac)
	iterations := new(big.Int).SetBytes(count)
	negative := len(count) > 0 && count[0] >= 0x80
	switch {
	case m.pbkdf2 && count == nil:
		return badAlg("PBMAC1 is accepted with PBKDF2 only, not with %s", prf.OID)
	case len(m.salt) < minSalt || len(m.salt) > maxSalt:
		return badAlg("the salt of the protection is not %d to %d octets long", minSalt, maxSalt)
	case negative || iterations.Cmp(big.NewInt(minIterations)) < 0 || iterations.Cmp(big.NewInt(most)) > 0:
		return badAlg("the iteration count of the protection is not %d to %d", minIterations, most)
	case m.pbkdf2 && (m.keyLength < minMACKey || m.keyLength > maxMACKey):
		return badAlg("PBMAC1 needs a keyLength of %d to %d octets", minMACKey, maxMACKey)
	case m.prf == 0:
		return badAlg("the one-way function %s of the protection is weak or unknown; use SHA-256, SHA-384 or SHA-512", prf.OID)
	case m.pbkdf2 && iterations.Int64()*m.blocks() > most:
		return badAlg("the iteration count of the protection is more than %d for all blocks of its key", most)
	case m.mac == 0:
		return badAlg("the message authentication code %s of the protection is weak or unknown; use HMAC with SHA-256, SHA-384 or SHA-512", mac.OID)
	}
	m.iterations = int(iterations.Int64())
	return nil
}

// blocks is how often PBKDF2 iterates anew for the length of the key.
func (m *macAlgorithm) blocks() int64 {
	return int64((m.keyLength + m.prf.Size() - 1) / m.prf.Size())
}

// fresh returns the same kind of protection with parameters of our own.
func (m *macAlgorithm) fresh() (*macAlgorithm, error) {
	own := &macAlgorithm{mac: crypto.SHA256, prf: crypto.SHA256, salt: make([]byte, ownSalt), keyLength: ownMACKey, pbkdf2: m.pbkdf2}
	rand.Read(own.salt)
	own.iterations = max(ownIterations, m.iterations)
	return own, own.encode()
}

// encode makes the algorithm.
func (m *macAlgorithm) encode() error {
	m.algorithm.OID = oidPasswordBasedMAC
	if m.pbkdf2 {
		m.algorithm.OID = oidPBMAC1
	}
	hmacSHA256 := Algorithm{OID: oidHMACWithSHA256, Parameters: derNull}
	var err error
	m.algorithm.Parameters, err = encoded(func(b *cryptobyte.Builder) {
		addSequence(b, func(b *cryptobyte.Builder) {
			if m.pbkdf2 {
				m.encodeKDF(b)
			} else {
				b.AddASN1OctetString(m.salt)
				(&Algorithm{OID: oidSHA256, Parameters: derNull}).encode(b)
				b.AddASN1Int64(int64(m.iterations))
			}
			hmacSHA256.encode(b)
		})
	})
	return err
}

// encodeKDF adds PBKDF2 with HMAC-SHA-256.
func (m *macAlgorithm) encodeKDF(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidPBKDF2)
		addSequence(b, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(m.salt)
			b.AddASN1Int64(int64(m.iterations))
			b.AddASN1Int64(int64(m.keyLength))
			(&Algorithm{OID: oidHMACWithSHA256, Parameters: derNull}).encode(b)
		})
	})
}

// key derives the key of the MAC from the secret.
func (m *macAlgorithm) key(secret []byte) ([]byte, error) {
	if m.pbkdf2 {
		key, err := pbkdf2.Key(m.prf.New, string(secret), m.salt, m.iterations, m.keyLength)
		if err != nil {
			return nil, models.Errorf(models.KindInternal, "derive the key of a MAC").Because(err)
		}
		return key, nil
	}
	h := m.prf.New()
	h.Write(secret)
	h.Write(m.salt)
	key := h.Sum(nil)
	for range m.iterations - 1 {
		h.Reset()
		h.Write(key)
		key = h.Sum(key[:0])
	}
	return key, nil
}

// verify reports whether protection is the MAC of message. It costs the same
// for every secret.
func (m *macAlgorithm) verify(secret, message, protection []byte) bool {
	key, err := m.key(secret)
	if err != nil {
		return false
	}
	defer clear(key)
	return hmac.Equal(sum(m.mac, key, message), protection)
}

func sum(mac crypto.Hash, key, message []byte) []byte {
	h := hmac.New(mac.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// keyedMAC is a MAC whose key was derived: it protects several messages
// without the secret.
type keyedMAC struct {
	named Algorithm
	mac   crypto.Hash
	key   []byte
}

// with derives the key once.
func (m *macAlgorithm) with(secret []byte) (*keyedMAC, error) {
	key, err := m.key(secret)
	return &keyedMAC{named: m.algorithm, mac: m.mac, key: key}, err
}

func (k *keyedMAC) algorithm() Algorithm { return k.named }

func (k *keyedMAC) protect(message []byte) ([]byte, error) {
	return sum(k.mac, k.key, message), nil
}
