// SPDX-License-Identifier: MIT

package store

// domainDoors gives domains their switches; NULL stands for those that a
// domain had before.
const domainDoors = `
ALTER TABLE domains ADD COLUMN operations {text};
`
