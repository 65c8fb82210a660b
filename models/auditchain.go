// SPDX-License-Identifier: MIT

package models

import "time"

// AuditBlock seals audit events that follow each other into the chain: for
// each its place, its identifier and its digest. See package models/audit.
type AuditBlock struct {
	LastSeq  int64 `gorm:"primaryKey;autoIncrement:false"` // place of its last event
	FirstSeq int64 // of its first; places have no gaps and begin with 1
	Position int64 // of its last event in the table of events
	Format   int   // of the encoding; 1
	Entries  []byte
	Hash     []byte // of the chain up to LastSeq
	SealedAt time.Time
}

// AuditHead is a signed statement: at this time the chain of audit events was
// so long and had this hash. Whoever keeps one can prove later that nothing
// before it was changed.
type AuditHead struct {
	Seq         int64 `gorm:"primaryKey;autoIncrement:false"`
	Hash        []byte
	At          time.Time
	KeyID       string // hex SHA-256 of the key's SubjectPublicKeyInfo
	Certificate []byte // DER, self-signed
	Signature   []byte // ECDSA with SHA-256 over the text of models/audit
}
