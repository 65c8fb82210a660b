// SPDX-License-Identifier: MIT

package api

import (
	"fmt"
	"net/url"
	"reflect"
	"time"
)

// EncodeQuery writes the fields of a filter that have a query tag and are not
// zero. Embedded structs are followed; times are RFC 3339 in UTC.
func EncodeQuery(filter any) url.Values {
	values := url.Values{}
	encodeFields(values, reflect.Indirect(reflect.ValueOf(filter)))
	return values
}

func encodeFields(values url.Values, v reflect.Value) {
	for field, value := range v.Fields() {
		if field.Anonymous {
			encodeFields(values, value)
			continue
		}
		name := field.Tag.Get("query")
		if name == "" || value.IsZero() {
			continue
		}
		if at, ok := value.Interface().(time.Time); ok {
			values.Set(name, at.UTC().Format(time.RFC3339))
			continue
		}
		values.Set(name, fmt.Sprint(value.Interface()))
	}
}
