// SPDX-License-Identifier: MIT

package models

import "time"

// DeliveryChannel is the way on which a key that Trustloom made reaches its
// device.
type DeliveryChannel string

// The channels.
const (
	DeliverToOperator DeliveryChannel = "operator" // in the answer to an operator's request
	DeliverByDownload DeliveryChannel = "download" // from the public page, with a one-time code
	DeliverByEST      DeliveryChannel = "est"      // in the answer to serverkeygen (RFC 7030 §4.4)
	DeliverByCMP      DeliveryChannel = "cmp"      // in the answer to a request without a key (RFC 9483 §4.1.6)
)

// DeliveryChannels lists what an operator may order, in the order of the help
// texts.
var DeliveryChannels = []DeliveryChannel{DeliverToOperator, DeliverByDownload}

// The protocols of requests whose key Trustloom makes, as Request.Protocol
// names them.
const (
	ProtocolDelivery     = "delivery"
	ProtocolServerKeyGen = "est-serverkeygen"
	ProtocolCMPKeyGen    = "cmp-keygen"
)

// DeliveryKeys lists the algorithms of keys that are made for devices; the
// first is the default.
var DeliveryKeys = []KeyAlgorithm{ECP256, ECP384, ECP521, RSA2048, RSA3072, RSA4096, Ed25519}

// DeliveryFormat is the form of the file that is handed over.
type DeliveryFormat string

// The formats. In all of them the key is encrypted under a password.
const (
	FormatPKCS12 DeliveryFormat = "pkcs12"
	FormatPEMZip DeliveryFormat = "pem-zip"
	FormatTarGz  DeliveryFormat = "tar.gz"
)

// DeliveryFormats lists the formats, in the order of the help texts.
var DeliveryFormats = []DeliveryFormat{FormatPKCS12, FormatPEMZip, FormatTarGz}

// Bounds of deliveries.
const (
	// DeliveryTries is how many wrong codes lock a download.
	DeliveryTries = 3
	// DeliveryLife is how long a key waits for being fetched once its
	// certificate is there, unless said otherwise, within the two bounds.
	DeliveryLife    = time.Hour
	MinDeliveryLife = 5 * time.Minute
	MaxDeliveryLife = 7 * 24 * time.Hour
	// DeliveryPatience is how long a key waits for its certificate.
	DeliveryPatience = 30 * 24 * time.Hour
	// MinDeliveryPassword and MaxDeliveryPassword bound the password of the
	// file, in characters.
	MinDeliveryPassword = 12
	MaxDeliveryPassword = 128
)

// BecauseDecommissioned is why what waits for a decommissioned device ends.
const BecauseDecommissioned = "device decommissioned"

// Delivery is the one-time handing over of a private key that Trustloom made
// for a device, with its certificate. The key itself is beside it, sealed, in
// a SealedKey, from the order until the delivery ends in whatever way.
type Delivery struct {
	ID            DeliveryID      `gorm:"primaryKey"`
	State         DeliveryState   `gorm:"not null"`
	Channel       DeliveryChannel `gorm:"not null"`
	DomainID      DomainID        `gorm:"index;not null"`
	DeviceID      DeviceID        `gorm:"index;not null"`
	RequestID     RequestID       `gorm:"index;not null"`
	CertificateID CertificateID   // once it is issued
	ProfileName   string
	KeyAlgorithm  KeyAlgorithm
	CodeHash      []byte // of the one-time code; channel download only
	TriesLeft     int
	Life          Duration // from the moment when it is ready
	Actor         string   // who ordered it: "operator:alice", "device:press-01"
	Reason        string   // why it ended without being delivered
	// Settled says that nothing is left to do: it was delivered, or it ended
	// and its request and certificate ended with it.
	Settled   bool
	ExpiresAt time.Time // of the waiting, then of the life
	EndedAt   *time.Time
	Revision  int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// SealedKey is the private key of a delivery, sealed under the server's key
// with the identifier as additional data. The row goes when the delivery ends.
type SealedKey struct {
	ID        DeliveryID `gorm:"primaryKey"`
	Sealed    []byte
	CreatedAt time.Time
}

// DeliveryState is the state of a delivery.
type DeliveryState string

// The states of a delivery. In the last four the key is destroyed.
const (
	DeliveryWaiting   DeliveryState = "waiting"   // the certificate is not issued yet
	DeliveryReady     DeliveryState = "ready"     // key and certificate can be fetched
	DeliveryDelivered DeliveryState = "delivered" // fetched, once
	DeliveryExpired   DeliveryState = "expired"   // nobody came in time
	DeliveryWithdrawn DeliveryState = "withdrawn" // by an operator, or there is no certificate
	DeliveryLocked    DeliveryState = "locked"    // too many wrong codes
)

// DeliveryTransitions are the legal moves of a delivery.
var DeliveryTransitions = Transitions[DeliveryState]{
	DeliveryWaiting: {DeliveryReady, DeliveryExpired, DeliveryWithdrawn, DeliveryLocked},
	DeliveryReady:   {DeliveryDelivered, DeliveryExpired, DeliveryWithdrawn, DeliveryLocked},
}

// Ended reports whether the delivery is over and its key destroyed.
func (d *Delivery) Ended() bool { return DeliveryTransitions.Terminal(d.State) }

// DeliveryOrder is what an operator asks for. Device and Domain are rows that
// the operator may see.
type DeliveryOrder struct {
	Device     *Device
	Domain     *Domain
	Channel    DeliveryChannel
	Profile    string
	Algorithm  KeyAlgorithm
	CommonName string        // asked of the profile; empty leaves it to that
	SANs       []string      // "dns:…", "ip:…", "uri:…", "email:…", asked of the profile
	Life       time.Duration // 0: the server's
	Operator   string        // name
	Address    string
}

// DeliveryPacking says how a delivery is handed over, and to whom.
type DeliveryPacking struct {
	Format   DeliveryFormat
	Password string
	Actor    string // for the audit: "operator:alice", "download"
	Address  string
}

// DeliveryPackage is the file that is handed over, once.
type DeliveryPackage struct {
	FileName    string // a plain word with an ending, whatever the device is called
	MediaType   string
	Content     []byte
	Delivery    *Delivery
	Certificate *Certificate
}
