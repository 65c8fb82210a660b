// SPDX-License-Identifier: MIT

package models

import "time"

// RequestKind says which story a request belongs to.
type RequestKind string

// The kinds of request.
const (
	KindOnboarding RequestKind = "onboarding" // a device's first identity, the domain credential
	KindEnrollment RequestKind = "enrollment" // an application certificate
	KindRenewal    RequestKind = "renewal"    // replaces a certificate
)

// AuthMethod names how the requester was authenticated.
type AuthMethod string

// The authentication methods of devices.
const (
	AuthPassword         AuthMethod = "password"
	AuthIDevID           AuthMethod = "idevid"
	AuthDomainCredential AuthMethod = "domain-credential"
	AuthPredecessor      AuthMethod = "predecessor" // the certificate being renewed
	AuthRA               AuthMethod = "ra"          // a registration authority vouches for the device
	AuthOperator         AuthMethod = "operator"    // an authenticated operator asks for the device
)

// Request is one enrollment attempt. Its Key makes it unique: a client that
// sends the same request again finds this row, not a second one.
type Request struct {
	ID             RequestID    `gorm:"primaryKey"`
	Key            string       `gorm:"uniqueIndex;not null"` // hex SHA-256, see RequestKey
	Kind           RequestKind  `gorm:"index;not null"`
	State          RequestState `gorm:"index;not null"`
	Protocol       string       // "est"
	DomainID       DomainID     `gorm:"index;not null"`
	DeviceID       DeviceID     `gorm:"index;not null"`
	ProfileName    string
	ProfileVersion int
	CSR            []byte // DER
	AuthMethod     AuthMethod
	AuthSubject    string        // user name, or SHA-256 fingerprint of the certificate
	PredecessorID  CertificateID // the certificate that is renewed
	WorkflowID     string        `gorm:"index"` // empty in the inline lane
	Decision       Decision      `gorm:"serializer:json"`
	CertificateID  CertificateID
	FailureKind    string // Kind.String() when rejected or failed
	FailureText    string // public
	Deadline       *time.Time
	Revision       int
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Finished reports whether the request has reached a final state.
func (r *Request) Finished() bool { return RequestTransitions.Terminal(r.State) }

// Decision is what policy said about a request, with its reasons. It is taken
// once and kept, so that a changed policy never changes a running story.
type Decision struct {
	Outcome  Outcome
	Reasons  []string      // sentences that a person can read, in the order they were found
	Approval *ApprovalRule // set when Outcome is OutcomeWait
}

// Outcome is the verdict of policy.
type Outcome string

// The outcomes.
const (
	OutcomeIssue  Outcome = "issue"
	OutcomeWait   Outcome = "wait"
	OutcomeRefuse Outcome = "refuse"
)

// Certificate is a certificate from the reservation of its serial number on.
// It is found by (IssuerKeyID, Serial), never by the serial alone.
type Certificate struct {
	ID             CertificateID    `gorm:"primaryKey"`
	RequestKey     string           `gorm:"uniqueIndex;not null"` // Request.Key, or "ca/<id>/<generation>" for CA certificates
	RequestID      RequestID        `gorm:"index"`
	State          CertificateState `gorm:"index;not null"`
	Kind           CertificateKind  `gorm:"not null"`
	IssuerCAID     CAID             `gorm:"index;not null"`
	IssuerKeyID    string           `gorm:"uniqueIndex:issuer_serial;not null"`
	Serial         string           `gorm:"uniqueIndex:issuer_serial;not null"` // lower-case hex
	TBS            []byte           // to-be-signed bytes, stored before the signature is made
	TBSSHA256      string
	Attempts       int // signatures that were begun
	DER            []byte
	Fingerprint    string   `gorm:"index"` // hex SHA-256 of DER; empty until recorded
	SPKISHA256     string   `gorm:"index"`
	DomainID       DomainID `gorm:"index"`
	DeviceID       DeviceID `gorm:"index"`
	ProfileName    string
	ProfileVersion int
	Subject        string   // RFC 4514
	SANs           []string `gorm:"serializer:json"` // "dns:…", "ip:…", "uri:…", "email:…"
	NotBefore      time.Time
	NotAfter       time.Time `gorm:"index"`
	PredecessorID  CertificateID
	RevokedAt      *time.Time
	RevokedReason  RevocationReason
	Origin         CertificateOrigin
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// CertificateOrigin says whether a certificate was issued here.
type CertificateOrigin string

// The origins of a certificate. Imported ones are inventory: they prove
// nothing about a device, are not linted, and do not count as issued by us.
const (
	CertificateMade     CertificateOrigin = "issued"
	CertificateImported CertificateOrigin = "imported"
)

// CertificateKind says what a certificate is for in Trustloom.
type CertificateKind string

// The kinds of certificate.
const (
	CertificateCA               CertificateKind = "ca"
	CertificateDomainCredential CertificateKind = "domain-credential"
	CertificateApplication      CertificateKind = "application"
	CertificateProtector        CertificateKind = "cmp-protection" // signs the CMP messages of a CA
)

// RevocationReason is a CRLReason spelled as in RFC 5280 §5.3.1.
type RevocationReason string

// RevocationReasons maps each reason that an operator may give to its code.
var RevocationReasons = map[RevocationReason]int{
	"unspecified": 0, "keyCompromise": 1, "cACompromise": 2, "affiliationChanged": 3, "superseded": 4,
	"cessationOfOperation": 5, "certificateHold": 6, "privilegeWithdrawn": 9, "aACompromise": 10,
}
