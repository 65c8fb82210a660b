// SPDX-License-Identifier: MIT

package store_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// fill gives every field a value that is not its zero.
func fill(v reflect.Value, seed int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), seed)
	case reflect.String:
		v.SetString(fmt.Sprint("text-", seed))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(seed + 1))
	case reflect.Int64: // durations have whole seconds
		v.SetInt(int64(seed+1) * int64(time.Second))
	case reflect.Uint8:
		v.SetUint(uint64(seed%250 + 1))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), seed+i)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, seed)
		fill(value, seed)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 21, 12, 0, 0, seed*1000, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), seed+i)
			}
		}
	}
}

// TestRowsWithoutGormAreTheSame writes the nouns of the hot path without gorm,
// full and empty, and reads them with it and without it.
func TestRowsWithoutGormAreTheSame(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		for _, noun := range []any{&models.Request{}, &models.Certificate{}, &models.CA{}, &models.OutboxItem{}, &models.Operator{}, &models.Profile{}} {
			for seed, full := range []bool{false, true} {
				t.Run(fmt.Sprintf("%T full: %t", noun, full), func(t *testing.T) {
					roundTrip(t, s, reflect.TypeOf(noun).Elem(), full, seed)
				})
			}
		}
	})
}

func roundTrip(t *testing.T, s *store.Store, noun reflect.Type, full bool, seed int) {
	row, gorms, ours := reflect.New(noun), reflect.New(noun), reflect.New(noun)
	if full {
		fill(row.Elem(), seed)
	}
	row.Elem().FieldByName("ID").SetString(fmt.Sprint(noun.Name(), seed))
	for i := range noun.NumField() {
		if f := row.Elem().Field(i); f.Type() == reflect.TypeFor[time.Time]() && f.IsZero() { // no column of this type is empty
			f.Set(reflect.ValueOf(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)))
		}
	}
	write(t, s, func(tx *store.Tx) error {
		if known, err := store.InsertRow(tx, row.Interface()); err != nil || !known {
			t.Fatalf("%t, %v", known, err)
		}
		return store.ReadRow(tx, row.Elem().FieldByName("ID").String(), gorms.Interface(), ours.Interface())
	})
	if diff := cmp.Diff(gorms.Interface(), ours.Interface()); diff != "" {
		t.Errorf("gorm (-) reads otherwise than we (+):\n%s", diff)
	}
	if diff := cmp.Diff(row.Interface(), ours.Interface()); diff != "" && full {
		t.Errorf("read (+) is not what was written (-):\n%s", diff)
	}
}
