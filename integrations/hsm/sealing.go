// SPDX-License-Identifier: MIT

package hsm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// SealingKeySize is the size of a sealing key in bytes.
const SealingKeySize = 32

// LoadOrCreateSealingKey returns the 32 bytes that the file at path holds as
// 64 hexadecimal digits. If there is no file it makes one with a random key,
// mode 0600, in a folder of mode 0700; of several processes that do so at the
// same time all get the same key. A file that is readable by everybody, or
// holds anything else, is KindInvalid and left as it is.
func LoadOrCreateSealingKey(path string) ([]byte, error) {
	key, err := ReadSealingKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create folder of sealing key: %w", err)
	}
	fresh := make([]byte, SealingKeySize)
	rand.Read(fresh)
	if _, err := createFile(path, []byte(hex.EncodeToString(fresh)+"\n")); err != nil {
		return nil, fmt.Errorf("create sealing key: %w", err)
	}
	return ReadSealingKey(path)
}

// ReadSealingKey is LoadOrCreateSealingKey for a file that must be there. Its
// error is fs.ErrNotExist if it is not.
func ReadSealingKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("find sealing key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, models.Errorf(models.KindInvalid,
			"sealing key file %s is open to everybody (mode %04o); chmod it to 0600", path, info.Mode().Perm())
	}
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != SealingKeySize {
		// The decoder's error would quote the key: it is left out.
		return nil, models.Errorf(models.KindInvalid,
			"sealing key file %s does not hold 64 hexadecimal digits", path)
	}
	return key, nil
}

// Sealer seals secrets that are kept elsewhere than in the software store,
// under the same sealing key and in the same format: AES-256-GCM, bound to an
// identifier. It is safe for concurrent use.
type Sealer struct{ sealer *sealer }

// NewSealer returns a Sealer. It is KindInvalid for a key that does not have
// SealingKeySize bytes.
func NewSealer(key []byte) (*Sealer, error) {
	s, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	return &Sealer{s}, nil
}

// Seal returns plain sealed under the identifier id. Identifiers of different
// sorts of secrets begin differently ("delivery/…"), so that none opens as
// another.
func (s *Sealer) Seal(id string, plain []byte) []byte { return s.sealer.seal(id, plain) }

// Unseal returns what was sealed under id. It fails, saying why, for what was
// changed, belongs under another identifier or under another sealing key.
func (s *Sealer) Unseal(id string, sealed []byte) ([]byte, error) { return s.sealer.unseal(id, sealed) }

// sealer seals private keys under one sealing key.
//
// The format is a header line, a nonce of 12 bytes, and the PKCS #8 key sealed
// with AES-256-GCM. The header line holds the format version and a fingerprint
// of the sealing key; header and key identifier are authenticated, so a file
// neither opens under another name nor as another version.
type sealer struct {
	aead   cipher.AEAD
	header string
}

const sealedFormat = "trustloom-sealed-key v1 "

func newSealer(key []byte) (*sealer, error) {
	if len(key) != SealingKeySize {
		return nil, models.Errorf(models.KindInvalid, "the sealing key has %d bytes instead of %d", len(key), SealingKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up sealing: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up sealing: %w", err)
	}
	// The sealing key is random: a truncated hash of it gives nothing away.
	digest := sha256.Sum256(append([]byte("trustloom sealing key fingerprint\x00"), key...))
	return &sealer{aead: aead, header: sealedFormat + hex.EncodeToString(digest[:8]) + "\n"}, nil
}

func (s *sealer) seal(id string, plain []byte) []byte {
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	out := append([]byte(s.header), nonce...)
	return s.aead.Seal(out, nonce, plain, []byte(s.header+id))
}

var (
	errOtherSealingKey = errors.New("it is sealed under another sealing key than the configured one")
	errNotSealedKey    = errors.New("it is not a sealed key of a version known here")
	errSealBroken      = errors.New("it was changed, or belongs under another name")
)

// checkHeader tells whether sealed claims to be sealed by s.
func (s *sealer) checkHeader(sealed []byte) error {
	switch {
	case bytes.HasPrefix(sealed, []byte(s.header)):
		return nil
	case bytes.HasPrefix(sealed, []byte(sealedFormat)):
		return errOtherSealingKey
	default:
		return errNotSealedKey
	}
}

func (s *sealer) unseal(id string, sealed []byte) ([]byte, error) {
	if err := s.checkHeader(sealed); err != nil {
		return nil, err
	}
	body := sealed[len(s.header):]
	if len(body) < s.aead.NonceSize() {
		return nil, errSealBroken
	}
	nonce, body := body[:s.aead.NonceSize()], body[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, body, []byte(s.header+id))
	if err != nil {
		return nil, errSealBroken
	}
	return plain, nil
}
