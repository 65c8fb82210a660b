// SPDX-License-Identifier: MIT

//go:build !cgo

package main

import (
	"context"
	"log/slog"
)

// tokensUsable is why this program cannot use a token: its library is in C.
func tokensUsable() error {
	return usagef("the file has a section pkcs11, and this trustloom-agent was built without cgo, which the library of a token needs: " +
		"install one that was built with CGO_ENABLED=1 on a system like this one (docs/operations/agent.md), or remove the section, and the keys will be in files")
}

// tokenLabel is the CKA_LABEL of a key that an agent with cgo makes.
func tokenLabel(id string) string { return "trustloom-" + id }

// pinRefused is for an error that cannot be.
func pinRefused(error) bool { return false }

// openToken says why there is none.
func openToken(context.Context, *tokenEntry, string, *slog.Logger) (keyStore, error) {
	return nil, tokensUsable()
}
