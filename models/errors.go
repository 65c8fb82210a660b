// SPDX-License-Identifier: MIT

package models

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Kind says what went wrong in terms of who has to act. The list is closed:
// every boundary (REST, EST, Temporal, …) translates each kind in one file.
type Kind uint8

// The kinds. The zero value is KindInternal, so that an error nobody
// classified is never shown to a caller.
const (
	KindInternal        Kind = iota // our fault
	KindInvalid                     // malformed or inconsistent input
	KindUnauthenticated             // the caller is not proven
	KindDenied                      // the caller is known, but policy or role forbids
	KindNotFound                    // no such thing
	KindConflict                    // the present state does not allow it
	KindLimited                     // too many; RetryAfter says when to come back
	KindUnavailable                 // a dependency is down
)

// Kinds lists every kind, for tables that must be complete.
var Kinds = []Kind{KindInternal, KindInvalid, KindUnauthenticated, KindDenied,
	KindNotFound, KindConflict, KindLimited, KindUnavailable}

var kindNames = [...]string{"Internal", "Invalid", "Unauthenticated", "Denied",
	"NotFound", "Conflict", "Limited", "Unavailable"}

// String returns the name of the kind without its prefix, for example "Invalid".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// ParseKind is the inverse of Kind.String; unknown names are KindInternal.
func ParseKind(name string) Kind {
	for i, n := range kindNames {
		if n == name {
			return Kind(i)
		}
	}
	return KindInternal
}

// Error is the one error type of Trustloom.
//
// Public is the sentence a caller may see: it says what to do and never
// contains a secret. Cause is for the log only.
type Error struct {
	Kind       Kind
	Public     string
	RetryAfter time.Duration // for KindLimited and KindUnavailable; 0 if unknown
	Cause      error
}

// The bounds of texts, in bytes. Much of them may be what a stranger sent.
const (
	maxPublic = 4 << 10
	maxCause  = 4 << 10
)

// Errorf returns an Error whose public text is formatted as by fmt.Sprintf. It
// is cut where it is very long, and has a question mark for each character that
// could move a cursor, turn the direction of writing, or not be seen at all.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Public: short(plain(fmt.Sprintf(format, args...)), maxPublic)}
}

func plain(s string) string {
	for i := range len(s) { // nearly always all of it is
		if s[i] < ' ' || s[i] >= 0x7f {
			return strings.Map(shown, s)
		}
	}
	return s
}

func shown(r rune) rune {
	if unicode.IsPrint(r) || r == '\n' || r == '\t' {
		return r
	}
	return '?'
}

func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// Because returns a copy of e with its cause set.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// After returns a copy of e that tells the caller when to try again.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Error returns the text for logs: kind, public text and cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Kind.String() + ": " + e.Public
	}
	return e.Kind.String() + ": " + e.Public + ": " + short(e.Cause.Error(), maxCause)
}

// Unwrap returns the cause, so that errors.Is and errors.As look behind e.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the outermost Error in err's chain, and
// KindInternal for any other error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// PublicText returns what a caller may be told about err. Errors of
// KindInternal, and errors that are not an Error, give a fixed sentence.
func PublicText(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Kind != KindInternal {
		return e.Public
	}
	return "internal error; the log has the details under the request ID"
}

// RetryAfter returns the delay that err asks for, or 0.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
