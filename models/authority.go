// SPDX-License-Identifier: MIT

package models

import "time"

// CAType distinguishes trust anchors from subordinate CAs.
type CAType string

// The types of CA. This server signs with the key of a root or issuing CA; of
// an external one it has the certificate only, for the hierarchies of others.
const (
	CARoot     CAType = "root"
	CAIssuing  CAType = "issuing"
	CAExternal CAType = "external"
)

// CAOrigin says where the key and the certificate of a CA come from.
type CAOrigin string

// The origins of a CA.
const (
	CAMade      CAOrigin = "made"      // key and certificate were made here
	CAImported  CAOrigin = "imported"  // both were made elsewhere
	CARequested CAOrigin = "requested" // the key was made here, the certificate signed elsewhere
	CAKnown     CAOrigin = "known"     // certificate only: type external
)

// CA is a certification authority: its key is in one of our key stores, unless
// the type is external.
type CA struct {
	ID             CAID    `gorm:"primaryKey"`
	Name           string  `gorm:"uniqueIndex;not null"`
	Type           CAType  `gorm:"not null"`
	State          CAState `gorm:"not null"`
	Generation     int     `gorm:"not null"`
	IssuerID       CAID    // empty for a root
	Key            KeyRef  `gorm:"embedded;embeddedPrefix:private_key_"`
	KeyID          string  `gorm:"index"` // lower-case hex of the SubjectKeyIdentifier; in URLs
	Subject        Name    `gorm:"serializer:json"`
	CertificateID  CertificateID
	CertificateDER []byte
	Validity       Duration
	NotBefore      time.Time
	NotAfter       time.Time
	Demo           bool   // made for trying things out; shown wherever the CA is shown
	Failure        string // why State is failed
	Origin         CAOrigin
	CSR            []byte     // DER; of a requested CA, once its key is made
	Deadline       *time.Time // of a requested CA: when the wait for its certificate ends
	ProfileName    string     // of credential_type ca; empty: none
	ProfileVersion int        // 0: none
	Revision       int
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Keyless reports whether we have the certificate of the CA but not its key.
func (c *CA) Keyless() bool { return c.Type == CAExternal }

// Name is a subject as operators write it; empty fields are left out.
type Name struct {
	CommonName         string
	SerialNumber       string
	Organization       string
	OrganizationalUnit string
	Country            string
	State              string
	Locality           string
}

// CRL is one published certificate revocation list of a CA key (RFC 5280 §5).
type CRL struct {
	ID         CRLID  `gorm:"primaryKey"`
	CAID       CAID   `gorm:"index;not null"`
	KeyID      string `gorm:"uniqueIndex:crl_number;not null"`
	Number     int64  `gorm:"uniqueIndex:crl_number;not null"`
	DER        []byte // empty while only intended
	ThisUpdate time.Time
	NextUpdate time.Time
	CreatedAt  time.Time
}

// Domain is a trust area: one issuing CA, its profiles and its policies.
type Domain struct {
	ID          DomainID          `gorm:"primaryKey"`
	Name        string            `gorm:"uniqueIndex;not null"`
	IssuingCAID CAID              `gorm:"index;not null"`
	Profiles    []string          `gorm:"serializer:json"` // names that devices may ask for
	Aliases     map[string]string `gorm:"serializer:json"` // further names for some of Profiles
	Approval    ApprovalPolicy    `gorm:"serializer:json"`
	Truststores []string          `gorm:"serializer:json"` // names of those that its devices should have
	Suspended   bool              // refuses every issuance
	Preset      string            // name of the preset that limits it, see package policy
	Operations  *DomainDoors      `gorm:"serializer:json"` // nil for domains older than the switches
	Retention   Duration          // how long certificates are kept after they expired; 0: for ever
	Demo        bool
	Revision    int
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// ProfileNamed returns the profile that devices of the domain mean by name: an
// alias comes before a profile that is called the same.
func (d *Domain) ProfileNamed(name string) string {
	if profile := d.Aliases[name]; profile != "" {
		return profile
	}
	return name
}

// ApprovalPolicy says which stories of a domain wait for people. A nil rule
// means that nobody has to approve.
type ApprovalPolicy struct {
	Onboarding *ApprovalRule
	Enrollment *ApprovalRule
	Renewal    *ApprovalRule
}

// For returns the rule for requests of kind k, or nil.
func (p ApprovalPolicy) For(k RequestKind) *ApprovalRule {
	switch k {
	case KindOnboarding:
		return p.Onboarding
	case KindRenewal:
		return p.Renewal
	default:
		return p.Enrollment
	}
}

// ApprovalRule describes an approval: its steps in order, each with the
// number of approvers it needs, and when the wait ends.
type ApprovalRule struct {
	Steps         []ApprovalStep
	Deadline      Duration // from the request; default 14 days
	RemindAfter   Duration // default half the deadline
	EscalateAfter Duration // default three quarters of the deadline
}

// ApprovalStep is one step: Quorum different people must approve it. Nobody
// approves more than once in the same approval, whatever the step.
type ApprovalStep struct {
	Name   string
	Quorum int
}

// Profile is one version of a profile document; the highest version of a name
// is the current one, older ones stay for the certificates that name them.
type Profile struct {
	ID        ProfileID `gorm:"primaryKey"`
	Name      string    `gorm:"uniqueIndex:profile_version;not null"`
	Version   int       `gorm:"uniqueIndex:profile_version;not null"`
	Document  []byte    // JSON, see package policy
	Shipped   bool      // came with the server
	CreatedAt time.Time
}
