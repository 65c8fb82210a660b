// SPDX-License-Identifier: MIT

package cmp

import (
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// encoded returns what fill adds to a builder.
func encoded(fill func(*builder)) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	fill(b)
	out, err := b.Bytes()
	if err != nil {
		return nil, WithFailInfo(models.Errorf(models.KindInternal, "a CMP message cannot be encoded").Because(err), FailSystemFailure)
	}
	return out, nil
}

// addSequence adds a SEQUENCE.
// builder is what DER is written with.
type builder = cryptobyte.Builder

func addSequence(b *builder, fill func(*builder)) {
	b.AddASN1(der.SEQUENCE, fill)
}

// addList adds a SEQUENCE OF.
func addList[T any](b *builder, items []T, add func(*builder, *T)) {
	addSequence(b, func(b *builder) {
		for i := range items {
			add(b, &items[i])
		}
	})
}

// addTagged adds something under the explicit tag [n].
func addTagged(b *builder, n uint8, fill func(*builder)) {
	b.AddASN1(tagged(n), fill)
}

// addWhole adds an element that has its tag and length.
func addWhole(b *builder, element []byte) {
	if len(element) == 0 {
		b.SetError(errors.New("something that may not be left out is empty"))
	}
	b.AddBytes(element)
}

// addAs adds an element under another tag, for an implicit one.
func addAs(b *builder, tag der.Tag, element []byte) {
	in := cryptobyte.String(element)
	var content cryptobyte.String
	var was der.Tag
	if !in.ReadAnyASN1(&content, &was) || !in.Empty() {
		b.SetError(errors.New("something that should be one element in DER is not"))
		return
	}
	b.AddASN1(tag, func(b *builder) { b.AddBytes(content) })
}

// addContent adds an element of given content.
func addContent(b *builder, tag der.Tag, content []byte) {
	b.AddASN1(tag, func(b *builder) { b.AddBytes(content) })
}

// addOptionalOctets adds [n] OCTET STRING, unless it is nil.
func addOptionalOctets(b *builder, n uint8, octets []byte) {
	if octets != nil {
		addTagged(b, n, func(b *builder) { b.AddASN1OctetString(octets) })
	}
}

func addTime(b *builder, at time.Time) {
	addContent(b, der.GeneralizedTime, []byte(at.UTC().Format(timeForm)))
}

func addText(b *builder, text *string) { addContent(b, der.UTF8String, []byte(*text)) }

func addTexts(b *builder, texts []string) { addList(b, texts, addText) }

func addCertificate(b *builder, cert *[]byte) { addWhole(b, *cert) }

func addCertificates(b *builder, certs [][]byte) { addList(b, certs, addCertificate) }

func (a *Algorithm) encode(b *builder) {
	addSequence(b, a.encodeInside)
}

func (a *Algorithm) encodeInside(b *builder) {
	b.AddASN1ObjectIdentifier(a.OID)
	b.AddBytes(a.Parameters)
}

// Marshal returns the DER of the AlgorithmIdentifier.
func (a *Algorithm) Marshal() ([]byte, error) { return encoded(a.encode) }

func (a *Attribute) encode(b *builder) {
	addSequence(b, func(b *builder) {
		b.AddASN1ObjectIdentifier(a.OID)
		b.AddBytes(a.Value)
	})
}

func addAttribute(b *builder, a *Attribute) { a.encode(b) }
