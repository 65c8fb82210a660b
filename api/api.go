// SPDX-License-Identifier: MIT

// Package api holds the wire types of Trustloom's REST API and a Go client
// for it.
//
// The shapes are those of the OpenAPI document that package api/rest derives
// from these types: snake_case JSON, problem details after RFC 9457, keyset
// pages, durations as an integer and a unit ("30d"), times in RFC 3339 UTC,
// serial numbers in lower-case hex, certificates as PEM strings, revocation
// reasons spelled as in RFC 5280 §5.3.1.
//
// The tags doc, example and query are read by the generator of the document
// and by the client; nothing here validates. The package must not know the
// server: it imports the vocabulary of package models and nothing else of ours.
package api

import (
	"fmt"
	"iter"
	"strings"
)

// Page is one page of a list. NextCursor is empty on the last page.
type Page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor" doc:"give it as ?cursor= for the next page; empty on the last page"`
}

// PageQuery selects a page of a list.
type PageQuery struct {
	Limit  int    `query:"limit" doc:"how many items at most; 50 unless given, never more than 500" example:"50"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before"`
}

// NoQuery is the filter of lists that have none besides the page.
type NoQuery struct {
	PageQuery
}

// Problem is an error as the server tells it (RFC 9457 problem details).
type Problem struct {
	Type       string `json:"type" doc:"identifies the kind of problem" example:"urn:trustloom:problem:not-found"`
	Title      string `json:"title" example:"not found"`
	Status     int    `json:"status" example:"404"`
	Detail     string `json:"detail,omitempty" doc:"a sentence that says what to do" example:"there is no device press-01"`
	Instance   string `json:"instance,omitempty" doc:"path of the request"`
	Kind       string `json:"kind" doc:"the kind of error" example:"NotFound"`
	RequestID  string `json:"request_id,omitempty" doc:"finds the request in the server's log"`
	RetryAfter int    `json:"retry_after,omitzero" doc:"seconds after which to try again"`
}

// Error returns the detail and, where there is one, the request ID.
func (p *Problem) Error() string {
	var b strings.Builder
	switch {
	case p.Detail != "":
		b.WriteString(p.Detail)
	case p.Title != "":
		b.WriteString(p.Title)
	default:
		fmt.Fprintf(&b, "the server answered with status %d", p.Status)
	}
	if p.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", p.RequestID)
	}
	return b.String()
}

// Collect follows the pages of a list until the last one or the first error,
// which is yielded with a zero item.
func Collect[T any](page func(cursor string) (*Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := ""; ; {
			p, err := page(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if p.NextCursor == "" || p.NextCursor == cursor {
				return
			}
			cursor = p.NextCursor
		}
	}
}
