// SPDX-License-Identifier: MIT

package store

// purgeTables gives domains a retention rule, which those that are there do not
// have, and keeps what has to be known of purged certificates for ever: that a
// request, a serial number, a fingerprint was given.
const purgeTables = `
ALTER TABLE domains ADD COLUMN retention {int} NOT NULL DEFAULT 0;
CREATE TABLE tombstones (
	id {text} NOT NULL PRIMARY KEY,
	request_key {text} NOT NULL UNIQUE,
	request_id {text} NOT NULL,
	kind {text} NOT NULL,
	issuer_ca_id {text} NOT NULL,
	issuer_key_id {text} NOT NULL,
	serial {text} NOT NULL,
	tbs_sha256 {text} NOT NULL,
	fingerprint {text} NOT NULL,
	spki_sha256 {text} NOT NULL,
	domain_id {text} NOT NULL,
	device_id {text} NOT NULL,
	profile_name {text} NOT NULL,
	subject {text} NOT NULL,
	not_after {time} NOT NULL,
	predecessor_id {text} NOT NULL,
	revoked_at {time},
	revoked_reason {text} NOT NULL,
	origin {text} NOT NULL,
	purged_at {time} NOT NULL,
	UNIQUE (issuer_key_id, serial)
);
CREATE INDEX tombstones_fingerprint ON tombstones (fingerprint);
`
