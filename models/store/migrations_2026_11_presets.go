// SPDX-License-Identifier: MIT

package store

// domainPresets gives domains their preset. Those that are there get the
// one that lets them go on as they did.
const domainPresets = `
ALTER TABLE domains ADD COLUMN preset {text} NOT NULL DEFAULT 'brownfield';
`
