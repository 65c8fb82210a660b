-- What the migrations make. Rewritten by: go test ./models/store -run Schema -update

annotations.noun text collate "C" not null
annotations.subject_id text collate "C" not null
annotations.metadata text collate "C"
annotations.revision bigint not null
annotations.updated_at timestamp with time zone not null
annotations constraint annotations_pkey PRIMARY KEY (noun, subject_id)
CREATE UNIQUE INDEX annotations_pkey ON public.annotations USING btree (noun, subject_id)
answers.principal text collate "C" not null
answers.key text collate "C" not null
answers.route text collate "C" not null
answers.body_sha256 text collate "C" not null
answers.status bigint not null
answers.body bytea
answers.created_at timestamp with time zone not null
answers.expires_at timestamp with time zone not null
answers constraint answers_pkey PRIMARY KEY (principal, key)
CREATE INDEX answers_expiry ON public.answers USING btree (expires_at)
CREATE UNIQUE INDEX answers_pkey ON public.answers USING btree (principal, key)
approval_decisions.id text collate "C" not null
approval_decisions.approval_id text collate "C" not null
approval_decisions.operator_id text collate "C" not null
approval_decisions.operator_name text collate "C" not null
approval_decisions.step bigint not null
approval_decisions.verdict text collate "C" not null
approval_decisions.comment text collate "C" not null
approval_decisions.subject_sha256 text collate "C" not null
approval_decisions.created_at timestamp with time zone not null
approval_decisions.void boolean not null default false
approval_decisions constraint approval_decisions_approval_id_fkey FOREIGN KEY (approval_id) REFERENCES approvals(id)
approval_decisions constraint approval_decisions_approval_id_operator_id_key UNIQUE (approval_id, operator_id)
approval_decisions constraint approval_decisions_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX approval_decisions_approval_id_operator_id_key ON public.approval_decisions USING btree (approval_id, operator_id)
CREATE INDEX approval_decisions_operator_id ON public.approval_decisions USING btree (operator_id)
CREATE UNIQUE INDEX approval_decisions_pkey ON public.approval_decisions USING btree (id)
approvals.id text collate "C" not null
approvals.request_id text collate "C" not null
approvals.subject_sha256 text collate "C" not null
approvals.domain_id text collate "C" not null
approvals.device_id text collate "C" not null
approvals.state text collate "C" not null
approvals.steps text collate "C"
approvals.current_step bigint not null
approvals.step_approvals bigint not null
approvals.workflow_id text collate "C" not null
approvals.deadline timestamp with time zone not null
approvals.remind_at timestamp with time zone not null
approvals.escalate_at timestamp with time zone not null
approvals.reminded_at timestamp with time zone
approvals.escalated_at timestamp with time zone
approvals.decided_at timestamp with time zone
approvals.reason text collate "C" not null
approvals.revision bigint not null
approvals.created_at timestamp with time zone not null
approvals.updated_at timestamp with time zone not null
approvals constraint approvals_pkey PRIMARY KEY (id)
approvals constraint approvals_request_id_fkey FOREIGN KEY (request_id) REFERENCES requests(id)
approvals constraint approvals_request_id_key UNIQUE (request_id)
CREATE INDEX approvals_domain ON public.approvals USING btree (domain_id, id)
CREATE UNIQUE INDEX approvals_pkey ON public.approvals USING btree (id)
CREATE UNIQUE INDEX approvals_request_id_key ON public.approvals USING btree (request_id)
CREATE INDEX approvals_state ON public.approvals USING btree (state, id)
audit_blocks.last_seq bigint not null
audit_blocks.first_seq bigint not null
audit_blocks.position bigint not null
audit_blocks.format bigint not null
audit_blocks.entries bytea
audit_blocks.hash bytea
audit_blocks.sealed_at timestamp with time zone not null
audit_blocks constraint audit_blocks_first_seq_key UNIQUE (first_seq)
audit_blocks constraint audit_blocks_pkey PRIMARY KEY (last_seq)
CREATE UNIQUE INDEX audit_blocks_first_seq_key ON public.audit_blocks USING btree (first_seq)
CREATE UNIQUE INDEX audit_blocks_pkey ON public.audit_blocks USING btree (last_seq)
audit_heads.seq bigint not null
audit_heads.hash bytea
audit_heads.at timestamp with time zone not null
audit_heads.key_id text collate "C" not null
audit_heads.certificate bytea
audit_heads.signature bytea
audit_heads constraint audit_heads_pkey PRIMARY KEY (seq)
CREATE UNIQUE INDEX audit_heads_pkey ON public.audit_heads USING btree (seq)
blocked_keys.spki_sha256 text collate "C" not null
blocked_keys.blocklist text collate "C" not null
blocked_keys constraint blocked_keys_blocklist_fkey FOREIGN KEY (blocklist) REFERENCES blocklists(name) ON DELETE CASCADE
blocked_keys constraint blocked_keys_pkey PRIMARY KEY (spki_sha256, blocklist)
CREATE INDEX blocked_keys_list ON public.blocked_keys USING btree (blocklist, spki_sha256)
CREATE UNIQUE INDEX blocked_keys_pkey ON public.blocked_keys USING btree (spki_sha256, blocklist)
blocklists.name text collate "C" not null
blocklists.key_count bigint not null
blocklists.created_at timestamp with time zone not null
blocklists.updated_at timestamp with time zone not null
blocklists constraint blocklists_pkey PRIMARY KEY (name)
CREATE UNIQUE INDEX blocklists_pkey ON public.blocklists USING btree (name)
cas.id text collate "C" not null
cas.name text collate "C" not null
cas.type text collate "C" not null
cas.state text collate "C" not null
cas.generation bigint not null
cas.issuer_id text collate "C" not null
cas.private_key_store text collate "C" not null
cas.private_key_id text collate "C" not null
cas.private_key_algorithm text collate "C" not null
cas.key_id text collate "C" not null
cas.subject text collate "C"
cas.certificate_id text collate "C" not null
cas.certificate_der bytea
cas.validity bigint not null
cas.not_before timestamp with time zone not null
cas.not_after timestamp with time zone not null
cas.demo boolean not null
cas.failure text collate "C" not null
cas.revision bigint not null
cas.created_at timestamp with time zone not null
cas.updated_at timestamp with time zone not null
cas.origin text collate "C" not null default 'made'::text
cas.csr bytea
cas.deadline timestamp with time zone
cas.profile_name text collate "C" not null default ''::text
cas.profile_version bigint not null default 0
cas constraint cas_name_key UNIQUE (name)
cas constraint cas_pkey PRIMARY KEY (id)
CREATE INDEX cas_key ON public.cas USING btree (key_id)
CREATE UNIQUE INDEX cas_name_key ON public.cas USING btree (name)
CREATE UNIQUE INDEX cas_pkey ON public.cas USING btree (id)
certificates.id text collate "C" not null
certificates.request_key text collate "C" not null
certificates.request_id text collate "C" not null
certificates.state text collate "C" not null
certificates.kind text collate "C" not null
certificates.issuer_ca_id text collate "C" not null
certificates.issuer_key_id text collate "C" not null
certificates.serial text collate "C" not null
certificates.tbs bytea
certificates.tbs_sha256 text collate "C" not null
certificates.attempts bigint not null
certificates.der bytea
certificates.fingerprint text collate "C" not null
certificates.spki_sha256 text collate "C" not null
certificates.domain_id text collate "C" not null
certificates.device_id text collate "C" not null
certificates.profile_name text collate "C" not null
certificates.profile_version bigint not null
certificates.subject text collate "C" not null
certificates.sans text collate "C"
certificates.not_before timestamp with time zone not null
certificates.not_after timestamp with time zone not null
certificates.predecessor_id text collate "C" not null
certificates.revoked_at timestamp with time zone
certificates.revoked_reason text collate "C" not null
certificates.created_at timestamp with time zone not null
certificates.updated_at timestamp with time zone not null
certificates.origin text collate "C" not null default 'issued'::text
certificates constraint certificates_pkey PRIMARY KEY (id)
certificates constraint certificates_request_key_key UNIQUE (request_key)
certificates constraint certificates_serial_issuer_key_id_key UNIQUE (serial, issuer_key_id)
CREATE INDEX certificates_ca ON public.certificates USING btree (id) WHERE (kind = 'ca'::text)
CREATE INDEX certificates_device ON public.certificates USING btree (device_id, not_after, id)
CREATE INDEX certificates_expiry ON public.certificates USING btree (not_after)
CREATE INDEX certificates_fingerprint ON public.certificates USING btree (fingerprint) WHERE (fingerprint <> ''::text)
CREATE INDEX certificates_issued ON public.certificates USING btree (origin, not_after, id) WHERE (state = 'issued'::text)
CREATE INDEX certificates_issued_domain ON public.certificates USING btree (domain_id, origin, not_after, id) WHERE (state = 'issued'::text)
CREATE UNIQUE INDEX certificates_pkey ON public.certificates USING btree (id)
CREATE INDEX certificates_recalled ON public.certificates USING btree (origin, not_after, id) WHERE (state = 'revoked'::text)
CREATE INDEX certificates_recalled_domain ON public.certificates USING btree (domain_id, origin, not_after, id) WHERE (state = 'revoked'::text)
CREATE UNIQUE INDEX certificates_request_key_key ON public.certificates USING btree (request_key)
CREATE INDEX certificates_revoked ON public.certificates USING btree (issuer_key_id, id) WHERE (state = 'revoked'::text)
CREATE UNIQUE INDEX certificates_serial_issuer_key_id_key ON public.certificates USING btree (serial, issuer_key_id)
CREATE INDEX certificates_spki ON public.certificates USING btree (spki_sha256)
CREATE INDEX certificates_unrecorded ON public.certificates USING btree (id) WHERE (state = ANY (ARRAY['reserved'::text, 'signing'::text]))
claims.domain_id text collate "C" not null
claims.name text collate "C" not null
claims.certificate_id text collate "C" not null
claims.device_id text collate "C" not null
claims constraint claims_certificate_id_fkey FOREIGN KEY (certificate_id) REFERENCES certificates(id) ON DELETE CASCADE
claims constraint claims_pkey PRIMARY KEY (domain_id, name, certificate_id)
CREATE INDEX claims_certificate ON public.claims USING btree (certificate_id)
CREATE UNIQUE INDEX claims_pkey ON public.claims USING btree (domain_id, name, certificate_id)
cmp_transactions.id text collate "C" not null
cmp_transactions.state text collate "C" not null
cmp_transactions.request_id text collate "C" not null
cmp_transactions.certificate_id text collate "C" not null
cmp_transactions.domain_id text collate "C" not null
cmp_transactions.device_id text collate "C" not null
cmp_transactions.confirm_wait bigint not null
cmp_transactions.deadline timestamp with time zone
cmp_transactions.ended_at timestamp with time zone
cmp_transactions.reason text collate "C" not null
cmp_transactions.revision bigint not null
cmp_transactions.created_at timestamp with time zone not null
cmp_transactions.updated_at timestamp with time zone not null
cmp_transactions constraint cmp_transactions_pkey PRIMARY KEY (id)
CREATE INDEX cmp_transactions_overdue ON public.cmp_transactions USING btree (deadline) WHERE (state = 'open'::text)
CREATE UNIQUE INDEX cmp_transactions_pkey ON public.cmp_transactions USING btree (id)
CREATE INDEX cmp_transactions_request ON public.cmp_transactions USING btree (request_id) WHERE (request_id <> ''::text)
crls.id text collate "C" not null
crls.ca_id text collate "C" not null
crls.key_id text collate "C" not null
crls.number bigint not null
crls.der bytea
crls.this_update timestamp with time zone not null
crls.next_update timestamp with time zone not null
crls.created_at timestamp with time zone not null
crls constraint crls_ca_id_fkey FOREIGN KEY (ca_id) REFERENCES cas(id)
crls constraint crls_key_id_number_key UNIQUE (key_id, number)
crls constraint crls_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX crls_key_id_number_key ON public.crls USING btree (key_id, number)
CREATE UNIQUE INDEX crls_pkey ON public.crls USING btree (id)
deliveries.id text collate "C" not null
deliveries.state text collate "C" not null
deliveries.channel text collate "C" not null
deliveries.domain_id text collate "C" not null
deliveries.device_id text collate "C" not null
deliveries.request_id text collate "C" not null
deliveries.certificate_id text collate "C" not null
deliveries.profile_name text collate "C" not null
deliveries.key_algorithm text collate "C" not null
deliveries.code_hash bytea
deliveries.tries_left bigint not null
deliveries.life bigint not null
deliveries.actor text collate "C" not null
deliveries.reason text collate "C" not null
deliveries.settled boolean not null
deliveries.expires_at timestamp with time zone not null
deliveries.ended_at timestamp with time zone
deliveries.revision bigint not null
deliveries.created_at timestamp with time zone not null
deliveries.updated_at timestamp with time zone not null
deliveries constraint deliveries_pkey PRIMARY KEY (id)
CREATE INDEX deliveries_device ON public.deliveries USING btree (device_id, id)
CREATE INDEX deliveries_domain ON public.deliveries USING btree (domain_id, id)
CREATE UNIQUE INDEX deliveries_download ON public.deliveries USING btree (device_id) WHERE ((channel = 'download'::text) AND (state = ANY (ARRAY['waiting'::text, 'ready'::text])))
CREATE UNIQUE INDEX deliveries_operator ON public.deliveries USING btree (device_id, profile_name) WHERE ((channel = 'operator'::text) AND (state = ANY (ARRAY['waiting'::text, 'ready'::text])))
CREATE UNIQUE INDEX deliveries_pkey ON public.deliveries USING btree (id)
CREATE UNIQUE INDEX deliveries_request ON public.deliveries USING btree (request_id)
CREATE INDEX deliveries_state ON public.deliveries USING btree (state, id) WHERE (state <> 'delivered'::text)
CREATE INDEX deliveries_unsettled ON public.deliveries USING btree (id) WHERE (NOT settled)
device_groups.name text collate "C" not null
device_groups.device_id text collate "C" not null
device_groups constraint device_groups_device_id_fkey FOREIGN KEY (device_id) REFERENCES devices(id)
device_groups constraint device_groups_pkey PRIMARY KEY (name, device_id)
CREATE INDEX device_groups_device ON public.device_groups USING btree (device_id)
CREATE UNIQUE INDEX device_groups_pkey ON public.device_groups USING btree (name, device_id)
device_secrets.device_id text collate "C" not null
device_secrets.sealed bytea not null
device_secrets.created_at timestamp with time zone not null
device_secrets constraint device_secrets_pkey PRIMARY KEY (device_id)
CREATE UNIQUE INDEX device_secrets_pkey ON public.device_secrets USING btree (device_id)
devices.id text collate "C" not null
devices.name text collate "C" not null
devices.serial_number text collate "C" not null
devices.domain_id text collate "C" not null
devices.state text collate "C" not null
devices.method text collate "C" not null
devices.secret_hash bytea
devices.secret_used_by text collate "C" not null
devices.secret_used_at timestamp with time zone
devices.epoch bigint not null
devices.idevid_sha256 text collate "C" not null
devices.idevid_identity text collate "C"
devices.registration_id text collate "C" not null
devices.onboarded_at timestamp with time zone
devices.metadata text collate "C"
devices.revision bigint not null
devices.created_at timestamp with time zone not null
devices.updated_at timestamp with time zone not null
devices.idevid_key_sha256 text collate "C" not null default ''::text
devices.group_names text collate "C"
devices.home_id text collate "C" not null default ''::text
devices constraint devices_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES domains(id)
devices constraint devices_idevid_identity_key UNIQUE (idevid_identity)
devices constraint devices_name_key UNIQUE (name)
devices constraint devices_pkey PRIMARY KEY (id)
CREATE INDEX devices_domain ON public.devices USING btree (domain_id, name)
CREATE UNIQUE INDEX devices_home ON public.devices USING btree (home_id, domain_id) WHERE (home_id <> ''::text)
CREATE INDEX devices_idevid ON public.devices USING btree (idevid_sha256) WHERE (idevid_sha256 <> ''::text)
CREATE UNIQUE INDEX devices_idevid_identity_key ON public.devices USING btree (idevid_identity)
CREATE UNIQUE INDEX devices_name_key ON public.devices USING btree (name)
CREATE UNIQUE INDEX devices_pkey ON public.devices USING btree (id)
CREATE INDEX devices_state ON public.devices USING btree (state, name)
domains.id text collate "C" not null
domains.name text collate "C" not null
domains.issuing_ca_id text collate "C" not null
domains.profiles text collate "C"
domains.approval text collate "C"
domains.suspended boolean not null
domains.demo boolean not null
domains.revision bigint not null
domains.created_at timestamp with time zone not null
domains.updated_at timestamp with time zone not null
domains.operations text collate "C"
domains.truststores text collate "C"
domains.aliases text collate "C"
domains.preset text collate "C" not null default 'brownfield'::text
domains.retention bigint not null default 0
domains constraint domains_issuing_ca_id_fkey FOREIGN KEY (issuing_ca_id) REFERENCES cas(id)
domains constraint domains_name_key UNIQUE (name)
domains constraint domains_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX domains_name_key ON public.domains USING btree (name)
CREATE UNIQUE INDEX domains_pkey ON public.domains USING btree (id)
events.id text collate "C" not null
events.at timestamp with time zone not null
events.actor text collate "C" not null
events.address text collate "C" not null
events.action text collate "C" not null
events.noun text collate "C" not null
events.subject_id text collate "C" not null
events.domain_id text collate "C" not null
events.device_id text collate "C" not null
events.request_id text collate "C" not null
events.workflow_id text collate "C" not null
events.details text collate "C"
events.position bigint not null default 
CASE
    WHEN (pg_current_xact_id() IS NULL) THEN (0)::bigint
    ELSE nextval('events_position'::regclass)
END
events.run_id text collate "C" not null default ''::text
events.mac bytea
events constraint events_pkey PRIMARY KEY (id)
CREATE INDEX events_action ON public.events USING btree (action, id)
CREATE INDEX events_actor ON public.events USING btree (actor, id) WHERE (actor !~~ 'device:%'::text)
CREATE INDEX events_device ON public.events USING btree (device_id, id) WHERE (device_id <> ''::text)
CREATE INDEX events_domain ON public.events USING btree (domain_id, id) WHERE (domain_id <> ''::text)
CREATE INDEX events_noun ON public.events USING btree (noun, id) WHERE (noun <> ALL (ARRAY['certificate'::text, 'request'::text]))
CREATE UNIQUE INDEX events_order ON public.events USING btree ("position")
CREATE UNIQUE INDEX events_pkey ON public.events USING btree (id)
CREATE INDEX events_request ON public.events USING btree (request_id, id) WHERE (request_id <> ''::text)
CREATE INDEX events_subject ON public.events USING btree (subject_id, id)
foreign_crls.truststore_name text collate "C" not null
foreign_crls.issuer_key_sha256 text collate "C" not null
foreign_crls.issuer text collate "C" not null
foreign_crls.number text collate "C" not null
foreign_crls.der bytea not null
foreign_crls.entries bigint not null
foreign_crls.this_update timestamp with time zone not null
foreign_crls.next_update timestamp with time zone not null
foreign_crls.updated_at timestamp with time zone not null
foreign_crls constraint foreign_crls_pkey PRIMARY KEY (truststore_name, issuer_key_sha256)
CREATE UNIQUE INDEX foreign_crls_pkey ON public.foreign_crls USING btree (truststore_name, issuer_key_sha256)
logins.code_hash text collate "C" not null
logins.operator_id text collate "C" not null
logins.challenge text collate "C" not null
logins.expires_at timestamp with time zone not null
logins constraint logins_operator_id_fkey FOREIGN KEY (operator_id) REFERENCES operators(id)
logins constraint logins_pkey PRIMARY KEY (code_hash)
CREATE UNIQUE INDEX logins_pkey ON public.logins USING btree (code_hash)
operator_certificates.id text collate "C" not null
operator_certificates.operator_id text collate "C" not null
operator_certificates.kind text collate "C" not null
operator_certificates.issuer_sha256 text collate "C" not null
operator_certificates.value text collate "C" not null
operator_certificates.label text collate "C" not null
operator_certificates.created_at timestamp with time zone not null
operator_certificates constraint operator_certificates_kind_issuer_sha256_value_key UNIQUE (kind, issuer_sha256, value)
operator_certificates constraint operator_certificates_operator_id_fkey FOREIGN KEY (operator_id) REFERENCES operators(id)
operator_certificates constraint operator_certificates_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX operator_certificates_kind_issuer_sha256_value_key ON public.operator_certificates USING btree (kind, issuer_sha256, value)
CREATE INDEX operator_certificates_operator_id ON public.operator_certificates USING btree (operator_id)
CREATE UNIQUE INDEX operator_certificates_pkey ON public.operator_certificates USING btree (id)
operators.id text collate "C" not null
operators.name text collate "C" not null
operators.disabled boolean not null
operators.revision bigint not null
operators.created_at timestamp with time zone not null
operators.updated_at timestamp with time zone not null
operators.role text collate "C" not null default ''::text
operators.domains text collate "C"
operators.issuer text collate "C" not null default ''::text
operators.subject text collate "C" not null default ''::text
operators constraint operators_name_key UNIQUE (name)
operators constraint operators_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX operators_name_key ON public.operators USING btree (name)
CREATE UNIQUE INDEX operators_pkey ON public.operators USING btree (id)
CREATE UNIQUE INDEX operators_subject ON public.operators USING btree (issuer, subject) WHERE (issuer <> ''::text)
outbox_items.id text collate "C" not null
outbox_items.action text collate "C" not null
outbox_items.workflow_id text collate "C" not null
outbox_items.subject_id text collate "C" not null
outbox_items.not_before timestamp with time zone not null
outbox_items.attempts bigint not null
outbox_items.last_error text collate "C" not null
outbox_items.created_at timestamp with time zone not null
outbox_items constraint outbox_items_pkey PRIMARY KEY (id)
CREATE INDEX outbox_items_due ON public.outbox_items USING btree (not_before, id)
CREATE UNIQUE INDEX outbox_items_pkey ON public.outbox_items USING btree (id)
profiles.id text collate "C" not null
profiles.name text collate "C" not null
profiles.version bigint not null
profiles.document bytea
profiles.shipped boolean not null
profiles.created_at timestamp with time zone not null
profiles constraint profiles_name_version_key UNIQUE (name, version)
profiles constraint profiles_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX profiles_name_version_key ON public.profiles USING btree (name, version)
CREATE UNIQUE INDEX profiles_pkey ON public.profiles USING btree (id)
quarantined_idevids.fingerprint text collate "C" not null
quarantined_idevids.device_id text collate "C" not null
quarantined_idevids.domain_id text collate "C" not null
quarantined_idevids.key_sha256 text collate "C" not null
quarantined_idevids.subject text collate "C" not null
quarantined_idevids.address text collate "C" not null
quarantined_idevids.count bigint not null
quarantined_idevids.first_seen_at timestamp with time zone not null
quarantined_idevids.last_seen_at timestamp with time zone not null
quarantined_idevids constraint quarantined_idevids_device_id_fkey FOREIGN KEY (device_id) REFERENCES devices(id)
quarantined_idevids constraint quarantined_idevids_pkey PRIMARY KEY (device_id, fingerprint)
CREATE UNIQUE INDEX quarantined_idevids_pkey ON public.quarantined_idevids USING btree (device_id, fingerprint)
registrations.id text collate "C" not null
registrations.name text collate "C" not null
registrations.truststore_name text collate "C" not null
registrations.domain_id text collate "C" not null
registrations.serial_pattern text collate "C" not null
registrations.revision bigint not null
registrations.created_at timestamp with time zone not null
registrations.updated_at timestamp with time zone not null
registrations.match_on text collate "C" not null default 'serial-number'::text
registrations constraint registrations_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES domains(id)
registrations constraint registrations_name_key UNIQUE (name)
registrations constraint registrations_pkey PRIMARY KEY (id)
CREATE INDEX registrations_domain ON public.registrations USING btree (domain_id, name)
CREATE UNIQUE INDEX registrations_name_key ON public.registrations USING btree (name)
CREATE UNIQUE INDEX registrations_pkey ON public.registrations USING btree (id)
requests.id text collate "C" not null
requests.key text collate "C" not null
requests.kind text collate "C" not null
requests.state text collate "C" not null
requests.protocol text collate "C" not null
requests.domain_id text collate "C" not null
requests.device_id text collate "C" not null
requests.profile_name text collate "C" not null
requests.profile_version bigint not null
requests.csr bytea
requests.auth_method text collate "C" not null
requests.auth_subject text collate "C" not null
requests.predecessor_id text collate "C" not null
requests.workflow_id text collate "C" not null
requests.decision text collate "C"
requests.certificate_id text collate "C" not null
requests.failure_kind text collate "C" not null
requests.failure_text text collate "C" not null
requests.deadline timestamp with time zone
requests.revision bigint not null
requests.created_at timestamp with time zone not null
requests.updated_at timestamp with time zone not null
requests constraint requests_key_key UNIQUE (key)
requests constraint requests_pkey PRIMARY KEY (id)
CREATE INDEX requests_device ON public.requests USING btree (device_id, id)
CREATE INDEX requests_domain ON public.requests USING btree (domain_id, id)
CREATE UNIQUE INDEX requests_key_key ON public.requests USING btree (key)
CREATE UNIQUE INDEX requests_pkey ON public.requests USING btree (id)
CREATE INDEX requests_state ON public.requests USING btree (state, id) WHERE (state <> 'issued'::text)
CREATE INDEX requests_unfinished ON public.requests USING btree (id) WHERE (state = ANY (ARRAY['received'::text, 'waiting'::text, 'approved'::text, 'reserved'::text]))
schema_migrations.name text collate "C" not null
schema_migrations.applied_at timestamp with time zone not null
schema_migrations constraint schema_migrations_pkey PRIMARY KEY (name)
CREATE UNIQUE INDEX schema_migrations_pkey ON public.schema_migrations USING btree (name)
sealed_keys.id text collate "C" not null
sealed_keys.sealed bytea not null
sealed_keys.created_at timestamp with time zone not null
sealed_keys constraint sealed_keys_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX sealed_keys_pkey ON public.sealed_keys USING btree (id)
tokens.id text collate "C" not null
tokens.name text collate "C" not null
tokens.operator_id text collate "C" not null
tokens.role text collate "C" not null
tokens.hash text collate "C" not null
tokens.domains text collate "C"
tokens.expires_at timestamp with time zone
tokens.revoked_at timestamp with time zone
tokens.created_at timestamp with time zone not null
tokens.session boolean not null default false
tokens constraint tokens_hash_key UNIQUE (hash)
tokens constraint tokens_name_key UNIQUE (name)
tokens constraint tokens_operator_id_fkey FOREIGN KEY (operator_id) REFERENCES operators(id)
tokens constraint tokens_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX tokens_hash_key ON public.tokens USING btree (hash)
CREATE UNIQUE INDEX tokens_name_key ON public.tokens USING btree (name)
CREATE INDEX tokens_operator_id ON public.tokens USING btree (operator_id)
CREATE UNIQUE INDEX tokens_pkey ON public.tokens USING btree (id)
tombstones.id text collate "C" not null
tombstones.request_key text collate "C" not null
tombstones.request_id text collate "C" not null
tombstones.kind text collate "C" not null
tombstones.issuer_ca_id text collate "C" not null
tombstones.issuer_key_id text collate "C" not null
tombstones.serial text collate "C" not null
tombstones.tbs_sha256 text collate "C" not null
tombstones.fingerprint text collate "C" not null
tombstones.spki_sha256 text collate "C" not null
tombstones.domain_id text collate "C" not null
tombstones.device_id text collate "C" not null
tombstones.profile_name text collate "C" not null
tombstones.subject text collate "C" not null
tombstones.not_after timestamp with time zone not null
tombstones.predecessor_id text collate "C" not null
tombstones.revoked_at timestamp with time zone
tombstones.revoked_reason text collate "C" not null
tombstones.origin text collate "C" not null
tombstones.purged_at timestamp with time zone not null
tombstones constraint tombstones_issuer_key_id_serial_key UNIQUE (issuer_key_id, serial)
tombstones constraint tombstones_pkey PRIMARY KEY (id)
tombstones constraint tombstones_request_key_key UNIQUE (request_key)
CREATE INDEX tombstones_fingerprint ON public.tombstones USING btree (fingerprint)
CREATE UNIQUE INDEX tombstones_issuer_key_id_serial_key ON public.tombstones USING btree (issuer_key_id, serial)
CREATE UNIQUE INDEX tombstones_pkey ON public.tombstones USING btree (id)
CREATE UNIQUE INDEX tombstones_request_key_key ON public.tombstones USING btree (request_key)
truststore_revocations.truststore_name text collate "C" not null
truststore_revocations.policy text collate "C" not null
truststore_revocations.ocsp_url text collate "C" not null
truststore_revocations.revision bigint not null
truststore_revocations.updated_at timestamp with time zone not null
truststore_revocations constraint truststore_revocations_pkey PRIMARY KEY (truststore_name)
CREATE UNIQUE INDEX truststore_revocations_pkey ON public.truststore_revocations USING btree (truststore_name)
truststores.id text collate "C" not null
truststores.name text collate "C" not null
truststores.version bigint not null
truststores.certificates text collate "C"
truststores.created_at timestamp with time zone not null
truststores constraint truststores_name_version_key UNIQUE (name, version)
truststores constraint truststores_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX truststores_name_version_key ON public.truststores USING btree (name, version)
CREATE UNIQUE INDEX truststores_pkey ON public.truststores USING btree (id)
