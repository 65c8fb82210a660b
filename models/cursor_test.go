// SPDX-License-Identifier: MIT

package models

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestCursors(t *testing.T) {
	honest := Cursor("devices", "press-0") // 17 octets: two bits of the last character are none
	encode := base64.RawURLEncoding.EncodeToString
	for name, tt := range map[string]struct{ cursor, want string }{
		"one of this list":             {Cursor("devices", "press-01"), "press-01"},
		"one of another list":          {Cursor("requests", "press-01"), ""},
		"one of another version":       {encode([]byte("2\x00devices\x00press-01")), ""},
		"no base64":                    {"*", ""},
		"base64 with padding":          {Cursor("devices", "ab") + "=", ""},
		"too few fields":               {encode([]byte("1\x00devices")), ""},
		"an empty key":                 {Cursor("devices", ""), ""},
		"a key with a NUL":             {Cursor("devices", "a\x00b"), ""},
		"a key that is no UTF-8":       {Cursor("devices", "a\xff"), ""},
		"more than anybody was given":  {Cursor("devices", strings.Repeat("a", 2000)), ""},
		"bits beyond the last octet":   {honest[:len(honest)-1] + string(honest[len(honest)-1]+1), ""},
		"SQL stays a key like another": {Cursor("devices", "' OR 1=1 --"), "' OR 1=1 --"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCursor("devices", tt.cursor)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// FuzzCursor checks that whatever is accepted is what was made, to the letter.
func FuzzCursor(f *testing.F) {
	f.Add(Cursor("devices", "press-01"))
	f.Add(Cursor("requests", "01a1fee4-015f-720a-a824-372d1008a4bf"))
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		last, err := ParseCursor("devices", cursor)
		if err != nil {
			if KindOf(err) != KindInvalid || last != "" {
				t.Errorf("%q: %q, %v", cursor, last, err)
			}
			return
		}
		if Cursor("devices", last) != cursor || strings.ContainsRune(last, 0) {
			t.Errorf("%q is taken for %q", cursor, last)
		}
	})
}
