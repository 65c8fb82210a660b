// SPDX-License-Identifier: MIT

package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// KeyParts are what makes one enrollment request the same request when it is
// sent again. Nothing else may decide that: the key is what keeps a repeated,
// parallel or recovered request from getting a second certificate.
type KeyParts struct {
	Protocol    string
	DomainID    DomainID
	DeviceID    string // DeviceID, or the identity of an IDevID before its device exists
	DeviceEpoch int
	Profile     string
	Transaction string // the protocol's transaction identifier; EST has none
	CSRSHA256   string // hex
	Predecessor CertificateID
	Attempt     int // raised when the earlier result is void: failed, revoked or expired
}

// RequestKey returns the request key of p: 64 hex digits.
func RequestKey(p KeyParts) string {
	h := sha256.New()
	for _, part := range []string{p.Protocol, string(p.DomainID), p.DeviceID, fmt.Sprint(p.DeviceEpoch),
		p.Profile, p.Transaction, p.CSRSHA256, string(p.Predecessor), fmt.Sprint(p.Attempt)} {
		// The length keeps ("ab","c") and ("a","bc") apart.
		fmt.Fprintf(h, "%d:", len(part))
		io.WriteString(h, part) //nolint:errcheck // a hash never fails to write
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Digest returns the hex SHA-256 of what a person approves when they approve
// the request: who gets which key certified under which rules. A changed
// request has another digest, and approvals given for the old one are void.
func (r *Request) Digest() string {
	csr := sha256.Sum256(r.CSR)
	return RequestKey(KeyParts{
		Protocol: string(r.Kind), DomainID: r.DomainID, DeviceID: string(r.DeviceID), Profile: r.ProfileName,
		DeviceEpoch: r.ProfileVersion, Transaction: r.Key, CSRSHA256: hex.EncodeToString(csr[:]), Predecessor: r.PredecessorID,
	})
}
