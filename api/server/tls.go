// SPDX-License-Identifier: MIT

package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// TLSConfig says where the server's own certificate comes from.
type TLSConfig struct {
	// Dir keeps the CA and the certificate that the server makes for itself:
	// ca.pem for clients to trust, everything else private.
	Dir string
	// CertFile and KeyFile, if set, are used instead.
	CertFile, KeyFile string
	// Names are the host names and addresses that clients use.
	Names []string
	Now   func() time.Time
}

// The lifetimes of what the server makes for itself. The certificate is made
// anew when a third of its time is left, without a restart.
const (
	ownCAValidity   = 10 * 365 * 24 * time.Hour
	ownCertValidity = 90 * 24 * time.Hour
)

// NewTLS returns the listener's TLS configuration. Client certificates are
// asked for and never verified here: which ones are good depends on what is
// asked for, so that is decided per request, with the full path (package
// enroll).
func NewTLS(cfg TLSConfig) (*tls.Config, error) {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1", "http/1.0"},
	}
	if cfg.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load --tls-cert %s with --tls-key %s: %w", cfg.CertFile, cfg.KeyFile, err)
		}
		base.Certificates = []tls.Certificate{pair}
		return base, nil
	}
	own, err := openOwnCA(cfg)
	if err != nil {
		return nil, err
	}
	base.GetCertificate = own.certificate
	return base, nil
}

// ownCA issues the server's own certificate.
type ownCA struct {
	cfg     TLSConfig
	ca      tls.Certificate
	mu      sync.Mutex
	current *tls.Certificate
}

// openOwnCA loads the CA of the server, or makes it at the first start. Two
// processes that start at once agree on one: the link of the finished file
// succeeds for one of them only.
func openOwnCA(cfg TLSConfig) (*ownCA, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", cfg.Dir, err)
	}
	bundle := filepath.Join(cfg.Dir, "ca-with-key.pem")
	if _, err := os.Stat(bundle); errors.Is(err, fs.ErrNotExist) {
		if err := createOwnCA(cfg, bundle); err != nil {
			return nil, err
		}
	}
	pair, err := tls.LoadX509KeyPair(bundle, bundle)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", bundle, err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	if err := os.WriteFile(filepath.Join(cfg.Dir, "ca.pem"), public, 0o644); err != nil { // public: clients read it
		return nil, fmt.Errorf("write ca.pem: %w", err)
	}
	return &ownCA{cfg: cfg, ca: pair}, nil
}

func createOwnCA(cfg TLSConfig, bundle string) error {
	now := cfg.Now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Trustloom server TLS"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownCAValidity),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	pair, err := signOwn(template, nil)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return fmt.Errorf("marshal TLS CA key: %w", err)
	}
	temp, err := os.CreateTemp(cfg.Dir, "ca-*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("write TLS CA: %w", err)
	}
	defer os.Remove(temp.Name())
	err = errors.Join(
		pem.Encode(temp, &pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.Encode(temp, &pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		temp.Sync(), temp.Close())
	if err != nil {
		return fmt.Errorf("write TLS CA: %w", err)
	}
	if err := os.Link(temp.Name(), bundle); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write TLS CA: %w", err)
	}
	return nil
}

// certificate returns the server's certificate, making one when there is none
// or when it has less than a third of its time left. It lives in memory only.
func (o *ownCA) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.cfg.Now()
	if o.current != nil && o.current.Leaf.NotAfter.Sub(now) > ownCertValidity/3 {
		return o.current, nil
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Trustloom server"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownCertValidity),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range o.cfg.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	pair, err := signOwn(template, &o.ca)
	if err != nil {
		return nil, err
	}
	o.current = pair
	return pair, nil
}

// signOwn makes a key and a certificate for it, self-signed without an issuer.
func signOwn(template *x509.Certificate, issuer *tls.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate TLS key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	template.SerialNumber = serial
	parent, signer := template, any(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign TLS certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse TLS certificate: %w", err)
	}
	pair := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	if issuer != nil {
		pair.Certificate = append(pair.Certificate, issuer.Certificate[0])
	}
	return pair, nil
}
