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
	"fmt"
	"os"
	"slices"

	"github.com/trustloom/trustloom/models"
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

// newKey makes a key and returns it with its PEM form (PKCS #8).
func newKey(algorithm models.KeyAlgorithm) (crypto.Signer, []byte, error) {
	key, err := keyMakers[algorithm]()
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// loadPair reads a certificate, more certificates of its chain if chainFile is
// not empty, and its key.
func loadPair(certFile, chainFile, keyFile string) (*tls.Certificate, error) {
	certs, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	if chainFile != "" {
		chain, err := os.ReadFile(chainFile)
		if err != nil {
			return nil, fmt.Errorf("read the chain: %w", err)
		}
		certs = append(append(certs, '\n'), chain...)
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
