// SPDX-License-Identifier: MIT

package operations

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trustloom/trustloom/models"
)

const (
	maxComment       = 500 // characters
	maxMetadata      = 32  // entries
	maxMetadataKey   = 63
	maxMetadataValue = 1000
)

// checkText refuses text that is longer than max characters or has control
// characters other than line breaks in it: it is shown and logged as it is.
func checkText(field, s string, max int) error {
	if utf8.RuneCountInString(s) > max {
		return models.Errorf(models.KindInvalid, "%s is longer than %d characters", field, max)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		return models.Errorf(models.KindInvalid, "%s has characters that cannot be printed", field)
	}
	return nil
}

// serialNumbers is what the attribute serialNumber of a name can hold: a
// PrintableString of at most 64 characters (RFC 5280 appendix A.1).
var serialNumbers = regexp.MustCompile(`^[A-Za-z0-9 '()+,./:=?-]{0,64}$`)

func checkSerialNumber(s string) error {
	if serialNumbers.MatchString(s) && s == strings.TrimSpace(s) {
		return nil
	}
	return models.Errorf(models.KindInvalid, "serial_number has more than 64 characters, or other than letters, digits, spaces and '()+,-./:=?")
}

var digests = regexp.MustCompile(`^[0-9a-f]{64}$`)

// parseDigest reads a SHA-256 in hex, upper or lower case, with or without
// colons, as openssl prints it.
func parseDigest(field, s string) (string, error) {
	digest := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if !digests.MatchString(digest) {
		return "", models.Errorf(models.KindInvalid, "%s is not a SHA-256 in hex, 64 digits", field)
	}
	return digest, nil
}

func checkMetadata(m map[string]string) error {
	if len(m) > maxMetadata {
		return models.Errorf(models.KindInvalid, "metadata has more than %d entries", maxMetadata)
	}
	for key, value := range m {
		if err := models.CheckName("metadata", key); err != nil || len(key) > maxMetadataKey {
			return err
		}
		if err := checkText("metadata "+key, value, maxMetadataValue); err != nil {
			return err
		}
	}
	return nil
}

// oneOf refuses a value that is not in the list, naming the choices.
func oneOf[T ~string](field string, value T, choices []T) error {
	texts := make([]string, len(choices))
	for i, c := range choices {
		if c == value {
			return nil
		}
		texts[i] = string(c)
	}
	return models.Errorf(models.KindInvalid, "%s %q is not one of %s", field, string(value), strings.Join(texts, ", "))
}
