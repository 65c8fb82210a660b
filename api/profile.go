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
