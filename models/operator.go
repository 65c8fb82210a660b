// SPDX-License-Identifier: MIT

package models

import "time"

// Role is what an operator may do; package api/auth maps it to permissions.
type Role string

// The roles.
const (
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
	RoleApprover Role = "approver"
	RoleAdmin    Role = "admin"
	RoleAuditor  Role = "auditor"
)

// Roles lists the roles, in the order of the help texts.
var Roles = []Role{RoleViewer, RoleOperator, RoleApprover, RoleAdmin, RoleAuditor}

// Operator is a person (or a program acting for one). Approvals count
// operators, not tokens.
type Operator struct {
	ID        OperatorID `gorm:"primaryKey"`
	Name      string     `gorm:"uniqueIndex;not null"`
	Disabled  bool
	Role      Role     // of sessions and of certificates; empty: neither is let in. Tokens have their own
	Domains   []string `gorm:"serializer:json"` // the same; nil means all
	Issuer    string   // OpenID Connect: who says who it is, and
	Subject   string   // which of the issuer's people it is; both or neither
	Revision  int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Token is a bearer token of an operator; only its hash is kept.
type Token struct {
	ID         TokenID    `gorm:"primaryKey"`
	Name       string     `gorm:"uniqueIndex;not null"`
	OperatorID OperatorID `gorm:"index;not null"`
	Role       Role       `gorm:"not null"`
	Hash       string     `gorm:"uniqueIndex;not null"` // hex SHA-256 of the token
	Domains    []string   `gorm:"serializer:json"`      // domain names; nil means all
	Session    bool       // made by a login: role and domains are the operator's at each request
	ExpiresAt  *time.Time
	RevokedAt  *time.Time
	CreatedAt  time.Time
}

// OperatorCertificate says which certificates are a person's: one by its
// fingerprint, or those of one issuing key that have a certain name.
type OperatorCertificate struct {
	ID           OperatorCertificateID `gorm:"primaryKey"`
	OperatorID   OperatorID            `gorm:"index;not null"`
	Kind         CertificateMatch
	IssuerSHA256 string // hex SHA-256 of the issuing CA's SubjectPublicKeyInfo; empty for MatchFingerprint
	Value        string // what has to be equal
	Label        string // the subject of the certificate it was registered with, for people
	CreatedAt    time.Time
}

// Login is a login that was completed in a browser and waits for the program
// that began it to collect its session.
type Login struct {
	CodeHash   string     `gorm:"primaryKey"` // hex SHA-256 of the code that the browser carried
	OperatorID OperatorID `gorm:"not null"`
	Challenge  string     // base64url SHA-256 of what the program has to show (RFC 7636)
	ExpiresAt  time.Time
}

// CertificateMatch says what of a person's certificate is compared.
type CertificateMatch string

// The comparisons. All but the first hold for certificates of one issuing key
// only: a name means nothing without the CA that gave it.
const (
	MatchFingerprint CertificateMatch = "fingerprint" // hex SHA-256 of the certificate
	MatchSubject     CertificateMatch = "subject"     // hex SHA-256 of the subject's DER
	MatchEmail       CertificateMatch = "email"       // the one rfc822Name, lower case
	MatchUPN         CertificateMatch = "upn"         // the one userPrincipalName (otherName 1.3.6.1.4.1.311.20.2.3), lower case
)

// CertificateMatches lists the comparisons.
var CertificateMatches = []CertificateMatch{MatchFingerprint, MatchSubject, MatchEmail, MatchUPN}

// Event is one audit event. It is written in the same transaction as the
// change that it tells of.
type Event struct {
	ID         EventID `gorm:"primaryKey"`
	At         time.Time
	Actor      string    `gorm:"index"` // "operator:alice", "device:press-01", "system"
	Address    string    // remote address, if any
	Action     string    `gorm:"index"` // noun.verb, for example "certificate.issued"
	Noun       string    `gorm:"index:event_subject"`
	SubjectID  string    `gorm:"index:event_subject"`
	DomainID   DomainID  `gorm:"index"`
	DeviceID   DeviceID  `gorm:"index"`
	RequestID  RequestID `gorm:"index"`
	WorkflowID string
	RunID      string            // of the workflow
	Details    map[string]string `gorm:"serializer:json"` // never a secret
	MAC        []byte            `gorm:"column:mac"`      // proves that Trustloom wrote it, see models/audit
}

// OutboxItem is a promise to tell Temporal something, written in the same
// transaction as the row it is about. A relay keeps the promise if the
// process that made it could not.
type OutboxItem struct {
	ID         OutboxID `gorm:"primaryKey"`
	Action     OutboxAction
	WorkflowID string
	SubjectID  string    // RequestID, ApprovalID or CAID by Action
	NotBefore  time.Time `gorm:"index"` // when to try (again)
	Attempts   int
	LastError  string
	CreatedAt  time.Time
}

// StartPromise is the identifier of the promise to start the story of a
// request: there is one for each, and who ends the request removes it.
func StartPromise(id RequestID) OutboxID { return OutboxID(id) }

// OutboxAction says what an OutboxItem promises.
type OutboxAction string

// The promises.
const (
	OutboxStartOnboarding OutboxAction = "start-onboarding" // SubjectID: RequestID
	OutboxStartEnrollment OutboxAction = "start-enrollment" // SubjectID: RequestID
	OutboxStartAuthority  OutboxAction = "start-authority"  // SubjectID: CAID
	OutboxWakeApproval    OutboxAction = "wake-approval"    // SubjectID: ApprovalID
	OutboxWithdraw        OutboxAction = "withdraw"         // SubjectID: RequestID
	OutboxPublish         OutboxAction = "publish"          // SubjectID: CAID
	OutboxWakeAuthority   OutboxAction = "wake-authority"   // SubjectID: CAID
	OutboxDestroyKey      OutboxAction = "destroy-key"      // SubjectID: key store "/" identifier of the key
	OutboxConfirmation    OutboxAction = "confirmation"     // SubjectID: RequestID of a CMP transaction
	OutboxRetireDevice    OutboxAction = "retire-device"    // SubjectID: DeviceID; revokes what was issued while it was decommissioned
)
