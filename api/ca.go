// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// CA is a certification authority. Certificate and Chain are given when one
// CA is asked for, not in lists; a pending CA has neither.
type CA struct {
	ID          string            `json:"id"`
	Name        string            `json:"name" example:"plant-issuing"`
	Type        models.CAType     `json:"type"`
	State       models.CAState    `json:"state"`
	Generation  int               `json:"generation" example:"1"`
	Issuer      string            `json:"issuer,omitempty" doc:"name of the CA above; empty for a root" example:"plant-root"`
	Key         Key               `json:"key"`
	KeyID       string            `json:"key_id,omitempty" doc:"SubjectKeyIdentifier in lower-case hex, as in the CRL, AIA and OCSP URLs"`
	Subject     Name              `json:"subject"`
	Profile     string            `json:"profile,omitempty" doc:"profile that it was made under" example:"plant_issuing_ca"`
	Version     int               `json:"profile_version,omitzero" doc:"version of that profile"`
	Validity    models.Duration   `json:"validity"`
	Serial      string            `json:"serial,omitempty" doc:"serial number of its certificate, lower-case hex"`
	NotBefore   time.Time         `json:"not_before,omitzero"`
	NotAfter    time.Time         `json:"not_after,omitzero"`
	Demo        bool              `json:"demo" doc:"made for trying things out; not for production"`
	Failure     string            `json:"failure,omitempty" doc:"why the state is failed"`
	Origin      models.CAOrigin   `json:"origin" doc:"made here; imported with its key; requested: the key was made here and the certificate is signed elsewhere; known: the certificate only"`
	Request     string            `json:"request,omitempty" doc:"PEM of the certificate request that an external CA is to sign" example:"-----BEGIN CERTIFICATE REQUEST-----"`
	Deadline    *time.Time        `json:"deadline,omitzero" doc:"when the wait for the certificate of an external CA ends"`
	CRLURL      string            `json:"crl_url,omitempty"`
	AIAURL      string            `json:"aia_url,omitempty"`
	OCSPURL     string            `json:"ocsp_url,omitempty"`
	Certificate string            `json:"certificate,omitempty" doc:"PEM"`
	Chain       string            `json:"chain,omitempty" doc:"PEM of the certificate and those above it, up to the root"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
	Metadata    map[string]string `json:"metadata,omitempty" doc:"what operators noted; not in lists"`
}

// Pending reports whether the key and certificate of the CA are still made, or
// its certificate is waited for.
func (c *CA) Pending() bool { return c.State == models.CAPending }

// Awaits reports whether the CA has its request ready and waits for somebody
// to sign it.
func (c *CA) Awaits() bool { return c.Pending() && c.Request != "" }

// Key says where the key of a CA lives and what it is.
type Key struct {
	Algorithm models.KeyAlgorithm `json:"algorithm,omitempty" doc:"EC-P256 unless given"`
	Store     string              `json:"store,omitempty" doc:"key store: software (unless given) or pkcs11" example:"software"`
}

// Name is a distinguished name; empty attributes are left out.
type Name struct {
	CommonName         string `json:"common_name,omitempty" example:"Plant Issuing"`
	SerialNumber       string `json:"serial_number,omitempty"`
	Organization       string `json:"organization,omitempty" example:"Example Works"`
	OrganizationalUnit string `json:"organizational_unit,omitempty"`
	Country            string `json:"country,omitempty" example:"DE"`
	State              string `json:"state,omitempty"`
	Locality           string `json:"locality,omitempty"`
}

// CACreation asks for a new CA.
type CACreation struct {
	Name     string          `json:"name" example:"plant-issuing"`
	Type     models.CAType   `json:"type"`
	Issuer   string          `json:"issuer,omitempty" doc:"name of the CA that signs it; not for a root" example:"plant-root"`
	Key      Key             `json:"key,omitzero"`
	Subject  Name            `json:"subject,omitzero" doc:"the name of the CA is the common name unless given"`
	Profile  string          `json:"profile,omitempty" doc:"profile of the credential_type ca: what its certificate says, or the request for it with external" example:"plant_issuing_ca"`
	Validity models.Duration `json:"validity,omitzero" doc:"unless given, the profile's; without a profile 10y for a root, 5y for an issuing CA" example:"3650d"`
	Demo     bool            `json:"demo,omitzero"`

	External    bool            `json:"external,omitzero" doc:"a CA elsewhere signs it: it stays pending with a request until its certificate is installed"`
	Deadline    models.Duration `json:"deadline,omitzero" doc:"how long the certificate of an external CA is waited for; 30d unless given" example:"30d"`
	Certificate string          `json:"certificate,omitempty" doc:"PEM; for the type external, which has no key here, and for nothing else"`
	Chain       string          `json:"chain,omitempty" doc:"PEM of the certificates above an external one that are not known yet"`
}

// CAImport brings a CA with its key, in one PKCS #12 file or in separate ones.
// Files are sent as they are, in base64.
type CAImport struct {
	Name        string `json:"name" example:"plant-issuing"`
	Store       string `json:"store,omitempty" doc:"key store: software (unless given) or pkcs11" example:"software"`
	PKCS12      []byte `json:"pkcs12,omitempty" doc:"PKCS #12 file with the key, its certificate and those above it"`
	Key         []byte `json:"key,omitempty" doc:"private key: PKCS #8, also encrypted, PKCS #1 or SEC 1; PEM or DER"`
	Certificate []byte `json:"certificate,omitempty" doc:"certificate of the key; PEM, DER or PKCS #7, with or without those above it"`
	Chain       []byte `json:"chain,omitempty" doc:"certificates above it that are not known yet; PEM, DER or PKCS #7"`
	Password    string `json:"password,omitempty" doc:"of the PKCS #12 file or of the encrypted key; never kept" sensitive:"true"`
	Demo        bool   `json:"demo,omitzero"`
}

// CACertificate is the certificate that an external CA signed.
type CACertificate struct {
	Certificate []byte `json:"certificate" doc:"PEM, DER or PKCS #7, in base64; with or without those above it"`
	Chain       []byte `json:"chain,omitempty" doc:"certificates above it that are not known yet; PEM, DER or PKCS #7, in base64"`
}
