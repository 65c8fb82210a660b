// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Message is a PKIMessage (RFC 9810 §5.1). One that was parsed remembers its
// octets: it is not to be changed.
type Message struct {
	Header     Header
	Body       Body
	Protection []byte   // nil: the message is not protected
	ExtraCerts [][]byte // DER, in the order of the message; nil: absent

	whole, header, body []byte // as received
}

// ParseMessage parses a message of at most MaxMessage octets. What it does not
// accept is KindInvalid with the failInfo for it (see FailInfoOf); it never
// has more than a few times the size of the message in memory.
func ParseMessage(message []byte) (*Message, error) {
	return parseMessage(message, MaxMessage, maxElements)
}

func parseMessage(message []byte, most, elements int) (*Message, error) {
	if len(message) > most {
		return nil, malformed("the message is larger than %d KiB", most>>10)
	}
	if err := pki.StrictDER(message, elements); err != nil {
		return nil, malformed("the message is not in DER: %s", models.PublicText(err))
	}
	d := newDecoder(bytes.Clone(message))
	m := d.message(0)
	d.end("the message")
	if !d.ok() {
		return nil, *d.err
	}
	return m, nil
}

func (d *decoder) message(depth int) *Message {
	const what = "a PKIMessage"
	m := &Message{whole: d.whole(what, der.SEQUENCE)}
	if depth > maxNested {
		d.fail("a message inside messages")
	}
	if !d.ok() {
		return m
	}
	in := (&decoder{in: m.whole, err: d.err}).sequence(what)
	start := in.in
	m.header = in.whole(whatHeader, der.SEQUENCE)
	if !d.ok() {
		return m
	}
	m.Header = (&decoder{in: start, err: d.err}).header()
	m.body = in.any("the body")
	m.Body = (&decoder{in: m.body, err: d.err}).bodyOf(depth)
	in.optional("the protection", 0, func(d *decoder) { m.Protection = d.bits("the protection") })
	in.optional("extraCerts", 1, func(d *decoder) { m.ExtraCerts = d.certificates(1) })
	in.end(what)
	return m
}

// Marshal returns the DER of the message.
func (m *Message) Marshal() ([]byte, error) {
	if m.whole != nil {
		return m.whole, nil
	}
	return encoded(m.encode)
}

func (m *Message) encode(b *builder) {
	if m.whole != nil {
		b.AddBytes(m.whole)
		return
	}
	addSequence(b, func(b *builder) {
		m.encodeProtected(b)
		if m.Protection != nil {
			addTagged(b, 0, func(b *builder) { b.AddASN1BitString(m.Protection) })
		}
		if m.ExtraCerts != nil {
			addTagged(b, 1, func(b *builder) { addCertificates(b, m.ExtraCerts) })
		}
	})
}

func (m *Message) encodeProtected(b *builder) {
	if m.header != nil {
		b.AddBytes(m.header)
		b.AddBytes(m.body)
		return
	}
	m.Header.encode(b)
	m.Body.encode(b)
}

// ProtectedPart returns the DER of the ProtectedPart, which the protection is
// computed over (RFC 9810 §5.1.3): of a message that was parsed, its own
// octets. Protection and ExtraCerts do not belong to it.
func (m *Message) ProtectedPart() ([]byte, error) {
	return encoded(func(b *builder) { addSequence(b, m.encodeProtected) })
}

// RawBody returns the DER of the body, the same as long as nobody changes what
// is asked for; nil for a message that was not parsed.
func (m *Message) RawBody() []byte { return m.body }
