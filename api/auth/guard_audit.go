// SPDX-License-Identifier: MIT

package auth

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// maxClaim bounds what of a claimed name gets into the audit log.
const maxClaim = 64

// tell writes the one event of a lock. That it could not be written changes
// nothing for the client.
func (g *Guard) tell(ctx context.Context, a Attempt, lock *lockout) {
	g.cfg.Logger.WarnContext(ctx, "locked after failed attempts", "method", a.Method, "claimed", claim(a), "address", a.Address,
		"failures", lock.failures, "until", lock.until.UTC().Format(time.RFC3339))
	if lock.silent || g.cfg.Store == nil {
		return
	}
	event := models.Event{
		Actor: "system", Address: a.Address, Action: "authentication.locked", Noun: "authentication", SubjectID: claim(a), DomainID: a.Domain,
		Details: map[string]string{
			"method": a.Method, "claimed": claim(a), "failures": strconv.Itoa(lock.failures), "until": lock.until.UTC().Format(time.RFC3339),
		},
	}
	if lock.unsaid > 0 {
		event.Details["not_told"] = fmt.Sprintf("%d locks before this one, of which there are no events", lock.unsaid)
	}
	if err := g.cfg.Store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if a.Method == MethodPassword { // the device whose timeline it belongs into, if it is one
			if device, err := tx.FindDeviceByName(ctx, a.Principal); err == nil {
				event.DeviceID = device.ID
			}
		}
		return tx.Audit(event)
	}); err != nil {
		g.cfg.Logger.ErrorContext(ctx, "lock not audited", "error", err)
	}
}

// claim returns what the client called itself, short and on one line. The
// claim of a token is part of its hash.
func claim(a Attempt) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(a.Principal, "?"))
	if a.Method == MethodToken {
		text = text[:min(len(text), 12)]
	}
	return strings.ToValidUTF8(text[:min(len(text), maxClaim)], "")
}
