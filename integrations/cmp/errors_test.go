// SPDX-License-Identifier: MIT

package cmp

import (
	"errors"
	"fmt"
	"testing"

	"github.com/trustloom/trustloom/models"
)

func TestEveryKindHasAFailInfo(t *testing.T) {
	for _, kind := range models.Kinds {
		err := fmt.Errorf("around: %w", models.Errorf(kind, "x"))
		if FailInfoOf(err) == 0 {
			t.Errorf("%v has no failInfo", kind)
		}
		named := fmt.Errorf("around: %w", WithFailInfo(err, FailBadPOP))
		if FailInfoOf(named) != FailBadPOP || models.KindOf(named) != kind {
			t.Errorf("%v with badPOP is %v, %v", kind, FailInfoOf(named), models.KindOf(named))
		}
	}
	if FailInfoOf(errors.New("x")) != FailSystemFailure || FailInfoOf(nil) != 0 || WithFailInfo(nil, FailBadAlg) != nil {
		t.Error("errors of others, and no error")
	}
}

func TestFailInfosComeBackAndHaveNames(t *testing.T) {
	for bit := range 32 {
		for _, f := range []FailInfo{1 << bit, 1<<bit | 1} {
			der, err := encoded(func(b *builder) { addFailInfo(b, f) })
			if err != nil {
				t.Fatal(err)
			}
			d := newDecoder(der)
			if got := d.failInfo(); got != f || !d.ok() || f.String() == "" {
				t.Errorf("%v (%x) comes back as %v, %v", f, der, got, *d.err)
			}
		}
	}
	if FailDuplicateCertReq.String() != "duplicateCertReq" || FailTransactionIDInUse.String() != "transactionIdInUse" {
		t.Error("the names are not those of the bits")
	}
}
