// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Certificate is a certificate from the reservation of its serial number on.
// PEM and Chain are given when one certificate is asked for, not in lists.
type Certificate struct {
	ID               string                  `json:"id"`
	Kind             models.CertificateKind  `json:"kind"`
	Status           string                  `json:"status" doc:"reserved, valid, expired or revoked" example:"valid"`
	Issuer           string                  `json:"issuer" doc:"name of the CA" example:"plant-issuing"`
	IssuerKeyID      string                  `json:"issuer_key_id"`
	Serial           string                  `json:"serial" doc:"lower-case hex" example:"4c0b7e"`
	Subject          string                  `json:"subject" doc:"RFC 4514" example:"CN=press-01,O=Example Works"`
	SANs             []string                `json:"sans" doc:"each with its type in front" example:"dns:press-01.example"`
	Fingerprint      string                  `json:"fingerprint,omitempty" doc:"SHA-256 of the certificate, lower-case hex"`
	Domain           string                  `json:"domain,omitempty" example:"press-shop"`
	Device           string                  `json:"device,omitempty" example:"press-01"`
	Profile          string                  `json:"profile,omitempty" example:"tls_server"`
	ProfileVersion   int                     `json:"profile_version,omitzero" example:"1"`
	Request          string                  `json:"request,omitempty" doc:"ID of the request"`
	Predecessor      string                  `json:"predecessor,omitempty" doc:"ID of the certificate that it replaced"`
	NotBefore        time.Time               `json:"not_before"`
	NotAfter         time.Time               `json:"not_after"`
	RevokedAt        *time.Time              `json:"revoked_at,omitzero"`
	RevocationReason models.RevocationReason `json:"revocation_reason,omitempty"`
	PEM              string                  `json:"pem,omitempty"`
	Chain            string                  `json:"chain,omitempty" doc:"PEM of the certificate and those above it, up to the root"`
	CreatedAt        time.Time               `json:"created_at"`

	Origin   models.CertificateOrigin `json:"origin" doc:"issued here, or imported into the inventory"`
	Metadata map[string]string        `json:"metadata,omitempty" doc:"what operators noted; not in lists"`
}

// CertificateFilter selects certificates.
type CertificateFilter struct {
	Domain        string    `query:"domain" doc:"name of a domain" example:"press-shop"`
	Device        string    `query:"device" doc:"name of a device" example:"press-01"`
	Status        string    `query:"status" doc:"reserved, valid, expired or revoked" example:"valid"`
	ExpiresBefore time.Time `query:"expires_before" doc:"RFC 3339 time"`
	Serial        string    `query:"serial" doc:"serial number in hex, with or without colons" example:"4c0b7e"`
	Origin        string    `query:"origin" doc:"issued or imported" example:"imported"`
	PageQuery
}

// CertificateImport brings the certificates of one file into the inventory.
type CertificateImport struct {
	File        []byte `json:"file" doc:"PEM, DER, PKCS #7 or PKCS #12, in base64; up to 500 certificates. Private keys in it are not read"`
	Password    string `json:"password,omitempty" doc:"of a PKCS #12 file; never kept" sensitive:"true"`
	Domain      string `json:"domain,omitempty" doc:"domain that they belong to" example:"press-shop"`
	BindDevices bool   `json:"bind_devices,omitzero" doc:"bind each to the one device of the domain that has its subject's serialNumber"`
}

// CertificateImportResult says what became of each certificate, in the order of
// the file.
type CertificateImportResult struct {
	Items []ImportedCertificate `json:"items"`
}

// ImportedCertificate is what became of one certificate of a file.
type ImportedCertificate struct {
	Outcome     string `json:"outcome" doc:"imported, known (it was there already) or refused" example:"imported"`
	Reason      string `json:"reason,omitempty" doc:"why it was refused"`
	ID          string `json:"id,omitempty" doc:"of the certificate here"`
	Subject     string `json:"subject" example:"CN=press-01"`
	Serial      string `json:"serial,omitempty" doc:"lower-case hex" example:"4c0b7e"`
	Fingerprint string `json:"fingerprint"`
	Device      string `json:"device,omitempty" doc:"device that it was bound to" example:"press-01"`
}

// Revocation revokes a certificate.
type Revocation struct {
	Reason  models.RevocationReason `json:"reason" example:"keyCompromise" doc:"as in RFC 5280 §5.3.1; only certificateHold can be released"`
	Comment string                  `json:"comment,omitempty" doc:"up to 500 characters" example:"device was stolen"`
}
