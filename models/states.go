// SPDX-License-Identifier: MIT

package models

import "slices"

// Transitions is a table of the legal moves between the states of one noun.
type Transitions[S ~string] map[S][]S

// Allowed reports whether a row may move from one state to another. Staying
// in a state is always allowed: it is how other fields are updated.
func (t Transitions[S]) Allowed(from, to S) bool {
	return from == to || slices.Contains(t[from], to)
}

// Check returns a KindConflict error naming both states unless the move is
// legal.
func (t Transitions[S]) Check(noun string, from, to S) error {
	if t.Allowed(from, to) {
		return nil
	}
	return Errorf(KindConflict, "%s is %s and cannot become %s", noun, from, to)
}

// Terminal reports whether no move leads out of state s.
func (t Transitions[S]) Terminal(s S) bool { return len(t[s]) == 0 }

// CAState is the state of a certification authority.
type CAState string

// The states of a CA. Only an active CA issues; a retiring one still
// publishes CRLs.
const (
	CAPending  CAState = "pending"
	CAActive   CAState = "active"
	CARetiring CAState = "retiring"
	CARetired  CAState = "retired"
	CARevoked  CAState = "revoked"
	CAFailed   CAState = "failed"
)

// CATransitions are the legal moves of a CA.
var CATransitions = Transitions[CAState]{
	CAPending:  {CAActive, CAFailed},
	CAFailed:   {CAPending},
	CAActive:   {CARetiring, CARevoked},
	CARetiring: {CAActive, CARetired, CARevoked},
}

// DeviceState is the state of a device in its domain.
type DeviceState string

// The states of a device.
const (
	DeviceRegistered     DeviceState = "registered"
	DeviceOnboarding     DeviceState = "onboarding"
	DeviceOnboarded      DeviceState = "onboarded"
	DeviceSuspended      DeviceState = "suspended"
	DeviceDecommissioned DeviceState = "decommissioned"
)

// DeviceTransitions are the legal moves of a device. A rejected or expired
// onboarding goes back to registered; arming a new onboarding does the same.
var DeviceTransitions = Transitions[DeviceState]{
	DeviceRegistered: {DeviceOnboarding, DeviceSuspended, DeviceDecommissioned},
	DeviceOnboarding: {DeviceOnboarded, DeviceRegistered, DeviceSuspended, DeviceDecommissioned},
	DeviceOnboarded:  {DeviceRegistered, DeviceSuspended, DeviceDecommissioned},
	DeviceSuspended:  {DeviceRegistered, DeviceOnboarding, DeviceOnboarded, DeviceDecommissioned},
}

// RequestState is the state of one enrollment attempt.
type RequestState string

// The states of a request. Issued, rejected, expired, withdrawn and failed
// are final.
const (
	RequestReceived  RequestState = "received"  // accepted durably, not decided
	RequestWaiting   RequestState = "waiting"   // a person must approve
	RequestApproved  RequestState = "approved"  // may be issued
	RequestReserved  RequestState = "reserved"  // serial and to-be-signed bytes stored
	RequestIssued    RequestState = "issued"    // certificate recorded
	RequestRejected  RequestState = "rejected"  // by policy or by a person
	RequestExpired   RequestState = "expired"   // nobody decided in time
	RequestWithdrawn RequestState = "withdrawn" // cancelled by an operator
	RequestFailed    RequestState = "failed"    // could not be issued
)

// RequestTransitions are the legal moves of a request.
var RequestTransitions = Transitions[RequestState]{
	RequestReceived: {RequestWaiting, RequestApproved, RequestRejected, RequestWithdrawn, RequestExpired, RequestFailed},
	RequestWaiting:  {RequestApproved, RequestRejected, RequestExpired, RequestWithdrawn, RequestFailed},
	RequestApproved: {RequestReserved, RequestRejected, RequestWithdrawn, RequestFailed},
	RequestReserved: {RequestIssued, RequestFailed},
}

// CertificateState is the state of a certificate. Expiry is not a state: it
// follows from NotAfter.
type CertificateState string

// The states of a certificate. A reserved one has its serial number and
// to-be-signed bytes, but no signature that was recorded.
const (
	CertificateReserved CertificateState = "reserved"
	CertificateSigning  CertificateState = "signing"
	CertificateIssued   CertificateState = "issued"
	CertificateRevoked  CertificateState = "revoked"
)

// CertificateTransitions are the legal moves of a certificate. Revoked to
// issued is the release of a hold (RFC 5280 §5.3.1) and checked further by
// the reason.
var CertificateTransitions = Transitions[CertificateState]{
	CertificateReserved: {CertificateSigning, CertificateIssued},
	CertificateSigning:  {CertificateIssued},
	CertificateIssued:   {CertificateRevoked},
	CertificateRevoked:  {CertificateIssued},
}

// ApprovalState is the state of a durable wait for people.
type ApprovalState string

// The states of an approval; all but pending are final.
const (
	ApprovalPending   ApprovalState = "pending"
	ApprovalApproved  ApprovalState = "approved"
	ApprovalRejected  ApprovalState = "rejected"
	ApprovalExpired   ApprovalState = "expired"
	ApprovalWithdrawn ApprovalState = "withdrawn"
)

// ApprovalTransitions are the legal moves of an approval.
var ApprovalTransitions = Transitions[ApprovalState]{
	ApprovalPending: {ApprovalApproved, ApprovalRejected, ApprovalExpired, ApprovalWithdrawn},
}
