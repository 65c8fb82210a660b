// SPDX-License-Identifier: MIT

package store

// profileLimits lets a domain offer profiles under further names, and keeps
// the names that certificates of profiles with uniqueness have claimed. Other
// profiles have no rows there.
const profileLimits = `
ALTER TABLE domains ADD COLUMN aliases {text};
CREATE TABLE claims (
	domain_id {text} NOT NULL,
	name {text} NOT NULL,
	certificate_id {text} NOT NULL REFERENCES certificates (id) ON DELETE CASCADE,
	device_id {text} NOT NULL,
	PRIMARY KEY (domain_id, name, certificate_id)
);
CREATE INDEX claims_certificate ON claims (certificate_id);
`
