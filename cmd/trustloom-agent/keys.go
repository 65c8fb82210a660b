// SPDX-License-Identifier: MIT

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mldsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// keyMakers are the kinds of key that the agent makes.
var keyMakers = map[models.KeyAlgorithm]func() (crypto.Signer, error){
	models.ECP256:  func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	models.ECP384:  func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
	models.RSA2048: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	models.RSA3072: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) },
	models.Ed25519: func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	},
	models.MLDSA44: func() (crypto.Signer, error) { return mldsa.GenerateKey(mldsa.MLDSA44()) },
	models.MLDSA65: func() (crypto.Signer, error) { return mldsa.GenerateKey(mldsa.MLDSA65()) },
	models.MLDSA87: func() (crypto.Signer, error) { return mldsa.GenerateKey(mldsa.MLDSA87()) },
}

// keyAlgorithms lists them, for messages.
func keyAlgorithms() (names []string) {
	for name := range keyMakers {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

// tokenAlgorithms are those of them that tokens make.
var tokenAlgorithms = []models.KeyAlgorithm{models.ECP256, models.ECP384, models.RSA2048, models.RSA3072}

// keptKey is how a private key is kept: its PEM form (PKCS #8), or the URI of
// an object in a token (RFC 7512), and never both.
type keptKey struct {
	PEM []byte
	URI string
}

// files is what stands for the key in a folder.
func (k keptKey) files() map[string][]byte {
	if k.URI != "" {
		return map[string][]byte{fileKeyURI: []byte(k.URI + "\n")}
	}
	return map[string][]byte{fileKey: k.PEM}
}

// readKey reads what stands for the key in a folder.
func readKey(dir string) (keptKey, error) {
	uri, err := os.ReadFile(filepath.Join(dir, fileKeyURI))
	if err == nil {
		return keptKey{URI: strings.TrimSpace(string(uri))}, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return keptKey{}, err
	}
	content, err := os.ReadFile(filepath.Join(dir, fileKey))
	return keptKey{PEM: content}, err
}

// newKey makes a key that is kept in a file.
func newKey(algorithm models.KeyAlgorithm) (crypto.Signer, keptKey, error) {
	key, err := keyMakers[algorithm]()
	if err != nil {
		return nil, keptKey{}, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, keptKey{}, fmt.Errorf("encode the key: %w", err)
	}
	return key, keptKey{PEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}, nil
}

// signerOf reads a key that the agent made.
func signerOf(keyPEM []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, models.Errorf(models.KindInternal, "the key of the request is not in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, models.Errorf(models.KindInternal, "the key of the request cannot be read").Because(err)
	}
	return signer, nil
}

// loadPair reads a certificate, more certificates of its chain if chainFile is
// not empty, and its key.
func loadPair(certFile, chainFile, keyFile string) (*tls.Certificate, error) {
	certs, err := loadChain(certFile, chainFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	pair, err := tls.X509KeyPair(certs, key)
	if err != nil {
		return nil, fmt.Errorf("read %s and %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

// loadChain reads the PEM files of a certificate and, if there is one, of its
// chain.
func loadChain(certFile, chainFile string) ([]byte, error) {
	certs, err := os.ReadFile(certFile)
	if err != nil || chainFile == "" {
		return certs, err
	}
	chain, err := os.ReadFile(chainFile)
	return append(append(certs, '\n'), chain...), err
}

// maxChain bounds the certificates of one chain.
const maxChain = 20

// loadKeyless reads a certificate whose key is elsewhere.
func loadKeyless(certFile, chainFile string) (*tls.Certificate, error) {
	content, err := loadChain(certFile, chainFile)
	if err != nil {
		return nil, err
	}
	chain, err := pki.ParseCertificates(content, maxChain)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", certFile, err)
	}
	pair := &tls.Certificate{Leaf: chain[0]}
	for _, cert := range chain {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return pair, nil
}
