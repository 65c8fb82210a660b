// SPDX-License-Identifier: MIT

package store

// casFromElsewhere tells where CAs and certificates come from; what was there
// before was made here. The index serves the filter by origin, and leaves
// nearly all rows out.
const casFromElsewhere = `
ALTER TABLE cas ADD COLUMN origin {text} NOT NULL DEFAULT 'made';
ALTER TABLE cas ADD COLUMN csr {bytes};
ALTER TABLE cas ADD COLUMN deadline {time};
ALTER TABLE certificates ADD COLUMN origin {text} NOT NULL DEFAULT 'issued';
CREATE INDEX certificates_imported ON certificates (id) WHERE origin = 'imported';
`

// originOfIssued repairs rows of a day on which certificates that were issued
// at once were stored without their origin.
const originOfIssued = `
UPDATE certificates SET origin = 'issued' WHERE origin = '';
`
