// SPDX-License-Identifier: MIT

package models

import "time"

// OnboardingMethod names how a device proves itself for its first identity.
// Each request is authenticated by exactly one method.
type OnboardingMethod string

// The onboarding methods of this release.
const (
	ESTPassword OnboardingMethod = "est-password" // HTTP Basic, one-time secret (RFC 7030 §3.2.3)
	ESTIDevID   OnboardingMethod = "est-idevid"   // TLS client certificate (RFC 7030 §3.3.2)
	// RESTPassword is HTTP Basic with a one-time secret at POST /api/v1/enroll.
	RESTPassword OnboardingMethod = "rest-password"
	// Manual and OTPDownload are for devices that cannot make a key: Trustloom
	// does, and an operator fetches it, or a person at the device with a
	// one-time code.
	Manual      OnboardingMethod = "manual"
	OTPDownload OnboardingMethod = "otp-download"
)

// OnboardingMethods lists the methods, in the order of the help texts.
var OnboardingMethods = []OnboardingMethod{ESTPassword, ESTIDevID, RESTPassword, Manual, OTPDownload}

// HasSecret reports whether a device proves itself with a one-time secret.
func (m OnboardingMethod) HasSecret() bool { return m == ESTPassword || m == RESTPassword }

// Operation returns what a device that is onboarded by m asks for; it is empty
// for methods in which the device asks for nothing.
func (m OnboardingMethod) Operation() DeviceOperation {
	switch m {
	case ESTPassword, ESTIDevID:
		return OpSimpleEnroll
	case RESTPassword:
		return OpRESTEnroll
	}
	return ""
}

// Device is a machine that holds, or will hold, certificates of a domain.
//
// Its secret is kept as a hash. It dies on use: the first request that it
// authenticates is noted in SecretUsedBy, and only a repetition of that very
// request is answered afterwards. Arming the device again raises Epoch.
type Device struct {
	ID             DeviceID         `gorm:"primaryKey"`
	Name           string           `gorm:"uniqueIndex;not null"`
	SerialNumber   string           `gorm:"index"`
	DomainID       DomainID         `gorm:"index;not null"`
	State          DeviceState      `gorm:"index;not null"`
	Method         OnboardingMethod `gorm:"not null"`
	SecretHash     []byte
	SecretUsedBy   string // request key
	SecretUsedAt   *time.Time
	Epoch          int
	IDevIDSHA256   string         `gorm:"index"`       // fingerprint of the IDevID that the device is bound to
	IDevIDIdentity *string        `gorm:"uniqueIndex"` // issuer key and serialNumber, one device each; nil without IDevID
	RegistrationID RegistrationID // the registration that created it, if one did
	OnboardedAt    *time.Time
	Metadata       map[string]string `gorm:"serializer:json"`
	Revision       int
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Truststore is one version of a named set of trust anchors.
type Truststore struct {
	ID           TruststoreID `gorm:"primaryKey"`
	Name         string       `gorm:"uniqueIndex:truststore_version;not null"`
	Version      int          `gorm:"uniqueIndex:truststore_version;not null"`
	Certificates [][]byte     `gorm:"serializer:json"` // DER
	CreatedAt    time.Time
}

// Registration admits devices by their IDevID: whoever presents a certificate
// that chains to the truststore and whose subject serialNumber matches the
// pattern becomes a device of the domain.
type Registration struct {
	ID             RegistrationID `gorm:"primaryKey"`
	Name           string         `gorm:"uniqueIndex;not null"`
	TruststoreName string         `gorm:"not null"` // its current version applies
	DomainID       DomainID       `gorm:"index;not null"`
	SerialPattern  string         // RE2, matched against the whole serialNumber
	Revision       int
	CreatedAt      time.Time
	UpdatedAt      time.Time
}
