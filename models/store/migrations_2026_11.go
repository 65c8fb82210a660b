// SPDX-License-Identifier: MIT

package store

// firstTables makes the first schema.
//
// Rows of the hot tables (requests, certificates, events) have no foreign
// keys: each insert would lock its device and its domain. Every index there
// serves a lookup or a filter of package store; the identifier comes last, so
// that pages come out of the index in order, and what nearly all rows are
// (issued) is left out of the partial ones.
const firstTables = firstAuthorities + firstDevices + firstRequests + firstPeople + firstLogs

const firstAuthorities = `
CREATE TABLE cas (
	id {text} NOT NULL PRIMARY KEY,
	name {text} NOT NULL UNIQUE,
	type {text} NOT NULL,
	state {text} NOT NULL,
	generation {int} NOT NULL,
	issuer_id {text} NOT NULL,
	private_key_store {text} NOT NULL,
	private_key_id {text} NOT NULL,
	private_key_algorithm {text} NOT NULL,
	key_id {text} NOT NULL,
	subject {text},
	certificate_id {text} NOT NULL,
	certificate_der {bytes},
	validity {int} NOT NULL,
	not_before {time} NOT NULL,
	not_after {time} NOT NULL,
	demo {bool} NOT NULL,
	failure {text} NOT NULL,
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE INDEX cas_key ON cas (key_id);
CREATE TABLE crls (
	id {text} NOT NULL PRIMARY KEY,
	ca_id {text} NOT NULL REFERENCES cas (id),
	key_id {text} NOT NULL,
	number {int} NOT NULL,
	der {bytes},
	this_update {time} NOT NULL,
	next_update {time} NOT NULL,
	created_at {time} NOT NULL,
	UNIQUE (key_id, number)
);
CREATE TABLE domains (
	id {text} NOT NULL PRIMARY KEY,
	name {text} NOT NULL UNIQUE,
	issuing_ca_id {text} NOT NULL REFERENCES cas (id),
	profiles {text},
	approval {text},
	suspended {bool} NOT NULL,
	demo {bool} NOT NULL,
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE TABLE profiles (
	id {text} NOT NULL PRIMARY KEY,
	name {text} NOT NULL,
	version {int} NOT NULL,
	document {bytes},
	shipped {bool} NOT NULL,
	created_at {time} NOT NULL,
	UNIQUE (name, version)
);
`

const firstDevices = `
CREATE TABLE truststores (
	id {text} NOT NULL PRIMARY KEY,
	name {text} NOT NULL,
	version {int} NOT NULL,
	certificates {text},
	created_at {time} NOT NULL,
	UNIQUE (name, version)
);
CREATE TABLE registrations (
	id {text} NOT NULL PRIMARY KEY,
	name {text} NOT NULL UNIQUE,
	truststore_name {text} NOT NULL,
	domain_id {text} NOT NULL REFERENCES domains (id),
	serial_pattern {text} NOT NULL,
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE INDEX registrations_domain ON registrations (domain_id, name);
CREATE TABLE devices (
	id {text} NOT NULL PRIMARY KEY,
	name {text} NOT NULL UNIQUE,
	serial_number {text} NOT NULL,
	domain_id {text} NOT NULL REFERENCES domains (id),
	state {text} NOT NULL,
	method {text} NOT NULL,
	secret_hash {bytes},
	secret_used_by {text} NOT NULL,
	secret_used_at {time},
	epoch {int} NOT NULL,
	idevid_sha256 {text} NOT NULL,
	idevid_identity {text} UNIQUE,
	registration_id {text} NOT NULL,
	onboarded_at {time},
	metadata {text},
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE INDEX devices_domain ON devices (domain_id, name);
CREATE INDEX devices_state ON devices (state, name);
`

const firstRequests = `
CREATE TABLE requests (
	id {text} NOT NULL PRIMARY KEY,
	key {text} NOT NULL UNIQUE,
	kind {text} NOT NULL,
	state {text} NOT NULL,
	protocol {text} NOT NULL,
	domain_id {text} NOT NULL,
	device_id {text} NOT NULL,
	profile_name {text} NOT NULL,
	profile_version {int} NOT NULL,
	csr {bytes},
	auth_method {text} NOT NULL,
	auth_subject {text} NOT NULL,
	predecessor_id {text} NOT NULL,
	workflow_id {text} NOT NULL,
	decision {text},
	certificate_id {text} NOT NULL,
	failure_kind {text} NOT NULL,
	failure_text {text} NOT NULL,
	deadline {time},
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE INDEX requests_domain ON requests (domain_id, id);
CREATE INDEX requests_device ON requests (device_id, id);
CREATE INDEX requests_state ON requests (state, id) WHERE state <> 'issued';
CREATE INDEX requests_unfinished ON requests (id) WHERE state IN ('received', 'waiting', 'approved', 'reserved');
CREATE TABLE certificates (
	id {text} NOT NULL PRIMARY KEY,
	request_key {text} NOT NULL UNIQUE,
	request_id {text} NOT NULL,
	state {text} NOT NULL,
	kind {text} NOT NULL,
	issuer_ca_id {text} NOT NULL,
	issuer_key_id {text} NOT NULL,
	serial {text} NOT NULL,
	tbs {bytes},
	tbs_sha256 {text} NOT NULL,
	attempts {int} NOT NULL,
	der {bytes},
	fingerprint {text} NOT NULL,
	spki_sha256 {text} NOT NULL,
	domain_id {text} NOT NULL,
	device_id {text} NOT NULL,
	profile_name {text} NOT NULL,
	profile_version {int} NOT NULL,
	subject {text} NOT NULL,
	sans {text},
	not_before {time} NOT NULL,
	not_after {time} NOT NULL,
	predecessor_id {text} NOT NULL,
	revoked_at {time},
	revoked_reason {text} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL,
	UNIQUE (serial, issuer_key_id)
);
CREATE INDEX certificates_fingerprint ON certificates (fingerprint) WHERE fingerprint <> '';
CREATE INDEX certificates_spki ON certificates (spki_sha256);
CREATE INDEX certificates_domain ON certificates (domain_id, id);
CREATE INDEX certificates_device ON certificates (device_id, id);
CREATE INDEX certificates_expiry ON certificates (not_after);
CREATE INDEX certificates_revoked ON certificates (issuer_key_id, id) WHERE state = 'revoked';
CREATE INDEX certificates_unrecorded ON certificates (id) WHERE state IN ('reserved', 'signing');
CREATE INDEX certificates_ca ON certificates (id) WHERE kind = 'ca';
CREATE TABLE approvals (
	id {text} NOT NULL PRIMARY KEY,
	request_id {text} NOT NULL UNIQUE REFERENCES requests (id),
	subject_sha256 {text} NOT NULL,
	domain_id {text} NOT NULL,
	device_id {text} NOT NULL,
	state {text} NOT NULL,
	steps {text},
	current_step {int} NOT NULL,
	step_approvals {int} NOT NULL,
	workflow_id {text} NOT NULL,
	deadline {time} NOT NULL,
	remind_at {time} NOT NULL,
	escalate_at {time} NOT NULL,
	reminded_at {time},
	escalated_at {time},
	decided_at {time},
	reason {text} NOT NULL,
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE INDEX approvals_domain ON approvals (domain_id, id);
CREATE INDEX approvals_state ON approvals (state, id);
`

const firstPeople = `
CREATE TABLE approval_decisions (
	id {text} NOT NULL PRIMARY KEY,
	approval_id {text} NOT NULL REFERENCES approvals (id),
	operator_id {text} NOT NULL,
	operator_name {text} NOT NULL,
	step {int} NOT NULL,
	verdict {text} NOT NULL,
	comment {text} NOT NULL,
	subject_sha256 {text} NOT NULL,
	created_at {time} NOT NULL,
	UNIQUE (approval_id, operator_id)
);
CREATE TABLE operators (
	id {text} NOT NULL PRIMARY KEY,
	name {text} NOT NULL UNIQUE,
	disabled {bool} NOT NULL,
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE TABLE tokens (
	id {text} NOT NULL PRIMARY KEY,
	name {text} NOT NULL UNIQUE,
	operator_id {text} NOT NULL REFERENCES operators (id),
	role {text} NOT NULL,
	hash {text} NOT NULL UNIQUE,
	domains {text},
	expires_at {time},
	revoked_at {time},
	created_at {time} NOT NULL
);
`

const firstLogs = `
CREATE TABLE events (
	id {text} NOT NULL PRIMARY KEY,
	at {time} NOT NULL,
	actor {text} NOT NULL,
	address {text} NOT NULL,
	action {text} NOT NULL,
	noun {text} NOT NULL,
	subject_id {text} NOT NULL,
	domain_id {text} NOT NULL,
	device_id {text} NOT NULL,
	request_id {text} NOT NULL,
	workflow_id {text} NOT NULL,
	details {text}
);
CREATE INDEX events_subject ON events (subject_id, id);
CREATE INDEX events_noun ON events (noun, id) WHERE noun NOT IN ('certificate', 'request');
CREATE INDEX events_action ON events (action, id);
CREATE INDEX events_domain ON events (domain_id, id) WHERE domain_id <> '';
CREATE INDEX events_device ON events (device_id, id) WHERE device_id <> '';
CREATE INDEX events_request ON events (request_id, id) WHERE request_id <> '';
CREATE TABLE outbox_items (
	id {text} NOT NULL PRIMARY KEY,
	action {text} NOT NULL,
	workflow_id {text} NOT NULL,
	subject_id {text} NOT NULL,
	not_before {time} NOT NULL,
	attempts {int} NOT NULL,
	last_error {text} NOT NULL,
	created_at {time} NOT NULL
);
CREATE INDEX outbox_items_due ON outbox_items (not_before, id);
CREATE TABLE answers (
	principal {text} NOT NULL,
	key {text} NOT NULL,
	route {text} NOT NULL,
	body_sha256 {text} NOT NULL,
	status {int} NOT NULL,
	body {bytes},
	created_at {time} NOT NULL,
	expires_at {time} NOT NULL,
	PRIMARY KEY (principal, key)
);
CREATE INDEX answers_expiry ON answers (expires_at);
`
