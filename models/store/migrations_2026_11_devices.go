// SPDX-License-Identifier: MIT

package store

// truststoresOfDomains lets a domain name the truststores that its devices
// should have.
const truststoresOfDomains = `
ALTER TABLE domains ADD COLUMN truststores {text};
`
