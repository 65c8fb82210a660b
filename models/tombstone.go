// SPDX-License-Identifier: MIT

package models

import (
	"fmt"
	"time"
)

// MinRetention is the shortest time for which expired certificates are kept
// where they are not kept for ever: whoever looks into what happened while
// they were valid finds them.
const MinRetention = Duration(30 * 24 * time.Hour)

// KeepForever is the retention of domains without a rule, as operators write it.
const KeepForever = "none"

// ParseRetention reads a retention rule: a duration of at least MinRetention,
// or KeepForever, which is 0 and so is the empty text. Anything else is KindInvalid.
func ParseRetention(s string) (Duration, error) {
	if s == "" || s == KeepForever {
		return 0, nil
	}
	d, err := ParseDuration(s)
	if err != nil {
		return 0, err
	}
	if d < MinRetention {
		return 0, Errorf(KindInvalid, "retention %s is too short: expired certificates are kept for at least %s, to look into what happened while they were valid; %q keeps them for ever", s, MinRetention, KeepForever)
	}
	return d, nil
}

// FormatRetention is the inverse of ParseRetention.
func FormatRetention(d Duration) string {
	if d == 0 {
		return KeepForever
	}
	return d.String()
}

// Tombstone is what is kept of a certificate that was purged, for ever: enough
// to know that it was one of ours, and whose. It has the certificate's
// identifier.
type Tombstone struct {
	ID            CertificateID   `gorm:"primaryKey"`
	RequestKey    string          `gorm:"uniqueIndex;not null"`
	RequestID     RequestID       // empty for imported ones
	Kind          CertificateKind `gorm:"not null"`
	IssuerCAID    CAID
	IssuerKeyID   string `gorm:"uniqueIndex:issuer_serial;not null"`
	Serial        string `gorm:"uniqueIndex:issuer_serial;not null"` // lower-case hex
	TBSSHA256     string
	Fingerprint   string // hex SHA-256 of what was its DER
	SPKISHA256    string
	DomainID      DomainID
	DeviceID      DeviceID
	ProfileName   string
	Subject       string // RFC 4514
	NotAfter      time.Time
	PredecessorID CertificateID
	RevokedAt     *time.Time
	RevokedReason RevocationReason
	Origin        CertificateOrigin
	PurgedAt      time.Time
}

// Epitaph says what became of the certificate, for people.
func (t *Tombstone) Epitaph() string {
	return fmt.Sprintf("certificate %s expired at %s and was purged at %s by the retention rule of its domain",
		t.ID, t.NotAfter.Format(time.RFC3339), t.PurgedAt.Format(time.RFC3339))
}
