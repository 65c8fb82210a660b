// SPDX-License-Identifier: MIT

// Package est implements Enrollment over Secure Transport, RFC 7030 with the
// clarifications of RFC 8951: the codec, a client, and a responder over the
// small Backend interface. It must not know the store, Temporal, or who may
// have which certificate: it hands a verified request and what the transport
// proved about the peer to its Backend.
package est

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/trustloom/trustloom/models/pki"
)

// Label selects a CA and a kind of certificate by the additional path
// segments of RFC 7030 §3.2.2: /.well-known/est/{Domain}[/{Profile}]/…
// Profile is empty if the path has none.
type Label struct {
	Domain  string
	Profile string
}

// Peer is what the transport knows about the sender of a request. Nothing in
// it is verified but Bound: neither the certificates nor the password.
type Peer struct {
	Certificates []*x509.Certificate // as presented, the leaf first; TLS proved possession of the leaf's key
	Username     string
	Password     string
	HasBasic     bool // an Authorization header of scheme Basic was there
	// Bound says that the request carries the channel binding of its
	// connection, verified; a wrong one never reaches the Backend.
	Bound     bool
	Address   string // the connection's remote IP address, never a proxy header
	RequestID string // Options.RequestID, for logs
}

// Result is the outcome of an enrollment: the issued certificate first, or,
// if RetryAfter is positive, "pending": ask again with the same request.
type Result struct {
	Certificates []*x509.Certificate
	RetryAfter   time.Duration
}

// Pending reports whether the request waits.
func (r Result) Pending() bool { return r.RetryAfter > 0 }

// Backend answers the operations. Errors are models.Error; their kinds choose
// the HTTP status. Requests were parsed and bounded, and their proof of
// possession verified.
type Backend interface {
	// CACerts returns the chain of the label's issuing CA, issuing CA first.
	CACerts(ctx context.Context, label Label) ([]*x509.Certificate, error)
	// SimpleEnroll is RFC 7030 §4.2.1.
	SimpleEnroll(ctx context.Context, label Label, csr *pki.CSR, peer Peer) (Result, error)
	// SimpleReenroll is RFC 7030 §4.2.2.
	SimpleReenroll(ctx context.Context, label Label, csr *pki.CSR, peer Peer) (Result, error)
	// CSRAttrs returns what a request should contain (RFC 7030 §4.5), nothing
	// if it is empty. Nobody has to authenticate for it.
	CSRAttrs(ctx context.Context, label Label, peer Peer) (pki.CSRAttrs, error)
	// ServerKeyGen is RFC 7030 §4.4. The CSR's key is of no meaning but for
	// its kind; its proof of possession was verified all the same.
	ServerKeyGen(ctx context.Context, label Label, csr *pki.CSR, peer Peer) (KeyResult, error)
}
