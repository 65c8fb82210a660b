// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Device is a machine that holds, or will hold, certificates of a domain.
type Device struct {
	ID           string              `json:"id"`
	Name         string              `json:"name" example:"press-01"`
	Domain       string              `json:"domain" example:"press-shop"`
	SerialNumber string              `json:"serial_number,omitempty" example:"4711"`
	State        models.DeviceState  `json:"state"`
	Onboarding   DeviceOnboarding    `json:"onboarding"`
	IDevIDSHA256 string              `json:"idevid_sha256,omitempty" doc:"fingerprint of the IDevID that the device is bound to"`
	IDevIDBound  bool                `json:"idevid_bound,omitzero" doc:"an IDevID was used by this device; without, idevid_sha256 is the only one that may be"`
	Quarantined  []QuarantinedIDevID `json:"quarantined,omitempty" doc:"IDevIDs that said to be this device and were refused; not in lists"`
	Registration string              `json:"registration,omitempty" doc:"ID of the registration that created it"`
	OnboardedAt  *time.Time          `json:"onboarded_at,omitzero"`
	Metadata     map[string]string   `json:"metadata,omitempty"`
	CreatedAt    time.Time           `json:"created_at"`
	UpdatedAt    time.Time           `json:"updated_at"`
	Groups       []string            `json:"groups,omitempty" doc:"names of the groups that it is in" example:"line-3"`
	Home         string              `json:"home,omitempty" doc:"the record of the same machine in its home domain" example:"gateway-01"`
	Elsewhere    []DeviceElsewhere   `json:"elsewhere,omitempty" doc:"records of the same machine in further domains; not in lists"`
}

// DeviceOnboarding says how a device gets its first identity. Secret is in
// the answer that created it and in no other.
type DeviceOnboarding struct {
	Method       models.OnboardingMethod `json:"method"`
	Username     string                  `json:"username,omitempty" doc:"user name for HTTP Basic" example:"press-01"`
	Secret       string                  `json:"secret,omitempty" secret:"true" doc:"one-time secret, shown once"`
	Epoch        int                     `json:"epoch" doc:"how often the device was armed" example:"1"`
	SecretUsedAt *time.Time              `json:"secret_used_at,omitzero"`
	Note         string                  `json:"note,omitempty" doc:"set when an answer is replayed without its secret"`
}

// DeviceFilter selects devices.
type DeviceFilter struct {
	Domain   string             `query:"domain" doc:"name of a domain" example:"press-shop"`
	State    models.DeviceState `query:"state" doc:"state of the device"`
	Group    string             `query:"group" doc:"name of a group" example:"line-3"`
	Metadata string             `query:"metadata" doc:"KEY=VALUE, both exactly" example:"hall=3"`
	PageQuery
}

// DeviceCreation registers a device.
type DeviceCreation struct {
	Name         string            `json:"name" example:"press-01"`
	Domain       string            `json:"domain" example:"press-shop"`
	SerialNumber string            `json:"serial_number,omitempty" example:"4711"`
	Onboarding   OnboardingArming  `json:"onboarding"`
	IDevIDSHA256 string            `json:"idevid_sha256,omitempty" doc:"for est-idevid and cmp-idevid: SHA-256 of the IDevID certificate, hex; only this certificate is then accepted"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	Groups       []string          `json:"groups,omitempty" doc:"up to 32" example:"line-3"`
	Home         string            `json:"home,omitempty" doc:"makes this the record of an existing device in a further domain: a gateway; with est-idevid it shows the IDevID of its home record" example:"gateway-01"`
}

// OnboardingArming arms a device for onboarding by one method.
type OnboardingArming struct {
	Method models.OnboardingMethod `json:"method"`
}

// QuarantinedIDevID is an IDevID that said to be a device which is bound to
// another one, with another key.
type QuarantinedIDevID struct {
	SHA256      string    `json:"sha256"`
	KeySHA256   string    `json:"key_sha256"`
	Subject     string    `json:"subject" example:"CN=press,SERIALNUMBER=PR-000042"`
	Domain      string    `json:"domain,omitempty" doc:"where it came" example:"press-shop"`
	Address     string    `json:"address" doc:"where it came from last" example:"192.0.2.7"`
	Count       int       `json:"count" doc:"how often it came, counted once a minute" example:"1"`
	FirstSeenAt time.Time `json:"first_seen_at"`
	LastSeenAt  time.Time `json:"last_seen_at"`
}

// DeviceUnbinding separates a device from its IDevID.
type DeviceUnbinding struct {
	IDevIDSHA256 string `json:"idevid_sha256,omitempty" doc:"SHA-256 of the only IDevID that may take its place, hex; any with its serial number unless given"`
}

// DeviceChange changes what it names and leaves the rest (RFC 7396).
type DeviceChange struct {
	Groups       *[]string      `json:"groups,omitzero" doc:"all of them; [] for none" example:"line-3"`
	AddGroups    []string       `json:"add_groups,omitempty" doc:"instead of groups: join these" example:"line-3"`
	RemoveGroups []string       `json:"remove_groups,omitempty" doc:"instead of groups: leave these" example:"line-2"`
	Metadata     MetadataChange `json:"metadata,omitempty" doc:"what it names; null removes a key"`
}

// DeviceElsewhere is the record of a machine in a further domain.
type DeviceElsewhere struct {
	Name   string             `json:"name" example:"gateway-01-paint"`
	Domain string             `json:"domain" example:"paint-shop"`
	State  models.DeviceState `json:"state"`
}
