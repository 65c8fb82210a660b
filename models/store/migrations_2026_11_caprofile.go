// SPDX-License-Identifier: MIT

package store

// profilesOfCAs notes under which version of which profile a CA is made; what
// was there before has none.
const profilesOfCAs = `
ALTER TABLE cas ADD COLUMN profile_name {text} NOT NULL DEFAULT '';
ALTER TABLE cas ADD COLUMN profile_version {int} NOT NULL DEFAULT 0;
`
