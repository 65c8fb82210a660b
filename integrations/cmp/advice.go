// SPDX-License-Identifier: MIT

package cmp

import (
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models/pki"
)

// TemplateInfo makes the value of certReqTemplate (RFC 9483 §4.3.3): what is
// for the requester to fill in is empty in it. Nil makes none.
func TemplateInfo(advice *CertTemplateAdvice) (Attribute, error) {
	if advice == nil {
		return Attribute{OID: OIDCertReqTemplate}, nil
	}
	template, err := templateOf(advice.Attrs)
	if err != nil {
		return Attribute{}, err
	}
	return newInfo(OIDCertReqTemplate, func(b *builder) {
		addSequence(b, func(b *builder) {
			template.encode(b)
			if specs := advice.keySpecs(); specs != nil {
				addList(b, specs, addAttribute)
			}
		})
	})
}

// keySpecs returns the controls algId and rsaKeyLen.
func (c *CertTemplateAdvice) keySpecs() []Attribute {
	var specs []Attribute
	algorithm, bits := pki.KeyTemplate(c.Attrs.Key)
	if algorithm != nil {
		specs = append(specs, Attribute{OIDControlAlgorithm, algorithm})
	}
	if bits = max(c.RSABits, bits); bits > 0 {
		value, _ := encoded(func(b *builder) { b.AddASN1Int64(int64(bits)) })
		specs = append(specs, Attribute{OIDControlRSAKeyLen, value})
	}
	return specs
}

func templateOf(wanted pki.CSRAttrs) (*Template, error) {
	t := &Template{}
	var err error
	if len(wanted.Subject) > 0 {
		if t.Subject, err = encoded(func(b *builder) { addNameTemplate(b, wanted.Subject) }); err != nil {
			return nil, err
		}
	}
	if len(wanted.Extensions) > 0 {
		t.Extensions, err = encoded(func(b *builder) { addList(b, wanted.Extensions, addExtensionTemplate) })
	}
	return t, err
}

func addNameTemplate(b *builder, subject []pki.Attribute) {
	addSequence(b, func(b *builder) {
		for _, a := range subject {
			if a.Value != "" {
				name, err := pki.MarshalAttributes([]pki.Attribute{a})
				if err != nil {
					b.SetError(err)
					return
				}
				b.AddBytes(newDecoder(name).sequence("a name").in) // its only RDN
				continue
			}
			oid, ok := pki.ParseOID(a.OID)
			if !ok {
				b.SetError(malformed("%q is not an object identifier", a.OID))
				return
			}
			b.AddASN1(der.SET, func(b *builder) {
				addSequence(b, func(b *builder) {
					b.AddASN1ObjectIdentifier(oid)
					addContent(b, der.UTF8String, nil)
				})
			})
		}
	})
}

func addExtensionTemplate(b *builder, e *pki.ExtensionTemplate) {
	oid, ok := pki.ParseOID(e.OID)
	if !ok {
		b.SetError(malformed("%q is not an object identifier", e.OID))
		return
	}
	addSequence(b, func(b *builder) {
		b.AddASN1ObjectIdentifier(oid)
		if e.Critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1OctetString(e.Value)
	})
}

// Template returns the value of certReqTemplate; nil if there is none. A kind
// of key that is not known here is left out.
func (a *Attribute) Template() (*CertTemplateAdvice, error) {
	if a.Value == nil {
		return nil, nil
	}
	out := &CertTemplateAdvice{}
	err := a.parse(func(d *decoder) {
		const what = "a CertReqTemplateContent"
		in := d.sequence(what)
		t := in.template()
		if in.more() {
			in.each("keySpec", 1, func(d *decoder) { d.keySpec(out) })
		}
		in.end(what)
		if t.Subject != nil {
			out.Attrs.Subject = (&decoder{in: t.Subject, err: d.err}).nameTemplate()
		}
		if t.Extensions != nil {
			(&decoder{in: t.Extensions, err: d.err}).each("the extensions of a CertTemplate", 1, func(d *decoder) {
				out.Attrs.Extensions = append(out.Attrs.Extensions, d.extensionTemplate())
			})
		}
	})
	return out, err
}

const maxRSABits = 16384

func (d *decoder) keySpec(out *CertTemplateAdvice) {
	spec := d.attribute("keySpec", false)
	if !d.ok() {
		return
	}
	value := &decoder{in: spec.Value, err: d.err}
	switch {
	case spec.OID.Equal(OIDControlAlgorithm):
		value.algorithm("algId")
		if key := pki.TemplateKey(spec.Value, 0); key != "" {
			out.Attrs.Key = key
		}
	case spec.OID.Equal(OIDControlRSAKeyLen):
		out.RSABits = value.integer("rsaKeyLen", 1, maxRSABits)
		if out.Attrs.Key == "" {
			out.Attrs.Key = pki.TemplateKey(nil, out.RSABits)
		}
	}
}

func (d *decoder) nameTemplate() []pki.Attribute {
	const what = "the subject of a CertTemplate"
	var all []pki.Attribute
	d.each(what, 0, func(d *decoder) {
		rdn := d.inside(what, der.SET)
		rdn.items(what, 1, func(d *decoder) {
			in := d.sequence(what)
			oid := in.oid(what)
			var value cryptobyte.String
			var tag der.Tag
			if !in.ok() || !in.in.ReadAnyASN1(&value, &tag) || !isVisibleText(string(value)) {
				in.fail(what)
			}
			in.end(what)
			all = append(all, pki.Attribute{OID: oid.String(), Value: string(value)})
		})
	})
	return all
}

func isVisibleText(s string) bool { return s == "" || pki.CheckText(s) == nil }

func (d *decoder) extensionTemplate() pki.ExtensionTemplate {
	const what = "an extension of a CertTemplate"
	in := d.sequence(what)
	e := pki.ExtensionTemplate{OID: in.oid(what).String()}
	if in.next(der.BOOLEAN) {
		critical := in.content(what, der.BOOLEAN)
		if e.Critical = len(critical) == 1 && critical[0] == 0xff; !e.Critical { // FALSE is the default
			in.fail(what)
		}
	}
	if value := in.octets(what); len(value) > 0 {
		e.Value = value
	}
	in.end(what)
	return e
}
