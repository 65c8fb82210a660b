// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// CA is a certification authority. Certificate and Chain are given when one
// CA is asked for, not in lists; a pending CA has neither.
type CA struct {
	ID          string          `json:"id"`
	Name        string          `json:"name" example:"plant-issuing"`
	Type        models.CAType   `json:"type"`
	State       models.CAState  `json:"state"`
	Generation  int             `json:"generation" example:"1"`
	Issuer      string          `json:"issuer,omitempty" doc:"name of the CA above; empty for a root" example:"plant-root"`
	Key         Key             `json:"key"`
	KeyID       string          `json:"key_id,omitempty" doc:"SubjectKeyIdentifier in lower-case hex, as in the CRL, AIA and OCSP URLs"`
	Subject     Name            `json:"subject"`
	Validity    models.Duration `json:"validity"`
	Serial      string          `json:"serial,omitempty" doc:"serial number of its certificate, lower-case hex"`
	NotBefore   time.Time       `json:"not_before,omitzero"`
	NotAfter    time.Time       `json:"not_after,omitzero"`
	Demo        bool            `json:"demo" doc:"made for trying things out; not for production"`
	Failure     string          `json:"failure,omitempty" doc:"why the state is failed"`
	CRLURL      string          `json:"crl_url,omitempty"`
	AIAURL      string          `json:"aia_url,omitempty"`
	OCSPURL     string          `json:"ocsp_url,omitempty"`
	Certificate string          `json:"certificate,omitempty" doc:"PEM"`
	Chain       string          `json:"chain,omitempty" doc:"PEM of the certificate and those above it, up to the root"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}

// Pending reports whether the key and certificate of the CA are still made.
func (c *CA) Pending() bool { return c.State == models.CAPending }

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
	Validity models.Duration `json:"validity,omitzero" doc:"10y for a root, 5y for an issuing CA unless given" example:"3650d"`
	Demo     bool            `json:"demo,omitzero"`
}
