// SPDX-License-Identifier: MIT

package store

// cmpTransactions are the transactions of CMP that have to be confirmed, or
// that revoked something, and the secrets of devices that MACs need in the
// clear, sealed, in a table of their own.
const cmpTransactions = `
CREATE TABLE cmp_transactions (
	id {text} NOT NULL PRIMARY KEY,
	state {text} NOT NULL,
	request_id {text} NOT NULL,
	certificate_id {text} NOT NULL,
	domain_id {text} NOT NULL,
	device_id {text} NOT NULL,
	confirm_wait {int} NOT NULL,
	deadline {time},
	ended_at {time},
	reason {text} NOT NULL,
	revision {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE INDEX cmp_transactions_request ON cmp_transactions (request_id) WHERE request_id <> '';
CREATE INDEX cmp_transactions_overdue ON cmp_transactions (deadline) WHERE state = 'open';
CREATE TABLE device_secrets (
	device_id {text} NOT NULL PRIMARY KEY,
	sealed {bytes} NOT NULL,
	created_at {time} NOT NULL
);
`
