// SPDX-License-Identifier: MIT

package api

import (
	"encoding/json/jsontext"
	"time"
)

// Profile is one version of the rules for one kind of certificate.
type Profile struct {
	Name        string         `json:"name" example:"tls_server"`
	Version     int            `json:"version" example:"1"`
	Type        string         `json:"type" doc:"domain for domain credentials, application for all others" example:"application"`
	DisplayName string         `json:"display_name,omitempty" example:"TLS server"`
	Shipped     bool           `json:"shipped" doc:"came with the server"`
	Document    jsontext.Value `json:"document,omitempty" doc:"the profile document; not in lists"`
	CreatedAt   time.Time      `json:"created_at"`
}

// ProfileQuery selects a version of a profile.
type ProfileQuery struct {
	Version int `query:"version" doc:"the current version unless given" example:"1"`
}

// ProfileCreation adds a profile.
type ProfileCreation struct {
	Name     string         `json:"name" example:"tls_server_long"`
	Document jsontext.Value `json:"document" doc:"the profile document"`
}

// ProfileVersion adds a version to a profile.
type ProfileVersion struct {
	Document jsontext.Value `json:"document" doc:"the profile document"`
}

// ProfileTrial asks what a request would become. Either a stored profile or a
// document is tried.
type ProfileTrial struct {
	Profile   string         `json:"profile,omitempty" doc:"name of a stored profile, or its alias in the domain" example:"tls_server"`
	Document  jsontext.Value `json:"document,omitempty" doc:"a profile document that need not be stored"`
	CSR       string         `json:"csr" doc:"PKCS #10 request, PEM or base64" example:"MIIB..."`
	Device    string         `json:"device,omitempty" doc:"for whom; an example device unless given" example:"press-01"`
	Domain    string         `json:"domain,omitempty" doc:"where; the device's unless given" example:"press-shop"`
	Renews    string         `json:"renews,omitempty" doc:"id of the certificate that would be renewed"`
	NotBefore time.Time      `json:"not_before,omitzero" doc:"as a protocol may ask"`
	NotAfter  time.Time      `json:"not_after,omitzero" doc:"as a protocol may ask"`
}

// ProfileVerdict says what would be issued, and why. Nothing was stored.
type ProfileVerdict struct {
	Issued     bool               `json:"issued" doc:"whether a certificate would be issued"`
	Refusal    string             `json:"refusal,omitempty" doc:"why not"`
	Reasons    []string           `json:"reasons" doc:"what differs from the request, and why"`
	Door       string             `json:"door,omitempty" doc:"why the device would not be let in at the moment, whatever the profile says"`
	Subject    string             `json:"subject,omitempty" example:"CN=press-01"`
	SANs       []string           `json:"sans,omitempty" example:"dns:press-01"`
	NotBefore  time.Time          `json:"not_before,omitzero"`
	NotAfter   time.Time          `json:"not_after,omitzero"`
	Extensions []ProfileExtension `json:"extensions,omitempty"`
}

// ProfileExtension is one extension of the certificate that would be issued.
type ProfileExtension struct {
	OID      string `json:"oid" example:"2.5.29.15"`
	Name     string `json:"name,omitempty" example:"key_usage"`
	Critical bool   `json:"critical"`
	Value    string `json:"value" doc:"DER, in hex" example:"03020780"`
	Text     string `json:"text,omitempty" doc:"the value in words, where it has any" example:"digital_signature"`
}

// ProfileConversion asks for a document of another product in our format.
type ProfileConversion struct {
	Format   string         `json:"format" doc:"trustpoint" example:"trustpoint"`
	Document jsontext.Value `json:"document" doc:"the document to convert"`
}

// ConvertedProfile is the document in our format. Nothing was stored.
type ConvertedProfile struct {
	Document jsontext.Value `json:"document" doc:"the profile document"`
	Notes    []string       `json:"notes" doc:"what is said differently, or holds here in any case"`
	Lost     []string       `json:"lost" doc:"what the document said and this one does not"`
}
