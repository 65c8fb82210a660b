// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"
)

func TestKeyURIsAreReadAsOthersWriteThem(t *testing.T) {
	tests := map[string]struct{ uri, want, problem string }{
		"by p11tool":          {"pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=5be8;token=plant%3B1;id=%1d%00;object=I%20D;type=private", "pkcs11:token=plant%3B1;id=%1d%00;object=I%20D;type=private", ""},
		"by its slot":         {"pkcs11:slot-id=7;object=a", "pkcs11:slot-id=7;object=a;type=private", ""},
		"letters are octets":  {"pkcs11:id=ab", "pkcs11:id=%61%62;type=private", ""},
		"with its library":    {"pkcs11:object=a?module-path=/lib/x.so", "pkcs11:object=a;type=private", ""},
		"a line of a file":    {"pkcs11:object=a\n", "pkcs11:object=a;type=private", ""},
		"a path":              {"idevid.key", "", "pkcs11:token"},
		"no key at all":       {"pkcs11:token=a", "", "neither object"},
		"nothing":             {"pkcs11:", "", "neither object"},
		"with the PIN":        {"pkcs11:object=a?pin-value=1234", "", "pin_file"},
		"with the PIN's file": {"pkcs11:object=a?pin-source=file:/pin", "", "pin_file"},
		"a public key":        {"pkcs11:object=a;type=public", "", "private"},
		"twice the same":      {"pkcs11:object=a;object=b", "", "twice"},
		"without a value":     {"pkcs11:object=", "", "empty"},
		"broken escapes":      {"pkcs11:object=%zz", "", "escaped"},
		"what nobody knows":   {"pkcs11:object=a;colour=red", "", "colour"},
		"a slot of words":     {"pkcs11:object=a;slot-id=first", "", "no number"},
		"a query in the path": {"pkcs11:object=a;module-path=/lib/x.so", "", "module-path"},
		"a path in the query": {"pkcs11:object=a?token=b", "", "token"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u, err := parseKeyURI(tt.uri)
			switch {
			case tt.problem != "":
				if err == nil || !strings.Contains(plain(err), tt.problem) || strings.Contains(plain(err), "1234") {
					t.Errorf("the error is %v, want it to say %q", err, tt.problem)
				}
			case err != nil || u.String() != tt.want:
				t.Errorf("it is read as %s (%v), want %s", u, err, tt.want)
			}
		})
	}
}
