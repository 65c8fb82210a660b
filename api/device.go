// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Device is a machine that holds, or will hold, certificates of a domain.
type Device struct {
	ID           string             `json:"id"`
	Name         string             `json:"name" example:"press-01"`
	Domain       string             `json:"domain" example:"press-shop"`
	SerialNumber string             `json:"serial_number,omitempty" example:"4711"`
	State        models.DeviceState `json:"state"`
	Onboarding   DeviceOnboarding   `json:"onboarding"`
	IDevIDSHA256 string             `json:"idevid_sha256,omitempty" doc:"fingerprint of the IDevID that the device is bound to"`
	Registration string             `json:"registration,omitempty" doc:"ID of the registration that created it"`
	OnboardedAt  *time.Time         `json:"onboarded_at,omitzero"`
	Metadata     map[string]string  `json:"metadata,omitempty"`
	CreatedAt    time.Time          `json:"created_at"`
	UpdatedAt    time.Time          `json:"updated_at"`
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
	Domain string             `query:"domain" doc:"name of a domain" example:"press-shop"`
	State  models.DeviceState `query:"state" doc:"state of the device"`
	PageQuery
}

// DeviceCreation registers a device.
type DeviceCreation struct {
	Name         string            `json:"name" example:"press-01"`
	Domain       string            `json:"domain" example:"press-shop"`
	SerialNumber string            `json:"serial_number,omitempty" example:"4711"`
	Onboarding   OnboardingArming  `json:"onboarding"`
	IDevIDSHA256 string            `json:"idevid_sha256,omitempty" doc:"for est-idevid: SHA-256 of the IDevID certificate, hex; only this certificate is then accepted"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// OnboardingArming arms a device for onboarding by one method.
type OnboardingArming struct {
	Method models.OnboardingMethod `json:"method"`
}
