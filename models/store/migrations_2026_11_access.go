// SPDX-License-Identifier: MIT

package store

// access gives operators a role of their own, for logins and certificates, and
// the ways in which they are recognised.
const access = `
ALTER TABLE operators ADD COLUMN role {text} NOT NULL DEFAULT '';
ALTER TABLE operators ADD COLUMN domains {text};
ALTER TABLE operators ADD COLUMN issuer {text} NOT NULL DEFAULT '';
ALTER TABLE operators ADD COLUMN subject {text} NOT NULL DEFAULT '';
CREATE UNIQUE INDEX operators_subject ON operators (issuer, subject) WHERE issuer <> '';
ALTER TABLE tokens ADD COLUMN session {bool} NOT NULL DEFAULT FALSE;
CREATE INDEX tokens_operator_id ON tokens (operator_id);
ALTER TABLE approval_decisions ADD COLUMN void {bool} NOT NULL DEFAULT FALSE;
CREATE INDEX approval_decisions_operator_id ON approval_decisions (operator_id);
CREATE TABLE operator_certificates (
	id {text} NOT NULL PRIMARY KEY,
	operator_id {text} NOT NULL REFERENCES operators (id),
	kind {text} NOT NULL,
	issuer_sha256 {text} NOT NULL,
	value {text} NOT NULL,
	label {text} NOT NULL,
	created_at {time} NOT NULL,
	UNIQUE (kind, issuer_sha256, value)
);
CREATE INDEX operator_certificates_operator_id ON operator_certificates (operator_id);
CREATE TABLE logins (
	code_hash {text} NOT NULL PRIMARY KEY,
	operator_id {text} NOT NULL REFERENCES operators (id),
	challenge {text} NOT NULL,
	expires_at {time} NOT NULL
);
`
