// SPDX-License-Identifier: MIT

package policy_test

import (
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
)

func TestCacheParsesEachVersionOnce(t *testing.T) {
	var cache policy.Cache
	row := func(name string) *models.Profile {
		return &models.Profile{ID: models.NewID[models.ProfileID](), Name: name, Version: 1, Document: policy.Shipped()[name]}
	}
	server, client := row("tls_server"), row("tls_client")
	first, err := cache.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := cache.Parse(server); err != nil || again != first {
		t.Errorf("parsed again: %v", err)
	}
	if other, err := cache.Parse(client); err != nil || other == first {
		t.Errorf("another profile is the same: %v", err)
	}
	for range 1100 { // more than are kept
		if _, err := cache.Parse(row("tls_server")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cache.Parse(&models.Profile{ID: "1", Name: "broken", Document: []byte("{")}); models.KindOf(err) != models.KindInvalid {
		t.Errorf("a broken document: %v, want KindInvalid", err)
	}
}
