// SPDX-License-Identifier: MIT

package models

import "regexp"

// slugs name CAs, domains, devices, profiles, truststores and registrations
// in URLs. A tilde separates domain and profile in EST labels and is therefore
// not part of a name; neither are characters that a URL would escape.
var slugs = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// CheckName returns KindInvalid with an example unless s is a slug: 1 to 63
// lower-case letters, digits, dots, underscores and hyphens, beginning and
// ending with a letter or digit.
func CheckName(noun, s string) error {
	if slugs.MatchString(s) {
		return nil
	}
	return Errorf(KindInvalid, "%s name %q: use 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit, such as press-01", noun, s)
}
