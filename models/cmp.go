// SPDX-License-Identifier: MIT

package models

import "time"

// ProtocolCMP is what Request.Protocol says of requests by CMP (RFC 9810).
const ProtocolCMP = "cmp"

// IsCMP reports whether requests of a protocol came by CMP, with the device's
// own key or with one that is made here.
func IsCMP(protocol string) bool { return protocol == ProtocolCMP || protocol == ProtocolCMPKeyGen }

// CMPRules are the settings of a domain for CMP.
type CMPRules struct {
	// ExplicitConfirm makes every client confirm its certificate: who asks for
	// implicit confirmation does not get it.
	ExplicitConfirm bool
	// ConfirmWait is how long a certificate waits for being confirmed; then it is
	// revoked. Zero stands for DefaultConfirmWait.
	ConfirmWait Duration
	// RATruststore names the truststore to which the certificates of registration
	// authorities chain that may ask for devices of the domain; empty: none may.
	RATruststore string
}

// The bounds of CMPRules.ConfirmWait, and what it is unless set.
const (
	DefaultConfirmWait = Duration(5 * time.Minute)
	MinConfirmWait     = Duration(5 * time.Second)
	MaxConfirmWait     = Duration(7 * 24 * time.Hour)
)

// CMP returns the settings of a domain for CMP.
func (d *Domain) CMP() CMPRules {
	rules := CMPRules{}
	if doors := d.Doors(); doors.CMP != nil {
		rules = *doors.CMP
	}
	if rules.ConfirmWait == 0 {
		rules.ConfirmWait = DefaultConfirmWait
	}
	return rules
}

// CMPTransaction is what has to be known of a CMP transaction beside its
// request: that its certificate has to be confirmed (RFC 9810 §5.3.18), or that
// it revoked one. A transaction that is implicitly confirmed has no row.
type CMPTransaction struct {
	ID            string        `gorm:"primaryKey"` // the request key of the transaction, see TransactionKey
	State         CMPState      `gorm:"not null"`
	RequestID     RequestID     // of an enrollment
	CertificateID CertificateID // of a revocation; of an enrollment once it has ended
	DomainID      DomainID
	DeviceID      DeviceID
	ConfirmWait   Duration
	Deadline      *time.Time // set when the certificate is issued
	EndedAt       *time.Time
	Reason        string // what a client said that refused its certificate
	Revision      int
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// CMPState is the state of a CMPTransaction.
type CMPState string

// The states of a CMP transaction; all but open are final.
const (
	CMPOpen      CMPState = "open"      // not confirmed
	CMPConfirmed CMPState = "confirmed" // by certConf
	CMPRefused   CMPState = "refused"   // the client does not want the certificate; it is revoked
	CMPLapsed    CMPState = "lapsed"    // nobody confirmed the certificate in time; it is revoked
	CMPRevoked   CMPState = "revoked"   // it was a revocation, and is done
)

// CMPTransitions are the legal moves of a CMP transaction.
var CMPTransitions = Transitions[CMPState]{CMPOpen: {CMPConfirmed, CMPRefused, CMPLapsed}}

// TransactionKey returns the request key of a CMP transaction. Nothing but its
// identifier is in it: what else a second request with the same identifier
// says, and whoever sends it, the key is taken.
func TransactionKey(domain DomainID, transaction string) string {
	return RequestKey(TransactionParts(domain, transaction))
}

// TransactionParts are what TransactionKey is made of.
func TransactionParts(domain DomainID, transaction string) KeyParts {
	return KeyParts{Protocol: ProtocolCMP, DomainID: domain, Transaction: transaction}
}

// DeviceSecret is the one-time secret of a device that is kept sealed under
// the server's key, with the device's identifier as additional data, because a
// MAC is computed with the secret itself.
type DeviceSecret struct {
	DeviceID  DeviceID `gorm:"primaryKey"`
	Sealed    []byte
	CreatedAt time.Time
}

// SecretSeal is the identifier under which the secret of a device is sealed.
func SecretSeal(id DeviceID) string { return "device-secret/" + string(id) }

// ConfirmationPromise is the identifier of the promise to start the story that
// revokes the certificate of a request unless it is confirmed.
func ConfirmationPromise(id RequestID) OutboxID { return OutboxID("confirmation/" + string(id)) }
