// SPDX-License-Identifier: MIT

package bench

import (
	"reflect"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models/store"
)

// TestEveryFilterIsMeasured fails when somebody adds a filter of certificates
// and does not have it measured.
func TestEveryFilterIsMeasured(t *testing.T) {
	fields := reflect.TypeFor[store.CertificateFilter]()
	for i := range fields.NumField() {
		name, measured := fields.Field(i).Name, selectsNothing(fields.Field(i).Name)
		for _, l := range listFilters() {
			measured = measured || !reflect.ValueOf(l.filter(time.Now())).Field(i).IsZero()
		}
		if !measured {
			t.Errorf("no line of listFilters has %s", name)
		}
	}
}

// selectsNothing reports whether a field selects nothing by itself.
func selectsNothing(field string) bool { return field == "Page" || field == "Now" }
