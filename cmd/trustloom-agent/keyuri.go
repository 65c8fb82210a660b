// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/trustloom/trustloom/models"
)

const keyScheme = "pkcs11:"

// keyURI names a private key in a token (RFC 7512).
type keyURI struct {
	Token  string // label of the token
	Slot   string // number of its slot, where the token is found by that
	Object string // CKA_LABEL
	ID     []byte // CKA_ID
	Module string // path of the library; only in what others wrote
}

// String writes the URI. Octets of the CKA_ID are all escaped, as RFC 7512
// §2.3 recommends.
func (u keyURI) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	add("token", escapeURI(u.Token))
	add("slot-id", u.Slot)
	id := strings.Builder{}
	for _, octet := range u.ID {
		fmt.Fprintf(&id, "%%%02x", octet)
	}
	add("id", id.String())
	add("object", escapeURI(u.Object))
	add("type", "private")
	return keyScheme + strings.Join(parts, ";")
}

// escapeURI escapes all but the unreserved characters of RFC 3986.
func escapeURI(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// parseKeyURI reads what String writes, and what other tools do. Attributes
// that describe a token beyond its label are not looked at; a PIN in a URI is
// refused, because a file that names keys is not a place for it.
func parseKeyURI(text string) (keyURI, error) {
	u := keyURI{}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), keyScheme)
	if !ok {
		return u, models.Errorf(models.KindInvalid, "the key %q is no URI of a key in a token: write pkcs11:token=LABEL;object=LABEL", text)
	}
	path, query, _ := strings.Cut(rest, "?")
	seen := map[string]bool{}
	for i, part := range append(strings.Split(path, ";"), strings.Split(query, "&")...) {
		if part == "" {
			continue
		}
		name, escaped, _ := strings.Cut(part, "=")
		value, err := url.PathUnescape(escaped)
		if err != nil || value == "" || seen[name] {
			return keyURI{}, models.Errorf(models.KindInvalid, "the key URI has %s twice, empty, or not well escaped (RFC 7512)", name)
		}
		seen[name] = true
		if err := u.set(name, value, i > strings.Count(path, ";")); err != nil {
			return keyURI{}, err
		}
	}
	if u.Object == "" && len(u.ID) == 0 {
		return keyURI{}, models.Errorf(models.KindInvalid, "the key URI names neither object (CKA_LABEL) nor id (CKA_ID)")
	}
	return u, nil
}

// set takes one attribute.
func (u *keyURI) set(name, value string, query bool) error {
	switch {
	case name == "pin-value" || name == "pin-source":
		return models.Errorf(models.KindInvalid, "leave %s out of the key URI: the PIN comes from pin_file in the section pkcs11, or from %s", name, pinVariable)
	case query && name == "module-path":
		u.Module = value
	case !query && name == "token":
		u.Token = value
	case !query && name == "slot-id":
		if _, err := strconv.ParseUint(value, 10, 31); err != nil {
			return models.Errorf(models.KindInvalid, "the slot-id %q of the key URI is no number", value)
		}
		u.Slot = value
	case !query && name == "object":
		u.Object = value
	case !query && name == "id":
		u.ID = []byte(value)
	case !query && name == "type":
		if value != "private" {
			return models.Errorf(models.KindInvalid, "the key URI is of type %s: name the private key", value)
		}
	case !query && (name == "manufacturer" || name == "model" || name == "serial" || strings.HasPrefix(name, "library-") || strings.HasPrefix(name, "slot-")):
	default:
		return models.Errorf(models.KindInvalid, "the key URI has %s, which the agent does not know", name)
	}
	return nil
}
