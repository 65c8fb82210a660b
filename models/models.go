// SPDX-License-Identifier: MIT

// Package models holds the vocabulary of Trustloom: the nouns, their states
// with the legal transitions, typed identifiers, and the kinds of error.
//
// Terms follow the documents that govern them (RFC 5280 certificates and CRLs,
// RFC 7030 EST, IEEE 802.1AR device identities). Everything else in the tree
// imports this package; it imports nothing of ours and must not know gorm,
// gin, Temporal, HTTP or the file system. Structs carry storage tags as plain
// strings and no JSON tags: what travels over the REST API is in package api.
package models

import (
	"time"

	"github.com/google/uuid"
)

// Typed identifiers. Each is a UUIDv7 in its 36-character text form, so that
// identifiers sort by creation time and keyset pages follow that order.
type (
	CAID           string
	DomainID       string
	ProfileID      string
	TruststoreID   string
	RegistrationID string
	DeviceID       string
	RequestID      string
	CertificateID  string
	ApprovalID     string
	DecisionID     string
	OperatorID     string
	TokenID        string
	// OperatorCertificateID names a registration of a person's certificate.
	OperatorCertificateID string
	CRLID                 string
	EventID               string
	OutboxID              string
	DeliveryID            string
)

// NewID returns a fresh UUIDv7 (RFC 9562 §5.7) as any of the identifier types.
// It never fails: the random source of Go 1.27 aborts the program instead of
// returning an error.
func NewID[T ~string]() T {
	return T(uuid.Must(uuid.NewV7()).String())
}

// IsID reports whether s is the canonical text form of a UUID, so that
// malformed identifiers are refused before they reach a query.
func IsID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s && id != uuid.Nil
}

// UTC returns t in UTC with whole seconds, the resolution of X.509 validity
// (RFC 5280 §4.1.2.5).
func UTC(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
