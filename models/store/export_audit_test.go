// SPDX-License-Identifier: MIT

package store

// FlushEvents writes what Audit collected, so that a test can roll it back.
func FlushEvents(tx *Tx) error { return tx.flushEvents() }

// Dialect names the database.
func (tx *Tx) Dialect() string { return tx.db.Name() }
