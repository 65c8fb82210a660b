// SPDX-License-Identifier: MIT

package api

import "time"

// Truststore is the current version of a named set of trust anchors. PEM is
// given when one truststore is asked for, not in lists.
type Truststore struct {
	Name         string        `json:"name" example:"acme-devices"`
	Version      int           `json:"version" example:"1"`
	Certificates []TrustAnchor `json:"certificates"`
	PEM          string        `json:"pem,omitempty" doc:"the certificates, PEM"`
	CreatedAt    time.Time     `json:"created_at"`
}

// TrustAnchor describes one certificate of a truststore.
type TrustAnchor struct {
	Subject     string    `json:"subject" example:"CN=ACME Device Root"`
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 of the certificate, lower-case hex"`
	NotAfter    time.Time `json:"not_after"`
}

// TruststoreCreation adds a truststore.
type TruststoreCreation struct {
	Name string `json:"name" example:"acme-devices"`
	PEM  string `json:"pem" doc:"1 to 64 CA certificates, PEM"`
}

// TruststoreVersion replaces the certificates of a truststore.
type TruststoreVersion struct {
	PEM string `json:"pem" doc:"1 to 64 CA certificates, PEM"`
}
