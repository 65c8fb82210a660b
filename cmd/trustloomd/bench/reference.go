// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"time"

	"github.com/trustloom/trustloom/models/store"
)

// insertConnections are the numbers of connections of the bare inserts.
var insertConnections = [...]int{1, 16}

// references measures what the machine does without Trustloom. It is done
// before and after the rest, with half the time each, because a shared machine
// changes.
func (b *bench) references(ctx context.Context) (References, error) {
	half := b.cfg.Duration / 2
	var r References
	b.say("references: x509.CreateCertificate ...")
	var err error
	if r.CreateCertificate, err = measureCreateCertificate(ctx, half); err != nil {
		return r, err
	}
	for i, connections := range insertConnections {
		b.say("references: durable inserts, %d connections ...", connections)
		if r.Inserts[i], err = b.measureInserts(ctx, connections, half); err != nil {
			return r, err
		}
	}
	return r, nil
}

// measureCreateCertificate makes certificates with the standard library on one
// goroutine: no request, no profile, no lint, no database.
func measureCreateCertificate(ctx context.Context, duration time.Duration) (Rate, error) {
	template, parent, key, device, err := bareIssuer()
	if err != nil {
		return Rate{}, err
	}
	before, err := ownTime()
	if err != nil {
		return Rate{}, err
	}
	seen, err := drive(ctx, 1, duration, func(context.Context, int) error {
		_, err := x509.CreateCertificate(rand.Reader, template, parent, device.Public(), key)
		return err
	})
	after, errTime := ownTime()
	return newRate(1, len(seen.latencies), seen.elapsed, after-before), errors.Join(err, errTime)
}

// bareIssuer makes what a certificate like those of the server is made of.
func bareIssuer() (template, parent *x509.Certificate, key, device *ecdsa.PrivateKey, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, nil, fmt.Errorf("make a key: %w", err)
	}
	device, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, nil, fmt.Errorf("make a key: %w", err)
	}
	now := time.Now()
	parent = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuingName}, SubjectKeyId: make([]byte, 20),
		NotBefore: now, NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		PublicKey: key.Public(),
	}
	template = &x509.Certificate{
		SerialNumber: new(big.Int).Lsh(big.NewInt(1), 150), Subject: pkix.Name{CommonName: "bench-000001", SerialNumber: "SN-000001"},
		NotBefore: now, NotAfter: now.AddDate(1, 0, 0), SubjectKeyId: make([]byte, 20), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CRLDistributionPoints: []string{"http://pki.example/crl/1.crl"},
		IssuingCertificateURL: []string{"http://pki.example/ca/1.cer"}, OCSPServer: []string{"http://pki.example/ocsp/1"},
	}
	return template, parent, key, device, nil
}

// measureInserts commits single rows to a database next to the server's: the
// same PostgreSQL, or a SQLite file on the same disk.
func (b *bench) measureInserts(ctx context.Context, connections int, duration time.Duration) (Rate, error) {
	url := b.database
	if url == "" {
		url = "sqlite:" + filepath.Join(b.dir, "reference.db")
	}
	rows, err := store.OpenReference(ctx, url, connections)
	if err != nil {
		return Rate{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	before, err := ownTime()
	if err != nil {
		return Rate{}, err
	}
	begun := time.Now()
	inserted, err := rows.Run(ctx)
	elapsed := time.Since(begun)
	after, errTime := ownTime()
	return newRate(connections, inserted, elapsed, after-before), errors.Join(err, errTime, rows.Close())
}
