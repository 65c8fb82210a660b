// SPDX-License-Identifier: MIT

// Package policy holds the decisions of Trustloom as pure functions: whether
// a request is admitted, whether it waits for people, and what a profile makes
// of it. Every decision comes with its reasons, as sentences a person can read.
//
// Profiles describe end-entity certificates in the terms of RFC 5280 §4; their
// document format is written down in docs/operations/profiles.md. The package
// must not know the store, Temporal or a clock: the time is an argument.
package policy
