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
	Domains    []string   `gorm:"serializer:json"`      // domain names; empty means all
	ExpiresAt  *time.Time
	RevokedAt  *time.Time
	CreatedAt  time.Time
}

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
	Details    map[string]string `gorm:"serializer:json"` // never a secret
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
)
