// SPDX-License-Identifier: MIT

package cmp

import (
	"encoding/asn1"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The bounds of what a message may repeat.
const (
	maxItems    = 128     // of any SEQUENCE OF
	maxTexts    = 16      // strings of one PKIFreeText
	maxText     = 4 << 10 // octets of one of them
	maxSerial   = 20      // octets of a serial number (RFC 5280 §4.1.2.2)
	maxNested   = 3       // messages inside messages
	maxElements = 1 << 15 // of a message of MaxMessage
)

// A decoder reads one element after the other. After the first that does not
// fit, it and all decoders of the same message read nothing more: err says
// why. Lengths, integers, object identifiers and strings of universal tags
// were checked by pki.StrictDER before; implicit tags hide theirs from it.
type decoder struct {
	in  cryptobyte.String
	err *error
}

func newDecoder(der []byte) *decoder { return &decoder{in: der, err: new(error)} }

func (d *decoder) ok() bool { return *d.err == nil }

// fail notes that what should have been there is not.
func (d *decoder) fail(what string) {
	if d.ok() {
		*d.err = malformed("%s in the message is malformed, or something else is in its place", what)
	}
	d.in = nil
}

// more reports whether there is another element.
func (d *decoder) more() bool { return d.ok() && !d.in.Empty() }

// end demands that there is none.
func (d *decoder) end(what string) {
	if d.more() {
		d.fail(what)
	}
}

// next reports whether the next element has the tag.
func (d *decoder) next(tag der.Tag) bool { return d.ok() && d.in.PeekASN1Tag(tag) }

// content reads an element and returns its content octets, never nil.
func (d *decoder) content(what string, tag der.Tag) []byte {
	var out cryptobyte.String
	if !d.ok() || !d.in.ReadASN1(&out, tag) {
		d.fail(what)
		return []byte{}
	}
	return out
}

// whole reads an element and returns it with its tag and length.
func (d *decoder) whole(what string, tag der.Tag) []byte {
	var out cryptobyte.String
	if !d.ok() || !d.in.ReadASN1Element(&out, tag) {
		d.fail(what)
		return []byte{}
	}
	return out
}

// any reads an element of any tag.
func (d *decoder) any(what string) []byte {
	var out cryptobyte.String
	var tag der.Tag
	if !d.ok() || !d.in.ReadAnyASN1Element(&out, &tag) {
		d.fail(what)
		return []byte{}
	}
	return out
}

// inside reads a constructed element and returns a decoder for what is in it.
func (d *decoder) inside(what string, tag der.Tag) *decoder {
	return &decoder{in: d.content(what, tag), err: d.err}
}

func (d *decoder) sequence(what string) *decoder { return d.inside(what, der.SEQUENCE) }

// tagged is the tag [n] of something constructed, primitive that of something
// that is not.
func tagged(n uint8) der.Tag    { return der.Tag(n).ContextSpecific().Constructed() }
func primitive(n uint8) der.Tag { return der.Tag(n).ContextSpecific() }

// optional reads what is tagged [n] explicitly, if it is there.
func (d *decoder) optional(what string, n uint8, read func(*decoder)) {
	if !d.next(tagged(n)) {
		return
	}
	in := d.inside(what, tagged(n))
	read(in)
	in.end(what)
}

// each reads the elements of a SEQUENCE OF, at most maxItems.
func (d *decoder) each(what string, least int, read func(*decoder)) {
	d.sequence(what).items(what, least, read)
}

func (d *decoder) items(what string, least int, read func(*decoder)) {
	n := 0
	for ; d.more(); n++ {
		if n == maxItems {
			*d.err = malformed("there are more than %d of one kind in the message: %s", maxItems, what)
			return
		}
		read(d)
	}
	if n < least {
		d.fail(what)
	}
}

func (d *decoder) octets(what string) []byte { return d.content(what, der.OCTET_STRING) }

// bits reads a BIT STRING of whole octets.
func (d *decoder) bits(what string) []byte {
	return d.wholeOctets(what, d.content(what, der.BIT_STRING))
}

func (d *decoder) wholeOctets(what string, content []byte) []byte {
	if len(content) == 0 || content[0] != 0 {
		d.fail(what)
		return []byte{}
	}
	return content[1:]
}

// integer reads an INTEGER between two bounds.
func (d *decoder) integer(what string, least, most int) int {
	return d.smallInteger(what, d.content(what, der.INTEGER), least, most)
}

func (d *decoder) smallInteger(what string, content []byte, least, most int) int {
	if !minimal(content) || len(content) > 4 {
		d.fail(what)
		return 0
	}
	n := int(int8(content[0]))
	for _, b := range content[1:] {
		n = n<<8 | int(b)
	}
	if n < least || n > most {
		d.fail(what)
		return 0
	}
	return n
}

// serial reads a serial number: not negative, at most 20 octets.
func (d *decoder) serial(what string, tag der.Tag) []byte {
	content := d.content(what, tag)
	if !minimal(content) || content[0] >= 0x80 || len(content) > maxSerial+1 || len(content) == maxSerial+1 && content[0] != 0 {
		d.fail(what)
	}
	return content
}

// minimal reports whether the content of an INTEGER is in its shortest form.
func minimal(content []byte) bool {
	return len(content) == 1 || len(content) > 1 && (content[0] != 0 || content[1] >= 0x80) && (content[0] != 0xff || content[1] < 0x80)
}

func (d *decoder) null(what string) {
	if len(d.content(what, der.NULL)) != 0 {
		d.fail(what)
	}
}

func (d *decoder) oid(what string) asn1.ObjectIdentifier {
	var oid asn1.ObjectIdentifier
	if !d.ok() || !d.in.ReadASN1ObjectIdentifier(&oid) {
		d.fail(what)
	}
	return oid
}

// The form of a GeneralizedTime in DER (X.690 §11.7).
const timeForm = "20060102150405.999999999Z"

func (d *decoder) time(what string) time.Time {
	content := string(d.content(what, der.GeneralizedTime))
	at, err := time.Parse(timeForm, content)
	if err != nil || at.Format(timeForm) != content || at.IsZero() {
		d.fail(what)
		return time.Time{}
	}
	return at
}

// text reads a UTF8String.
func (d *decoder) text(what string) string {
	content := d.content(what, der.UTF8String)
	if len(content) > maxText || !utf8.Valid(content) {
		d.fail(what)
		return ""
	}
	return string(content)
}

// freeText reads a PKIFreeText.
func (d *decoder) freeText() []string {
	const what = "a PKIFreeText"
	var texts []string
	d.each(what, 1, func(d *decoder) { texts = append(texts, d.text(what)) })
	if len(texts) > maxTexts {
		d.fail(what)
	}
	return texts
}

// certificate reads a CMPCertificate, which stays as it is.
func (d *decoder) certificate() []byte { return d.whole("a certificate", der.SEQUENCE) }

func (d *decoder) certificates(least int) [][]byte {
	var all [][]byte
	d.each("a list of certificates", least, func(d *decoder) { all = append(all, d.certificate()) })
	return all
}

// Algorithm is an AlgorithmIdentifier.
type Algorithm struct {
	OID        asn1.ObjectIdentifier
	Parameters []byte // DER; nil: absent
}

func (d *decoder) algorithm(what string) Algorithm {
	return d.sequence(what).algorithmInside(what)
}

func (d *decoder) algorithmInside(what string) Algorithm {
	out := Algorithm{OID: d.oid(what)}
	if d.more() {
		out.Parameters = d.any(what)
	}
	d.end(what)
	return out
}

// Attribute is an AttributeTypeAndValue or an InfoTypeAndValue.
type Attribute struct {
	OID   asn1.ObjectIdentifier
	Value []byte // DER; nil: absent, which only an InfoTypeAndValue may
}

func (d *decoder) attribute(what string, optional bool) Attribute {
	in := d.sequence(what)
	out := Attribute{OID: in.oid(what)}
	if !optional || in.more() {
		out.Value = in.any(what)
	}
	in.end(what)
	return out
}
