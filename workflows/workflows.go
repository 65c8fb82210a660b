// SPDX-License-Identifier: MIT

// Package workflows tells every durable story of Trustloom, one file each, so
// that someone who opens a file reads the requirement. Side effects are in
// package activities, numbers (timeouts, retries) in options.go, and
// everything that is registered is listed in register.go.
//
// The code here is deterministic: it must not know the store, HTTP,
// cryptography or the clock of the machine. Names of workflows, activities,
// updates and signals are wire format and pinned by a golden test.
package workflows

import "github.com/trustloom/trustloom/models"

// Task queues. Signing with a key that lives outside the process has a queue
// of its own, so that a slow token never holds up the stories.
const (
	TaskQueue     = "trustloom"
	KeyTaskQueue  = "trustloom-keys"
	WakeUpdate    = "wake"    // tells an approval that its row has changed
	PublishSignal = "publish" // asks for a CRL now
	ChangedSignal = "changed" // tells an external authority that its row has changed
)

// OnboardingID is the workflow ID of the onboarding with a request key.
func OnboardingID(domain models.DomainID, key string) string {
	return "onboarding/" + string(domain) + "/" + short(key)
}

// EnrollmentID is the workflow ID of an enrollment or renewal that has to
// wait.
func EnrollmentID(domain models.DomainID, key string) string {
	return "enrollment/" + string(domain) + "/" + short(key)
}

// ApprovalID is the workflow ID of the approval of a request.
func ApprovalID(request models.RequestID) string { return "approval/" + string(request) }

// AuthorityID is the workflow ID of the making of a CA.
func AuthorityID(ca models.CAID) string { return "authority/" + string(ca) }

// ExternalAuthorityID is the workflow ID of the making of a CA that somebody
// else signs.
func ExternalAuthorityID(ca models.CAID) string { return "external-authority/" + string(ca) }

// ConfirmationID is the workflow ID of the wait for the confirmation of a
// request's certificate.
func ConfirmationID(request models.RequestID) string { return "confirmation/" + string(request) }

// PublicationID is the workflow ID of the CRL publication of a CA.
func PublicationID(ca models.CAID) string { return "publication/" + string(ca) }

// short keeps workflow IDs readable: half of the 256 bits of a request key
// are enough to tell requests apart, and the unique index of the database is
// the real guard.
func short(key string) string { return key[:min(len(key), 32)] }
