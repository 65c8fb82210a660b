// SPDX-License-Identifier: MIT

package store

// auditChain gives every event a position that grows in the order in which
// transactions wrote, the tables of the chain, and what the events lacked.
//
// On SQLite the position is the row's number, made explicit because VACUUM may
// change hidden ones. On PostgreSQL it comes from a sequence, and only once
// the transaction has its number: so whoever sees a gap and then takes a
// number of his own knows that the transaction that may fill it has a lower
// one (see unsealed).
const auditChain = `
{sqlite}ALTER TABLE events RENAME TO events_before;
{sqlite}CREATE TABLE events (
	position INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	at DATETIME NOT NULL,
	actor TEXT NOT NULL,
	address TEXT NOT NULL,
	action TEXT NOT NULL,
	noun TEXT NOT NULL,
	subject_id TEXT NOT NULL,
	domain_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	request_id TEXT NOT NULL,
	workflow_id TEXT NOT NULL,
	run_id TEXT NOT NULL DEFAULT '',
	details TEXT,
	mac BLOB
);
{sqlite}INSERT INTO events (id, at, actor, address, action, noun, subject_id, domain_id, device_id, request_id, workflow_id, details)
	SELECT id, at, actor, address, action, noun, subject_id, domain_id, device_id, request_id, workflow_id, details FROM events_before ORDER BY id;
{sqlite}DROP TABLE events_before;
{sqlite}CREATE INDEX events_subject ON events (subject_id, id);
{sqlite}CREATE INDEX events_noun ON events (noun, id) WHERE noun NOT IN ('certificate', 'request');
{sqlite}CREATE INDEX events_action ON events (action, id);
{sqlite}CREATE INDEX events_domain ON events (domain_id, id) WHERE domain_id <> '';
{sqlite}CREATE INDEX events_device ON events (device_id, id) WHERE device_id <> '';
{sqlite}CREATE INDEX events_request ON events (request_id, id) WHERE request_id <> '';
{postgres}CREATE SEQUENCE events_position;
{postgres}ALTER TABLE events ADD COLUMN position BIGINT NOT NULL DEFAULT (CASE WHEN pg_current_xact_id() IS NULL THEN 0 ELSE nextval('events_position') END);
{postgres}ALTER SEQUENCE events_position OWNED BY events.position;
{postgres}CREATE UNIQUE INDEX events_order ON events (position);
{postgres}ALTER TABLE events ADD COLUMN run_id TEXT COLLATE "C" NOT NULL DEFAULT '';
{postgres}ALTER TABLE events ADD COLUMN mac BYTEA;
CREATE INDEX events_operator ON events (actor, id) WHERE actor LIKE 'operator:%';
CREATE TABLE audit_blocks (
	last_seq {int} NOT NULL PRIMARY KEY,
	first_seq {int} NOT NULL UNIQUE,
	position {int} NOT NULL,
	format {int} NOT NULL,
	entries {bytes},
	hash {bytes},
	sealed_at {time} NOT NULL
);
CREATE TABLE audit_heads (
	seq {int} NOT NULL PRIMARY KEY,
	hash {bytes},
	at {time} NOT NULL,
	key_id {text} NOT NULL,
	certificate {bytes},
	signature {bytes}
);
`
