// SPDX-License-Identifier: MIT

package pki_test

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// field is one of a CertTemplate: its tag and contents.
type field struct {
	tag     uint8
	content []byte
}

// templateOf encodes fields; bare ones are primitive.
func templateOf(t testing.TB, fields ...field) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, f := range fields {
			tag := der.Tag(f.tag).ContextSpecific()
			if f.tag >= 3 && f.tag != 7 && f.tag != 8 {
				tag = tag.Constructed()
			}
			b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(f.content) })
		}
	})
	return must(b.Bytes())
}

// wishes returns the fields of a template that asks for what a request does.
func wishes(t testing.TB, request []byte) (subject, key, extensions field) {
	t.Helper()
	csr := must(pki.ParseCSR(request)).Request
	inside := func(element []byte) []byte {
		in, content := cryptobyte.String(element), cryptobyte.String(nil)
		if !in.ReadASN1(&content, der.SEQUENCE) {
			t.Fatal("no sequence")
		}
		return content
	}
	var b cryptobyte.Builder
	for _, e := range csr.Extensions {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(e.Id)
			b.AddASN1OctetString(e.Value)
		})
	}
	return field{5, csr.RawSubject}, field{6, inside(csr.RawSubjectPublicKeyInfo)}, field{9, must(b.Bytes())}
}

func TestParseTemplateAsksForWhatTheSameRequestAsksFor(t *testing.T) {
	request := honestCSR(t, newKey(models.ECP256))
	subject, key, extensions := wishes(t, request)
	template := templateOf(t, field{0, []byte{2}}, subject, key, extensions)
	want := must(pki.ParseCSR(request))
	if pki.IsTemplate(request) || !pki.IsTemplate(template) {
		t.Error("a request and a template are taken for each other")
	}
	got, err := pki.ParseRequest(template)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.DER, template) || got.SHA256 == want.SHA256 || got.SPKISHA256 != want.SPKISHA256 || got.KeyAlgorithm != want.KeyAlgorithm ||
		got.Request.Subject.String() != want.Request.Subject.String() || len(got.Request.DNSNames) != 2 || len(got.Request.IPAddresses) != 2 || len(got.Request.URIs) != 1 {
		t.Errorf("the template asks for %+v", got.Request)
	}
	bare := must(pki.ParseTemplate(templateOf(t, key)))
	if len(bare.Request.Subject.Names) != 0 {
		t.Errorf("a template without a subject has %v", bare.Request.Subject)
	}
}

func TestParseTemplateRefuses(t *testing.T) {
	subject, key, extensions := wishes(t, honestCSR(t, newKey(models.ECP256)))
	good := templateOf(t, subject, key, extensions)
	for name, template := range map[string][]byte{
		"nothing":                  nil,
		"another version":          templateOf(t, field{0, []byte{0}}, subject, key),
		"a serial number":          templateOf(t, field{1, []byte{1}}, subject, key),
		"a signature algorithm":    templateOf(t, field{2, []byte{6, 1, 42}}, key),
		"issuerUID":                templateOf(t, key, field{7, []byte{0, 1}}),
		"fields out of order":      templateOf(t, key, subject),
		"a field twice":            templateOf(t, subject, subject, key),
		"an unknown field":         templateOf(t, subject, key, field{10, []byte{5, 0}}),
		"no key":                   templateOf(t, subject),
		"a key that is none":       templateOf(t, subject, field{6, []byte{5, 0}}),
		"a subject that is none":   templateOf(t, field{5, []byte{5, 0}}, key),
		"extensions that are none": templateOf(t, subject, key, field{9, []byte{5, 0}}),
		"an extension twice":       templateOf(t, subject, key, field{9, append(bytes.Clone(extensions.content), extensions.content...)}),
		"something behind it":      append(bytes.Clone(good), 0),
		"more than is read":        templateOf(t, field{5, make([]byte, 65<<10)}),
		"a weak key":               templateOf(t, subject, field{6, []byte{0x30, 3, 6, 1, 42, 3, 2, 0, 1}}),
		"an indefinite length":     {0x30, 0x80, 0xa6, 0, 0, 0},
	} {
		if _, err := pki.ParseTemplate(template); models.KindOf(err) != models.KindInvalid || err == nil {
			t.Errorf("%s: the answer is %v", name, err)
		}
	}
}

func FuzzParseTemplate(f *testing.F) {
	subject, key, extensions := wishes(f, honestCSR(f, newKey(models.ECP256)))
	f.Add(templateOf(f, subject, key, extensions))
	f.Add(templateOf(f, field{0, []byte{2}}, field{3, subject.content}, key))
	f.Fuzz(func(t *testing.T, template []byte) {
		csr, err := pki.ParseTemplate(template)
		if err != nil {
			if models.KindOf(err) != models.KindInvalid {
				t.Errorf("%x is refused with %v", template, err)
			}
			return
		}
		if !pki.IsTemplate(template) || csr.Request.PublicKey == nil {
			t.Errorf("%x is accepted", template)
		}
	})
}
