// SPDX-License-Identifier: MIT

package cmp

import (
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Template is a CertTemplate (RFC 4211 §5): what a certificate should contain,
// or, in rr, which certificate is meant. What is nil or zero is absent. The
// contents of names, keys and extensions are not judged here.
type Template struct {
	// Raw is the DER as it was received. Marshal returns it if it is there.
	Raw []byte

	Version             int    // 1 to 3; 0: absent
	Serial              []byte // content octets of the INTEGER
	SigningAlg          *Algorithm
	Issuer              []byte // DER of the Name
	NotBefore, NotAfter time.Time
	Subject             []byte // DER of the Name
	PublicKey           []byte // DER of the SubjectPublicKeyInfo; its key may be empty, see WantsKey
	IssuerUID           []byte // content octets of the BIT STRING
	SubjectUID          []byte
	Extensions          []byte // DER of the SEQUENCE OF Extension
}

// WantsKey reports whether the template leaves the making of the key to the
// CA (RFC 9483 §4.1.6): there is no public key, or an empty one that names the
// algorithm.
func (t *Template) WantsKey() (Algorithm, bool) {
	if t.PublicKey == nil {
		return Algorithm{}, true
	}
	spki := newDecoder(t.PublicKey).sequence("a public key")
	alg := spki.algorithm("a public key")
	return alg, len(spki.bits("a public key")) == 0 && spki.ok()
}

const whatTemplate = "a CertTemplate"

func (d *decoder) template() Template {
	t := Template{Raw: d.whole(whatTemplate, der.SEQUENCE)}
	if !d.ok() {
		return t
	}
	in := (&decoder{in: t.Raw, err: d.err}).sequence(whatTemplate)
	if in.next(primitive(0)) {
		t.Version = in.smallInteger("the version of a CertTemplate", in.content(whatTemplate, primitive(0)), 0, 2) + 1
	}
	if in.next(primitive(1)) {
		t.Serial = in.serial("the serial number of a CertTemplate", primitive(1))
	}
	if in.next(tagged(2)) {
		alg := in.inside(whatTemplate, tagged(2)).algorithmInside(whatTemplate)
		t.SigningAlg = &alg
	}
	in.optional(whatTemplate, 3, func(d *decoder) { t.Issuer = d.whole("the issuer of a CertTemplate", der.SEQUENCE) })
	if in.next(tagged(4)) {
		in.inside(whatTemplate, tagged(4)).validity(&t)
	}
	in.optional(whatTemplate, 5, func(d *decoder) { t.Subject = d.whole("the subject of a CertTemplate", der.SEQUENCE) })
	if in.next(tagged(6)) {
		t.PublicKey = in.publicKey(tagged(6))
	}
	t.IssuerUID = in.uid(7)
	t.SubjectUID = in.uid(8)
	if in.next(tagged(9)) {
		t.Extensions = in.sequenceAs(whatTemplate, tagged(9))
	}
	in.end(whatTemplate)
	return t
}

// sequenceAs reads a SEQUENCE under an implicit tag, and returns it under its own.
func (d *decoder) sequenceAs(what string, tag der.Tag) []byte {
	element := d.whole(what, tag)
	if len(element) == 0 {
		return element
	}
	return append([]byte{byte(der.SEQUENCE)}, element[1:]...)
}

// publicKey reads a SubjectPublicKeyInfo.
func (d *decoder) publicKey(tag der.Tag) []byte {
	const what = "a public key"
	raw := d.sequenceAs(what, tag)
	if d.ok() {
		in := (&decoder{in: raw, err: d.err}).sequence(what)
		in.algorithm(what)
		in.bits(what)
		in.end(what)
	}
	return raw
}

// uid reads an implicitly tagged BIT STRING.
func (d *decoder) uid(n uint8) []byte {
	if !d.next(primitive(n)) {
		return nil
	}
	content := d.content(whatTemplate, primitive(n))
	d.wholeOctets(whatTemplate, content)
	return content
}

// validity reads an OptionalValidity: times in either form.
func (d *decoder) validity(t *Template) {
	const what = "the validity of a CertTemplate"
	read := func(at *time.Time) func(*decoder) {
		return func(d *decoder) { *at = d.eitherTime(what) }
	}
	d.optional(what, 0, read(&t.NotBefore))
	d.optional(what, 1, read(&t.NotAfter))
	if t.NotBefore.IsZero() && t.NotAfter.IsZero() {
		d.fail(what)
	}
	d.end(what)
}

// The form of a UTCTime in DER (X.690 §11.8), and the last of its years.
const (
	utcForm     = "060102150405Z"
	lastUTCYear = 2049
)

// eitherTime reads a Time of X.509.
func (d *decoder) eitherTime(what string) time.Time {
	if !d.next(der.UTCTime) {
		return d.time(what)
	}
	content := string(d.content(what, der.UTCTime))
	at, err := time.Parse(utcForm, content)
	if err != nil || at.Format(utcForm) != content {
		d.fail(what)
	}
	if at.Year() > lastUTCYear {
		at = at.AddDate(-100, 0, 0)
	}
	return at
}

// Marshal returns the DER of the CertTemplate: what was received, or the
// fields.
func (t *Template) Marshal() ([]byte, error) { return encoded(t.encode) }

func (t *Template) encode(b *builder) {
	if t.Raw != nil {
		b.AddBytes(t.Raw)
		return
	}
	addSequence(b, t.encodeFields)
}

func (t *Template) encodeFields(b *builder) {
	if t.Version != 0 {
		addContent(b, primitive(0), []byte{byte(t.Version - 1)})
	}
	if t.Serial != nil {
		addContent(b, primitive(1), t.Serial)
	}
	if t.SigningAlg != nil {
		b.AddASN1(tagged(2), t.SigningAlg.encodeInside)
	}
	if t.Issuer != nil {
		addTagged(b, 3, func(b *builder) { addWhole(b, t.Issuer) })
	}
	if !t.NotBefore.IsZero() || !t.NotAfter.IsZero() {
		b.AddASN1(tagged(4), t.encodeValidity)
	}
	if t.Subject != nil {
		addTagged(b, 5, func(b *builder) { addWhole(b, t.Subject) })
	}
	if t.PublicKey != nil {
		addAs(b, tagged(6), t.PublicKey)
	}
	for i, uid := range [][]byte{t.IssuerUID, t.SubjectUID} {
		if uid != nil {
			addContent(b, primitive(uint8(7+i)), uid)
		}
	}
	if t.Extensions != nil {
		addAs(b, tagged(9), t.Extensions)
	}
}

func (t *Template) encodeValidity(b *builder) {
	for i, at := range []time.Time{t.NotBefore, t.NotAfter} {
		if !at.IsZero() {
			addTagged(b, uint8(i), func(b *builder) { addX509Time(b, at) })
		}
	}
}

// addX509Time chooses the form by the year (RFC 5280 §4.1.2.5).
func addX509Time(b *builder, at time.Time) {
	at = at.UTC().Truncate(time.Second)
	if at.Year() >= 1950 && at.Year() <= lastUTCYear {
		b.AddASN1UTCTime(at)
		return
	}
	addTime(b, at)
}
