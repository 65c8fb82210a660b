// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/trustloom/trustloom/models"
)

// The shape of what FillCertificates stores.
const (
	FillDomains = 10
	FillDevices = 10_000
	fillBatch   = 500
	fillBody    = 600 // octets of a certificate, and of what was to be signed
)

// FillID is the identifier of the n-th domain, device or certificate that
// FillCertificates stores.
func FillID(noun string, n int) string { return fmt.Sprintf("fill-%s-%09d", noun, n) }

// FillCertificates stores certificates with made-up contents, for `trustloomd
// bench lists`, in a database that is there for the measurement only. Of ten,
// the older three have expired at now and one, all of the last domain, is
// revoked; half of the third domain's come from elsewhere; a third are
// application certificates, the others domain credentials. They are spread over
// FillDomains and FillDevices. Nobody can use them: their bytes are no
// certificates.
func (s *Store) FillCertificates(ctx context.Context, n int, now time.Time, progress func(done int)) error {
	for first := 0; first < n; first += fillBatch {
		rows := make([]*models.Certificate, 0, fillBatch)
		for i := first; i < min(first+fillBatch, n); i++ {
			rows = append(rows, fillCertificate(i, n, now))
		}
		err := s.Write(ctx, func(tx *Tx) error {
			list, err := insertsOf(tx, rows)
			if err == nil {
				_, err = tx.pipeline(list, "certificates")
			}
			return err
		})
		if err != nil {
			return err
		}
		progress(first + len(rows))
	}
	if s.writer != nil {
		return nil // SQLite never collects statistics here
	}
	return s.Write(ctx, func(tx *Tx) error {
		return tx.check(tx.session().Exec("ANALYZE certificates").Error, "statistics")
	})
}

func fillCertificate(i, n int, now time.Time) *models.Certificate {
	sum := sha256.Sum256(fmt.Append(nil, i))
	digest := hex.EncodeToString(sum[:])
	c := &models.Certificate{
		ID: models.CertificateID(FillID("certificate", i)), RequestKey: digest, RequestID: models.RequestID(FillID("request", i)),
		State: models.CertificateIssued, Origin: models.CertificateMade, Kind: models.CertificateDomainCredential, IssuerCAID: "fill-ca", IssuerKeyID: "aa11", Serial: digest[:38],
		TBS: make([]byte, fillBody), TBSSHA256: digest, Attempts: 1, DER: make([]byte, fillBody), Fingerprint: digest, SPKISHA256: digest,
		DomainID: models.DomainID(FillID("domain", i%FillDomains)), DeviceID: models.DeviceID(FillID("device", i%FillDevices)),
		ProfileName: "domain_credential", ProfileVersion: 1, Subject: "CN=fill," + digest[:20], SANs: []string{"dns:fill.example"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0).Add(time.Duration(i) * time.Second), CreatedAt: now, UpdatedAt: now,
	}
	if i%3 == 0 {
		c.Kind = models.CertificateApplication
	}
	if i%20 == 2 {
		c.Origin = models.CertificateImported
	}
	if i < 3*n/10 {
		c.NotAfter = now.Add(-time.Duration(i+1) * time.Second)
	}
	if i%10 == 9 {
		at := now.Add(-time.Hour)
		c.State, c.RevokedAt, c.RevokedReason = models.CertificateRevoked, &at, "superseded"
	}
	return c
}

// insertsOf are the statements that insert rows.
func insertsOf[T any](tx *Tx, rows []*T, conflict ...string) (list []statement, err error) {
	for len(rows) > 0 {
		n := tx.chunk(len(rows))
		s, err := insertOf(tx, rows[:n], conflict...)
		if err != nil {
			return nil, err
		}
		list, rows = append(list, s), rows[n:]
	}
	return list, nil
}
