// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/server/common/rpc/encryption"
)

// internodeName is the name the services of this process know each other by.
const internodeName = "internode.trustloom-temporal"

// Application identifies the one client of the frontend by its public key.
type Application struct {
	spki [sha256.Size]byte
}

// Is reports whether a verified peer certificate is the application's.
func (a Application) Is(certificate *x509.Certificate) bool {
	return sha256.Sum256(certificate.RawSubjectPublicKeyInfo) == a.spki
}

// loadApplication reads client.pem: the certificate only, the private key is none of our business.
func loadApplication(dir string) (Application, error) {
	data, err := os.ReadFile(filepath.Join(dir, "client.pem"))
	if err != nil {
		return Application{}, fmt.Errorf("read the client certificate: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return Application{}, errors.New("client.pem holds no PEM block")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Application{}, fmt.Errorf("parse the client certificate: %w", err)
	}
	return Application{spki: sha256.Sum256(certificate.RawSubjectPublicKeyInfo)}, nil
}

// tlsProvider gives the frontend port the material of dir and the application as its only client, and all internal
// ports a certificate that exists in this process only: it is server and client to itself, and nobody else is either.
func tlsProvider(dir string, application Application) (encryption.TLSConfigProvider, error) {
	frontend, err := frontendTLS(dir, application)
	if err != nil {
		return nil, err
	}
	server, client, err := internodeTLS()
	if err != nil {
		return nil, err
	}
	return &encryption.FixedTLSConfigProvider{
		FrontendServerConfig:  frontend,
		FrontendClientConfig:  client,
		InternodeServerConfig: server,
		InternodeClientConfig: client,
	}, nil
}

func frontendTLS(dir string, application Application) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		return nil, fmt.Errorf("load the server certificate: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("read the CA certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, errors.New("ca.pem holds no certificate")
	}
	return serverConfig(certificate, roots, application.Is), nil
}

func internodeTLS() (server, client *tls.Config, err error) {
	certificate, err := ephemeralCertificate(time.Now())
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	self := func(peer *x509.Certificate) bool { return bytes.Equal(peer.Raw, certificate.Leaf.Raw) }
	client = &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{certificate},
		RootCAs:      roots,
		ServerName:   internodeName,
	}
	return serverConfig(certificate, roots, self), client, nil
}

// serverConfig demands a client certificate that chains to roots and that known accepts, on each handshake:
// there are no session tickets that would let one be skipped.
func serverConfig(certificate tls.Certificate, roots *x509.CertPool, known func(*x509.Certificate) bool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{certificate},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              roots,
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || !known(state.PeerCertificates[0]) {
				return errors.New("the client certificate is not the one this port knows")
			}
			return nil
		},
	}
}

// ephemeralCertificate makes the certificate of the internal ports. It lives as long as the process, so its validity
// needs no renewal; the backdating forgives a clock that is set right after start.
func ephemeralCertificate(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("generate the internal key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: internodeName},
		DNSNames:     []string{internodeName},
		NotBefore:    now.AddDate(-1, 0, 0),
		NotAfter:     now.AddDate(30, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the internal certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("parse the internal certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
