// SPDX-License-Identifier: MIT

// Package pki is the X.509 of Trustloom: it parses requests and certificates
// that strangers send, builds, lints and signs certificates and CRLs, and
// verifies chains.
//
// It follows RFC 5280 (certificates and CRLs), RFC 2986 and RFC 2985 (requests
// and their attributes), RFC 5652 (certs-only CMS), RFC 7030 §4.2 (re-enrollment
// identity), RFC 7093 §2 (key identifiers) and RFC 8813/5480 (elliptic curves).
//
// The package is pure: it must not know a store, a clock, files or a network.
// Times are arguments; private keys are reached through crypto.Signer only.
// Whatever a stranger sends is bounded in size, depth and number of elements
// before any work is done with it.
package pki

import "github.com/trustloom/trustloom/models"

// invalid returns a KindInvalid error: something in the input must change.
func invalid(format string, args ...any) *models.Error {
	return models.Errorf(models.KindInvalid, format, args...)
}

// denied returns a KindDenied error: the rules of this PKI forbid it.
func denied(format string, args ...any) *models.Error {
	return models.Errorf(models.KindDenied, format, args...)
}

// fault returns a KindInternal error: a signer, a token or we went wrong.
func fault(format string, args ...any) *models.Error {
	return models.Errorf(models.KindInternal, format, args...)
}
