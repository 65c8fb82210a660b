// SPDX-License-Identifier: MIT

package pki

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	der "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/text/unicode/norm"
)

const (
	tagNumericString = der.Tag(18)
	tagBMPString     = der.Tag(30)
)

// decodeText decodes a DirectoryString or IA5String to UTF-8. The error
// completes a sentence that begins with the name of the attribute.
//
// Deviation: TeletexString and UniversalString, which RFC 5280 §4.1.2.4 lets
// old certificates have, are refused: parsers disagree about what they say.
func decodeText(tag der.Tag, value []byte) (string, error) {
	text := string(value)
	switch tag {
	case der.UTF8String:
		if utf8.ValidString(text) {
			return text, nil
		}
		return "", errors.New("is not valid UTF-8")
	case der.PrintableString:
		if isPrintable(text) {
			return text, nil
		}
		return "", errors.New("has a character that PrintableString does not have; use UTF8String")
	case der.IA5String:
		if isASCII(text) {
			return text, nil
		}
		return "", errors.New("has a character that IA5String does not have; use UTF8String")
	case tagNumericString:
		if strings.Trim(text, "0123456789 ") == "" {
			return text, nil
		}
		return "", errors.New("has a character that NumericString does not have")
	case tagBMPString:
		return decodeBMP(value)
	default:
		return "", errors.New("is not encoded as UTF8String or PrintableString")
	}
}

func decodeBMP(value []byte) (string, error) {
	if len(value)%2 != 0 {
		return "", errors.New("is not a valid BMPString")
	}
	units := make([]uint16, 0, len(value)/2)
	for i := 0; i < len(value); i += 2 {
		unit := uint16(value[i])<<8 | uint16(value[i+1])
		if utf16.IsSurrogate(rune(unit)) {
			return "", errors.New("is not a valid BMPString")
		}
		units = append(units, unit)
	}
	return string(utf16.Decode(units)), nil
}

// isPrintable reports whether s fits a PrintableString (ITU-T X.680 §41.4).
func isPrintable(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && strings.IndexByte(" '()+,-./:=?", c) < 0 {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// checkText returns KindInvalid, naming what the text is, unless value can be
// shown to people as it is: not empty, no control, invisible or
// direction-changing characters, no space around it, canonically composed.
func checkText(what, value string) error {
	switch {
	case value == "":
		return invalid("%s is empty", what)
	case !utf8.ValidString(value):
		return invalid("%s is not valid UTF-8", what)
	case strings.TrimSpace(value) != value:
		return invalid("%s begins or ends with a space", what)
	}
	for _, r := range value {
		if !unicode.IsGraphic(r) || r == utf8.RuneError || r != ' ' && unicode.Is(unicode.Zs, r) {
			return invalid("%s has a control, invisible or direction-changing character (U+%04X)", what, r)
		}
	}
	if !norm.NFC.IsNormalString(value) {
		return invalid("%s is not in Unicode normalization form C", what)
	}
	return nil
}

// CheckText returns KindInvalid unless text can be shown to people as it is.
func CheckText(text string) error { return checkText("the text", text) }
