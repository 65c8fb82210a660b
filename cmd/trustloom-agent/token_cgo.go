// SPDX-License-Identifier: MIT

//go:build cgo

package main

import (
	"context"
	"log/slog"

	"github.com/trustloom/trustloom/integrations/hsm"
)

// tokenSessions is what the agent holds with a token: it does one thing at a time.
const tokenSessions = 4

// tokensUsable is why this program cannot use a token; it can.
func tokensUsable() error { return nil }

// tokenLabel is the CKA_LABEL of a key that the agent makes.
func tokenLabel(id string) string { return hsm.Label(id) }

// pinRefused reports that the token did not take the PIN.
func pinRefused(err error) bool { return hsm.PINRefused(err) }

// openToken opens the token and logs in, once.
func openToken(ctx context.Context, e *tokenEntry, pin string, log *slog.Logger) (keyStore, error) {
	store, err := hsm.OpenPKCS11(hsm.PKCS11Config{
		Module: e.Module, TokenLabel: e.Token, Slot: e.Slot, PIN: pin, MaxSessions: tokenSessions, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if err := store.Check(ctx); err != nil {
		_ = store.Close() // it never was open
		return nil, err
	}
	return store, nil
}
