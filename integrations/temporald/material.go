// SPDX-License-Identifier: MIT

package temporald

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
	"os"
	"path/filepath"
	"time"
)

const (
	// serverName is what the engine's certificate says; the address is a loopback port that changes.
	serverName = "engine.trustloom-temporal"
	// applicationName is what our client certificate says; the engine knows it by its key.
	applicationName = "trustloom"

	materialYears  = 10
	materialMargin = 90 * 24 * time.Hour
)

// material is the TLS identity of both ends of the connection to the embedded engine.
type material struct {
	dir    string
	client *tls.Config
}

// loadMaterial returns the material of dir, made anew where it is missing, damaged or near its end.
func loadMaterial(dir string, now time.Time) (*material, error) {
	m, err := readMaterial(dir, now)
	if err == nil {
		return m, nil
	}
	if err := writeMaterial(dir, now); err != nil {
		return nil, fmt.Errorf("make TLS material: %w", err)
	}
	return readMaterial(dir, now)
}

func readMaterial(dir string, now time.Time) (*material, error) {
	data, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("read TLS material: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, errors.New("ca.pem holds no certificate")
	}
	if _, err := readPair(dir, "server", roots, x509.ExtKeyUsageServerAuth, now); err != nil {
		return nil, err
	}
	pair, err := readPair(dir, "client", roots, x509.ExtKeyUsageClientAuth, now)
	if err != nil {
		return nil, err
	}
	return &material{dir: dir, client: &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: serverName, RootCAs: roots, Certificates: []tls.Certificate{pair},
	}}, nil
}

func readPair(dir, name string, roots *x509.CertPool, usage x509.ExtKeyUsage, now time.Time) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("load the %s certificate: %w", name, err)
	}
	options := x509.VerifyOptions{Roots: roots, CurrentTime: now.Add(materialMargin), KeyUsages: []x509.ExtKeyUsage{usage}}
	if _, err := pair.Leaf.Verify(options); err != nil {
		return tls.Certificate{}, fmt.Errorf("verify the %s certificate: %w", name, err)
	}
	return pair, nil
}

// writeMaterial makes a CA, two certificates and forgets the CA's key: renewing means making all of it again. The new
// directory takes the place of the old one in one step, so a crash leaves one of them or none, never a mixture.
func writeMaterial(dir string, now time.Time) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".tls-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(fresh) }() // gone after the rename
	ca, err := newCA(now)
	if err != nil {
		return err
	}
	if err := writePEM(fresh, "ca.pem", "CERTIFICATE", ca.certificate.Raw); err != nil {
		return err
	}
	if err := ca.issue(fresh, "server", serverName, x509.ExtKeyUsageServerAuth, now); err != nil {
		return err
	}
	if err := ca.issue(fresh, "client", applicationName, x509.ExtKeyUsageClientAuth, now); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, dir)
}

// authority signs the two certificates and is never written down.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newCA(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := template("Trustloom embedded engine", now)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, nil
}

func (a *authority) issue(dir, file, name string, usage x509.ExtKeyUsage, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := template(name, now)
	if err != nil {
		return err
	}
	template.DNSNames = []string{name}
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{usage}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(dir, file+".pem", "CERTIFICATE", der); err != nil {
		return err
	}
	return writePEM(dir, file+".key", "PRIVATE KEY", private)
}

// template is backdated by a day against clocks that are set after the first start.
func template(name string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.AddDate(0, 0, -1),
		NotAfter:     now.AddDate(materialYears, 0, 0),
	}, nil
}

func writePEM(dir, name, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
