// SPDX-License-Identifier: MIT

package pki

import (
	"errors"
	"fmt"
)

// maxDepth bounds the nesting of what strangers send. A certificate inside a
// CMS message is about twelve levels deep.
const maxDepth = 32

// maxOID bounds the encoding of one object identifier, and maxArc that of one
// arc: 19 octets hold the 128 bits of a UUID below 2.25.
const (
	maxOID = 64
	maxArc = 19
)

// Universal tags, ITU-T X.680 §8.6, with the constructed bit where it belongs.
const (
	tagBoolean     = 0x01
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagNull        = 0x05
	tagOID         = 0x06
	tagEnumerated  = 0x0a
	tagUTF8        = 0x0c
	tagSequence    = 0x30
	tagSet         = 0x31
)

// strictDER checks, before any parser sees it, that data is exactly one
// element in the distinguished encoding rules (ITU-T X.690 §10): definite,
// minimal lengths, minimal integers and object identifiers, primitive strings,
// nothing after the end. Nesting is bounded by maxDepth, the number of
// elements by maxElements.
//
// Deviation: the order of SET OF components is not checked, because widespread
// CMS and PKCS #10 encoders get it wrong and nothing here depends on it.
func strictDER(data []byte, maxElements int) error {
	w := derWalker{left: maxElements}
	rest, err := w.element(data, 1)
	if err == nil && len(rest) > 0 {
		err = errors.New("there are bytes after the end of the structure")
	}
	return err
}

type derWalker struct{ left int }

// element checks the first element of data and returns what follows it.
func (w *derWalker) element(data []byte, depth int) (rest []byte, err error) {
	if w.left--; w.left < 0 {
		return nil, errors.New("it has too many elements")
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	tag, body, rest, err := readElement(data)
	if err != nil {
		return nil, err
	}
	if tag&0x20 == 0 {
		return rest, checkPrimitive(tag, body)
	}
	if tag < 0x40 && tag != tagSequence && tag != tagSet {
		return nil, fmt.Errorf("the constructed form of tag %#02x is BER, not DER", tag&0x1f)
	}
	for len(body) > 0 {
		if body, err = w.element(body, depth+1); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// readElement splits data behind its first element. Only tags below 31 exist
// in the structures we parse.
func readElement(data []byte) (tag byte, body, rest []byte, err error) {
	if len(data) < 2 {
		return 0, nil, nil, errors.New("it is cut off")
	}
	tag = data[0]
	if tag == 0 || tag&0x1f == 0x1f {
		return 0, nil, nil, fmt.Errorf("tag %#02x is not expected", tag)
	}
	length, header, err := readLength(data[1:])
	if err != nil {
		return 0, nil, nil, err
	}
	data = data[1+header:]
	if length > len(data) {
		return 0, nil, nil, errors.New("it is cut off")
	}
	return tag, data[:length], data[length:], nil
}

// readLength reads a definite length in its shortest form (X.690 §10.1).
func readLength(data []byte) (length, header int, err error) {
	first := int(data[0])
	if first < 0x80 {
		return first, 1, nil
	}
	octets := first & 0x7f
	if octets == 0 {
		return 0, 0, errors.New("indefinite lengths are BER, not DER")
	}
	if octets > 3 || len(data) < 1+octets {
		return 0, 0, errors.New("it is cut off or longer than anything we accept")
	}
	for _, b := range data[1 : 1+octets] {
		length = length<<8 | int(b)
	}
	if length < 0x80 || data[1] == 0 {
		return 0, 0, errors.New("a length is not in its shortest form")
	}
	return length, 1 + octets, nil
}

// checkPrimitive checks the contents of a primitive element.
func checkPrimitive(tag byte, body []byte) error {
	switch tag {
	case tagSequence &^ 0x20, tagSet &^ 0x20:
		return errors.New("a sequence or set is marked primitive")
	case tagBoolean:
		if len(body) != 1 || body[0] != 0 && body[0] != 0xff {
			return errors.New("a boolean is neither 00 nor FF")
		}
	case tagInteger, tagEnumerated:
		return checkInteger(body)
	case tagBitString:
		return checkBitString(body)
	case tagNull:
		if len(body) != 0 {
			return errors.New("a null has contents")
		}
	case tagOID:
		return checkOID(body)
	}
	return nil
}

func checkInteger(body []byte) error {
	if len(body) == 0 {
		return errors.New("an integer is empty")
	}
	if len(body) > 1 && (body[0] == 0 && body[1] < 0x80 || body[0] == 0xff && body[1] >= 0x80) {
		return errors.New("an integer is not in its shortest form")
	}
	return nil
}

func checkBitString(body []byte) error {
	if len(body) == 0 || body[0] > 7 || len(body) == 1 && body[0] != 0 {
		return errors.New("a bit string has a wrong count of unused bits")
	}
	if body[len(body)-1]&(1<<body[0]-1) != 0 && len(body) > 1 {
		return errors.New("the unused bits of a bit string are not zero")
	}
	return nil
}

func checkOID(body []byte) error {
	if len(body) == 0 || len(body) > maxOID || body[len(body)-1] >= 0x80 {
		return fmt.Errorf("an object identifier is empty, cut off or longer than %d octets", maxOID)
	}
	arc := 0
	for _, b := range body {
		if arc == 0 && b == 0x80 {
			return errors.New("an object identifier is not in its shortest form")
		}
		if arc++; arc > maxArc {
			return errors.New("an arc of an object identifier is too large")
		}
		if b < 0x80 {
			arc = 0
		}
	}
	return nil
}

// CheckDER returns KindInvalid unless data is exactly one element in the
// distinguished encoding rules (ITU-T X.690 §10) within our bounds.
func CheckDER(data []byte) error {
	if err := strictDER(data, maxCSRElements); err != nil {
		return invalid("%s", err)
	}
	return nil
}

// StrictDER is CheckDER for structures with another bound of their elements,
// such as messages that contain many certificates.
func StrictDER(data []byte, maxElements int) error {
	if err := strictDER(data, maxElements); err != nil {
		return invalid("%s", err)
	}
	return nil
}
