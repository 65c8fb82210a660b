-- What the migrations make. Rewritten by: go test ./models/store -run Schema -update

CREATE TABLE annotations (
	noun TEXT NOT NULL,
	subject_id TEXT NOT NULL,
	metadata TEXT,
	revision INTEGER NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (noun, subject_id)
);
CREATE TABLE answers (
	principal TEXT NOT NULL,
	key TEXT NOT NULL,
	route TEXT NOT NULL,
	body_sha256 TEXT NOT NULL,
	status INTEGER NOT NULL,
	body BLOB,
	created_at DATETIME NOT NULL,
	expires_at DATETIME NOT NULL,
	PRIMARY KEY (principal, key)
);
CREATE INDEX answers_expiry ON answers (expires_at);
CREATE TABLE approval_decisions (
	id TEXT NOT NULL PRIMARY KEY,
	approval_id TEXT NOT NULL REFERENCES approvals (id),
	operator_id TEXT NOT NULL,
	operator_name TEXT NOT NULL,
	step INTEGER NOT NULL,
	verdict TEXT NOT NULL,
	comment TEXT NOT NULL,
	subject_sha256 TEXT NOT NULL,
	created_at DATETIME NOT NULL, void BOOLEAN NOT NULL DEFAULT FALSE,
	UNIQUE (approval_id, operator_id)
);
CREATE INDEX approval_decisions_operator_id ON approval_decisions (operator_id);
CREATE TABLE approvals (
	id TEXT NOT NULL PRIMARY KEY,
	request_id TEXT NOT NULL UNIQUE REFERENCES requests (id),
	subject_sha256 TEXT NOT NULL,
	domain_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	state TEXT NOT NULL,
	steps TEXT,
	current_step INTEGER NOT NULL,
	step_approvals INTEGER NOT NULL,
	workflow_id TEXT NOT NULL,
	deadline DATETIME NOT NULL,
	remind_at DATETIME NOT NULL,
	escalate_at DATETIME NOT NULL,
	reminded_at DATETIME,
	escalated_at DATETIME,
	decided_at DATETIME,
	reason TEXT NOT NULL,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
);
CREATE INDEX approvals_domain ON approvals (domain_id, id);
CREATE INDEX approvals_state ON approvals (state, id);
CREATE TABLE audit_blocks (
	last_seq INTEGER NOT NULL PRIMARY KEY,
	first_seq INTEGER NOT NULL UNIQUE,
	position INTEGER NOT NULL,
	format INTEGER NOT NULL,
	entries BLOB,
	hash BLOB,
	sealed_at DATETIME NOT NULL
);
CREATE TABLE audit_heads (
	seq INTEGER NOT NULL PRIMARY KEY,
	hash BLOB,
	at DATETIME NOT NULL,
	key_id TEXT NOT NULL,
	certificate BLOB,
	signature BLOB
);
CREATE TABLE blocked_keys (
	spki_sha256 TEXT NOT NULL,
	blocklist TEXT NOT NULL REFERENCES blocklists (name) ON DELETE CASCADE,
	PRIMARY KEY (spki_sha256, blocklist)
);
CREATE INDEX blocked_keys_list ON blocked_keys (blocklist, spki_sha256);
CREATE TABLE blocklists (
	name TEXT NOT NULL PRIMARY KEY,
	key_count INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
);
CREATE TABLE cas (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	type TEXT NOT NULL,
	state TEXT NOT NULL,
	generation INTEGER NOT NULL,
	issuer_id TEXT NOT NULL,
	private_key_store TEXT NOT NULL,
	private_key_id TEXT NOT NULL,
	private_key_algorithm TEXT NOT NULL,
	key_id TEXT NOT NULL,
	subject TEXT,
	certificate_id TEXT NOT NULL,
	certificate_der BLOB,
	validity INTEGER NOT NULL,
	not_before DATETIME NOT NULL,
	not_after DATETIME NOT NULL,
	demo BOOLEAN NOT NULL,
	failure TEXT NOT NULL,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
, origin TEXT NOT NULL DEFAULT 'made', csr BLOB, deadline DATETIME, profile_name TEXT NOT NULL DEFAULT '', profile_version INTEGER NOT NULL DEFAULT 0);
CREATE INDEX cas_key ON cas (key_id);
CREATE TABLE certificates (
	id TEXT NOT NULL PRIMARY KEY,
	request_key TEXT NOT NULL UNIQUE,
	request_id TEXT NOT NULL,
	state TEXT NOT NULL,
	kind TEXT NOT NULL,
	issuer_ca_id TEXT NOT NULL,
	issuer_key_id TEXT NOT NULL,
	serial TEXT NOT NULL,
	tbs BLOB,
	tbs_sha256 TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	der BLOB,
	fingerprint TEXT NOT NULL,
	spki_sha256 TEXT NOT NULL,
	domain_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	profile_name TEXT NOT NULL,
	profile_version INTEGER NOT NULL,
	subject TEXT NOT NULL,
	sans TEXT,
	not_before DATETIME NOT NULL,
	not_after DATETIME NOT NULL,
	predecessor_id TEXT NOT NULL,
	revoked_at DATETIME,
	revoked_reason TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL, origin TEXT NOT NULL DEFAULT 'issued',
	UNIQUE (serial, issuer_key_id)
);
CREATE INDEX certificates_ca ON certificates (id) WHERE kind = 'ca';
CREATE INDEX certificates_device ON certificates (device_id, not_after, id);
CREATE INDEX certificates_expiry ON certificates (not_after);
CREATE INDEX certificates_fingerprint ON certificates (fingerprint) WHERE fingerprint <> '';
CREATE INDEX certificates_issued ON certificates (origin, not_after, id) WHERE state = 'issued';
CREATE INDEX certificates_issued_domain ON certificates (domain_id, origin, not_after, id) WHERE state = 'issued';
CREATE INDEX certificates_recalled ON certificates (origin, not_after, id) WHERE state = 'revoked';
CREATE INDEX certificates_recalled_domain ON certificates (domain_id, origin, not_after, id) WHERE state = 'revoked';
CREATE INDEX certificates_revoked ON certificates (issuer_key_id, id) WHERE state = 'revoked';
CREATE INDEX certificates_spki ON certificates (spki_sha256);
CREATE INDEX certificates_unrecorded ON certificates (id) WHERE state IN ('reserved', 'signing');
CREATE TABLE claims (
	domain_id TEXT NOT NULL,
	name TEXT NOT NULL,
	certificate_id TEXT NOT NULL REFERENCES certificates (id) ON DELETE CASCADE,
	device_id TEXT NOT NULL,
	PRIMARY KEY (domain_id, name, certificate_id)
);
CREATE INDEX claims_certificate ON claims (certificate_id);
CREATE TABLE cmp_transactions (
	id TEXT NOT NULL PRIMARY KEY,
	state TEXT NOT NULL,
	request_id TEXT NOT NULL,
	certificate_id TEXT NOT NULL,
	domain_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	confirm_wait INTEGER NOT NULL,
	deadline DATETIME,
	ended_at DATETIME,
	reason TEXT NOT NULL,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
);
CREATE INDEX cmp_transactions_overdue ON cmp_transactions (deadline) WHERE state = 'open';
CREATE INDEX cmp_transactions_request ON cmp_transactions (request_id) WHERE request_id <> '';
CREATE TABLE crls (
	id TEXT NOT NULL PRIMARY KEY,
	ca_id TEXT NOT NULL REFERENCES cas (id),
	key_id TEXT NOT NULL,
	number INTEGER NOT NULL,
	der BLOB,
	this_update DATETIME NOT NULL,
	next_update DATETIME NOT NULL,
	created_at DATETIME NOT NULL,
	UNIQUE (key_id, number)
);
CREATE TABLE deliveries (
	id TEXT NOT NULL PRIMARY KEY,
	state TEXT NOT NULL,
	channel TEXT NOT NULL,
	domain_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	request_id TEXT NOT NULL,
	certificate_id TEXT NOT NULL,
	profile_name TEXT NOT NULL,
	key_algorithm TEXT NOT NULL,
	code_hash BLOB,
	tries_left INTEGER NOT NULL,
	life INTEGER NOT NULL,
	actor TEXT NOT NULL,
	reason TEXT NOT NULL,
	settled BOOLEAN NOT NULL,
	expires_at DATETIME NOT NULL,
	ended_at DATETIME,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
);
CREATE INDEX deliveries_device ON deliveries (device_id, id);
CREATE INDEX deliveries_domain ON deliveries (domain_id, id);
CREATE UNIQUE INDEX deliveries_download ON deliveries (device_id) WHERE channel = 'download' AND state IN ('waiting', 'ready');
CREATE UNIQUE INDEX deliveries_operator ON deliveries (device_id, profile_name) WHERE channel = 'operator' AND state IN ('waiting', 'ready');
CREATE UNIQUE INDEX deliveries_request ON deliveries (request_id);
CREATE INDEX deliveries_state ON deliveries (state, id) WHERE state <> 'delivered';
CREATE INDEX deliveries_unsettled ON deliveries (id) WHERE NOT settled;
CREATE TABLE device_groups (
	name TEXT NOT NULL,
	device_id TEXT NOT NULL REFERENCES devices (id),
	PRIMARY KEY (name, device_id)
);
CREATE INDEX device_groups_device ON device_groups (device_id);
CREATE TABLE device_secrets (
	device_id TEXT NOT NULL PRIMARY KEY,
	sealed BLOB NOT NULL,
	created_at DATETIME NOT NULL
);
CREATE TABLE devices (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	serial_number TEXT NOT NULL,
	domain_id TEXT NOT NULL REFERENCES domains (id),
	state TEXT NOT NULL,
	method TEXT NOT NULL,
	secret_hash BLOB,
	secret_used_by TEXT NOT NULL,
	secret_used_at DATETIME,
	epoch INTEGER NOT NULL,
	idevid_sha256 TEXT NOT NULL,
	idevid_identity TEXT UNIQUE,
	registration_id TEXT NOT NULL,
	onboarded_at DATETIME,
	metadata TEXT,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
, idevid_key_sha256 TEXT NOT NULL DEFAULT '', group_names TEXT, home_id TEXT NOT NULL DEFAULT '');
CREATE INDEX devices_domain ON devices (domain_id, name);
CREATE UNIQUE INDEX devices_home ON devices (home_id, domain_id) WHERE home_id <> '';
CREATE INDEX devices_idevid ON devices (idevid_sha256) WHERE idevid_sha256 <> '';
CREATE INDEX devices_state ON devices (state, name);
CREATE TABLE domains (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	issuing_ca_id TEXT NOT NULL REFERENCES cas (id),
	profiles TEXT,
	approval TEXT,
	suspended BOOLEAN NOT NULL,
	demo BOOLEAN NOT NULL,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
, operations TEXT, truststores TEXT, aliases TEXT, preset TEXT NOT NULL DEFAULT 'brownfield', retention INTEGER NOT NULL DEFAULT 0);
CREATE TABLE events (
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
CREATE INDEX events_action ON events (action, id);
CREATE INDEX events_actor ON events (actor, id) WHERE actor NOT LIKE 'device:%';
CREATE INDEX events_device ON events (device_id, id) WHERE device_id <> '';
CREATE INDEX events_domain ON events (domain_id, id) WHERE domain_id <> '';
CREATE INDEX events_noun ON events (noun, id) WHERE noun NOT IN ('certificate', 'request');
CREATE INDEX events_request ON events (request_id, id) WHERE request_id <> '';
CREATE INDEX events_subject ON events (subject_id, id);
CREATE TABLE foreign_crls (
	truststore_name TEXT NOT NULL,
	issuer_key_sha256 TEXT NOT NULL,
	issuer TEXT NOT NULL,
	number TEXT NOT NULL,
	der BLOB NOT NULL,
	entries INTEGER NOT NULL,
	this_update DATETIME NOT NULL,
	next_update DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (truststore_name, issuer_key_sha256)
);
CREATE TABLE logins (
	code_hash TEXT NOT NULL PRIMARY KEY,
	operator_id TEXT NOT NULL REFERENCES operators (id),
	challenge TEXT NOT NULL,
	expires_at DATETIME NOT NULL
);
CREATE TABLE operator_certificates (
	id TEXT NOT NULL PRIMARY KEY,
	operator_id TEXT NOT NULL REFERENCES operators (id),
	kind TEXT NOT NULL,
	issuer_sha256 TEXT NOT NULL,
	value TEXT NOT NULL,
	label TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	UNIQUE (kind, issuer_sha256, value)
);
CREATE INDEX operator_certificates_operator_id ON operator_certificates (operator_id);
CREATE TABLE operators (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	disabled BOOLEAN NOT NULL,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
, role TEXT NOT NULL DEFAULT '', domains TEXT, issuer TEXT NOT NULL DEFAULT '', subject TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX operators_subject ON operators (issuer, subject) WHERE issuer <> '';
CREATE TABLE outbox_items (
	id TEXT NOT NULL PRIMARY KEY,
	action TEXT NOT NULL,
	workflow_id TEXT NOT NULL,
	subject_id TEXT NOT NULL,
	not_before DATETIME NOT NULL,
	attempts INTEGER NOT NULL,
	last_error TEXT NOT NULL,
	created_at DATETIME NOT NULL
);
CREATE INDEX outbox_items_due ON outbox_items (not_before, id);
CREATE TABLE profiles (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	version INTEGER NOT NULL,
	document BLOB,
	shipped BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	UNIQUE (name, version)
);
CREATE TABLE quarantined_idevids (
	fingerprint TEXT NOT NULL,
	device_id TEXT NOT NULL REFERENCES devices (id),
	domain_id TEXT NOT NULL,
	key_sha256 TEXT NOT NULL,
	subject TEXT NOT NULL,
	address TEXT NOT NULL,
	count INTEGER NOT NULL,
	first_seen_at DATETIME NOT NULL,
	last_seen_at DATETIME NOT NULL,
	PRIMARY KEY (device_id, fingerprint)
);
CREATE TABLE registrations (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	truststore_name TEXT NOT NULL,
	domain_id TEXT NOT NULL REFERENCES domains (id),
	serial_pattern TEXT NOT NULL,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
, match_on TEXT NOT NULL DEFAULT 'serial-number');
CREATE INDEX registrations_domain ON registrations (domain_id, name);
CREATE TABLE requests (
	id TEXT NOT NULL PRIMARY KEY,
	key TEXT NOT NULL UNIQUE,
	kind TEXT NOT NULL,
	state TEXT NOT NULL,
	protocol TEXT NOT NULL,
	domain_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	profile_name TEXT NOT NULL,
	profile_version INTEGER NOT NULL,
	csr BLOB,
	auth_method TEXT NOT NULL,
	auth_subject TEXT NOT NULL,
	predecessor_id TEXT NOT NULL,
	workflow_id TEXT NOT NULL,
	decision TEXT,
	certificate_id TEXT NOT NULL,
	failure_kind TEXT NOT NULL,
	failure_text TEXT NOT NULL,
	deadline DATETIME,
	revision INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
);
CREATE INDEX requests_device ON requests (device_id, id);
CREATE INDEX requests_domain ON requests (domain_id, id);
CREATE INDEX requests_state ON requests (state, id) WHERE state <> 'issued';
CREATE INDEX requests_unfinished ON requests (id) WHERE state IN ('received', 'waiting', 'approved', 'reserved');
CREATE TABLE schema_migrations (
	name TEXT NOT NULL PRIMARY KEY,
	applied_at DATETIME NOT NULL
);
CREATE TABLE sealed_keys (
	id TEXT NOT NULL PRIMARY KEY,
	sealed BLOB NOT NULL,
	created_at DATETIME NOT NULL
);
CREATE TABLE tokens (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	operator_id TEXT NOT NULL REFERENCES operators (id),
	role TEXT NOT NULL,
	hash TEXT NOT NULL UNIQUE,
	domains TEXT,
	expires_at DATETIME,
	revoked_at DATETIME,
	created_at DATETIME NOT NULL
, session BOOLEAN NOT NULL DEFAULT FALSE);
CREATE INDEX tokens_operator_id ON tokens (operator_id);
CREATE TABLE tombstones (
	id TEXT NOT NULL PRIMARY KEY,
	request_key TEXT NOT NULL UNIQUE,
	request_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	issuer_ca_id TEXT NOT NULL,
	issuer_key_id TEXT NOT NULL,
	serial TEXT NOT NULL,
	tbs_sha256 TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	spki_sha256 TEXT NOT NULL,
	domain_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	profile_name TEXT NOT NULL,
	subject TEXT NOT NULL,
	not_after DATETIME NOT NULL,
	predecessor_id TEXT NOT NULL,
	revoked_at DATETIME,
	revoked_reason TEXT NOT NULL,
	origin TEXT NOT NULL,
	purged_at DATETIME NOT NULL,
	UNIQUE (issuer_key_id, serial)
);
CREATE INDEX tombstones_fingerprint ON tombstones (fingerprint);
CREATE TABLE truststore_revocations (
	truststore_name TEXT NOT NULL PRIMARY KEY,
	policy TEXT NOT NULL,
	ocsp_url TEXT NOT NULL,
	revision INTEGER NOT NULL,
	updated_at DATETIME NOT NULL
);
CREATE TABLE truststores (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	version INTEGER NOT NULL,
	certificates TEXT,
	created_at DATETIME NOT NULL,
	UNIQUE (name, version)
);
