// SPDX-License-Identifier: MIT

package store

// truststoresOfDomains lets a domain name the truststores that its devices
// should have.
const truststoresOfDomains = `
ALTER TABLE domains ADD COLUMN truststores {text};
`

// boundIDevIDs keeps the key of the IDevID that a device is bound to, the part
// of it that a registration looks at, and the ones that claimed to be it.
const boundIDevIDs = `
ALTER TABLE devices ADD COLUMN idevid_key_sha256 {text} NOT NULL DEFAULT '';
CREATE INDEX devices_idevid ON devices (idevid_sha256) WHERE idevid_sha256 <> '';
ALTER TABLE registrations ADD COLUMN match_on {text} NOT NULL DEFAULT 'serial-number';
CREATE TABLE quarantined_idevids (
	fingerprint {text} NOT NULL,
	device_id {text} NOT NULL REFERENCES devices (id),
	domain_id {text} NOT NULL,
	key_sha256 {text} NOT NULL,
	subject {text} NOT NULL,
	address {text} NOT NULL,
	count {int} NOT NULL,
	first_seen_at {time} NOT NULL,
	last_seen_at {time} NOT NULL,
	PRIMARY KEY (device_id, fingerprint)
);
`

// groupsAndAnnotations lets devices be found by group, and operators note
// things about certificates and CAs.
const groupsAndAnnotations = `
ALTER TABLE devices ADD COLUMN group_names {text};
CREATE TABLE device_groups (
	name {text} NOT NULL,
	device_id {text} NOT NULL REFERENCES devices (id),
	PRIMARY KEY (name, device_id)
);
CREATE INDEX device_groups_device ON device_groups (device_id);
CREATE TABLE annotations (
	noun {text} NOT NULL,
	subject_id {text} NOT NULL,
	metadata {text},
	revision {int} NOT NULL,
	updated_at {time} NOT NULL,
	PRIMARY KEY (noun, subject_id)
);
`

// idevidRevocation says how certificates of manufacturers are checked.
const idevidRevocation = `
CREATE TABLE truststore_revocations (
	truststore_name {text} NOT NULL PRIMARY KEY,
	policy {text} NOT NULL,
	ocsp_url {text} NOT NULL,
	revision {int} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE TABLE foreign_crls (
	truststore_name {text} NOT NULL,
	issuer_key_sha256 {text} NOT NULL,
	issuer {text} NOT NULL,
	number {text} NOT NULL,
	der {bytes} NOT NULL,
	entries {int} NOT NULL,
	this_update {time} NOT NULL,
	next_update {time} NOT NULL,
	updated_at {time} NOT NULL,
	PRIMARY KEY (truststore_name, issuer_key_sha256)
);
`

// furtherDomains lets a machine have a record in each of several domains.
const furtherDomains = `
ALTER TABLE devices ADD COLUMN home_id {text} NOT NULL DEFAULT '';
CREATE UNIQUE INDEX devices_home ON devices (home_id, domain_id) WHERE home_id <> '';
`
