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
	// CMPSecret is a MAC with a one-time secret (RFC 9483 §4.1.5), CMPIDevID a
	// signature with the manufacturer's key (RFC 9483 §4.1.1), CMPRA the word of a
	// registration authority (RFC 9483 §5.2).
	CMPSecret OnboardingMethod = "cmp-secret"
	CMPIDevID OnboardingMethod = "cmp-idevid"
	CMPRA     OnboardingMethod = "cmp-ra"
	// Manual and OTPDownload are for devices that cannot make a key: Trustloom
	// does, and an operator fetches it, or a person at the device with a
	// one-time code.
	Manual      OnboardingMethod = "manual"
	OTPDownload OnboardingMethod = "otp-download"
)

// OnboardingMethods lists the methods, in the order of the help texts.
var OnboardingMethods = []OnboardingMethod{ESTPassword, ESTIDevID, RESTPassword, CMPSecret, CMPIDevID, CMPRA, Manual, OTPDownload}

// HasSecret reports whether a device proves itself with a one-time secret.
func (m OnboardingMethod) HasSecret() bool {
	return m == ESTPassword || m == RESTPassword || m == CMPSecret
}

// HasIDevID reports whether a device proves itself with its manufacturer's
// certificate.
func (m OnboardingMethod) HasIDevID() bool { return m == ESTIDevID || m == CMPIDevID }

// Operation returns what a device that is onboarded by m asks for; it is empty
// for methods in which the device asks for nothing.
func (m OnboardingMethod) Operation() DeviceOperation {
	switch m {
	case ESTPassword, ESTIDevID:
		return OpSimpleEnroll
	case RESTPassword:
		return OpRESTEnroll
	case CMPSecret, CMPIDevID, CMPRA:
		return OpCMPInit
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
	IDevIDSHA256   string  `gorm:"index"`       // fingerprint of the IDevID that the device is bound to
	IDevIDIdentity *string `gorm:"uniqueIndex"` // issuer key and serialNumber, one device each; nil without IDevID
	// IDevIDKeySHA256 is the key of that IDevID: another one with the same
	// identity is a replacement if it has the same key, and a clone otherwise.
	IDevIDKeySHA256 string
	// HomeID is the record of the same machine in its home domain, if this is
	// one of a further domain. It has a life, a secret and certificates of its
	// own; only its IDevID is that of the home record.
	HomeID         DeviceID
	RegistrationID RegistrationID // the registration that created it, if one did
	OnboardedAt    *time.Time
	Metadata       map[string]string `gorm:"serializer:json"`
	Groups         []string          `gorm:"column:group_names;serializer:json"` // sorted; also in device_groups, for finding
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
// that chains to the truststore and in which the part that Match names
// matches the pattern becomes a device of the domain.
type Registration struct {
	ID             RegistrationID    `gorm:"primaryKey"`
	Name           string            `gorm:"uniqueIndex;not null"`
	TruststoreName string            `gorm:"not null"` // its current version applies
	DomainID       DomainID          `gorm:"index;not null"`
	Match          RegistrationMatch `gorm:"column:match_on;not null"`
	SerialPattern  string            // RE2, matched against the whole of what Match names
	Revision       int
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// RegistrationMatch names the part of an IDevID that identifies the device.
type RegistrationMatch string

// The parts of an IDevID that can identify a device.
const (
	MatchSerialNumber   RegistrationMatch = "serial-number"       // serialNumber of the subject (IEEE 802.1AR §8.6)
	MatchURI            RegistrationMatch = "san-uri"             // a URI of the subjectAltName
	MatchHardwareModule RegistrationMatch = "san-hardware-module" // hardwareModuleName (RFC 4108 §5) as OID/SERIAL
)

// RegistrationMatches lists them, in the order of the help texts.
var RegistrationMatches = []RegistrationMatch{MatchSerialNumber, MatchURI, MatchHardwareModule}

// QuarantinedIDevID is an IDevID that said to be a device which is bound to
// another one: a clone, until somebody has looked. It is refused as long as
// the device is bound, or pinned to another.
type QuarantinedIDevID struct {
	Fingerprint string   `gorm:"primaryKey"`
	DeviceID    DeviceID `gorm:"primaryKey"`
	DomainID    DomainID // where it came
	KeySHA256   string
	Subject     string // RFC 4514
	Address     string // where it came from last
	Count       int    // how often, at most once a minute
	FirstSeenAt time.Time
	LastSeenAt  time.Time
}

// Annotation is what operators note about a row whose own table is written on
// every issuance, or by others: key and value, as on devices.
type Annotation struct {
	Noun      string            `gorm:"primaryKey"` // "certificate" or "ca"
	SubjectID string            `gorm:"primaryKey"`
	Metadata  map[string]string `gorm:"serializer:json"`
	Revision  int
	UpdatedAt time.Time
}

// RevocationPolicy says what becomes of an IDevID whose revocation status is
// not known.
type RevocationPolicy string

// The policies. A revoked IDevID is refused under all of them but off.
const (
	RevocationOff     RevocationPolicy = "off"
	RevocationIfKnown RevocationPolicy = "if-known" // the default
	RevocationRequire RevocationPolicy = "require"
)

// RevocationPolicies lists them, in the order of the help texts.
var RevocationPolicies = []RevocationPolicy{RevocationIfKnown, RevocationRequire, RevocationOff}

// TruststoreRevocation says how the certificates below a truststore are
// checked, whatever its version.
type TruststoreRevocation struct {
	TruststoreName string           `gorm:"primaryKey"`
	Policy         RevocationPolicy `gorm:"not null"`
	OCSPURL        string           `gorm:"column:ocsp_url"` // of the manufacturer's responder; empty: none
	Revision       int
	UpdatedAt      time.Time
}

// ForeignCRL is the latest CRL of a CA of a truststore, as an operator
// uploaded it.
type ForeignCRL struct {
	TruststoreName  string `gorm:"primaryKey"`
	IssuerKeySHA256 string `gorm:"primaryKey"` // of the SubjectPublicKeyInfo
	Issuer          string // RFC 4514
	Number          string // hex, without leading zeros
	DER             []byte
	Entries         int
	ThisUpdate      time.Time
	NextUpdate      time.Time
	UpdatedAt       time.Time
}
