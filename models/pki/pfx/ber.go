// SPDX-License-Identifier: MIT

package pfx

import (
	"errors"
	"fmt"
)

// The bounds of the structure. A PKCS #12 file in BER is ten levels deep, and
// what is inside of its octet strings begins anew.
const (
	maxDepth    = 24
	maxElements = 16384
)

// Tags of X.690 with the constructed bit, as they matter here.
const (
	constructed       = 0x20
	octetStringTag    = 0x04
	constructedOctets = octetStringTag | constructed
)

// normalise returns the one element of data in definite lengths of the
// shortest form, its octet strings in one piece: what NSS and Windows write in
// BER becomes what a reader of DER takes. Contents of primitive elements are
// not looked at. What is in DER stays the same, octet by octet.
func normalise(data []byte) ([]byte, error) {
	w := walker{left: maxElements}
	out, rest, err := w.element(data, 1)
	if err == nil && len(rest) > 0 {
		err = errors.New("there are octets after its end")
	}
	return out, err
}

type walker struct{ left int }

// element converts the first element of data and returns what follows it.
func (w *walker) element(data []byte, depth int) (out, rest []byte, err error) {
	if w.left--; w.left < 0 || depth > maxDepth {
		return nil, nil, errors.New("it has more elements, or is nested deeper, than any real file")
	}
	tag, length, indefinite, data, err := header(data)
	if err != nil {
		return nil, nil, err
	}
	if !indefinite {
		body := data[:length]
		if tag&constructed == 0 {
			return encode(tag, body), data[length:], nil
		}
		body, _, err = w.children(tag, body, false, depth)
		return body, data[length:], err
	}
	return w.children(tag, data, true, depth)
}

// children converts the elements of a constructed one, up to the end of data
// or to the end-of-contents octets.
func (w *walker) children(tag byte, data []byte, indefinite bool, depth int) (out, rest []byte, err error) {
	var body []byte
	for {
		if !indefinite && len(data) == 0 {
			break
		}
		if indefinite && len(data) >= 2 && data[0] == 0 && data[1] == 0 {
			data = data[2:]
			break
		}
		var child []byte
		if child, data, err = w.element(data, depth+1); err != nil {
			return nil, nil, err
		}
		if tag == constructedOctets {
			if child[0] != octetStringTag {
				return nil, nil, errMalformed
			}
			_, length, _, contents, err := header(child)
			if err != nil {
				return nil, nil, err
			}
			child = contents[:length]
		}
		body = append(body, child...)
	}
	if tag == constructedOctets {
		tag = octetStringTag
	}
	return encode(tag, body), data, nil
}

// header splits the identifier and length octets off. What follows has length
// octets at least.
func header(data []byte) (tag byte, length int, indefinite bool, rest []byte, err error) {
	if len(data) < 2 {
		return 0, 0, false, nil, errors.New("it is cut off")
	}
	tag, first := data[0], int(data[1])
	if tag == 0 || tag&0x1f == 0x1f {
		return 0, 0, false, nil, fmt.Errorf("it is not a PKCS #12 file: tag %#02x has no place in one", tag)
	}
	data = data[2:]
	switch octets := first & 0x7f; {
	case first < 0x80:
		length = first
	case octets == 0 && tag&constructed != 0:
		return tag, 0, true, data, nil
	case octets == 0 || octets > 4 || octets > len(data):
		return 0, 0, false, nil, errMalformed
	default:
		for _, b := range data[:octets] {
			length = length<<8 | int(b)
		}
		data = data[octets:]
	}
	if length > len(data) {
		return 0, 0, false, nil, errors.New("it is cut off")
	}
	return tag, length, false, data, nil
}

// encode returns an element in DER.
func encode(tag byte, body []byte) []byte {
	out := make([]byte, 0, len(body)+5)
	out = append(out, tag)
	switch n := len(body); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 1<<8:
		out = append(out, 0x81, byte(n))
	case n < 1<<16:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n)) // MaxFile is smaller than this can say
	}
	return append(out, body...)
}
