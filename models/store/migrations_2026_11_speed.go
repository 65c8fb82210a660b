// SPDX-License-Identifier: MIT

package store

// pagesOfCertificates gives the lists of revoked certificates their first page
// without looking at all the others. Few certificates are revoked, so the
// indices cost nothing when one is issued.
const pagesOfCertificates = `
CREATE INDEX certificates_revoked_id ON certificates (id) WHERE state = 'revoked';
CREATE INDEX certificates_revoked_domain ON certificates (domain_id, id) WHERE state = 'revoked';
`
