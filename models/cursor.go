// SPDX-License-Identifier: MIT

package models

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cursorVersion is the first field of every cursor, maxCursor bounds its text.
const (
	cursorVersion = "1"
	maxCursor     = 2048
)

// Cursor returns where to go on with a list: after the row with the key last.
// kind names the list. The text is opaque to clients, and no secret.
func Cursor(kind, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + "\x00" + kind + "\x00" + last))
}

// ParseCursor returns the key in a cursor of a list. It is KindInvalid for
// anything that Cursor did not make for that list.
func ParseCursor(kind, cursor string) (last string, err error) {
	bad := Errorf(KindInvalid, "the cursor does not belong to this list of %s; begin without one", kind)
	if len(cursor) > maxCursor {
		return "", bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return "", bad.Because(err)
	}
	fields := strings.SplitN(string(raw), "\x00", 3)
	if len(fields) != 3 || fields[1] != kind || !isKey(fields[2]) || Cursor(kind, fields[2]) != cursor {
		return "", bad
	}
	return fields[2], nil
}

// isKey reports whether s can be the key of a row: PostgreSQL would refuse NUL
// and broken UTF-8 with an error of its own.
func isKey(s string) bool {
	return s != "" && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
