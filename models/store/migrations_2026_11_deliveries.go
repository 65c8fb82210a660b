// SPDX-License-Identifier: MIT

package store

// deliveryTables are the deliveries of keys that Trustloom makes, and the keys
// themselves in a table of their own: it has a row only while a key waits, so
// that it can be rewritten whole once one is gone.
const deliveryTables = `
CREATE TABLE deliveries (
	id {text} NOT NULL PRIMARY KEY,
	state {text} NOT NULL,
	channel {text} NOT NULL,
	domain_id {text} NOT NULL,
	device_id {text} NOT NULL,
	request_id {text} NOT NULL,
	certificate_id {text} NOT NULL,
	profile_name {text} NOT NULL,
	key_algorithm {text} NOT NULL,
	code_hash {bytes},
	tries_left {int} NOT NULL,
	life {int} NOT NULL,
	actor {text} NOT NULL,
	reason {text} NOT NULL,
	settled {bool} NOT NULL,
	expires_at {time} NOT NULL,
	ended_at {time},
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE INDEX deliveries_domain ON deliveries (domain_id, id);
CREATE INDEX deliveries_device ON deliveries (device_id, id);
CREATE INDEX deliveries_state ON deliveries (state, id) WHERE state <> 'delivered';
CREATE INDEX deliveries_unsettled ON deliveries (id) WHERE NOT settled;
CREATE UNIQUE INDEX deliveries_request ON deliveries (request_id);
CREATE UNIQUE INDEX deliveries_download ON deliveries (device_id) WHERE channel = 'download' AND state IN ('waiting', 'ready');
CREATE UNIQUE INDEX deliveries_operator ON deliveries (device_id, profile_name) WHERE channel = 'operator' AND state IN ('waiting', 'ready');
CREATE TABLE sealed_keys (
	id {text} NOT NULL PRIMARY KEY,
	sealed {bytes} NOT NULL,
	created_at {time} NOT NULL
);
`
