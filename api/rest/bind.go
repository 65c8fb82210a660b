// SPDX-License-Identifier: MIT

package rest

import (
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trustloom/trustloom/models"
)

// Request types of routes are structs whose fields say by their tags where
// they come from: path:"name", query:"limit" (also in embedded structs), or
// in:"body".

// none is the request without anything, and the answer without a body (204).
type none struct{}

type byName struct {
	Name string `path:"name" doc:"unique name" example:"press-01"`
}

type byID struct {
	ID string `path:"id" doc:"identifier (UUID)" example:"01999999-0000-7000-8000-000000000001"`
}

type named[B any] struct {
	byName
	Body B `in:"body"`
}

type identified[B any] struct {
	byID
	Body B `in:"body"`
}

type sent[B any] struct {
	Body B `in:"body"`
}

// pemText is an answer of the type application/x-pem-file.
type pemText string

var timeType = reflect.TypeFor[time.Time]()

// bindFields fills the path and query fields of a request struct and returns
// its body field, if it has one.
func bindFields(v reflect.Value, path func(string) string, query url.Values) (body reflect.Value, err error) {
	for field, value := range v.Fields() {
		switch {
		case field.Tag.Get("in") == "body":
			body = value
		case field.Tag.Get("path") != "":
			value.SetString(path(field.Tag.Get("path")))
			if !plain(value.String()) {
				err = models.Errorf(models.KindInvalid, "the path of the URL holds what no name can")
			}
		case field.Tag.Get("query") != "":
			err = setQuery(value, field.Tag.Get("query"), query)
		case field.Anonymous:
			_, err = bindFields(value, path, query)
		}
		if err != nil {
			return body, err
		}
	}
	return body, nil
}

// plain reports whether s is UTF-8 without control characters. Nothing else is
// looked for: PostgreSQL refuses it with an error of its own.
func plain(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

func setQuery(value reflect.Value, name string, query url.Values) error {
	if !query.Has(name) {
		return nil
	}
	text := query.Get(name)
	wrong := func(what string) error {
		return models.Errorf(models.KindInvalid, "query parameter %s: %q is not %s", name, printable(text), what)
	}
	switch {
	case value.Type() == timeType:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return wrong("an RFC 3339 time, such as 2027-01-31T00:00:00Z")
		}
		value.Set(reflect.ValueOf(at.UTC()))
	case value.Kind() == reflect.Int:
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return wrong("a whole number")
		}
		value.SetInt(int64(n))
	default:
		if len(text) > 1000 {
			return wrong("at most 1000 bytes long")
		}
		if !plain(text) {
			return wrong("plain text")
		}
		value.SetString(text)
	}
	return nil
}

// checkQuery refuses parameters that the route does not have, and repeated
// ones: a misspelt filter must not return everything.
func checkQuery(t reflect.Type, raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, models.Errorf(models.KindInvalid, "the query of the URL is malformed").Because(err)
	}
	known := map[string]bool{}
	queryFields(t, func(f reflect.StructField) { known[f.Tag.Get("query")] = true })
	for name, values := range query {
		if !known[name] {
			return nil, models.Errorf(models.KindInvalid, "there is no query parameter %q here", printable(name))
		}
		if len(values) > 1 {
			return nil, models.Errorf(models.KindInvalid, "query parameter %s is given more than once", name)
		}
	}
	return query, nil
}

// queryFields calls do for each field with a query tag, embedded ones included.
func queryFields(t reflect.Type, do func(reflect.StructField)) {
	for f := range t.Fields() {
		if f.Tag.Get("query") != "" {
			do(f)
		} else if f.Anonymous {
			queryFields(f.Type, do)
		}
	}
}
