// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/trustloom/trustloom/models"
)

// SoftwareConfig says where a software key store keeps its keys.
type SoftwareConfig struct {
	Dir        string // created with mode 0700
	SealingKey []byte // 32 bytes; see LoadOrCreateSealingKey
}

// String leaves the sealing key out.
func (c SoftwareConfig) String() string { return "keys in " + c.Dir }

// Software keeps each key in a file <Dir>/<id>.key of mode 0600: PKCS #8
// (RFC 5958) sealed with AES-256-GCM. Several processes may share the folder.
//
// A key is unsealed at its first use and stays in memory until it is
// destroyed or the process ends: whoever can read the memory of the process
// has it. Destroy overwrites the file before it removes it; on copy-on-write
// file systems and on flash, what protects the old blocks is the sealing key.
type Software struct {
	dir   string
	seal  *sealer
	locks keyLocks

	mu   sync.RWMutex
	keys map[string]*softwareKey
}

const keySuffix = ".key"

// OpenSoftware opens the key store in cfg.Dir. It is KindInternal, naming the
// file, if a key there is sealed under another sealing key: a folder with keys
// under two sealing keys is never made.
func OpenSoftware(cfg SoftwareConfig) (*Software, error) {
	seal, err := newSealer(cfg.SealingKey)
	if err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		return nil, models.Errorf(models.KindInvalid, "the software key store has no folder")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder of key store: %w", err)
	}
	s := &Software{dir: cfg.Dir, seal: seal, keys: map[string]*softwareKey{}}
	if err := s.checkHeaders(); err != nil {
		return nil, err
	}
	return s, nil
}

// checkHeaders refuses a folder with keys of another sealing key.
func (s *Software) checkHeaders() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	for _, entry := range entries {
		id, isKey := strings.CutSuffix(entry.Name(), keySuffix)
		if !isKey || !validID.MatchString(id) {
			continue
		}
		content, err := readFile(s.path(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue // destroyed meanwhile
		}
		if err != nil {
			return fmt.Errorf("read key: %w", err)
		}
		if err := s.seal.checkHeader(content); errors.Is(err, errOtherSealingKey) {
			return s.unusable(id, err)
		}
	}
	return nil
}

// Generate implements KeyStore.
func (s *Software) Generate(ctx context.Context, id string, alg models.KeyAlgorithm) (crypto.PublicKey, error) {
	row, err := findAlgorithm(alg)
	if err != nil {
		return nil, err
	}
	if err := checkCall(ctx, id); err != nil {
		return nil, err
	}
	// An RSA-8192 key takes a minute: one that comes too late is kept, too.
	key, err := within(ctx, func() (*softwareKey, error) { return s.ensure(ctx, id, row) })
	if err != nil {
		return nil, err
	}
	return row.accept(id, key.signer.Public())
}

// ensure returns the key called id, making it if there is none.
func (s *Software) ensure(ctx context.Context, id string, row algorithm) (*softwareKey, error) {
	unlock, err := s.locks.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	key, err := s.load(id)
	if models.KindOf(err) == models.KindNotFound {
		return s.create(id, row)
	}
	return key, err
}

// create makes a key and returns it, or the one another process made meanwhile.
func (s *Software) create(id string, row algorithm) (*softwareKey, error) {
	signer, err := row.software()
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", row.name, err)
	}
	plain, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, fmt.Errorf("encode %s key: %w", row.name, err)
	}
	defer clear(plain)
	return s.write(id, plain)
}

// write puts a PKCS #8 key where none is and returns what is there then.
func (s *Software) write(id string, plain []byte) (*softwareKey, error) {
	if _, err := createFile(s.path(id), s.seal.seal(id, plain)); err != nil {
		return nil, models.Errorf(models.KindUnavailable, "the software key store cannot write").
			Because(fmt.Errorf("write key %s: %w", id, err))
	}
	// What counts is what the disk holds, whoever wrote it.
	return s.load(id)
}

// Signer implements KeyStore.
func (s *Software) Signer(ctx context.Context, id string) (crypto.Signer, error) {
	if err := checkCall(ctx, id); err != nil {
		return nil, err
	}
	key, err := s.load(id)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// load returns the key called id from memory or else from its file. A key
// whose file another process destroyed is forgotten.
func (s *Software) load(id string) (*softwareKey, error) {
	if _, err := os.Lstat(s.path(id)); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(s.dir); err != nil {
			return nil, s.away(err) // no folder is no proof that there is no key
		}
		s.forget(id)
		return nil, notFound(id)
	}
	s.mu.RLock()
	key, ok := s.keys[id]
	s.mu.RUnlock()
	if ok {
		return key, nil
	}
	signer, err := s.unseal(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.keys[id]; ok {
		return key, nil
	}
	key = &softwareKey{id: id, signer: signer}
	s.keys[id] = key
	return key, nil
}

func (s *Software) unseal(id string) (crypto.Signer, error) {
	sealed, err := readFile(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, s.away(err)
	}
	plain, err := s.seal.unseal(id, sealed)
	if err != nil {
		return nil, s.unusable(id, err)
	}
	defer clear(plain)
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, s.unusable(id, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, s.unusable(id, fmt.Errorf("%T does not sign", key))
	}
	return signer, nil
}

// Destroy implements KeyStore.
func (s *Software) Destroy(ctx context.Context, id string) error {
	if err := checkCall(ctx, id); err != nil {
		return err
	}
	unlock, err := s.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if err := eraseFile(s.path(id)); err != nil {
		return s.away(fmt.Errorf("erase key %s: %w", id, err))
	}
	if err := s.Check(ctx); err != nil {
		return err // without the folder nobody knows whether the key is gone
	}
	s.forget(id)
	return nil
}

// Check implements KeyStore: the folder is there.
func (s *Software) Check(ctx context.Context) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	info, err := os.Stat(s.dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", s.dir)
	}
	if err != nil {
		return s.away(err)
	}
	return nil
}

// Close implements KeyStore.
func (s *Software) Close() error { return nil }

func (s *Software) path(id string) string { return filepath.Join(s.dir, id+keySuffix) }

// forget drops the key from memory; signers that were handed out end.
func (s *Software) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.keys[id]; ok {
		key.destroyed.Store(true)
		delete(s.keys, id)
	}
}

func (s *Software) away(err error) error {
	return models.Errorf(models.KindUnavailable, "the software key store cannot reach its files").Because(err)
}

func (s *Software) unusable(id string, err error) error {
	return models.Errorf(models.KindInternal, "key file %s cannot be used", s.path(id)).Because(err)
}

// softwareKey is a key that was unsealed. It shows the signer, not the key.
type softwareKey struct {
	id        string
	signer    crypto.Signer
	destroyed atomic.Bool
}

// Public implements crypto.Signer.
func (k *softwareKey) Public() crypto.PublicKey { return k.signer.Public() }

// Sign implements crypto.Signer.
func (k *softwareKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.destroyed.Load() {
		return nil, notFound(k.id)
	}
	return k.signer.Sign(rand, digest, opts)
}
