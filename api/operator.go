// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Operator is a person, or a program acting for one. Approvals count
// operators, not tokens.
type Operator struct {
	ID           string                `json:"id"`
	Name         string                `json:"name" example:"alice"`
	Disabled     bool                  `json:"disabled"`
	Role         models.Role           `json:"role,omitempty" doc:"of logins and certificates; without one there are none. Tokens have their own"`
	Domains      []string              `json:"domains" doc:"names of the domains that logins and certificates see; empty means all" example:"press-shop"`
	OIDCSubject  string                `json:"oidc_subject,omitempty" doc:"which person of the OpenID provider it is"`
	Certificates []OperatorCertificate `json:"certificates,omitempty" doc:"given when one operator is asked for"`
	CreatedAt    time.Time             `json:"created_at"`
}

// OperatorCreation asks for an operator.
type OperatorCreation struct {
	Name        string      `json:"name" example:"alice"`
	Role        models.Role `json:"role,omitempty" doc:"of logins and certificates; none of either unless given"`
	Domains     []string    `json:"domains,omitzero" doc:"names of the domains that logins and certificates see; all unless given" example:"press-shop"`
	OIDCSubject string      `json:"oidc_subject,omitempty" doc:"the claim sub of the person at the OpenID provider"`
}

// OperatorChange changes an operator. What is left out stays.
type OperatorChange struct {
	Role        models.Role `json:"role,omitempty"`
	Domains     []string    `json:"domains,omitzero" example:"press-shop"`
	AllDomains  bool        `json:"all_domains,omitzero" doc:"instead of domains: all of them"`
	OIDCSubject string      `json:"oidc_subject,omitempty"`
}

// OperatorCertificate says which certificates are a person's.
type OperatorCertificate struct {
	ID           string                  `json:"id"`
	Match        models.CertificateMatch `json:"match"`
	Value        string                  `json:"value" doc:"what has to be equal: a fingerprint, the SHA-256 of the subject, an address" example:"alice@plant.example"`
	IssuerSHA256 string                  `json:"issuer_sha256,omitempty" doc:"SHA-256 of the public key of the CA that has to have issued it"`
	Subject      string                  `json:"subject" doc:"of the certificate that it was registered with" example:"CN=Alice"`
	CreatedAt    time.Time               `json:"created_at"`
}

// OperatorCertificateCreation registers a person's certificate.
type OperatorCertificateCreation struct {
	PEM   string                  `json:"pem" doc:"the certificate; intermediate CAs may follow" example:"-----BEGIN CERTIFICATE-----\n..."`
	Match models.CertificateMatch `json:"match,omitempty" doc:"what of later certificates is compared; fingerprint unless given. The others also demand the same issuing CA"`
}

// Session is who the caller is.
type Session struct {
	Operator  string      `json:"operator" example:"alice"`
	Token     string      `json:"token,omitempty" doc:"name of the token or session"`
	Role      models.Role `json:"role"`
	Domains   []string    `json:"domains" doc:"names of the domains that it sees; empty means all" example:"press-shop"`
	ExpiresAt *time.Time  `json:"expires_at,omitzero"`
}

// Token is a bearer token of an operator. Token is in the answer that created
// it and in no other.
type Token struct {
	ID        string      `json:"id"`
	Name      string      `json:"name" example:"line-3"`
	Operator  string      `json:"operator" example:"alice"`
	Role      models.Role `json:"role"`
	Domains   []string    `json:"domains" doc:"names of the domains that it sees; empty means all" example:"press-shop"`
	Session   bool        `json:"session,omitzero" doc:"made by a login: role and domains are the operator's"`
	Token     string      `json:"token,omitempty" secret:"true" doc:"the token itself, shown once"`
	Note      string      `json:"note,omitempty" doc:"set when an answer is replayed without the token"`
	ExpiresAt *time.Time  `json:"expires_at,omitzero"`
	RevokedAt *time.Time  `json:"revoked_at,omitzero"`
	CreatedAt time.Time   `json:"created_at"`
}

// SessionCollection asks for the session of a login that a browser finished.
type SessionCollection struct {
	Code     string `json:"code"`
	Verifier string `json:"verifier"`
}

// TokenChange changes a token at once. What is left out stays.
type TokenChange struct {
	Role       models.Role     `json:"role,omitempty"`
	Domains    []string        `json:"domains,omitzero" example:"press-shop"`
	AllDomains bool            `json:"all_domains,omitzero" doc:"instead of domains: all of them"`
	ExpiresIn  models.Duration `json:"expires_in,omitzero" doc:"from now" example:"30d"`
}

// TokenCreation asks for a token.
type TokenCreation struct {
	Name      string          `json:"name" example:"line-3"`
	Role      models.Role     `json:"role"`
	Operator  string          `json:"operator,omitempty" doc:"the token's name unless given; created if there is none" example:"alice"`
	Domains   []string        `json:"domains,omitzero" doc:"names of the domains that it sees; all unless given" example:"press-shop"`
	ExpiresIn models.Duration `json:"expires_in,omitzero" doc:"never unless given" example:"30d"`
}
