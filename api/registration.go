// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Registration admits devices by their IDevID (IEEE 802.1AR): a certificate
// that chains to the truststore and in which the part that match names matches
// the pattern makes its holder a device of the domain.
type Registration struct {
	ID            string                   `json:"id"`
	Name          string                   `json:"name" example:"acme-presses"`
	Truststore    string                   `json:"truststore" example:"acme-devices"`
	Domain        string                   `json:"domain" example:"press-shop"`
	Match         models.RegistrationMatch `json:"match" doc:"which part of the IDevID the pattern is for" example:"serial-number"`
	SerialPattern string                   `json:"serial_pattern" doc:"RE2, matched against the whole of that part" example:"PR-[0-9]{6}"`
	CreatedAt     time.Time                `json:"created_at"`
}

// RegistrationCreation adds a registration.
type RegistrationCreation struct {
	Name          string                   `json:"name" example:"acme-presses"`
	Truststore    string                   `json:"truststore" example:"acme-devices"`
	Domain        string                   `json:"domain" example:"press-shop"`
	Match         models.RegistrationMatch `json:"match,omitempty" doc:"which part of the IDevID the pattern is for: serial-number of the subject (unless given), san-uri, or san-hardware-module as OID/SERIAL (RFC 4108)" example:"serial-number"`
	SerialPattern string                   `json:"serial_pattern" doc:"RE2, matched against the whole of that part" example:"PR-[0-9]{6}"`
}
