// SPDX-License-Identifier: MIT

package api

import "time"

// Registration admits devices by their IDevID (IEEE 802.1AR): a certificate
// that chains to the truststore and whose subject serialNumber matches the
// pattern makes its holder a device of the domain.
type Registration struct {
	ID            string    `json:"id"`
	Name          string    `json:"name" example:"acme-presses"`
	Truststore    string    `json:"truststore" example:"acme-devices"`
	Domain        string    `json:"domain" example:"press-shop"`
	SerialPattern string    `json:"serial_pattern" doc:"RE2, matched against the whole serialNumber" example:"PR-[0-9]{6}"`
	CreatedAt     time.Time `json:"created_at"`
}

// RegistrationCreation adds a registration.
type RegistrationCreation struct {
	Name          string `json:"name" example:"acme-presses"`
	Truststore    string `json:"truststore" example:"acme-devices"`
	Domain        string `json:"domain" example:"press-shop"`
	SerialPattern string `json:"serial_pattern" doc:"RE2, matched against the whole serialNumber" example:"PR-[0-9]{6}"`
}
