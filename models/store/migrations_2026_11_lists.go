// SPDX-License-Identifier: MIT

package store

// certificatesByExpiry gives every list of certificates, under every filter,
// an index that begins where its page begins and holds nothing in between that
// is not on it; certificatelists.go says how they are walked. A certificate is
// in one of the indices by state, so that issuing one writes no more of them
// than before: those of the older lists go.
const certificatesByExpiry = `
DROP INDEX certificates_domain;
DROP INDEX certificates_device;
DROP INDEX certificates_imported;
DROP INDEX certificates_revoked_id;
DROP INDEX certificates_revoked_domain;
CREATE INDEX certificates_device ON certificates (device_id, not_after, id);
CREATE INDEX certificates_issued ON certificates (origin, not_after, id) WHERE state = 'issued';
CREATE INDEX certificates_issued_domain ON certificates (domain_id, origin, not_after, id) WHERE state = 'issued';
CREATE INDEX certificates_recalled ON certificates (origin, not_after, id) WHERE state = 'revoked';
CREATE INDEX certificates_recalled_domain ON certificates (domain_id, origin, not_after, id) WHERE state = 'revoked';
`
