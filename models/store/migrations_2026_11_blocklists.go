// SPDX-License-Identifier: MIT

package store

// blocklists keeps keys that nobody may use. Every issuance looks its key up,
// so the key comes first; the index serves the pages of one list.
const blocklists = `
CREATE TABLE blocklists (
	name {text} NOT NULL PRIMARY KEY,
	key_count {int} NOT NULL,
	created_at {time} NOT NULL,
	updated_at {time} NOT NULL
);
CREATE TABLE blocked_keys (
	spki_sha256 {text} NOT NULL,
	blocklist {text} NOT NULL REFERENCES blocklists (name) ON DELETE CASCADE,
	PRIMARY KEY (spki_sha256, blocklist)
);
CREATE INDEX blocked_keys_list ON blocked_keys (blocklist, spki_sha256);
`
