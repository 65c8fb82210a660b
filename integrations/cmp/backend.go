// SPDX-License-Identifier: MIT

package cmp

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"github.com/trustloom/trustloom/models/pki"
)

// Label selects a CA and a kind of certificate by the path of RFC 9811 §3.1:
// /.well-known/cmp/p/{Domain}[/{Profile}][/{operation}]. Both may be empty.
type Label struct {
	Domain  string
	Profile string
}

// Peer is what the transport knows about the sender of a message. Nothing in
// it is verified.
type Peer struct {
	Address   string // the connection's remote IP address, never a proxy header
	RequestID string // for logs
}

// Sender is the party that protects the messages of a transaction, as the
// Backend authenticated it. One transaction has one.
type Sender struct {
	ID    string // the same for every message of the same party
	RA    bool   // may vouch for others: raVerified, nested messages
	Value any    // the Backend's own
}

// Operation is what a request asks for.
type Operation int

// The operations that end in a certificate.
const (
	OpInit      Operation = iota // ir
	OpCert                       // cr
	OpKeyUpdate                  // kur
	OpPKCS10                     // p10cr
)

// Transaction names a transaction: RFC 9810 §5.1.1 makes its identifier unique
// for a time, and Digest tells a message that was sent again from another one
// that claims the same identifier.
type Transaction struct {
	ID     []byte   // transactionID, 16 octets as a rule
	Digest [32]byte // SHA-256 of the body of the request that began it
}

// Enrollment asks for one certificate. Its proof of possession was verified
// by the responder, unless Proof says that it is still to come.
type Enrollment struct {
	Label       Label
	Operation   Operation
	Transaction Transaction
	Sender      Sender
	Peer        Peer
	CertReqID   int      // 0, or -1 for p10cr (RFC 9483 §4.1.4)
	Request     *pki.CSR // names, extensions and key that are asked for
	// Generate asks for a key that is made here (RFC 9483 §4.1.6). Request has
	// no public key then (pki.ParseKeylessTemplate). The key goes out encrypted
	// to the sender, signed by the Protector, whose certificate needs the
	// extended key usage id-kp-cmKGA for it.
	Generate bool
	Proof    Proof
	OldCert  *CertID // kur: oldCertId control, if the client sent it
	Implicit bool    // implicitConfirm was asked for
	// Validity that is asked for; zero times: not asked for.
	NotBefore, NotAfter time.Time
}

// Proof says how the requester showed that it has the private key.
type Proof int

// The proofs of possession (RFC 4211 §4).
const (
	ProofSigned    Proof = iota // signature over the request
	ProofByRA                   // raVerified; Sender.RA is true
	ProofEncrypted              // indirect: the certificate is sent encrypted, certConf proves it (RFC 9810 §5.2.8.3.2)
)

// CertID is a certificate by issuer and serial number (RFC 4211 §6.5).
type CertID struct {
	Issuer []byte // DER of the Name
	Serial []byte // content octets of the INTEGER
}

// Outcome is where a transaction stands: issued (Certificate), or waiting
// (RetryAfter positive). What failed is an error.
type Outcome struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // from its issuer up
	CAPubs      []*x509.Certificate // self-signed, for ip only, and only to those who have no anchor yet (MAC)
	Key         crypto.PrivateKey   // made here; nil otherwise. Given once
	RetryAfter  time.Duration
	Implicit    bool          // confirmed with this answer; otherwise certConf must come
	ConfirmWait time.Duration // how long certConf is waited for
	Confirmed   bool
}

// Confirmation is certConf for the one certificate of a transaction.
type Confirmation struct {
	Label       Label
	Transaction []byte
	Sender      Sender
	Peer        Peer
	CertReqID   int
	// Matches reports whether certHash is the hash of the certificate.
	Matches  func(*x509.Certificate) bool
	Accepted bool   // false: the client refuses the certificate
	Reason   string // what it said, bounded and printable
}

// Revocation is one RevDetails of an rr.
type Revocation struct {
	Label  Label
	Sender Sender
	Peer   Peer
	Cert   CertID
	Reason int // CRLReason; 8 (removeFromCRL) revives a hold
	// Transaction of the message: a repetition gets the same answer.
	Transaction Transaction
}

// Protector is with what answers are signed: the domain's CMP protection
// certificate (extended key usage id-kp-cmcCA or id-kp-cmcRA) and its chain.
type Protector struct {
	Signer crypto.Signer
	Chain  []*x509.Certificate // the signer's first
}

// Backend answers the messages whose protection was verified. Errors are
// models.Error; errors.go translates their kinds into PKIFailureInfo, unless
// the Backend names one itself by WithFailInfo. Everything that changes state
// is idempotent by the transaction.
type Backend interface {
	Authenticator
	Enroller
	Supporter
}

// Authenticator says who sent a message, and with what it is answered.
type Authenticator interface {
	// Secret calls prove with the shared secret that belongs to reference
	// (senderKID), and returns the sender if prove returns true. It throttles
	// and costs the same whether the reference exists or not; failures are
	// KindUnauthenticated with one text. It refuses used secrets of transactions
	// other than the one that used it.
	Secret(ctx context.Context, label Label, transaction []byte, reference string, peer Peer, prove func(secret []byte) bool) (Sender, error)
	// Signer judges the chain of a message whose signature was verified with
	// the key of chain[0]; the rest is unordered help from extraCerts.
	Signer(ctx context.Context, label Label, transaction []byte, chain []*x509.Certificate, peer Peer) (Sender, error)
	// Protector returns what answers of the label's domain are signed with.
	Protector(ctx context.Context, label Label) (*Protector, error)
}

// Enroller is what changes state.
type Enroller interface {
	// Enroll takes ir, cr, kur and p10cr. The same transaction with the same
	// digest by the same sender gets the same outcome; anything else with its
	// identifier is KindConflict.
	Enroll(ctx context.Context, in *Enrollment) (Outcome, error)
	// Poll tells how a transaction stands that was answered "waiting".
	Poll(ctx context.Context, label Label, transaction []byte, sender Sender, peer Peer) (Outcome, error)
	// Confirm takes certConf.
	Confirm(ctx context.Context, in *Confirmation) error
	// Revoke takes rr.
	Revoke(ctx context.Context, in *Revocation) error
}

// Supporter answers the support messages (RFC 9483 §4.3).
type Supporter interface {
	// CACerts returns the certificates of the label's CAs, the issuing CA first.
	CACerts(ctx context.Context, label Label) ([]*x509.Certificate, error)
	// RootUpdate returns what replaces the root CA certificate old; nil: nothing.
	RootUpdate(ctx context.Context, label Label, old *x509.Certificate) (*RootUpdate, error)
	// Template returns what a request should contain; nil: nothing is wanted.
	Template(ctx context.Context, label Label) (*CertTemplateAdvice, error)
	// CRLs returns those that are newer than what is known, in DER.
	CRLs(ctx context.Context, label Label, known []CRLStatus) ([][]byte, error)
}

// RootUpdate is the content of rootCaKeyUpdate (RFC 9810 §5.3.19.15).
type RootUpdate struct {
	NewWithNew *x509.Certificate
	NewWithOld *x509.Certificate // may be nil
	OldWithNew *x509.Certificate // may be nil
}

// CertTemplateAdvice is what certReqTemplate tells (RFC 9810 §5.3.19.16).
type CertTemplateAdvice struct {
	Attrs   pki.CSRAttrs // what a request should contain, as for EST csrattrs
	RSABits int          // 0: any
}

// CRLStatus says which CRL of an issuer a client has (RFC 9810 §5.3.19.17).
type CRLStatus struct {
	Issuer     []byte // DER of the Name, if named
	Points     []string
	ThisUpdate time.Time // zero: none yet
}
