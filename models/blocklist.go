// SPDX-License-Identifier: MIT

package models

import (
	"strings"
	"time"
)

// Bounds of the lists of keys that nobody may use.
const (
	MaxBlocklists  = 100
	MaxBlockedKeys = 1_000_000 // of all lists together
)

// Blocklist is an operator's list of keys for which no certificate is issued:
// leaked ones, and those of broken generators.
type Blocklist struct {
	Name      string `gorm:"primaryKey"`
	KeyCount  int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// BlockedKey is a key on a list.
type BlockedKey struct {
	SPKISHA256 string `gorm:"primaryKey"` // hex SHA-256 of the SubjectPublicKeyInfo
	Blocklist  string `gorm:"primaryKey"`
}

// ParseKeyFingerprint returns the SHA-256 digest of a SubjectPublicKeyInfo in
// lower-case hex. Upper case and colons between the octets, as OpenSSL writes
// digests, are understood. It is KindInvalid for anything else.
func ParseKeyFingerprint(s string) (string, error) {
	digest := s
	if len(s) == 95 && strings.Count(s, ":") == 31 {
		for i := 2; i < len(s); i += 3 {
			if s[i] != ':' {
				return "", badFingerprint(s)
			}
		}
		digest = strings.ReplaceAll(s, ":", "")
	}
	digest = strings.ToLower(digest)
	if len(digest) != 64 || strings.Trim(digest, "0123456789abcdef") != "" {
		return "", badFingerprint(s)
	}
	return digest, nil
}

func badFingerprint(s string) error {
	return Errorf(KindInvalid, "%q is not the SHA-256 digest of a SubjectPublicKeyInfo: 64 hex digits", s[:min(len(s), 100)])
}
