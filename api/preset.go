// SPDX-License-Identifier: MIT

package api

import "encoding/json/jsontext"

// Preset is a named set of limits to what a domain does.
type Preset struct {
	Name        string         `json:"name" example:"hardened"`
	DisplayName string         `json:"display_name" example:"Hardened"`
	Description string         `json:"description" doc:"what it is for"`
	Default     bool           `json:"default" doc:"new domains have it"`
	Explanation []string       `json:"explanation,omitempty" doc:"what it demands, in sentences; not in lists"`
	Document    jsontext.Value `json:"document,omitempty" doc:"the document; not in lists"`
}

// PresetReport says what of a domain a preset does not permit. What exists
// stays as it is; what is issued from now on obeys.
type PresetReport struct {
	Preset     string            `json:"preset" example:"hardened"`
	Violations []PresetViolation `json:"violations" doc:"settings, profiles, CAs, and the first devices and certificates"`
	// Certificates are the valid ones, Devices those that wait for their
	// onboarding.
	Certificates PresetCount `json:"certificates"`
	Devices      PresetCount `json:"devices"`
}

// PresetCount counts rows that were looked at.
type PresetCount struct {
	Checked    int            `json:"checked"`
	Violating  int            `json:"violating"`
	Members    map[string]int `json:"members,omitempty" doc:"violating ones by the member of the preset"`
	NextCursor string         `json:"next_cursor,omitempty" doc:"there are more: ask again with it as cursor"`
}

// PresetViolation is something that a preset does not permit.
type PresetViolation struct {
	Noun    string `json:"noun" doc:"domain, profile, ca, device or certificate" example:"ca"`
	Subject string `json:"subject" doc:"its name, or the identifier of a certificate" example:"plant-issuing"`
	Member  string `json:"member" doc:"of the preset" example:"ca_key_stores"`
	Text    string `json:"text" example:"the key of CA plant-issuing is in the key store software"`
	Remedy  string `json:"remedy" doc:"what to do"`
}
