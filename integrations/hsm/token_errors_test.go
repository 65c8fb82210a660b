// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/thales-e-security/pool"

	"github.com/trustloom/trustloom/models"
)

func TestErrorsOfTheModuleHaveTheirKind(t *testing.T) {
	cases := map[string]struct {
		err  error
		lost bool
		kind models.Kind
	}{
		"a stale object handle is a lost token":     {pkcs11.Error(pkcs11.CKR_OBJECT_HANDLE_INVALID), true, models.KindUnavailable},
		"a stale session handle is a lost token":    {pkcs11.Error(pkcs11.CKR_SESSION_HANDLE_INVALID), true, models.KindUnavailable},
		"a removed device is a lost token":          {pkcs11.Error(pkcs11.CKR_DEVICE_REMOVED), true, models.KindUnavailable},
		"an absent token is a lost token":           {pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT), true, models.KindUnavailable},
		"a general error is a lost token":           {pkcs11.Error(pkcs11.CKR_GENERAL_ERROR), true, models.KindUnavailable},
		"a lost login is a lost token":              {pkcs11.Error(pkcs11.CKR_USER_NOT_LOGGED_IN), true, models.KindUnavailable},
		"an operation left behind is a lost token":  {pkcs11.Error(pkcs11.CKR_OPERATION_ACTIVE), true, models.KindUnavailable},
		"a probe that failed is a lost token":       {fmt.Errorf("%w: no such token", errAway), true, models.KindUnavailable},
		"a wrong signature is ours once it repeats": {errWrongSignature, true, models.KindInternal},
		"too many sessions for a probe are a wait":  {fmt.Errorf("%w: %w", errAway, pkcs11.Error(pkcs11.CKR_SESSION_COUNT)), false, models.KindUnavailable},
		"too many sessions are a wait":              {pkcs11.Error(pkcs11.CKR_SESSION_COUNT), false, models.KindUnavailable},
		"a pool that is used up is a wait":          {pool.ErrTimeout, false, models.KindUnavailable},
		"a full token is for the operator":          {pkcs11.Error(pkcs11.CKR_DEVICE_MEMORY), false, models.KindUnavailable},
		"a key size it cannot make is the caller's": {pkcs11.Error(pkcs11.CKR_KEY_SIZE_RANGE), false, models.KindInvalid},
		"a curve it cannot make is the caller's":    {pkcs11.Error(pkcs11.CKR_CURVE_NOT_SUPPORTED), false, models.KindInvalid},
		"a refused PIN is never tried again":        {pkcs11.Error(pkcs11.CKR_PIN_LOCKED), false, models.KindUnavailable},
		"a context that is over is a wait":          {context.DeadlineExceeded, false, models.KindUnavailable},
		"anything else is ours":                     {errors.New("unsupported key type"), false, models.KindInternal},
		"an error with a kind keeps it":             {notFound("k"), false, models.KindNotFound},
	}
	s := &PKCS11{cfg: PKCS11Config{TokenLabel: "t", ReopenInterval: defaultReopenInterval}}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("do something: %w", tc.err)
			if got := s.lost(&connection{}, err); got != tc.lost {
				t.Errorf("lost is %t", got)
			}
			if got := models.KindOf(s.translate(err)); got != tc.kind {
				t.Errorf("kind is %s, want %s", got, tc.kind)
			}
			if !errors.Is(s.translate(err), tc.err) {
				t.Error("the cause is gone")
			}
		})
	}
	if s.translate(nil) != nil {
		t.Error("no error became one")
	}
}

func TestPINErrorsOpenTheCircuitForGood(t *testing.T) {
	for _, code := range []uint{pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED,
		pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE} {
		cfg, err := PKCS11Config{TokenLabel: "t", Module: "/dev/null"}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		s := &PKCS11{cfg: cfg}
		if err := s.refusal(fmt.Errorf("log in: %w", pkcs11.Error(code))); models.KindOf(err) != models.KindUnavailable {
			t.Errorf("%s does not open the circuit", pkcs11.Error(code))
		}
		if _, err := s.acquire(t.Context(), nil); models.KindOf(err) != models.KindUnavailable {
			t.Errorf("the token is opened after %s", pkcs11.Error(code))
		}
	}
}
