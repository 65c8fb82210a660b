// SPDX-License-Identifier: MIT

package pki_test

import (
	"bytes"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestCacheParsesEachCertificateOnce(t *testing.T) {
	var cache pki.Cache
	one, two := newRoot(t, models.ECP256).cert, newRoot(t, models.ECP256).cert
	first, err := cache.Parse(one.Raw)
	if err != nil || !first.Equal(one) {
		t.Fatal(err)
	}
	if again, err := cache.Parse(bytes.Clone(one.Raw)); err != nil || again != first {
		t.Errorf("parsed again: %v", err)
	}
	if other, err := cache.Parse(two.Raw); err != nil || !other.Equal(two) {
		t.Errorf("another certificate: %v", err)
	}
	if _, err := cache.Parse([]byte{0x30}); err == nil {
		t.Error("garbage is a certificate")
	}
}
