// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Truststore is one version of a named set of trust anchors. PEM is given when
// one truststore is asked for, not in lists.
type Truststore struct {
	Name         string        `json:"name" example:"acme-devices"`
	Version      int           `json:"version" example:"1"`
	Certificates []TrustAnchor `json:"certificates"`
	Added        []TrustAnchor `json:"added,omitempty" doc:"in one version, or a list of versions: what the version before did not have"`
	Removed      []TrustAnchor `json:"removed,omitempty" doc:"in one version, or a list of versions: what only the version before had"`
	PEM          string        `json:"pem,omitempty" doc:"the certificates, PEM"`
	CreatedAt    time.Time     `json:"created_at"`
}

// TrustAnchor describes one certificate of a truststore.
type TrustAnchor struct {
	Subject     string    `json:"subject" example:"CN=ACME Device Root"`
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 of the certificate, lower-case hex"`
	NotAfter    time.Time `json:"not_after"`
}

// TruststoreQuery selects a version of a truststore.
type TruststoreQuery struct {
	Version int `query:"version" doc:"the current version unless given" example:"1"`
}

// TruststoreContentQuery selects a version of a truststore and how its
// certificates are written.
type TruststoreContentQuery struct {
	TruststoreQuery
	Format string `query:"format" doc:"pem (unless given), der for a single certificate, pkcs7 (certs-only, PEM) or pkcs7-der" example:"pkcs7"`
}

// TruststoreCreation adds a truststore.
type TruststoreCreation struct {
	Name string `json:"name" example:"acme-devices"`
	PEM  string `json:"pem,omitempty" doc:"1 to 64 CA certificates: PEM, also of a PKCS #7 certs-only message"`
	DER  string `json:"der,omitempty" doc:"instead of pem: a certificate or a PKCS #7 certs-only message in DER, base64"`
}

// TruststoreVersion replaces the certificates of a truststore.
type TruststoreVersion struct {
	PEM string `json:"pem,omitempty" doc:"1 to 64 CA certificates: PEM, also of a PKCS #7 certs-only message"`
	DER string `json:"der,omitempty" doc:"instead of pem: a certificate or a PKCS #7 certs-only message in DER, base64"`
}

// TruststoreRevocation says how IDevIDs below a truststore are checked, and
// what is known.
type TruststoreRevocation struct {
	Policy  models.RevocationPolicy `json:"policy" doc:"if-known: revoked ones are refused; require: those whose status is not known, too; off"`
	OCSPURL string                  `json:"ocsp_url,omitempty" doc:"the manufacturer's responder"`
	CRLs    []ForeignCRL            `json:"crls" doc:"the latest of each CA"`
}

// ForeignCRL describes a CRL of a CA of a truststore.
type ForeignCRL struct {
	Issuer          string    `json:"issuer" example:"CN=ACME Device Root"`
	IssuerKeySHA256 string    `json:"issuer_key_sha256"`
	Number          string    `json:"number" doc:"hex" example:"1f"`
	Entries         int       `json:"entries" doc:"how many are revoked" example:"3"`
	ThisUpdate      time.Time `json:"this_update"`
	NextUpdate      time.Time `json:"next_update"`
	Current         bool      `json:"current" doc:"until next_update; later, it still revokes, but proves nothing good"`
}

// RevocationRules say how IDevIDs below a truststore are checked.
type RevocationRules struct {
	Policy  models.RevocationPolicy `json:"policy"`
	OCSPURL string                  `json:"ocsp_url,omitempty" doc:"the manufacturer's responder, asked at each onboarding; URLs in certificates are never followed"`
}

// CRLUpload is the CRL of a CA of a truststore.
type CRLUpload struct {
	PEM string `json:"pem,omitempty" doc:"the CRL, PEM, up to 700 KiB"`
	DER string `json:"der,omitempty" doc:"instead of pem: the CRL in DER, base64"`
}
